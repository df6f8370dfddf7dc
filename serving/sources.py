"""Where a list comes from: the pair table, the live model, users' lists, similar films, popular films.

Belongs here: one function for each source, from a question about a release to a cut list of films. Does not belong
here: the form of questions (`serving.questions`), why a film is on a list (`recommender.reasons`), the shape of answers
(`serving.answers`), the maths (`recommender`).

Whatever filters a list acts before it is cut: a filtered list is as long as any other while there are films left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.likes import row_of
from recommender.data.weights import SCORE_ONE
from recommender.items.ranking import Ranked, rank_profile, score_parts
from recommender.reasons import list_parts
from serving.problems import Problem, not_found
from serving.questions import (
    Engine,
    ListQuestion,
    PairQuestion,
    PopularQuestion,
    RecommendQuestion,
    SimilarQuestion,
    UserQuestion,
)
from serving.recent_ratings import NOTHING, Recent
from serving.releases.snapshot import Snapshot
from warehouse.releases.pack import ReleaseLists

DEEPEST = 1000
"""Places of a list that can be paged through."""

NONE = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True)
class Found:
    """A cut list, before it is described.

    Attributes
    ----------
    source : str
        pairs, live, users, similar or popular.
    engine : str
        exact, annoy, table, or live for lists computed without neighbours.
    films : int32 array, shape (k,)
        Catalogue positions.
    scores : float64 array, shape (k,)
    votes : int array, shape (k,), optional
    more : bool
        Whether the list goes on.
    left : int, optional
        Films the filters leave, before the cut; None without a filter.
    named : int32 array, shape (n,), optional
        Catalogue positions of the films the scores are split among.
    parts : array, shape (k, n), optional
    input, unknown : list of int
        Films of the question: known ones in its order, and the others.
    inputs : int
        Films of the question in all; of a user, `input` has the most liked ones only.
    recent : Recent, optional
        Events of the user that the list takes into account.
    """

    source: str
    engine: str
    films: NDArray[np.int32]
    scores: NDArray[np.float64]
    more: bool
    left: int | None = None
    votes: NDArray[np.integer] | None = None
    named: NDArray[np.int32] | None = None
    parts: NDArray[Any] | None = None
    input: Sequence[int] = ()
    unknown: Sequence[int] = ()
    inputs: int = 0
    recent: Recent = NOTHING


def choose_engine(snapshot: Snapshot, wanted: Engine | None, preference: str, exact_up_to_likes: int) -> str:
    """Choose the engine: the one asked for, else the preferred one; auto is exact while that is fast enough.

    Raises
    ------
    Problem
        409 naming `engine`, if annoy was asked for and the release has no usable index.
    """
    if wanted == "annoy" and snapshot.index is None:
        raise Problem(409, "no-index", f"{snapshot.index_problem}; ask with engine=exact", "engine")
    if wanted is not None:
        return wanted
    small = len(snapshot.neighbourhood.likes.films) <= exact_up_to_likes
    if snapshot.index is None or preference == "exact" or (preference == "auto" and small):
        return "exact"
    return "annoy"


def allowed_films(snapshot: Snapshot, question: ListQuestion) -> NDArray[np.bool_] | None:
    """Mask of the films a question's filters allow, over catalogue positions; None without filters.

    Raises
    ------
    Problem
        404 naming `genre`, if no film of the release has it.
    """
    if not question.filtered:
        return None
    facts = snapshot.facts
    if question.genre is not None and question.genre.lower() not in facts.genres:
        names = ", ".join(name for name, _ in facts.genres.values())
        raise not_found("genre", f"no film of release {snapshot.release} has this genre; there are: {names}"[:290])
    excluded = [snapshot.positions[movie] for movie in question.exclude if movie in snapshot.positions]
    return facts.allowed(question.genre, question.years, excluded)


def _left(allowed: NDArray[np.bool_] | None, without: NDArray[np.int32]) -> int | None:
    """Films a mask leaves, but for some; None without a mask."""
    return None if allowed is None else int(allowed.sum() - allowed[without].sum())


def live_list(snapshot: Snapshot, question: RecommendQuestion, engine: str, skip: int) -> Found:
    """Recommend for any films from the release's model, computed now.

    Raises
    ------
    Problem
        404 naming `ids`, if no film is known, or none of those known has a vector, and `fallback` is no.
    """
    rows = snapshot.films.row_of
    known = [movie for movie in question.ids if movie in rows]
    unknown = [movie for movie in question.ids if movie not in rows]
    if any(snapshot.has_vector(movie) for movie in known):
        found = _ranked(snapshot, np.sort(snapshot.places(known)), question, engine, skip, question.num)
    elif question.fallback == "popular":
        found = fallback(snapshot, question, skip, [] if question.seen == "keep" else known)
    elif not known:
        text = f"release {snapshot.release} knows none of these films; find films with /movies?q=TITLE"
        raise not_found("ids", text)
    else:
        text = "none of these films has tags, so nobody's taste can be compared with them; add a film that has"
        raise Problem(404, "no-vector", text, "ids")
    return replace(found, input=known, unknown=unknown, inputs=len(known))


def _ranked(
    snapshot: Snapshot,
    named: NDArray[np.int32],
    question: RecommendQuestion | PairQuestion,
    engine: str,
    skip: int,
    num: int,
    after: NDArray[np.int32] = NONE,
) -> Found:
    """A page of the live list of some films; `after` are films of it that were given before and count in no `skip`."""
    allowed, keep = allowed_films(snapshot, question), question.seen == "keep"
    stop = min(skip + num, DEEPEST)
    voted = snapshot.vote(named, stop + 1, engine, _without(snapshot, allowed, after), keep)
    page = slice(skip, stop)
    films, scores = snapshot.places(voted.movie_ids[page].tolist()), voted.scores[page]
    return Found(
        "live",
        engine,
        films,
        scores,
        len(voted.movie_ids) > stop and stop < DEEPEST,
        _left(allowed, NONE if keep else named),
        voted.votes[page],
        named,
        list_parts(snapshot.neighbourhood, named, films, scores, voted.companions[page]),
    )


def _without(
    snapshot: Snapshot, allowed: NDArray[np.bool_] | None, films: NDArray[np.int32]
) -> NDArray[np.bool_] | None:
    """A mask without some more films."""
    if len(films) == 0:
        return allowed
    mask = np.ones(len(snapshot.positions), dtype=bool) if allowed is None else allowed.copy()
    mask[films] = False
    return mask


def pair_list(snapshot: Snapshot, one: int, other: int, question: PairQuestion, engine: str, skip: int) -> Found:
    """Recommend for two sign-up films from the table; filtered, or beyond its end, computed now.

    Raises
    ------
    Problem
        404 naming `a` or `b`, if that is not a sign-up film, or both are the same.
    """
    for parameter, movie in (("a", one), ("b", other)):
        if movie not in snapshot.films.signup_rank:
            known = movie in snapshot.films.row_of
            reason = "is not a sign-up film; ask /recommend" if known else f"is unknown to release {snapshot.release}"
            raise not_found(parameter, f"film {movie} {reason}")
    if one == other:
        raise not_found("b", f"film {one} does not make a pair with itself; choose another")
    named, stored = np.sort(snapshot.places([one, other])), snapshot.pairs.find(one, other)
    num = question.num or max(len(stored), 1)
    if question.filtered or question.seen == "keep":
        found = _ranked(snapshot, named, question, engine, skip, num)
    else:
        found = _from_table(snapshot, named, stored, slice(skip, skip + num))
        if len(found.films) < num and found.more:
            after = snapshot.places([movie for movie, *_ in stored])
            beyond = max(0, skip - len(stored))
            rest = _ranked(snapshot, named, question, engine, beyond, num - len(found.films), after)
            found = _joined(found, rest) if len(found.films) else rest
    return replace(found, input=[one, other], inputs=2)


def _from_table(
    snapshot: Snapshot, named: NDArray[np.int32], stored: list[tuple[int, float, int]], page: slice
) -> Found:
    """Rows of the pair table as a list. A full one goes on, live, after the table's last film."""
    more = page.stop < len(stored) or len(stored) == snapshot.neighbourhood.parameters.per_pair
    stored = stored[page]
    films = snapshot.places([movie for movie, *_ in stored])
    scores = np.array([score for _, score, _ in stored])
    votes = np.array([vote for *_, vote in stored], dtype=np.int32)
    parts = list_parts(snapshot.neighbourhood, named, films, scores, snapshot.companions_of(named, films))
    return Found("pairs", "table", films, scores, more, None, votes, named, parts)


