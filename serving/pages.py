"""One page of a list: which source answers a question, where the page begins, and the cursor of the next one.

Belongs here: the five kinds of lists and what a cursor of them is bound to. Does not belong here: making lists
(`serving.sources`), the text of cursors (`serving.cursors`), which release answers (`serving.releases.follower`).
"""

from typing import Literal, NamedTuple

from serving.cursors import question_digest, read_cursor, require_seal, write_cursor
from serving.questions import (
    ListQuestion,
    PairQuestion,
    PopularQuestion,
    RecommendQuestion,
    SimilarQuestion,
    UserQuestion,
)
from serving.recent_ratings import NOTHING, Recent
from serving.releases.snapshot import Snapshot
from serving.sources import Found, choose_engine, live_list, pair_list, popular_list, similar_list, user_list

Kind = Literal["recommend", "pairs", "users", "similar", "popular"]

QUESTIONS: dict[Kind, type[ListQuestion]] = {
    "recommend": RecommendQuestion,
    "pairs": PairQuestion,
    "users": UserQuestion,
    "similar": SimilarQuestion,
    "popular": PopularQuestion,
}


class Asked(NamedTuple):
    """A question about a list: its kind, the ids of its path, its parameters."""

    kind: Kind
    subject: tuple[int, ...]
    question: ListQuestion


class Page(NamedTuple):
    """A cut list, the places before it, and the cursor of the next page; None on the last."""

    found: Found
    skip: int
    cursor: str | None


def find(snapshot: Snapshot, asked: Asked, preference: str, exact_up_to_likes: int, recent: Recent = NOTHING) -> Page:
    """Find the page a question asks for.

    Parameters
    ----------
    snapshot : Snapshot
        That of the question's cursor, if it has one.
    asked : Asked
    preference, exact_up_to_likes
        As for `choose_engine`.
    recent : Recent, optional
        What the user asked about has rated since the release; those that the cursor knows, if the question has one.

    Raises
    ------
    Problem
        404 where the release has no answer, 409 for an engine it has not, 422 for a cursor of another question.
    """
    wanted = asked.question.engine if isinstance(asked.question, RecommendQuestion) else None
    engine = choose_engine(snapshot, wanted, preference, exact_up_to_likes)
    digest = question_digest((asked.kind, asked.subject, asked.question.identity, engine))
    skip = 0
    if asked.question.cursor is not None:
        skip = require_seal(read_cursor(asked.question.cursor), snapshot.cursor_key, digest)
    found = _found(snapshot, asked, engine, skip, recent)
    cursor = None
    if found.more and len(found.films):
        cursor = write_cursor(snapshot.cursor_key, snapshot.release, digest, skip + len(found.films), recent.seq)
    return Page(found, skip, cursor)


def _found(snapshot: Snapshot, asked: Asked, engine: str, skip: int, recent: Recent) -> Found:
    match asked.question:
        case RecommendQuestion() as question:
            return live_list(snapshot, question, engine, skip)
        case PairQuestion() as question:
            one, other = asked.subject
            return pair_list(snapshot, one, other, question, engine, skip)
        case UserQuestion() as question:
            return user_list(snapshot, asked.subject[0], question, skip, recent)
        case SimilarQuestion() as question:
            return similar_list(snapshot, asked.subject[0], question, skip)
        case PopularQuestion() as question:
            return popular_list(snapshot, question, skip)
        case question:
            raise TypeError(f"no source for {type(question).__name__}")


def is_stored(snapshot: Snapshot, asked: Asked) -> bool:
    """Whether a list is read from a table, in microseconds: then no thread is worth its while."""
    question, lists = asked.question, snapshot.lists
    stored = {
        "pairs": snapshot.neighbourhood.parameters.per_pair,
        "users": 0 if lists is None else lists.user_films.shape[1],
        "similar": 0 if lists is None else lists.similar_films.shape[1],
    }.get(asked.kind, 0)
    plain = not question.filtered and question.cursor is None and getattr(question, "seen", "drop") == "drop"
    return plain and (question.num or 0) <= stored
