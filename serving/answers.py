"""Answers from a snapshot as plain values: the shapes of the HTTP API, without HTTP.

Belongs here: what an answer contains and when a release has none. Does not belong here: reading parameters
(`serving.http.parameters`), choosing a release (`serving.releases.follower`), transport (`serving.http.app`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serving.http.parameters import MOST_ANSWERS, distinct_films, engine_wanted, whole_number
from serving.http.problems import Problem, not_found
from serving.live_answers import has_vector, rank_films
from serving.releases.snapshot import Snapshot, SnapshotError, load_snapshot
from warehouse.home import Home
from warehouse.releases.reader import release_path


@dataclass(frozen=True)
class Identity:
    """What every answer says about its origin.

    Attributes
    ----------
    release, model_version, deployment : str
    """

    release: str
    model_version: str
    deployment: str

    def values(self) -> dict[str, str]:
        """The three as they stand in an answer."""
        return {"release": self.release, "model_version": self.model_version, "deployment": self.deployment}


def identity(snapshot: Snapshot, deployment: str) -> Identity:
    """Identify the answers a deployment gives from a snapshot."""
    return Identity(snapshot.release, snapshot.model_version, deployment)


@dataclass(frozen=True)
class FilmList:
    """A list of films as a release sees it.

    Attributes
    ----------
    known : list of int
        Films of the release, in the order asked.
    unknown : list of int
        The others.
    """

    known: list[int]
    unknown: list[int]


def sort_out(snapshot: Snapshot, movie_ids: Sequence[int]) -> FilmList:
    """Separate films the release knows from those it does not.

    Raises
    ------
    Problem
        404 naming `ids`, if none is known, or none of those known has a vector.
    """
    known = [movie for movie in movie_ids if movie in snapshot.films.row_of]
    unknown = [movie for movie in movie_ids if movie not in snapshot.films.row_of]
    if not known:
        raise not_found("ids", f"release {snapshot.release} knows none of these films; find films with /movies?q=TITLE")
    if not any(has_vector(snapshot, movie) for movie in known):
        raise Problem(
            404,
            "no-vector",
            "none of these films has tags, so nobody's taste can be compared with them; add a film that has",
            "ids",
        )
    return FilmList(known, unknown)


def default_engine(snapshot: Snapshot, preference: str, exact_up_to_likes: int) -> str:
    """Engine for a request that names none: exact while comparing all users is fast enough."""
    if preference != "auto":
        return preference if preference == "exact" or snapshot.index is not None else "exact"
    small = len(snapshot.neighbourhood.likes.films) <= exact_up_to_likes
    return "exact" if small or snapshot.index is None else "annoy"


def require_engine(snapshot: Snapshot, engine: str) -> None:
    """Refuse an engine this release cannot use.

    Raises
    ------
    Problem
        409 naming `engine`.
    """
    if engine == "annoy" and snapshot.index is None:
        raise Problem(409, "no-index", f"{snapshot.index_problem}; ask with engine=exact", "engine")


def live_answer(snapshot: Snapshot, deployment: str, films: FilmList, num: int, engine: str) -> dict[str, Any]:
    """Recommend from the release's model, computed now.

    Parameters
    ----------
    snapshot : Snapshot
    deployment : str
    films : FilmList
        From `sort_out`.
    num : int
    engine : {'exact', 'annoy'}

    Returns
    -------
    dict
        ``release, model_version, deployment, input, unknown, recommendations``.
    """
    return _recommendation(snapshot, deployment, films, rank_films(snapshot, films.known, num, engine))


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


def _recommendation(
    snapshot: Snapshot, deployment: str, films: FilmList, ranked: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    return {
        **identity(snapshot, deployment).values(),
        "input": [snapshot.films.title(movie) for movie in films.known],
        "unknown": films.unknown,
        "recommendations": [
            {"rank": rank, **snapshot.films.card(movie), "votes": votes}
            for rank, (movie, votes) in enumerate(ranked, start=1)
        ],
    }


def signup_answer(snapshot: Snapshot, deployment: str) -> dict[str, Any]:
    """All sign-up films."""
    return {**identity(snapshot, deployment).values(), "movies": snapshot.films.signup_cards()}


def search_answer(snapshot: Snapshot, deployment: str, question: str, limit: int) -> dict[str, Any]:
    """Films whose titles answer a search, best first."""
    films = snapshot.films
    return {
        **identity(snapshot, deployment).values(),
        "query": question,
        "movies": [
            {
                **films.card(films.movie_ids[row]),
                "likes": films.likes[row],
                "has_vector": films.has_vector[row],
                "signup": films.movie_ids[row] in films.signup_rank,
            }
            for row in snapshot.titles.search(question, limit)
        ],
    }


def release_answer(snapshot: Snapshot, deployment: str) -> dict[str, Any]:
    """Lineage of the release, down to the files of its source."""
    return {**snapshot.lineage, "deployment": deployment}


def answer(home: Home, movie_ids: Sequence[int], num: int, engine: str | None = None) -> dict[str, Any]:
    """Recommend from the live release of a home, without a service: what `marquee recommend` prints.

    Parameters
    ----------
    home : Home
    movie_ids : sequence of int
        1 to 100 distinct films.
    num : int
        1 to 100.
    engine : {'exact', 'annoy'}, optional
        Default: exact.

    Returns
    -------
    dict
        As `/recommend` answers; the deployment is ``command-line``.

    Raises
    ------
    Problem
        If the request would be refused over HTTP; a ValueError whose text says why.
    NoReleaseError
        If nothing is live.
    """
    ids = distinct_films("ids", movie_ids)
    whole_number("num", str(num), 1, MOST_ANSWERS)
    chosen = engine_wanted([engine] if engine else []) or "exact"
    snapshot = _load_live(home)
    films = sort_out(snapshot, ids)
    require_engine(snapshot, chosen)
    return live_answer(snapshot, "command-line", films, num, chosen)


def _load_live(home: Home) -> Snapshot:
    """Load the live release; look it up again if it was superseded and retired while it was being loaded."""
    while True:
        path = release_path(home)
        try:
            return load_snapshot(home, path)
        except SnapshotError:
            if path.exists():
                raise