def _joined(first: Found, second: Found) -> Found:
    """The first films of a list from the table, the others computed now."""
    parts = [found.parts for found in (first, second) if found.parts is not None]
    votes = [found.votes for found in (first, second) if found.votes is not None]
    return replace(
        second,
        source=first.source,
        films=np.concatenate([first.films, second.films]),
        scores=np.concatenate([first.scores, second.scores]),
        votes=np.concatenate(votes),
        parts=np.concatenate(parts),
    )


def popular_list(snapshot: Snapshot, question: PopularQuestion, skip: int) -> Found:
    """Popular films.

    Raises
    ------
    Problem
        404 naming `list`, if the release has no such list.
    """
    allowed = allowed_films(snapshot, question)
    found = snapshot.popular(question.list)
    if found is None:
        text = (
            f"release {snapshot.release} has no list {question.list!r}; there are all, recent, genre:... and decade:..."
        )
        raise not_found("list", text)
    films, scores = found
    return _popular(question, skip, films, scores, allowed)


def fallback(snapshot: Snapshot, question: ListQuestion, skip: int, seen: Sequence[int] | NDArray[np.int32]) -> Found:
    """Popular films, for whom or what nothing else is known; without what somebody has seen."""
    films, scores = snapshot.popular("all") or (NONE, NONE)
    places = seen if isinstance(seen, np.ndarray) else snapshot.places(seen)
    allowed = allowed_films(snapshot, question)
    found = _popular(question, skip, films, scores, _without(snapshot, allowed, places))
    return found if allowed is not None else replace(found, left=None)


