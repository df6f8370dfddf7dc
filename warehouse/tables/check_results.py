"""The record of checks: what was checked of which subject, and how it came out.

Belongs here: the value object and its table. Does not belong here: what is checked (`checks`), or what follows from a
failure (`warehouse.releases.promotion` refuses to promote; Dagster stops the run).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import duckdb

from warehouse.queries import records, utc_now

COLUMNS = ("check_name", "asset", "passed", "severity", "value", "threshold", "description")


@dataclass(frozen=True)
class CheckResult:
    """One check's outcome.

    Attributes
    ----------
    check_name : str
    asset : str
        ``schema/table`` of the asset it is about.
    passed : bool
    severity : {'error', 'warn'}
        A failed `error` blocks promotion, a failed `warn` is shown.
    value, threshold : float or None
        What was measured and what it was held against, if the check has a number.
    description : str
        What it means, with the facts of this outcome.
    details : mapping
        More numbers, of JSON types: shape, types, failing rows. Kept in the registry, not in the published table.
    """

    check_name: str
    asset: str
    passed: bool
    severity: Literal["error", "warn"]
    value: float | None
    threshold: float | None
    description: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """Whether this outcome forbids promotion."""
        return not self.passed and self.severity == "error"

    @property
    def text(self) -> str:
        """What people are told: the description and, if it failed, the value beside the limit it was held against."""
        if self.passed or self.value is None or self.threshold is None:
            return self.description
        return f"{self.description} (value {self.value:.4g}, threshold {self.threshold:.4g})"

    def row(self) -> tuple[object, ...]:
        """Values in the order of `COLUMNS`."""
        return tuple(getattr(self, name) for name in COLUMNS)


class Conditions(NamedTuple):
    """What the outcomes of a release's checks depend on besides its file; each without blanks.

    Attributes
    ----------
    thresholds : str
        Version of the thresholds and of the code of the checks.
    asked : str
        Version of what the run asked for.
    against : str
        The release it was compared with; empty if none was live.
    """

    thresholds: str = ""
    asked: str = ""
    against: str = ""


def record_results(
    con: duckdb.DuckDBPyConnection,
    subject: str,
    results: Iterable[CheckResult],
    conditions: Conditions = Conditions(),  # noqa: B008  (immutable)
) -> None:
    """Keep the outcomes of checks of one subject (a release, or a table at a version), replacing earlier ones."""
    now = utc_now()
    for result in results:
        con.execute(
            "DELETE FROM ops.check_results WHERE subject = ? AND check_name = ? AND asset = ?",
            [subject, result.check_name, result.asset],
        )
        con.execute(
            "INSERT INTO ops.check_results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [subject, *result.row(), now, json.dumps(dict(result.details), default=str), " ".join(conditions)],
        )


def recorded_conditions(con: duckdb.DuckDBPyConnection, release: str) -> Conditions:
    """Under which conditions a release was checked the last time."""
    row = con.execute(
        "SELECT conditions FROM ops.check_results WHERE subject = ? ORDER BY checked_at DESC LIMIT 1", [release]
    ).fetchone()
    return Conditions(*(row[0].split(" ") if row and row[0] else ()))


def recorded_results(con: duckdb.DuckDBPyConnection, subject: str) -> list[CheckResult]:
    """Outcomes recorded for a subject, by asset and name."""
    rows = records(
        con.execute(
            f"SELECT {', '.join(COLUMNS)}, details FROM ops.check_results WHERE subject = ? ORDER BY asset, check_name",
            [subject],
        )
    )
    return [CheckResult(**{**row, "details": json.loads(row["details"])}) for row in rows]


def published_results(con: duckdb.DuckDBPyConnection) -> list[CheckResult]:
    """Outcomes as an open release has them in its table `checks`, by asset and name."""
    rows = records(con.execute(f"SELECT {', '.join(COLUMNS)} FROM checks ORDER BY asset, check_name"))
    return [CheckResult(**row) for row in rows]
