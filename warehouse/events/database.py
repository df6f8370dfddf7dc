"""The journal's database: one SQLite file that many processes of a machine write in turn.

Belongs here: opening it, its tables, transactions, and what can go wrong with a disk. Does not belong here: what is
written (`journal`, `segments`).

SQLite in WAL mode with synchronous=FULL: a commit returns when it is on the disk, readers never wait. Writers take
turns by an flock of their own instead of SQLite's lock, for which it waits in sleeps of up to 100 ms, and because
SQLite before 3.51.3 can damage a database that one connection checkpoints while another begins the log anew
(https://sqlite.org/wal.html#walresetbug); here all of that happens in somebody's turn.
"""

import fcntl
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recommender.errors import MarqueeError
from warehouse.files import flush_to_disk

FILE, TURN_FILE = "journal.sqlite", "journal.lock"
WAIT_SECONDS = 5.0
"""How long a writer waits for its turn."""

_PAUSE = 0.0005
_VERSION = 1
_TABLES = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, type TEXT NOT NULL, user_id INTEGER NOT NULL,
    movie_id INTEGER NOT NULL, rating REAL, happened_at INTEGER NOT NULL, answer_id TEXT, position INTEGER,
    received_at INTEGER NOT NULL, door TEXT NOT NULL
);
CREATE TABLE known (id BLOB PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
    last_seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, events INTEGER NOT NULL, ratings INTEGER NOT NULL,
    file_sha256 TEXT, landing_sha256 TEXT, sealed_at INTEGER
);
CREATE TABLE offsets (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE refused (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, reason TEXT NOT NULL, raw BLOB NOT NULL,
    bytes INTEGER NOT NULL, refused_at INTEGER NOT NULL
);
"""
"""Times are microseconds since 1970; a segment that is not sealed yet has no sealed_at."""

_DISK = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM,
}  # fmt: skip
"""Primary result codes that are no bug."""


class JournalError(MarqueeError):
    """The journal cannot be written or read now: a full disk, a lock, a damaged file. Nothing was acknowledged."""


class Database:
    """Connections to the journal of a folder, one per thread; the file is made when something is written.

    Parameters
    ----------
    folder : Path
        ``<home>/events``. It is made, but not the home.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, in this process's turn; it is on the disk when the block has ended.

        Raises
        ------
        JournalError
            If it cannot be: then nothing of the block is kept.
        """
        with self._understood():
            self.folder.mkdir(exist_ok=True)
            with self._turn():
                con = self._connection()
                with self._transaction(con, "BEGIN IMMEDIATE"):
                    yield con

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Run the block on one state of the journal; None if there is no journal."""
        with self._understood():
            if not self.path.exists():
                yield None
                return
            con = self._connection()
            with self._transaction(con, "BEGIN"):
                yield con

    def close(self) -> None:
        """Close the connections of all threads, none of which may be using one."""
        if self._connections:
            with suppress(OSError, JournalError), self._turn():  # the last one to close makes a checkpoint
                for con in self._connections:
                    con.close()
        self._connections.clear()
        self._local = threading.local()

    @contextmanager
    def _transaction(self, con: sqlite3.Connection, begin: str) -> Iterator[None]:
        try:
            con.execute(begin)
            yield
            con.execute("COMMIT")
        except BaseException:
            if con.in_transaction:
                con.execute("ROLLBACK")
            raise

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection to the file that has the name now; one that was deleted keeps nothing."""
        con, inode = getattr(self._local, "opened", (None, 0))
        if con is not None and self.path.exists() and self.path.stat().st_ino == inode:
            return con
        con = sqlite3.connect(self.path, WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            con.execute("PRAGMA journal_mode = WAL")
            con.execute("PRAGMA synchronous = FULL")
            version = con.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise JournalError(f"{self.path} was written by a newer Marquee (version {version}); use that one")
            if version == 0:
                self._create(con)
        except BaseException:
            con.close()
            raise
        self._local.opened = (con, self.path.stat().st_ino)
        self._connections.append(con)
        return con

    def _create(self, con: sqlite3.Connection) -> None:
        """Make the tables. Numbers go on after those of the segments that are there, should a journal be lost."""
        with self._transaction(con, "BEGIN IMMEDIATE"):
            if con.execute("PRAGMA user_version").fetchone()[0]:
                return  # another process was faster
            for statement in _TABLES.strip().split(";\n"):
                con.execute(statement)
            last = max((last for _, last in named_ranges(self.folder)), default=0)
            con.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", [last])
            con.execute(f"PRAGMA user_version = {_VERSION}")
        for folder in (self.folder, self.folder.parent):  # the names, too
            flush_to_disk(folder)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock of the one writer; the kernel frees it when its process dies."""
        descriptor = os.open(self.folder / TURN_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        text = f"another process has been writing {self.path} for {WAIT_SECONDS:.0f} s; try again"
                        raise JournalError(text) from None
                    time.sleep(_PAUSE)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn what a disk says into a JournalError; a bug keeps its traceback."""
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DISK:
                raise
            raise JournalError(f"{self.path} cannot be used: {error}; nothing was acknowledged") from error
        except OSError as error:
            raise JournalError(f"{self.path} cannot be used: {error.strerror or error}") from error


_RANGE = re.compile(r"(\d+)-(\d+)\.parquet")


def range_name(first: int, last: int) -> str:
    """Name of the file with a range of events."""
    return f"{first}-{last}.parquet"


def named_ranges(folder: Path) -> list[tuple[int, int]]:
    """Ranges of the files in a folder, in order."""
    found = (_RANGE.fullmatch(path.name) for path in folder.glob("*.parquet"))
    return sorted((int(match[1]), int(match[2])) for match in found if match)
