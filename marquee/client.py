"""Recommendations for Python programs, from a release file or from the HTTP service, with the same four calls; and
events for the service: what people rated, and what they did with recommendations.

    from marquee.client import Client

    with Client("var/published/current.duckdb") as client:  # or Client("http://127.0.0.1:5000")
        for film in client.get_recs(1, 260):
            print(film.rank, film.title, film.score)

Belongs here: asking and the types of answers. Does not belong here: making lists. A file holds what was computed ahead
of time; the service goes on after its end. Where there is no list both raise `NoListError`; neither answers with
popular films instead.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import duckdb
import httpx

from recommender.errors import MarqueeError


class ClientError(MarqueeError):
    """The file or the service cannot be asked, or refused the question; the message says why."""


class NoListError(ClientError):
    """There is no list: the user or film is unknown, or too little is known of it."""


class Film(NamedTuple):
    """A film to choose from."""

    movie_id: int
    title: str


class Recommendation(NamedTuple):
    """A film of a list; `votes` is None where nobody votes: lists of users and of similar films."""

    rank: int
    movie_id: int
    title: str
    score: float
    votes: int | None


class Recommendations(list[Recommendation]):
    """A list, best first, and the `answer_id` by which events refer to it; None from a file."""

    def __init__(self, films: Iterable[Recommendation], answer_id: str | None = None) -> None:
        super().__init__(films)
        self.answer_id = answer_id


class Taken(NamedTuple):
    """What became of events: kept now, kept before, and refused as (place, reason); the place counts from 0."""

    accepted: int
    duplicates: int
    refused: list[tuple[int, str]]


MOST_EVENTS = 1_000
"""Events that the service takes at a time."""


class _Source(Protocol):
    def release(self) -> str: ...
    def top_movies(self) -> list[Film]: ...
    def recs(self, visitor: str | None, one: int, other: int) -> Recommendations: ...
    def of_user(self, visitor: str | None, user_id: int, num: int) -> Recommendations: ...
    def similar(self, visitor: str | None, movie_id: int, num: int) -> Recommendations: ...
    def events(self, events: Sequence[Mapping[str, Any]]) -> Taken: ...
    def close(self) -> None: ...


class Client:
    """Recommendations of the live release; while an experiment runs a service has some visitors meet its challenger.

    A `visitor` is any text of 1 to 64 letters, digits, dots, dashes and underscores by which a service tells visitors
    apart: the same one always meets the same release. Without it the live release answers, and no experiment counts it.

    Parameters
    ----------
    where : str or Path
        A release file (the link ``current.duckdb`` is followed anew at each call), or the address of a service.
    key : str, optional
        Key for a service that requires one; a file needs none.

    Raises
    ------
    ClientError
        From each call, if the file or service is not there.
    """

    def __init__(self, where: str | Path, key: str | None = None) -> None:
        address = str(where)
        remote = address.startswith(("http://", "https://"))
        self._source: _Source = _Service(address, key) if remote else _ReleaseFile(Path(where))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file or the connections."""
        self._source.close()

    @property
    def release(self) -> str:
        """Name of the release that answers now."""
        return self._source.release()

    def get_top_movies(self) -> list[Film]:
        """Films that pairs are made of, most liked first."""
        return self._source.top_movies()

    def get_recs(self, a: int, b: int, *, visitor: str | None = None) -> Recommendations:
        """Films for somebody who likes two of the top movies, best first.

        Raises
        ------
        NoListError
            If the two are no pair of the release.
        """
        return self._source.recs(visitor, a, b)

    def for_user(self, user_id: int, num: int = 10, *, visitor: str | None = None) -> Recommendations:
        """Films for a user, best first, without what the user has rated.

        Raises
        ------
        NoListError
        """
        return self._source.of_user(visitor, user_id, num)

    def similar(self, movie_id: int, num: int = 10, *, visitor: str | None = None) -> Recommendations:
        """Films similar to one, most similar first.

        Raises
        ------
        NoListError
        """
        return self._source.similar(visitor, movie_id, num)

    def send_events(self, events: Sequence[Mapping[str, Any]]) -> Taken:
        """Send what people did; what is accepted is on the service's disk when this returns.

        Parameters
        ----------
        events : sequence of mapping
            Each with `event_id`, `type` (rating, shown, click, play, dismiss), `user_id`, `movie_id`, and, where there
            is one, `rating`, `at`, `answer_id`, `position`.

        Raises
        ------
        ClientError
            Then some may have been kept. Send all of them again: each counts once by its `event_id`.
        """
        accepted = duplicates = 0
        refused: list[tuple[int, str]] = []
        for first in range(0, len(events), MOST_EVENTS):
            taken = self._source.events(events[first : first + MOST_EVENTS])
            accepted, duplicates = accepted + taken.accepted, duplicates + taken.duplicates
            refused += [(first + place, reason) for place, reason in taken.refused]
        return Taken(accepted, duplicates, refused)


