"""Loading of events, each file once, and what they were like of late.

Belongs here: SQL between the segments in `<home>/events/` and `ops.events`. Does not belong here: making segments
(`warehouse.events`) or judging events (`checks.tables.incoming`).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import duckdb

from warehouse.database import Warehouse
from warehouse.events.database import named_ranges, range_name
from warehouse.events.journal import Journal
from warehouse.events.segments import retire
from warehouse.queries import one_row, utc_now

KEEP = timedelta(days=90)
"""Events older than this are deleted, as the requests they belong to are."""

BEFORE_DAYS = 7


@dataclass(frozen=True)
class EventFacts:
    """Events of the last day, and of the week before it.

    Attributes
    ----------
    naming_answers : int
        Events of the last day that name an answer.
    unknown_answers : int
        Those among them whose answer is not in the request log.
    now, before : dict of str to int
        Events by type that name an answer.
    answers_now, answers_before : int
        Answers given in these times.
    """

    naming_answers: int
    unknown_answers: int
    now: dict[str, int]
    before: dict[str, int]
    answers_now: int
    answers_before: int


def load_events(warehouse: Warehouse) -> tuple[int, int, list[str]]:
    """Load the segments that are not loaded, in one transaction; return files and rows loaded, and files retired.

    Files stay in the folder for some time: the service reads them when it starts.
    """
    folder = warehouse.home.events
    known = {row[0] for row in warehouse.con.execute("SELECT name FROM ops.event_files").fetchall()}
    present = [range_name(*numbers) for numbers in named_ranges(folder)]
    new = [name for name in present if name not in known]
    rows, now = 0, utc_now()
    with warehouse.transaction() as con:
        for name in new:
            file = {"file": str(folder / name)}
            found = con.execute("INSERT INTO ops.events BY NAME FROM read_parquet($file)", file).fetchone()
            count = int(found[0]) if found else 0
            con.execute("INSERT INTO ops.event_files VALUES (?, ?, ?)", [name, count, now])
            rows += count
        con.execute("DELETE FROM ops.events WHERE received_at < ?", [now - KEEP])
    journal = Journal(folder)
    try:
        retired = retire(journal, {*known, *new})
    finally:
        journal.close()
    return len(new), rows, retired


def event_facts(con: duckdb.DuckDBPyConnection) -> EventFacts:
    """Summarise the events that name an answer, up to the last request that was loaded.

    Events are loaded as soon as they are sealed, requests when their file is written: later events are not looked at.
    """
    end = one_row(con, "SELECT max(requested_at) FROM ops.served_requests")[0] or utc_now()
    times = {"end": end, "day": end - timedelta(days=1), "week": end - timedelta(days=1 + BEFORE_DAYS)}
    naming, unknown = one_row(
        con,
        "SELECT count(*), count(*) FILTER (served.answer_id IS NULL) FROM ops.events "
        "LEFT JOIN ops.served_requests AS served USING (answer_id) "
        "WHERE answer_id IS NOT NULL AND received_at > $day AND received_at <= $end",
        {name: times[name] for name in ("day", "end")},
    )
    now, before = (times["day"], times["end"]), (times["week"], times["day"])
    return EventFacts(
        naming, unknown, _by_type(con, *now), _by_type(con, *before), _answers(con, *now), _answers(con, *before)
    )


def _by_type(con: duckdb.DuckDBPyConnection, after: Any, until: Any) -> dict[str, int]:
    query = (
        "SELECT type, count(*) FROM ops.events WHERE answer_id IS NOT NULL AND received_at > ? AND received_at <= ? "
        "GROUP BY type ORDER BY type"
    )
    return dict(con.execute(query, [after, until]).fetchall())


def _answers(con: duckdb.DuckDBPyConnection, after: Any, until: Any) -> int:
    query = (
        "SELECT count(*) FROM ops.served_requests WHERE answer_id IS NOT NULL AND requested_at > ? "
        "AND requested_at <= ?"
    )
    return int(one_row(con, query, [after, until])[0])