def _popular(
    question: ListQuestion, skip: int, films: NDArray[np.int32], scores: NDArray[np.integer],
    allowed: NDArray[np.bool_] | None,
) -> Found:  # fmt: skip
    if allowed is not None:
        kept = allowed[films]
        films, scores = films[kept], scores[kept]
    page = slice(skip, min(skip + question.num, DEEPEST))
    left = None if allowed is None else len(films)
    return Found(
        "popular", "table", films[page], scores[page].astype(float), page.stop < min(len(films), DEEPEST), left
    )


def _reaches(stored: NDArray[np.int32], place: int) -> bool:
    """Whether a list of the pack has this place, from 1."""
    return place <= len(stored) and bool(stored[place - 1] >= 0)


SHOWN_LIKES = 20
"""Films of a user that an answer names; `inputs` says how many there are."""


class _Profile(NamedTuple):
    """What is known of a user: catalogue positions, ascending.

    Attributes
    ----------
    liked, rated : integer array
        Of the release, and of the events after it.
    stored, scores : int32 array
        The list of the release's table; empty if the user has none, or events have come since.
    """

    liked: NDArray[np.int32]
    rated: NDArray[np.int32]
    stored: NDArray[np.int32]
    scores: NDArray[np.int32]


def _profile(snapshot: Snapshot, lists: ReleaseLists, user_id: int, recent: Recent) -> _Profile:
    likes = snapshot.neighbourhood.likes
    row = row_of(likes.user_ids, user_id)
    liked = NONE if row is None else likes.films[likes.indptr[row] : likes.indptr[row + 1]]
    rated = lists.rated.of(user_id)
    if recent.ratings:
        threshold = snapshot.neighbourhood.parameters.like_threshold
        rated_since = snapshot.places(list(recent.ratings))
        liked_since = snapshot.places([movie for movie, stars in recent.ratings.items() if stars >= threshold])
        liked = np.union1d(np.setdiff1d(liked, rated_since), liked_since).astype(np.int32)
        return _Profile(liked, np.union1d(rated, rated_since).astype(np.int32), NONE, NONE)
    if row is None or lists.user_films[row, 0] < 0:
        return _Profile(liked, rated, NONE, NONE)
    return _Profile(liked, rated, lists.user_films[row], lists.user_scores[row])


def _speaks(snapshot: Snapshot, lists: ReleaseLists, known: _Profile) -> bool:
    """Whether anything follows from a user's likes: those of the table say something, and any film of the item set."""
    if len(known.stored) or len(known.liked) >= snapshot.neighbourhood.parameters.min_likes:
        return True
    return bool((lists.items.ranks[known.liked] < len(lists.items.weights)).any())