class _ReleaseFile:
    """A release file, opened read-only; opened again when the link it was named by points elsewhere."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: Path | None = None
        self._con: duckdb.DuckDBPyConnection | None = None

    def _rows(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        target = self._path.resolve()
        try:
            if self._con is None or target != self._opened:
                self.close()
                self._con, self._opened = duckdb.connect(str(target), read_only=True), target
            return self._con.execute(query, list(values)).fetchall()
        except duckdb.Error as error:
            raise ClientError(f"{target} cannot be asked: {error}") from None

    def _list(self, missing: str, query: str, *values: int) -> Recommendations:
        found = Recommendations(Recommendation(*row) for row in self._rows(query, *values))
        if not found:
            raise NoListError(f"{missing} in release {self.release()}")
        return found

    def release(self) -> str:
        return str(self._rows("SELECT release FROM release")[0][0])

    def top_movies(self) -> list[Film]:
        query = "SELECT movie_id, title FROM signup_movies JOIN movies USING (movie_id) ORDER BY position"
        return [Film(*row) for row in self._rows(query)]

    def recs(self, visitor: str | None, one: int, other: int) -> Recommendations:
        query = "SELECT rank, movie_id, title, score, votes FROM recommend_pair(?, ?)"
        return self._list(f"there is no pair of {one} and {other}", query, one, other)

    def of_user(self, visitor: str | None, user_id: int, num: int) -> Recommendations:
        query = "SELECT rank, movie_id, title, score, NULL FROM recommend_user(?) LIMIT ?"
        return self._list(f"user {user_id} has no list", query, user_id, num)

    def similar(self, visitor: str | None, movie_id: int, num: int) -> Recommendations:
        query = "SELECT rank, movie_id, title, score, NULL FROM similar_to(?) LIMIT ?"
        return self._list(f"film {movie_id} has no similar films", query, movie_id, num)

    def events(self, events: Sequence[Mapping[str, Any]]) -> Taken:
        raise ClientError(f"{self._path} is a file and takes no events; send them to a service")

    def close(self) -> None:
        if self._con is not None:
            self._con.close()
        self._con = None


class _Service:
    """The HTTP service; connections are kept open."""

    def __init__(self, address: str, key: str | None) -> None:
        if key is not None and not re.fullmatch("[!-~]+", key):  # httpx would show it in its own error
            raise ClientError("the key has characters that no key has; give it as `marquee keys add` printed it")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=30)

    def _ask(self, path: str, visitor: str | None = None, **parameters: int | str) -> dict[str, Any]:
        headers = {"Marquee-Client": visitor} if visitor else {}
        return self._answer(self._http.build_request("GET", path, params=parameters, headers=headers))

    def _answer(self, request: httpx.Request) -> dict[str, Any]:
        try:
            response = self._http.send(request)
        except httpx.HTTPError as error:
            raise ClientError(f"{self._http.base_url} cannot be asked: {error}") from None
        if response.is_success:
            return dict(response.json())
        problem = response.json() if "json" in response.headers.get("content-type", "") else {}
        kind = NoListError if response.status_code == 404 else ClientError
        raise kind(problem.get("detail", f"{response.url}: {response.status_code}"))

    def _list(self, path: str, visitor: str | None, **parameters: int | str) -> Recommendations:
        fields, answer = Recommendation._fields, self._ask(path, visitor, **parameters)
        films = (Recommendation(*(film[name] for name in fields)) for film in answer["recommendations"])
        return Recommendations(films, answer["answer_id"])

    def release(self) -> str:
        return str(self._ask("/health/ready")["release"])

    def top_movies(self) -> list[Film]:
        return [Film(film["movie_id"], film["title"]) for film in self._ask("/signup-movies")["movies"]]

    def recs(self, visitor: str | None, one: int, other: int) -> Recommendations:
        return self._list(f"/pairs/{one}/{other}", visitor)

    def of_user(self, visitor: str | None, user_id: int, num: int) -> Recommendations:
        return self._list(f"/users/{user_id}/recommendations", visitor, num=num, fallback="no")

    def similar(self, visitor: str | None, movie_id: int, num: int) -> Recommendations:
        return self._list(f"/movies/{movie_id}/similar", visitor, num=num, fallback="no")

    def events(self, events: Sequence[Mapping[str, Any]]) -> Taken:
        found = self._answer(self._http.build_request("POST", "/events", json={"events": list(events)}))
        refused = [(refused["index"], refused["reason"]) for refused in found["refused"]]
        return Taken(found["accepted"], found["duplicates"], refused)

    def close(self) -> None:
        self._http.close()
