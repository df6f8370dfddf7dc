"""One event, and what may be one: the same rules for every door, HTTP and streams alike.

Belongs here: the form of an event, which no release changes. Does not belong here: whether a release knows a film (the
door asks), or keeping events (`journal`).

Every reason for a refusal begins with the name of the field to blame (`event` for the whole) and has no value of it,
so that it can be logged and counted.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from warehouse.queries import utc_now

TYPES = ("rating", "shown", "click", "play", "dismiss")
REMEMBER_DAYS = 30
"""Days an event's id is remembered. What happened earlier is refused: it could be counted a second time."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far in the future an event may lie: clocks differ."""

MOST_POSITION = 10_000
TEXT = re.compile(r"[!-~]{1,64}")
"""Form of ids that senders give."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_LATEST_SECOND = 2**33


class Event(NamedTuple):
    """Something a user did.

    Attributes
    ----------
    event_id : str
        1 to 64 printable ASCII characters without spaces; an id counts once.
    type : str
        One of `TYPES`.
    user_id, movie_id : int
    rating : float or None
        Stars; of ratings only.
    at : datetime or None
        When it happened, UTC without a zone as in DuckDB; None: when it is received.
    answer_id : str or None
        The answer it follows from.
    position : int or None
        Place of the film there, from 1.
    """

    event_id: str
    type: str
    user_id: int
    movie_id: int
    rating: float | None = None
    at: datetime | None = None
    answer_id: str | None = None
    position: int | None = None


_FIELDS = frozenset(Event._fields)


def read_event(values: Any, now: datetime | None = None) -> Event | str:
    """Read an event from decoded JSON, or say why it is none.

    Parameters
    ----------
    values : object
        Whatever the sender's JSON had in the place of an event. An optional field may be null.
    now : datetime, optional
        The present, UTC without a zone; default: the clock.

    Returns
    -------
    Event or str
        The reason for a refusal begins with the field to blame.
    """
    if type(values) is not dict:
        return "event is not a JSON object"
    if not values.keys() <= _FIELDS:
        return f"event has a field {_unknown(values)!r}; there are {', '.join(Event._fields)}"
    get = values.get
    event_id, kind, answer_id = get("event_id"), get("type"), get("answer_id")
    if type(event_id) is not str or not TEXT.fullmatch(event_id):
        return "event_id is missing or not 1 to 64 printable ASCII characters without spaces"
    if type(kind) is not str or kind not in TYPES:
        return f"type is none of {', '.join(TYPES)}"
    for name in ("user_id", "movie_id"):
        if not _whole(get(name), *_bounds()[name]):
            return "{} is missing or not a whole number from {} to {}".format(name, *_bounds()[name])
    stars = _rating(kind, get("rating"))
    if isinstance(stars, str):
        return stars
    at = _time(get("at"), now or utc_now())
    if isinstance(at, str):
        return at
    if answer_id is not None and (type(answer_id) is not str or not TEXT.fullmatch(answer_id)):
        return "answer_id is not 1 to 64 printable ASCII characters without spaces"
    position = get("position")
    if position is not None and not _whole(position, 1, MOST_POSITION):
        return f"position is not a whole number from 1 to {MOST_POSITION}"
    return Event(event_id, kind, values["user_id"], values["movie_id"], stars, at, answer_id, position)


def blamed(reason: str) -> str:
    """The field that a reason blames: one of `Event`'s fields or `event`."""
    return reason.partition(" ")[0]


def _unknown(values: dict[Any, Any]) -> str:
    return str(min(map(str, values.keys() - _FIELDS)))[:40].encode("ascii", "backslashreplace").decode()


def _whole(value: Any, low: float, high: float) -> bool:
    return type(value) is int and low <= value <= high


def _rating(kind: str, value: Any) -> float | str | None:
    if kind != "rating":
        return None if value is None else f"rating belongs to type rating, not to {kind}"
    low, high = _bounds()["rating"]
    if type(value) not in (int, float) or not low <= value <= high:  # NaN is not in between
        return f"rating is missing or not a number from {low} to {high}"
    return float(value)


def _time(value: Any, now: datetime) -> datetime | str | None:
    """Read a time: a text of RFC 3339, or seconds since 1970 as MovieLens has them."""
    if value is None:
        return None
    found = _moment(value)
    if isinstance(found, str):
        return found
    if found > now + CLOCK_TOLERANCE:
        return "at lies in the future; send the time in UTC, or none"
    if found < now - timedelta(days=REMEMBER_DAYS):
        return f"at is more than {REMEMBER_DAYS} days ago; put older ratings into a file for landing/"
    return found


def _moment(value: Any) -> datetime | str:
    if type(value) is str and _TIME.fullmatch(value):
        try:
            found = datetime.fromisoformat(value)
            if found.tzinfo is None:
                return "at has no zone; write 2026-01-31T12:00:00Z"
            return found.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            return "at is no time that there is"
    if type(value) in (int, float) and 0 <= value <= _LATEST_SECOND:
        return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
    return "at is neither a time like 2026-01-31T12:00:00Z nor seconds since 1970"


@cache
def _bounds() -> dict[str, tuple[float, float]]:
    """Smallest and largest value by column, from the model of the ratings."""
    from warehouse.schemas.raw import Ratings

    columns = Ratings.to_schema().columns
    found = {}
    for name in ("user_id", "movie_id", "rating"):
        limits = {check.name: check.statistics for check in columns[name].checks}
        low = limits["greater_than_or_equal_to"]["min_value"]
        found[name] = (low, limits["less_than_or_equal_to"]["max_value"])
    return found
