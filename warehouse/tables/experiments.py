"""The record of experiments: what was planned, what happened to them, by whom and why.

Belongs here: the tables ops.experiments and ops.experiment_events. Does not belong here: starting, looking and stopping
(`warehouse.experiments`), or the files by which the service knows (`warehouse.releases.exposure`).
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import duckdb

from warehouse.queries import insert_row, one_row, records, utc_now

ENDS = ("promoted", "withdrawn", "violated")
"""Events that end an experiment."""


class Experiment(NamedTuple):
    """What is planned; the columns of ops.experiments."""

    experiment: str
    challenger: str
    share: float
    metric: str
    margin: float
    like_threshold: float


def insert_experiment(con: duckdb.DuckDBPyConnection, planned: Experiment) -> None:
    """Record a plan, inside the caller's transaction."""
    insert_row(con, "ops.experiments", planned._asdict())


def insert_event(
    con: duckdb.DuckDBPyConnection, experiment: str, event: str, who: str, why: str, found: Mapping[str, Any]
) -> None:
    """Record what happened to an experiment, inside the caller's transaction."""
    con.execute(
        "INSERT INTO ops.experiment_events VALUES (?, ?, ?, ?, ?, ?)",
        [experiment, event, utc_now(), who, why, json.dumps(found)],
    )


def running_experiment(con: duckdb.DuckDBPyConnection) -> Experiment | None:
    """The experiment that has not ended; there is one at most."""
    rows = con.execute(
        f"""
        SELECT {", ".join(Experiment._fields)} FROM ops.experiments
        WHERE experiment NOT IN (SELECT experiment FROM ops.experiment_events WHERE event IN {ENDS})
        """
    ).fetchall()
    return Experiment(*rows[0]) if rows else None


def last_found(con: duckdb.DuckDBPyConnection, experiment: str) -> dict[str, Any]:
    """What the last event of an experiment found."""
    (found,) = one_row(
        con,
        "SELECT found FROM ops.experiment_events WHERE experiment = ? ORDER BY happened_at DESC LIMIT 1",
        [experiment],
    )
    return dict(json.loads(found))


def read_experiments(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """All experiments, the oldest first, each with its events."""
    found = []
    for planned in records(con.execute("SELECT * FROM ops.experiments")):
        events = records(
            con.execute(
                "SELECT event, happened_at AS at, who, why, found FROM ops.experiment_events WHERE experiment = ? "
                "ORDER BY happened_at",
                [planned["experiment"]],
            )
        )
        for event in events:
            event["found"] = json.loads(event["found"])
        found.append({**planned, "events": events})
    return sorted(found, key=lambda entry: entry["events"][0]["at"])
