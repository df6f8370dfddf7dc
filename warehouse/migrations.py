"""The version of the working database's tables: new homes get the present one, older homes are brought forward.

Belongs here: one function per version that changed tables which exist already. New tables need none: they are created
where they are missing. A home of a newer Marquee is refused: what its tables mean is not known here. Does not belong
here: the tables (`warehouse.schemas`).
"""

import re
from collections.abc import Callable
from pathlib import Path

import duckdb

from recommender.errors import MarqueeError
from warehouse.queries import one_row, utc_now
from warehouse.schemas.definitions import create_statements, create_table

REMAKE = "Make it again from what the home keeps: marquee rebuild"
"""What to do about a damaged or missing working database."""


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


def _add_conditions(con: duckdb.DuckDBPyConnection) -> None:
    """Checks of a release are recorded with what they depend on, so that a changed threshold is applied."""
    con.execute("ALTER TABLE ops.check_results ADD COLUMN IF NOT EXISTS conditions VARCHAR DEFAULT ''")


def _add_answers(con: duckdb.DuckDBPyConnection) -> None:
    """Requests are logged with the id of the answer and the client; those from before have neither."""
    for column in ("answer_id", "client"):
        con.execute(f"ALTER TABLE ops.served_requests ADD COLUMN IF NOT EXISTS {column} VARCHAR")


def _add_experiment(con: duckdb.DuckDBPyConnection) -> None:
    """Requests are logged with the experiment that chose who answered; those from before had none."""
    con.execute("ALTER TABLE ops.served_requests ADD COLUMN IF NOT EXISTS experiment VARCHAR")


MIGRATIONS: dict[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    1: _add_details,
    2: _add_score,
    3: _add_superseded,
    4: _add_lists,
    5: _add_conditions,
    6: _add_answers,
    7: _add_experiment,
}
"""What leads to a version from the one before, in order."""

SCHEMA_VERSION = max(MIGRATIONS)


class MissingTablesError(MarqueeError):
    """Tables or columns of the working database are not there or of another type; the message names them."""


def schema_problems(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Tables and columns of an open database of the present version that are missing or of another type, in words.

    Tables with vectors appear when they are made; these may be missing as long as no version of them is recorded.
    """
    from warehouse.schemas.models import WORKING_MODELS
    from warehouse.schemas.table import N_TAGS, has_vectors, sql_types

    found: dict[str, dict[str, str]] = {}
    for table, column, kind in con.execute(
        "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns()"
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    made = {row[0] for row in con.execute("SELECT table_name FROM ops.table_versions").fetchall()
            } if "ops.table_versions" in found else set()  # fmt: skip
    problems = []
    for table, model in WORKING_MODELS.items():
        if table not in found:
            if not has_vectors(model) or table in made:
                problems.append(f"the table {table} is missing")
            continue
        for column, kind in sql_types(model).items():
            held = found[table].get(column)
            if held is None:
                problems.append(f"{table} has no column {column}")
            elif re.sub(r"\[\d+\]", f"[{N_TAGS}]", held) != kind:
                problems.append(f"{table}.{column} is {held}, not {kind}")
    return problems


def require_tables(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise MissingTablesError if tables or columns are missing: it is the database that is damaged, not the data."""
    problems = schema_problems(con)
    if problems:
        raise MissingTablesError(f"{path} is damaged: {'; '.join(problems)}. {REMAKE}")


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
