"""What an answer contains, as plain values: the shapes of the HTTP API, without HTTP.

Belongs here: the content of answers, and when a release has none. Does not belong here: the form of parameters
(`serving.questions`), choosing a release (`serving.releases.follower`), caches and counts (`serving.service`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from recommender.errors import UsageError
from serving.problems import Problem, not_found
from serving.questions import Engine, RecommendQuestion, refusal
from serving.releases.snapshot import Snapshot, SnapshotError, load_snapshot
from warehouse.home import Home
from warehouse.releases.reader import release_path


class FilmList(NamedTuple):
    """Films of a question: those the release knows, in the order asked, and the others."""

    known: list[int]
    unknown: list[int]


def sort_out(snapshot: Snapshot, movie_ids: Sequence[int]) -> FilmList:
    """Separate films the release knows from those it does not."""
    rows = snapshot.films.row_of
    return FilmList(
        [movie for movie in movie_ids if movie in rows], [movie for movie in movie_ids if movie not in rows]
    )


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


def live_answer(snapshot: Snapshot, deployment: str, films: FilmList, num: int, engine: str) -> dict[str, Any]:
    """Recommend from the release's model, computed now.

    Raises
    ------
    Problem
        404 naming `ids`, if no film is known, or none of those known has a vector.
    """
    if not films.known:
        raise not_found("ids", f"release {snapshot.release} knows none of these films; find films with /movies?q=TITLE")
    if not any(snapshot.has_vector(movie) for movie in films.known):
        text = "none of these films has tags, so nobody's taste can be compared with them; add a film that has"
        raise Problem(404, "no-vector", text, "ids")
    return _recommendation(snapshot, deployment, films, snapshot.rank_films(films.known, num, engine))


def pair_answer(snapshot: Snapshot, deployment: str, one: int, other: int) -> dict[str, Any]:
    """Recommend from the precomputed table; same shape as `live_answer`.

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
    return _recommendation(snapshot, deployment, FilmList([one, other], []), snapshot.pairs.find(one, other))


def _origin(snapshot: Snapshot, deployment: str) -> dict[str, str]:
    """What every answer says about where it comes from."""
    return {"release": snapshot.release, "model_version": snapshot.model_version, "deployment": deployment}


def _recommendation(
    snapshot: Snapshot, deployment: str, films: FilmList, ranked: Sequence[tuple[int, float, int]]
) -> dict[str, Any]:
    return {
        **_origin(snapshot, deployment),
        "input": [snapshot.films.title(movie) for movie in films.known],
        "unknown": films.unknown,
        "recommendations": [
            {"rank": rank, **snapshot.films.card(movie), "score": score, "votes": votes}
            for rank, (movie, score, votes) in enumerate(ranked, start=1)
        ],
    }


def signup_answer(snapshot: Snapshot, deployment: str) -> dict[str, Any]:
    """All sign-up films."""
    return {**_origin(snapshot, deployment), "movies": snapshot.films.signup_cards()}


def search_answer(snapshot: Snapshot, deployment: str, words: str, limit: int) -> dict[str, Any]:
    """Films whose titles match the words, best first."""
    films = snapshot.films
    return {
        **_origin(snapshot, deployment),
        "query": words,
        "movies": [
            {
                **films.card(films.movie_ids[row]),
                "likes": films.likes[row],
                "has_vector": films.has_vector[row],
                "signup": films.movie_ids[row] in films.signup_rank,
            }
            for row in snapshot.titles.search(words, limit)
        ],
    }


def release_answer(snapshot: Snapshot, deployment: str) -> dict[str, Any]:
    """Lineage of the release, down to the files of its source."""
    return {**snapshot.lineage, "deployment": deployment}


def answer(home: Home, movie_ids: Sequence[int], num: int, engine: Engine | None = None) -> dict[str, Any]:
    """Recommend from the live release of a home, without a service: what `marquee recommend` prints.

    The answer is that of `/recommend` with engine=exact by default; its deployment is ``command-line``.

    Raises
    ------
    UsageError
        If the films or their number would be refused with 422 over HTTP.
    Problem
        If the release has no answer.
    NoReleaseError
        If nothing is live.
    """
    try:
        question = RecommendQuestion(ids=list(movie_ids), num=num, engine=engine)
    except ValidationError as error:
        raise UsageError(refusal(error.errors()).detail) from None
    snapshot = _load_live(home)
    chosen = choose_engine(snapshot, question.engine, "exact", 0)
    return live_answer(snapshot, "command-line", sort_out(snapshot, question.ids), question.num, chosen)


def _load_live(home: Home) -> Snapshot:
    """Load the live release; look it up again if it was superseded and retired while it was being loaded."""
    while True:
        path = release_path(home)
        try:
            return load_snapshot(home, path)
        except SnapshotError:
            if path.exists():
                raise
