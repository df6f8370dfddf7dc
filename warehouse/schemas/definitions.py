"""From the models to DuckDB and Arrow: a table's columns, the SQL that creates it, the schema of its Parquet files.

Belongs here: the translation. Does not belong here: the columns themselves, which are declared in the models. These are
imported on first use: pandera takes a third of a second to load, and a command that only reads releases needs none.
"""

from typing import TYPE_CHECKING, Any

import duckdb

from warehouse.queries import count_rows, sql_text

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.schemas.table import Table

SCHEMAS = ("raw", "model", "recs", "ops")


def model_of(table: str) -> "type[Table]":
    """Model of a table: of the working database if the name has a schema (``raw.movies``), else of a release."""
    from warehouse.schemas.models import PUBLISHED_MODELS, WORKING_MODELS

    return (WORKING_MODELS if "." in table else PUBLISHED_MODELS)[table]


def published_tables() -> list[str]:
    """Names of a release's tables."""
    from warehouse.schemas.models import PUBLISHED_MODELS

    return list(PUBLISHED_MODELS)


def columns_of(table: str) -> list[str]:
    """Names of a table's columns, in order."""
    return list(model_of(table).to_schema().columns)


def column_types(con: duckdb.DuckDBPyConnection, table: str, model: "type[Table]") -> dict[str, str]:
    """SQL types of a table by column, vectors as wide as there are tags in its database."""
    from warehouse.schemas.table import N_TAGS, sql_types

    types = sql_types(model)
    if any(N_TAGS in kind for kind in types.values()):
        width = str(count_rows(con, "raw.genome_tags" if "." in table else "genome_tags"))
        types = {name: kind.replace(N_TAGS, width) for name, kind in types.items()}
    return types


def create_table(table: str, n_tags: int = 0, at: str = "") -> str:
    """SQL that creates a table, replacing the one of that name.

    Parameters
    ----------
    table : str
    n_tags : int
        Width of its vectors, if it has any.
    at : str
        Another name to create it under, such as ``staged.release``.
    """
    return f"CREATE OR REPLACE TABLE {at or table} ({_columns(table, n_tags)})"


def _columns(table: str, n_tags: int) -> str:
    from warehouse.schemas.table import N_TAGS, sql_types

    types = sql_types(model_of(table))
    return ", ".join(f"{name} {kind.replace(N_TAGS, str(n_tags))}" for name, kind in types.items())


def create_statements() -> list[str]:
    """SQL that creates every missing schema and table of the working database.

    Tables with vectors are as wide as the source has tags; whoever fills them creates them.
    """
    from warehouse.schemas.models import WORKING_MODELS
    from warehouse.schemas.table import has_vectors

    fixed = [table for table, model in WORKING_MODELS.items() if not has_vectors(model)]
    return [
        *(f"CREATE SCHEMA IF NOT EXISTS {schema}" for schema in SCHEMAS),
        *(f"CREATE TABLE IF NOT EXISTS {table} ({_columns(table, 0)})" for table in fixed),
    ]


def comment_statements(table: str) -> list[str]:
    """SQL that describes a table and its columns inside the database."""
    model = model_of(table)
    text = " ".join((model.__doc__ or "").split())
    columns = model.to_schema().columns
    return [
        f"COMMENT ON TABLE {table} IS {sql_text(text)}",
        *(f"COMMENT ON COLUMN {table}.{name} IS {sql_text(column.description)}" for name, column in columns.items()),
    ]


def arrow_schema(table: str) -> "pa.Schema":
    """Schema of Parquet files that are loaded into a table: what may be missing, and each column's description."""
    import pyarrow as pa

    from warehouse.schemas.table import sql_types

    kinds: dict[str, Any] = {
        "SMALLINT": pa.int16(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "FLOAT": pa.float32(),
        "DOUBLE": pa.float64(),
        "VARCHAR": pa.string(),
        "BOOLEAN": pa.bool_(),
        "TIMESTAMP": pa.timestamp("us"),
        "INTEGER[]": pa.list_(pa.int32()),
    }
    model = model_of(table)
    columns = model.to_schema().columns
    return pa.schema(
        [
            pa.field(name, kinds[kind], columns[name].nullable, metadata={"doc": columns[name].description})
            for name, kind in sql_types(model).items()
        ]
    )
