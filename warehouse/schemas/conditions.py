"""From a pandera model to SQL: conditions that a bad row meets, SQL types, and what the whole table must satisfy.

Belongs here: the translation, which the tests hold against pandera itself, value by value. Does not belong here: the
bounds (`warehouse.schemas.models`), or what is done about a bad row (`warehouse.schemas.ingest_rules`,
`checks.tables.conformance`)."""

from datetime import date, datetime
from typing import Any

import polars as pl

from warehouse.schemas.models import Table
from warehouse.schemas.row_rules import RowRule

SQL_TYPES: dict[Any, str] = {
    pl.Int16: "SMALLINT",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.Float32: "FLOAT",
    pl.Float64: "DOUBLE",
    pl.String: "VARCHAR",
    pl.Boolean: "BOOLEAN",
    pl.Date: "DATE",
    pl.Datetime("us"): "TIMESTAMP",
    pl.List(pl.String): "VARCHAR[]",
    pl.List(pl.Int32): "INTEGER[]",
}
"""DuckDB's names of the types the models use; a column whose SQL type says more names it in its metadata."""


def _literal(value: Any) -> str:
    """A bound as an SQL literal."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S}'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
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


def configured(model: type[Table], name: str) -> dict[str, str]:
    """An entry of a model's `Config.metadata`; empty if it has none (Config classes do not inherit)."""
    metadata: dict[str, dict[str, str]] = getattr(model.Config, "metadata", {})
    return metadata.get(name, {})


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


def sql_types(model: type[Table]) -> dict[str, str]:
    """DuckDB types by column; the width of vectors is written ``n_tags``."""
    types = {}
    for name, column in model.to_schema().columns.items():
        declared = (column.metadata or {}).get("sql")
        types[name] = declared or SQL_TYPES[column.dtype.type]
    return types


def unique_keys(model: type[Table]) -> list[list[str]]:
    """Columns, or groups of columns, whose values may occur once."""
    schema = model.to_schema()
    alone = [[name] for name, column in schema.columns.items() if column.unique]
    return [*alone, list(schema.unique)] if schema.unique else alone


def foreign_keys(model: type[Table]) -> dict[str, tuple[str, str]]:
    """By column: the table of the working database and its column in which each value must be."""
    found = {}
    for column, target in configured(model, "foreign_keys").items():
        table, _, key = target.rpartition(".")
        found[column] = (table, key)
    return found
