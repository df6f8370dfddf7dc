"""The version of the working database's tables: new homes get the present one, older homes are brought forward.

Belongs here: one function per version that changed tables which exist already. New tables need none: they are created
where they are missing. A home of a newer Marquee is refused: what its tables mean is not known here. Does not belong
here: the tables (`warehouse.schemas`).
"""

from collections.abc import Callable
from pathlib import Path

import duckdb

from recommender.errors import MarqueeError
from warehouse.queries import one_row, utc_now
from warehouse.schemas.definitions import create_statements, create_table


class SchemaVersionError(MarqueeError):
    """The working database was written by a newer Marquee; the message says what to do."""


def _add_details(con: duckdb.DuckDBPyConnection) -> None:
    """Checks are recorded with their details."""
    con.execute("ALTER TABLE ops.check_results ADD COLUMN IF NOT EXISTS details JSON DEFAULT '{}'")


def _add_score(con: duckdb.DuckDBPyConnection) -> None:
    """Pairs have a score: they are made anew by the next run, there is none to give to the old ones."""
    con.execute(create_table("recs.pair_recommendations"))
    con.execute("DELETE FROM ops.table_versions WHERE starts_with(table_name, 'recs.pair_recommendations')")


def _add_superseded(con: duckdb.DuckDBPyConnection) -> None:
    """Ratings that another file replaces are counted; `warehouse.releases.repair` fills the numbers in."""
    for table in ("raw.source_files", "raw.rating_files"):
        con.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS superseded BIGINT DEFAULT 0")


def _add_lists(con: duckdb.DuckDBPyConnection) -> None:
    """Lists for users and films are tables of their own, and there are twice as many shards of the pairs."""
    con.execute("DELETE FROM ops.table_versions WHERE starts_with(table_name, 'recs.pair_recommendations')")


MIGRATIONS: dict[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    1: _add_details,
    2: _add_score,
    3: _add_superseded,
    4: _add_lists,
}
"""What leads to a version from the one before, in order."""

SCHEMA_VERSION = max(MIGRATIONS)


def schema_version(con: duckdb.DuckDBPyConnection) -> int:
    """Version of an open working database's tables; 0 if it is new or older than the record."""
    there = one_row(
        con, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = 'schema_versions'"
    )[0]
    return int(one_row(con, "SELECT coalesce(max(version), 0) FROM ops.schema_versions")[0]) if there else 0


def bring_up_to_date(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create what is missing and change what is old, all of it or nothing.

    Raises
    ------
    SchemaVersionError
        If the database is of a newer version.
    """
    found = schema_version(con)
    if found > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{path} was written by a newer Marquee (tables of version {found}; this one knows {SCHEMA_VERSION}): "
            "use that one, or another --home; going back to older tables is not possible"
        )
    if found == SCHEMA_VERSION:
        return
    con.execute("BEGIN TRANSACTION")
    try:
        old = one_row(con, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'ops'")[0] > 0
        for statement in create_statements():
            con.execute(statement)
        for version in range(found + 1, SCHEMA_VERSION + 1):
            if old:
                MIGRATIONS[version](con)
            con.execute("INSERT INTO ops.schema_versions VALUES (?, ?)", [version, utc_now()])
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
