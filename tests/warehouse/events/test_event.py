"""What may be an event, and what is refused by the name of the field."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.events.event import Event, blamed, read_event

NOW = datetime(2026, 11, 28, 12, 0, 0)
GOOD: dict[str, Any] = {"event_id": "e-1", "type": "rating", "user_id": 7, "movie_id": 260, "rating": 4.5}
SHOWN = {name: value for name, value in GOOD.items() if name != "rating"} | {"type": "shown"}


def test_what_is_given_is_read() -> None:
    assert read_event(GOOD, NOW) == Event("e-1", "rating", 7, 260, 4.5)
    extra = {"at": "2026-11-28T13:00:00.5+01:00", "answer_id": "a" * 64, "position": 3}
    at = datetime(2026, 11, 28, 12, 0, 0, 500_000)
    assert read_event(SHOWN | extra, NOW) == Event("e-1", "shown", 7, 260, None, at, "a" * 64, 3)
    assert read_event(SHOWN | {"rating": None, "at": None, "answer_id": None, "position": None}, NOW) == Event(
        "e-1", "shown", 7, 260
    )
    seconds = NOW.replace(tzinfo=UTC).timestamp()
    assert read_event(GOOD | {"at": seconds}, NOW) == Event("e-1", "rating", 7, 260, 4.5, NOW)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("event_id", ["", " ", "a b", "é", "a\0", "a" * 65, 1, None, ["a"], "a\n"]),
        ("type", ["", "like", "Rating", None, 1, {}]),
        ("user_id", [0, -1, 2**31, 2**63, 10**30, 1.0, "1", True, None, math.nan]),
        ("movie_id", [0, 2**31, 7.5, "x", False, None]),
        ("rating", [0, 0.49, 5.01, -1, math.nan, math.inf, "4", True, None, [4]]),
        ("answer_id", ["", "a b", 5, "\0", "x" * 65]),
        ("position", [0, -1, 10_001, 1.0, "1", True]),
        (
            "at",
            [
                "9999-12-31T23:59:59Z",
                "9999-12-31T23:59:59-12:00",
                "0001-01-01T00:00:00+14:00",
                "1969-12-31T23:59:59Z",
                "2026-11-28T12:05:01Z",
                "2026-10-29T11:59:59Z",
                "2026-11-28T12:00:00",
                "yesterday",
                "2026-11-28T12:00:00Z\0",
                "2" * 10_000,
                -1,
                1e300,
                math.nan,
                True,
                [],
            ],
        ),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field_and_not_repeated(field: str, values: list[Any]) -> None:
    for value in values:
        found = read_event(GOOD | {field: value}, NOW)
        assert isinstance(found, str), value
        assert blamed(found) == field
        assert "\0" not in found


def test_a_rating_is_of_type_rating_only_and_unknown_fields_are_named() -> None:
    assert blamed(str(read_event(SHOWN | {"rating": 4.0}, NOW))) == "rating"
    for values in (None, [], "e", 1):
        assert blamed(str(read_event(values, NOW))) == "event"
    assert str(read_event(GOOD | {"movieId": 3}, NOW)).startswith("event has a field 'movieId'")
    assert len(str(read_event(GOOD | {"\ud800" + "x" * 10_000: 3}, NOW))) < 300


def test_limits_of_time() -> None:
    for at in (NOW + timedelta(minutes=5), NOW - timedelta(days=30)):
        assert isinstance(read_event(GOOD | {"at": at.replace(tzinfo=UTC).isoformat()}, NOW), Event)


@given(
    st.dictionaries(
        st.sampled_from([*Event._fields, "x"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    )
)
def test_nothing_is_an_error(values: dict[str, Any]) -> None:
    found = read_event(values, NOW)
    assert isinstance(found, Event) or blamed(found) in {*Event._fields, "event"}
