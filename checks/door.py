"""The door: row rules derived from the table schemas, for the importer to apply before anything is committed.

Belongs here: the translation of a pandera model's bounds to SQL conditions, plus the two bounds on time that no
constant can express. Does not belong here: the bounds themselves (`checks.schemas`) or reading files
(`warehouse.imports`).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from checks.schemas import FIRST_MONTH, SOURCE_TABLES, Table
from warehouse.rules import RowRule, RowRules

CLOCK_TOLERANCE = timedelta(days=1)
"""How far in the future a timestamp may lie: clocks of other machines differ, but not by more than this."""


def _bounds(column: str, check: Any) -> RowRule:
    """Translate one pandera check to the SQL condition of rows that break it."""
    statistics = check.statistics
    match check.name:
        case "greater_than_or_equal_to":
            low = statistics["min_value"]
            # NaN compares greater than everything in DuckDB, so only upper bounds reject it.
            return RowRule(column, f"{column} < {low}", f"{column} is below {low}")
        case "less_than_or_equal_to":
            high = statistics["max_value"]
            return RowRule(column, f"{column} > {high}", f"{column} is above {high}")
        case "str_length":
            low = statistics["min_value"]
            return RowRule(column, f"length({column}) < {low}", f"{column} is empty")
    raise NotImplementedError(f"no SQL known for the check {check.name!r} of column {column!r}; add it to checks.door")


def _model_rules(model: type[Table]) -> list[RowRule]:
    rules = []
    for name, column in model.to_schema().columns.items():
        if not column.nullable:
            rules.append(RowRule(name, f"{name} IS NULL", f"{name} is missing or cannot be read"))
        rules.extend(_bounds(name, check) for check in column.checks)
    return rules


def row_rules(now: datetime | None = None) -> RowRules:
    """Row rules of every table that is imported from files.

    Parameters
    ----------
    now : datetime, optional
        Timezone-aware present; ratings later than a day after it are rejected. Default: the clock.

    Returns
    -------
    dict of str to list of RowRule
        By table: `movies`, `ratings`, `tags`, `genome_tags`, `genome_scores`.
    """
    rules = {table: _model_rules(model) for table, model in SOURCE_TABLES.items()}
    latest = (now or datetime.now(UTC)).astimezone(UTC) + CLOCK_TOLERANCE
    rules["ratings"] += [
        RowRule("rated_at", f"rated_at < TIMESTAMP '{FIRST_MONTH}'", f"rated_at is before {FIRST_MONTH}"),
        RowRule("rated_at", f"rated_at > TIMESTAMP '{latest:%Y-%m-%d %H:%M:%S}'", "rated_at lies in the future"),
    ]
    return rules
