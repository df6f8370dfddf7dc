"""The working database: one connection of one writing process, opened under the writer's lock.

Belongs here: opening, configuring, transactions, letting others write for a while, closing, and what is said when it
cannot be opened. Does not belong here: what the tables mean (`warehouse.tables`), making it again
(`warehouse.rebuilding`), or reading by consumers, who never open this file.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import duckdb

from recommender.errors import MarqueeError
from warehouse.home import Home
from warehouse.locks import POLL_SECONDS, WriterBusyError, process_with_open, writer_lock
from warehouse.migrations import REMAKE, bring_up_to_date, require_tables
from warehouse.queries import first_line

WAIT_SECONDS = 900.0
"""How long a writer waits for another one before it gives up and names it: longer than a full retrain takes."""

LOCKED = "Could not set lock"
"""What DuckDB says, among other things, if another program has the file open."""

MEMORY_LIMIT = "2300MB"
"""DuckDB spills to the home's scratch folder beyond this; leaves room for numpy beside it in a 5 GB run."""


class DamagedDatabaseError(MarqueeError):
    """The working database is gone or cannot be read; the message says how to make it again."""


class Warehouse:
    """An open working database. Made by `open_warehouse`; used by one thread at a time.

    Attributes
    ----------
    home : Home
    con : duckdb.DuckDBPyConnection
        Another one after `released`.
    """

    def __init__(self, home: Home, opened: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]) -> None:
        self.home = home
        self._opened = opened
        self._stack = ExitStack()
        self.con = self._stack.enter_context(opened())
        self.kept: dict[str, tuple[str, object]] = {}
        """Large arrays read from tables, by name, each with the version of the tables they were read from."""

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run the block as one transaction: all of it is committed, or, on any error, none of it."""
        self.con.execute("BEGIN TRANSACTION")
        try:
            yield self.con
        except BaseException:
            self.con.execute("ROLLBACK")
            raise
        self.con.execute("COMMIT")

    def close(self) -> None:
        """Close the database and free the lock."""
        self._stack.close()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let others write during the block: the database is closed, the lock is free; both are taken again after it.

        Tables may have changed then. If the block is interrupted, the database stays closed.

        Raises
        ------
        WriterBusyError
            If another writer goes on for too long after the block.
        """
        self.close()
        try:
            yield
        except Exception:
            self.con = self._stack.enter_context(self._opened())
            raise
        self.con = self._stack.enter_context(self._opened())

    def keep(self, name: str, version: str, read: Callable[[], object]) -> object:
        """Return what `read` returned for this version the last time, or read it now; one version is kept."""
        known = self.kept.get(name)
        if known is None or known[0] != version:
            self.kept.pop(name, None)
            known = (version, read())
            self.kept[name] = known
        return known[1]

    def keep_instead(self, name: str, value: object) -> None:
        """Keep another form of the same content."""
        if name in self.kept:
            self.kept[name] = (self.kept[name][0], value)


def connect(path: Path, home: Home, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file with the limits of this platform; times are UTC without a zone."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(home.scratch),
        "preserve_insertion_order": "true",
        "threads": str(os.cpu_count() or 1),
    }
    return duckdb.connect(str(path), read_only=read_only, config=config)


@contextmanager
def open_warehouse(
    home: Home, purpose: str, *, wait_seconds: float = WAIT_SECONDS, notify: Callable[[str], None] | None = None
) -> Iterator[Warehouse]:
    """Open the working database for writing, waiting for other writers.

    Parameters
    ----------
    home : Home
    purpose : str
        What for; shown to processes that have to wait.
    wait_seconds : float
        Longest wait for another writer.
    notify : callable, optional
        Receives a message if there is a wait.

    Yields
    ------
    Warehouse

    Raises
    ------
    WriterBusyError
        If another process goes on writing, or has the file open, for longer than that.
    DamagedDatabaseError
        If the database cannot be read, or is gone from a home that holds data.
    SchemaVersionError
        If a newer Marquee wrote the database.
    MissingTablesError
        If the block fails because tables or columns of the database are missing.
    """
    home.create()
    warehouse = Warehouse(home, partial(_locked_connection, home, purpose, wait_seconds, notify))
    try:
        bring_up_to_date(warehouse.con, home.warehouse)
        yield warehouse
    except (duckdb.CatalogException, duckdb.BinderException):
        require_tables(warehouse.con, home.warehouse)
        raise
    finally:
        warehouse.close()


@contextmanager
def new_warehouse(home: Home, path: Path) -> Iterator[Warehouse]:
    """Make a working database at another path, with empty tables; complete on the disk when the block has ended.

    Only the holder of the writer's lock may.
    """

    @contextmanager
    def opened() -> Iterator[duckdb.DuckDBPyConnection]:
        with connect(path, home) as con:
            yield con

    warehouse = Warehouse(home, opened)
    try:
        bring_up_to_date(warehouse.con, path)
        yield warehouse
        warehouse.con.execute("CHECKPOINT")
    finally:
        warehouse.close()


def lost_database(home: Home) -> str:
    """What has become of the working database of a home that holds data; empty if it is there, or the home is new."""
    path = home.warehouse
    if path.exists() and path.stat().st_size:
        return ""
    signs = (home.published.glob("*Z-*.duckdb"), home.published.glob("*.json"), home.sources.glob("*.jsonl"))
    if not any(map(any, signs)):  # imports alone are no sign: one is made before the database is opened
        return ""
    return f"{path} is {'empty' if path.exists() else 'gone'}, and this home held data"


def is_of_the_machine(error: duckdb.Error) -> bool:
    """Whether an error repeats what the operating system said (a full disk, a missing permission): no damage."""
    return any(os.strerror(code) in str(error) for code in errno.errorcode)


@contextmanager
def _locked_connection(
    home: Home, purpose: str, wait_seconds: float, notify: Callable[[str], None] | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Hold the writer's lock and a connection for writing."""
    with writer_lock(home.writer_lock, purpose, wait_seconds=wait_seconds, notify=notify):
        if lost := lost_database(home):
            raise DamagedDatabaseError(f"{lost}. {REMAKE}")
        shutil.rmtree(home.scratch, ignore_errors=True)
        home.scratch.mkdir(exist_ok=True)
        con = _connect_when_closed(home, wait_seconds, notify)
        try:
            yield con
        finally:
            con.close()


def _connect_when_closed(
    home: Home, wait_seconds: float, notify: Callable[[str], None] | None
) -> duckdb.DuckDBPyConnection:
    """Connect for writing; wait while another program has the file open, for instance somebody's DuckDB."""
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while True:
        try:
            return connect(home.warehouse, home)
        except duckdb.Error as error:
            if LOCKED not in str(error):
                if is_of_the_machine(error):
                    raise
                raise DamagedDatabaseError(f"{home.warehouse} cannot be read: {first_line(error)}. {REMAKE}") from error
        who = process_with_open(home.warehouse)
        name = f"process {who['pid']} ({who['command'] or 'of another account'})" if who else "another program"
        if time.monotonic() >= deadline:
            raise WriterBusyError(
                f"{name} has {home.warehouse} open; waited {wait_seconds:.0f} s. Close it there, then try again. "
                f"To look at the data, open {home.current}: it never makes anybody wait."
            )
        if not waiting and notify is not None:
            notify(
                f"waiting for {name}, which has {home.warehouse} open; to look at the data it can open {home.current}"
            )
        waiting = True
        time.sleep(POLL_SECONDS)
