"""Row rules: what a bad row of a table meets, as SQL, each with the reason that is recorded for it.

Belongs here: the translation of a model's bounds to SQL, which the tests hold against pandera itself, value by value;
and the rules of ingest, which add the one bound that no constant can express: now. Does not belong here: the bounds
(`table` and the models), or what is done with a bad row (`warehouse.ingest.acceptance`, `checks.tables.conformance`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from warehouse.queries import sql_text
from warehouse.schemas.models import SOURCE_TABLES
from warehouse.schemas.table import Table, configured

CLOCK_TOLERANCE = timedelta(days=1)
"""How far in the future a timestamp may lie: clocks of other machines differ, but not by more than this."""


@dataclass(frozen=True)
class RowRule:
    """One condition on the rows of a table.

    Attributes
    ----------
    column : str
        The column the rule is about, as named in our tables (``rating``, not the file's ``rating``/``movieId``).
    violated : str
        SQL boolean expression over our column names that is true for a row to reject.
    reason : str
        What is written to ``raw.rejected_rows.reason``; says what was expected.
    """

    column: str
    violated: str
    reason: str


RowRules = Mapping[str, Sequence[RowRule]]
"""Rules by table name without schema: ``movies``, ``ratings``, ``tags``, ``genome_tags``, ``genome_scores``."""


def _literal(value: Any) -> str:
    """A bound as an SQL literal."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S}'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    if isinstance(value, str):
        return sql_text(value)
    return repr(value)


def _bounds(column: str, check: Any, metadata: dict[str, Any]) -> RowRule:
    """Translate one pandera check to the SQL condition of rows that break it."""
    statistics = check.statistics
    match check.name:
        case "greater_than_or_equal_to":
            low = statistics["min_value"]
            below = f"before {low:%Y-%m-%d}" if isinstance(low, date) else f"below {low}"
            # NaN compares greater than everything in DuckDB, so only upper bounds reject it.
            return RowRule(column, f"{column} < {_literal(low)}", f"{column} is {below}")
        case "less_than_or_equal_to":
            high = statistics["max_value"]
            return RowRule(column, f"{column} > {_literal(high)}", f"{column} is above {high}")
        case "str_length":
            low = statistics["min_value"]
            return RowRule(column, f"length({column}) < {low}", f"{column} is empty")
        case "str_matches":
            pattern = statistics["pattern"]
            violated = f"NOT regexp_matches({column}, {_literal(pattern)})"
            return RowRule(column, violated, f"{column} does not have the form {pattern}")
        case "isin":
            allowed = ", ".join(_literal(value) for value in statistics["allowed_values"])
            return RowRule(column, f"{column} NOT IN ({allowed})", f"{column} is none of {allowed}")
        case "elements_between":
            low, high = metadata["elements"]
            # Every element counts, so a NULL among them is outside as well.
            inside = f"list_count(list_filter({column}::FLOAT[], lambda x: x >= {low} AND x <= {high}))"
            return RowRule(column, f"{inside} < len({column})", f"{column} has elements outside {low} to {high}")
    raise NotImplementedError(f"no SQL known for the check {check.name!r} of column {column!r}; add it to this module")


def row_conditions(model: type[Table]) -> list[RowRule]:
    """What a bad row of a table meets: one rule per bound, first those of each column, then those of whole rows."""
    rules = []
    for name, column in model.to_schema().columns.items():
        if not column.nullable:
            rules.append(RowRule(name, f"{name} IS NULL", f"{name} is missing or cannot be read"))
        rules.extend(_bounds(name, check, column.metadata or {}) for check in column.checks)
    for meaning, condition in configured(model, "rows").items():
        rules.append(RowRule("", f"NOT ({condition})", f"not true: {meaning}"))
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
    rules = {table: row_conditions(model) for table, model in SOURCE_TABLES.items()}
    latest = (now or datetime.now(UTC)).astimezone(UTC) + CLOCK_TOLERANCE
    rules["ratings"].append(
        RowRule("rated_at", f"rated_at > TIMESTAMP '{latest:%Y-%m-%d %H:%M:%S}'", "rated_at lies in the future")
    )
    return rules
