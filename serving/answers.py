"""What an answer contains, as plain values: the shapes of the HTTP API, without HTTP.

Belongs here: the content of answers, and when a release has none. Does not belong here: the form of parameters
(`serving.questions`), choosing a release (`serving.releases.follower`), caches and counts (`serving.service`).
"""

import os
from typing import Any

import numpy as np
from pydantic import ValidationError

from recommender.errors import UsageError
from recommender.reasons import explain
from serving.pages import QUESTIONS, Asked, Kind, find
from serving.questions import refusal
from serving.releases.snapshot import Snapshot, SnapshotError, load_snapshot
from serving.sources import Found
from warehouse.events.journal import moment
from warehouse.home import Home
from warehouse.releases.reader import release_path


def new_answer_id() -> str:
    """Name for one answer: 24 hex characters, drawn at random."""
    return os.urandom(12).hex()


def list_answer(
    snapshot: Snapshot, deployment: str, found: Found, skip: int, cursor: str | None, answer_id: str = ""
) -> dict[str, Any]:
    """Describe a list: films, reasons, where it comes from, where it goes on.

    Parameters
    ----------
    snapshot : Snapshot
    deployment : str
    found : Found
    skip : int
        Places before its first film.
    cursor : str, optional
        Of the page after this one.
    answer_id : str
        What events call this answer; empty for one that is kept and given several times, under a new id each time.
    """
    ids = snapshot.neighbourhood.catalogue.movie_ids
    movies, films = ids[found.films].tolist(), snapshot.films
    because: list[list[tuple[int, float]]] = [[] for _ in movies]
    tags: list[list[int]] = because  # type: ignore[assignment]
    if found.named is not None and found.parts is not None and movies:
        because, tags = explain(snapshot.neighbourhood, snapshot.mean_vector, found.named, found.films, found.parts)
    votes = [None] * len(movies) if found.votes is None else found.votes.tolist()
    return {
        **_origin(snapshot, deployment),
        "answer_id": answer_id,
        "source": found.source,
        "input": [films.title(movie) for movie in found.input],
        "inputs": found.inputs,
        "unknown": list(found.unknown),
        "films_left": found.left,
        "events_until": _time(found.recent.received_us),
        "recommendations": [
            {
                "rank": rank,
                **films.card(movie),
                "score": score,
                "votes": vote,
                "because": [_reason(snapshot, place, share) for place, share in reasons],
                "common_tags": [snapshot.tags[tag] for tag in common],
            }
            for rank, (movie, score, vote, reasons, common) in enumerate(
                zip(movies, found.scores.tolist(), votes, because, tags, strict=True), start=skip + 1
            )
        ],
        "cursor": cursor,
    }


def _time(microseconds: int) -> str | None:
    """Write a time as ISO 8601 in UTC; None for none."""
    return moment(microseconds).isoformat(timespec="microseconds") + "Z" if microseconds else None


def _reason(snapshot: Snapshot, place: int, share: float) -> dict[str, Any]:
    """A film named for a recommendation; without id and title for all others together."""
    if place < 0:
        return {"movie_id": None, "title": None, "share": share}
    return {**snapshot.films.title(int(snapshot.neighbourhood.catalogue.movie_ids[place])), "share": share}


def _origin(snapshot: Snapshot, deployment: str) -> dict[str, str]:
    """What every answer says about where it comes from."""
    return {"release": snapshot.release, "model_version": snapshot.model_version, "deployment": deployment}


def signup_answer(snapshot: Snapshot, deployment: str) -> dict[str, Any]:
    """All sign-up films."""
    return {**_origin(snapshot, deployment), "movies": snapshot.films.signup_cards()}


def drawn_users(snapshot: Snapshot, deployment: str, num: int) -> dict[str, Any]:
    """Some users who have a list, at random, each at most once."""
    users = snapshot.listed_users
    drawn = np.random.default_rng().choice(users, min(num, len(users)), replace=False)
    return {**_origin(snapshot, deployment), "users": [{"user_id": user} for user in drawn.tolist()]}


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


def answer(home: Home, asked: Asked) -> dict[str, Any]:
    """Answer from the live release of a home, without a service: what the command line prints.

    The answer is that of the service with engine=exact by default; its deployment is ``command-line``.

    Raises
    ------
    Problem
        If the release has no answer.
    NoReleaseError
        If nothing is live.
    """
    snapshot = _load_live(home)
    page = find(snapshot, asked, "exact", 0)
    return list_answer(snapshot, "command-line", page.found, page.skip, page.cursor, new_answer_id())


def asked_list(kind: Kind, subject: tuple[int, ...], **parameters: object) -> Asked:
    """Make a question of values from outside HTTP; None or an empty list: not given.

    Raises
    ------
    UsageError
        If they would be refused with 422 over HTTP.
    """
    given = {name: value for name, value in parameters.items() if value is not None and value != []}
    try:
        return Asked(kind, subject, QUESTIONS[kind].model_validate(given))
    except ValidationError as error:
        raise UsageError(refusal(error.errors()).detail) from None


def _load_live(home: Home) -> Snapshot:
    """Load the live release; look it up again if it was superseded and retired while it was being loaded."""
    while True:
        path = release_path(home)
        try:
            return load_snapshot(home, path)
        except SnapshotError:
            if path.exists():
                raise