def user_list(snapshot: Snapshot, user_id: int, question: UserQuestion, skip: int, recent: Recent = NOTHING) -> Found:
    """A user's list from the table; filtered, beyond its end, or with events since, computed now from all they like.

    A user with fewer than `min_likes` likes has no list in the table, and gets one here from the first like on.

    Raises
    ------
    Problem
        404 naming `user_id`, if no film is known that the user likes, and `fallback` is no.
    """
    lists = snapshot.lists
    known = _Profile(NONE, NONE, NONE, NONE) if lists is None else _profile(snapshot, lists, user_id, recent)
    seen = NONE if question.seen == "keep" else known.rated
    shown = snapshot.neighbourhood.catalogue.movie_ids[known.liked[:SHOWN_LIKES]].tolist()
    about: dict[str, Any] = {"input": shown, "inputs": len(known.liked), "recent": recent}
    if lists is None or not _speaks(snapshot, lists, known):
        if question.fallback == "no":
            nothing = "has no list in" if len(known.rated) else "is unknown to"
            raise not_found("user_id", f"user {user_id} {nothing} release {snapshot.release}")
        return replace(fallback(snapshot, question, skip, seen), **about)
    count = min(question.num, DEEPEST - skip)
    if not question.filtered and question.seen == "drop" and _reaches(known.stored, skip + count):
        page, engine = slice(skip, skip + count), "table"
        ranked = Ranked(np.array(known.stored[page]), np.array(known.scores[page]), DEEPEST)
    else:
        allowed, engine = allowed_films(snapshot, question), "live"
        ranked = rank_profile(lists.items, known.liked, count, allowed=allowed, seen=seen, skip=skip)
    return Found(
        "users",
        engine,
        ranked.films,
        ranked.scores / SCORE_ONE,
        skip + count < min(ranked.left, DEEPEST),
        ranked.left if question.filtered else None,
        named=known.liked,
        parts=score_parts(lists.items, known.liked, ranked.films),
        **about,
    )


def similar_list(snapshot: Snapshot, movie_id: int, question: SimilarQuestion, skip: int) -> Found:
    """Films similar to one from the table; filtered, or beyond its end, computed now.

    Raises
    ------
    Problem
        404 naming `movie_id`, if there is no list for the film and `fallback` is no.
    """
    lists, known = snapshot.lists, movie_id in snapshot.films.row_of
    place = snapshot.positions.get(movie_id)
    stored = lists.similar_films[place] if lists is not None and place is not None else NONE
    named, unknown = ([movie_id], []) if known else ([], [movie_id])
    if place is None or len(stored) == 0 or stored[0] < 0:
        if question.fallback == "no":
            reason = "has neither tags nor five likes in" if known else "is unknown to"
            raise not_found("movie_id", f"film {movie_id} {reason} release {snapshot.release}")
        found = fallback(snapshot, question, skip, [movie_id])
        return replace(found, input=named, unknown=unknown, inputs=len(named))
    assert lists is not None
    count = min(question.num, DEEPEST - skip)
    filled = lists.similar_films[place] >= 0
    page = slice(skip, 0 if question.filtered else skip + count)
    films, scores = stored[filled][page], lists.similar_scores[place][filled][page]
    more, left, missing = True, None, count - len(films)
    if missing:  # after what is stored comes whatever else is similar now: nothing comes twice
        before = NONE if question.filtered else stored[filled]
        allowed = _without(snapshot, allowed_films(snapshot, question), before)
        ranked = snapshot.similar_films.rank(
            place, missing + 1, allowed=allowed, skip=max(0, skip + len(films) - len(before))
        )
        films = np.concatenate([films, ranked.films[:missing]])
        scores = np.concatenate([scores, ranked.scores[:missing]])
        more, left = len(ranked.films) > missing, ranked.left
    return Found(
        "similar",
        "live" if missing else "table",
        films,
        scores / SCORE_ONE,
        more and skip + count < DEEPEST,
        left if question.filtered else None,
        named=np.array([place], dtype=np.int32),
        parts=np.ones((len(films), 1)),
        input=named,
        inputs=1,
    )
