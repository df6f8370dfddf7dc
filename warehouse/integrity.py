"""Whether the working database is whole: it opens, has all its tables and columns, and every row of them can be read.

Belongs here: looking. Does not belong here: what to do about it (`warehouse.rebuilding`), or whether what the tables
say makes sense (`checks`).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import duckdb

from warehouse.database import LOCKED, connect, is_of_the_machine, lost_database
from warehouse.home import Home
from warehouse.locks import WriterBusyError, is_held, process_with_open
from warehouse.migrations import SCHEMA_VERSION, SchemaVersionError, schema_problems, schema_version
from warehouse.queries import first_line, sql_name

LOOK_SECONDS = 0.1
"""How often a look that gives way asks whether somebody wants to write."""


class Examined(NamedTuple):
    """The version of its tables (that of this Marquee if they cannot be read), and what is wrong, in words."""

    version: int
    problems: list[str]


def examine_database(home: Home, *, gives_way: bool) -> Examined:
    """Look at the working database; nothing is wrong if it is whole, or if the home is new.

    Parameters
    ----------
    home : Home
    gives_way : bool
        Whether the look ends when another process wants to write. Not so under the writer's lock.

    Raises
    ------
    WriterBusyError
        If somebody writes or begins to, or another program has it open: then it was not looked at to the end.
    SchemaVersionError
        If a newer Marquee wrote it.
    """
    if lost := lost_database(home):
        return Examined(SCHEMA_VERSION, [lost])
    if not home.warehouse.exists():
        return Examined(SCHEMA_VERSION, [])
    try:
        with connect(home.warehouse, home, read_only=True) as con, _giving_way(con, home, gives_way):
            return _examined(con, home)
    except duckdb.InterruptException:
        raise WriterBusyError(f"{home.warehouse} was not read to its end, because somebody is writing") from None
    except duckdb.Error as error:
        if LOCKED in str(error):
            who = process_with_open(home.warehouse) or {"pid": "of another program", "command": "unknown"}
            raise WriterBusyError(
                f"process {who['pid']} ({who['command']}) has {home.warehouse} open; close it there. "
                f"To look at the data it can open {home.current}"
            ) from None
        if is_of_the_machine(error):
            raise
        return Examined(SCHEMA_VERSION, [f"{home.warehouse} cannot be read: {first_line(error)}"])


def _examined(con: duckdb.DuckDBPyConnection, home: Home) -> Examined:
    version = schema_version(con)
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"the tables of {home.warehouse} are of version {version}, this Marquee knows {SCHEMA_VERSION}: use the "
            "newer one that wrote it"
        )
    problems = schema_problems(con) if version == SCHEMA_VERSION else []
    _read_all(con)
    return Examined(version, problems)


def _read_all(con: duckdb.DuckDBPyConnection) -> None:
    """Read every value; DuckDB compares each block that it reads with its checksum."""
    tables = con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary ORDER BY ALL"
    ).fetchall()
    for schema, table in tables:
        con.execute(f"SELECT bit_xor(hash(COLUMNS(*))) FROM {sql_name(schema)}.{sql_name(table)}").fetchall()


@contextmanager
def _giving_way(con: duckdb.DuckDBPyConnection, home: Home, gives_way: bool) -> Iterator[None]:
    """Interrupt the queries of the block as soon as a process holds the writer's lock: it waits for this file."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_SECONDS):
            if is_held(home.writer_lock):
                con.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    if gives_way:
        watcher.start()
    try:
        yield
    finally:
        done.set()
        if gives_way:
            watcher.join()
