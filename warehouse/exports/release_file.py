"""What targets read: the tables of one published release, in batches, with what the loaded ones are held against.

Belongs here: the tables that are exported, reading them from the release's file, their counts and checksums. Does not
belong here: the working database, which exports never open, or how a target stores rows.

A table or column that an older release has not is exported empty, so that a target has the same tables whatever
release is live there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from warehouse.exports.checksum import DUCKDB, checksum_query
from warehouse.home import Home
from warehouse.queries import count_rows, one_row, sql_text
from warehouse.releases.reader import open_release
from warehouse.schemas.definitions import model_of
from warehouse.schemas.table import sql_types, unique_keys

EXPORTED = (
    "release",
    "movies",
    "signup_movies",
    "pair_recommendations",
    "user_recommendations",
    "similar_movies",
    "popular_movies",
)
"""Tables that a product needs. Ratings, genome and the records of checks and files stay in the release's file."""

BATCH_ROWS = 100_000
MEMORY_LIMIT = "1GB"
"""Of DuckDB while it reads; batches are handed on as they come."""


@dataclass(frozen=True)
class Fingerprint:
    """What a loaded table is held against: its rows and an order-independent checksum of their values."""

    rows: int
    checksum: int


class ReleaseFile:
    """An open release, as targets see it.

    Attributes
    ----------
    release : str
    con : duckdb.DuckDBPyConnection
        Read-only.
    """

    def __init__(self, release: str, con: duckdb.DuckDBPyConnection) -> None:
        self.release = release
        self.con = con
        self._columns: dict[str, set[str]] = {}
        for table, column in con.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall():
            self._columns.setdefault(table, set()).add(column)

    def types(self, table: str) -> dict[str, str]:
        """DuckDB types of a table by column."""
        return sql_types(model_of(table))

    def keys(self, table: str) -> list[list[str]]:
        """Groups of columns whose values occur once; the first is what rows are looked up by."""
        return unique_keys(model_of(table))

    def query(self, table: str) -> str:
        """SQL of a table's rows in the order of the file, all columns of its model."""
        there = self._columns.get(table, set())
        columns = [
            f'"{name}"' if name in there else f'CAST(NULL AS {kind}) AS "{name}"'
            for name, kind in self.types(table).items()
        ]
        return f"SELECT {', '.join(columns)} " + (f"FROM {table}" if there else "WHERE false")

    def batches(self, table: str, where: str = "true", columns: str = "*") -> Iterator[pa.RecordBatch]:
        """Rows of a table in batches of bounded size, in the order of the file."""
        con = self.con.cursor()
        try:
            query = f"SELECT {columns} FROM ({self.query(table)}) WHERE {where}"
            yield from con.sql(query).to_arrow_reader(BATCH_ROWS)
        finally:
            con.close()

    def ranges(self, table: str, column: str, rows: int) -> Iterator[str]:
        """Conditions that divide a table by ranges of a column, each of about so many rows; all values are covered."""
        query = f"SELECT {column} AS value, count(*) FROM ({self.query(table)}) GROUP BY value ORDER BY value"
        counts = self.con.sql(query).fetchall()
        first, total = None, 0
        for position, (value, count) in enumerate(counts):
            first, total = (value, count) if first is None else (first, total + count)
            if total >= rows or position == len(counts) - 1:
                yield f"{column} BETWEEN {_literal(first)} AND {_literal(value)}"
                first = None

    def rows(self, table: str) -> int:
        """Rows of a table."""
        return count_rows(self.con, f"({self.query(table)})")

    def schema(self, table: str, columns: str = "*") -> pa.Schema:
        """Arrow schema of the batches."""
        return self.con.sql(f"SELECT {columns} FROM ({self.query(table)}) LIMIT 0").to_arrow_table().schema

    def fingerprint(self, table: str, source: str = "") -> Fingerprint:
        """Rows and checksum of a table, or of another source of rows with the same columns."""
        rows, checksum = one_row(
            self.con, checksum_query(source or f"({self.query(table)})", self.types(table), DUCKDB)
        )
        return Fingerprint(int(rows), int(checksum))


def _literal(value: object) -> str:
    return sql_text(value) if isinstance(value, str) else str(value)


@contextmanager
def open_release_file(home: Home, release: str | None = None) -> Iterator[ReleaseFile]:
    """Open a release for exporting; the live one by default.

    Raises
    ------
    NoReleaseError
    """
    with open_release(home, release) as con:
        con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        yield ReleaseFile(str(one_row(con, "SELECT release FROM release")[0]), con)
