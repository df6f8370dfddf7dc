"""What all table models share: their base class, the kinds of columns they are made of, and what can be asked of one.

Belongs here: the vocabulary. The tables themselves are declared in `raw`, `model`, `recs`, `ops` and `published` beside
this module; `models` lists them by name.

A model is the single source of a table's columns, types, nullability, ranges, uniqueness, foreign keys and
descriptions. From it come the SQL that creates the table (`definitions`), the rules that reject bad rows at ingest
(`row_rules`), the checks of whole tables (`checks.tables.conformance`), the schema of the request log, the columns that
Dagster shows, and docs/data-model.md.

Bounds of a column are written as `ge`, `le`, `isin`, `str_length` or `str_matches`, because exactly these have an SQL
form; what binds columns of one row together stands in `Config.metadata` under `rows`, as SQL that both polars and
DuckDB read; what needs the whole table is declared as `unique` or in `Config.metadata` under `foreign_keys`.

Vectors are as wide as the source has tags. Their models give the type and the range of the elements; the width is the
number of rows of `raw.genome_tags`, written ``n_tags`` here.
"""

from typing import Any

import pandera.polars as pa
import polars as pl

INT32_MAX = 2**31 - 1
MOST_ROWS = 2**53
FINITE = 1e308
FIRST_MONTH = "1995-01-01"
"""MovieLens collected its first rating in January 1995; anything older is a damaged timestamp."""

FINGERPRINT = "^[0-9a-f]{16}$"
N_TAGS = "n_tags"
"""Stands for the number of tags in the SQL type of a vector."""

TAGS_WIDE = f"FLOAT[{N_TAGS}]"


class Table(pa.DataFrameModel):
    """Common configuration: exactly these columns, in this order, no silent coercion."""

    class Config:
        """Strict and ordered, never coerced."""

        strict = True
        ordered = True
        coerce = False


def rows_hold(model: type[Table], data: Any) -> pl.LazyFrame:
    """Rows that meet every condition of `Config.metadata["rows"]`."""
    metadata: dict[str, dict[str, str]] = vars(model.Config)["metadata"]
    conditions = [pl.sql_expr(condition) for condition in metadata["rows"].values()]
    return data.lazyframe.select(pl.all_horizontal(conditions))


def id_field(description: str, **options: Any) -> Any:
    """A positive 32-bit id."""
    return pa.Field(ge=1, le=INT32_MAX, description=description, **options)


def count_field(description: str, **options: Any) -> Any:
    """A number of rows or bytes."""
    return pa.Field(ge=0, le=MOST_ROWS, description=description, **options)


def text_field(description: str, **options: Any) -> Any:
    """A text that is not empty."""
    return pa.Field(str_length={"min_value": 1}, description=description, **options)


def matching_field(pattern: str, description: str, **options: Any) -> Any:
    """A text of a given form."""
    return pa.Field(str_matches=pattern, description=description, **options)


def json_field(description: str) -> Any:
    """A JSON object."""
    return pa.Field(str_matches=r"^\{", description=description, metadata={"sql": "JSON"})


def utc_field(description: str = "When, UTC.") -> Any:
    """A time in UTC."""
    return pa.Field(description=description)


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


def configured(model: type[Table], name: str) -> dict[str, str]:
    """An entry of a model's `Config.metadata`; empty if it has none (Config classes do not inherit)."""
    metadata: dict[str, dict[str, str]] = getattr(model.Config, "metadata", {})
    return metadata.get(name, {})


def sql_types(model: type[Table]) -> dict[str, str]:
    """DuckDB types by column; the width of vectors is written ``n_tags``."""
    types = {}
    for name, column in model.to_schema().columns.items():
        declared = (column.metadata or {}).get("sql")
        types[name] = declared or SQL_TYPES[column.dtype.type]
    return types


def has_vectors(model: type[Table]) -> bool:
    """Whether a table has a column as wide as there are tags."""
    return any(N_TAGS in kind for kind in sql_types(model).values())


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
