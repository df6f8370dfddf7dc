"""Versions tell whether there is something to do: the same for the same, another for anything else."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from warehouse.code import code_version
from warehouse.database import open_warehouse
from warehouse.home import Home
from warehouse.tables.versions import (
    digest,
    set_table_version,
    table_notes,
    table_version,
    version_name,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def same(one: object, other: object) -> bool:
    """Equal values of equal types; to Python, True and 1 are equal."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@given(VALUES, VALUES)
def test_a_digest_stands_for_the_values(one: object, other: object) -> None:
    assert (digest(one) == digest(other)) == same(one, other)
    assert digest(one, other) != digest([one, other])
    assert re.fullmatch("[0-9a-f]{64}", digest(one))


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_names_sort_by_time_in_utc_wherever_they_are_made() -> None:
    noon = datetime(2026, 5, 4, 12, 0, 7, tzinfo=UTC)
    east = noon.astimezone(timezone(timedelta(hours=13)))
    assert (
        version_name("0123456789abcdef", noon) == version_name("0123456789abcdef", east) == "20260504T120007Z-01234567"
    )
    names = [version_name("f0e1d2c3b4", noon + timedelta(seconds=step)) for step in (0, 1, 60, 3_600, 10**7)]
    assert names == sorted(names)


def test_the_code_has_one_version() -> None:
    assert re.fullmatch("[0-9a-f]{12}", code_version())


def test_the_version_of_a_table_changes_with_the_table_or_not_at_all(tmp_path: Path) -> None:
    with open_warehouse(Home(tmp_path), "a test") as warehouse:
        con = warehouse.con
        assert (table_version(con, "model.likes"), table_notes(con, "model.likes")) == (None, {})
        set_table_version(con, "model.likes", "one", 3, {"months": ["2018-01"]})
        set_table_version(con, "model.film_likes", "other", 1)
        con.execute("BEGIN")
        set_table_version(con, "model.likes", "two", 4)
        con.execute("ROLLBACK")
        assert (table_version(con, "model.likes"), table_notes(con, "model.likes")) == ("one", {"months": ["2018-01"]})
        with warehouse.transaction():
            set_table_version(con, "model.likes", "two", 4)
        assert (table_version(con, "model.likes"), table_notes(con, "model.likes")) == ("two", {})
        assert table_version(con, "model.film_likes") == "other"
