"""What every query needs: names and texts quoted for SQL, rows as dictionaries, and the time as DuckDB stores it.

Belongs here: helpers that know nothing of any table. Does not belong here: statements (`warehouse.sql`) or connections
(`warehouse.database`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa


def sql_text(value: object) -> str:
    """A value as an SQL string literal, for statements that take no parameters (ATTACH, COPY, SET, COMMENT)."""
    return "'" + str(value).replace("'", "''") + "'"


def sql_name(name: str) -> str:
    """A column's name as an SQL identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def records(found: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """All rows of an executed query as dictionaries by column name."""
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def one_row(con: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> tuple[Any, ...]:
    """The one row of a query. The result is read to its end: an unfinished one would make the next query fail."""
    ((*values,),) = con.execute(query, parameters).fetchall()
    return tuple(values)


def database_file(con: duckdb.DuckDBPyConnection) -> str:
    """Path of the database that a connection has opened."""
    query = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    return str(one_row(con, query)[0])


def count_rows(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a table."""
    return int(one_row(con, f"SELECT count(*) FROM {table}")[0])


def insert_row(con: duckdb.DuckDBPyConnection, table: str, row: Mapping[str, Any]) -> None:
    """Insert one row, given by column name."""
    names, marks = ", ".join(row), ", ".join("?" for _ in row)
    con.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: pa.Table | pa.RecordBatchReader) -> None:
    """Insert rows that have the columns of the table, in its order."""
    con.register("incoming", rows)
    try:
        con.execute(f"INSERT INTO {table} SELECT * FROM incoming")
    finally:
        con.unregister("incoming")


def first_line(error: Exception) -> str:
    """What an error of DuckDB says, without the stack that follows some of them."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def utc_now() -> datetime:
    """The present as a DuckDB TIMESTAMP: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
