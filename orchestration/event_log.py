"""Dagster's SQLite records at the speed of one disk write per transaction, for runs in this process.

Belongs here: how this process opens those files. What is written to them is Dagster's affair, and with PostgreSQL as
its storage nothing here applies.

Dagster opens and closes a connection for every event. The last connection to close moves SQLite's log into the database
and waits for the disk several times; while a bulk load is being flushed that took 45 ms an event, and an import reports
some 270 months. With one more connection open meanwhile there is nothing to move, and in WAL mode `synchronous =
NORMAL` is SQLite's own recommendation: safe against a process that dies; a power cut can cost the last events, never
the files' integrity.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


@contextmanager
def quick_event_log() -> Iterator[None]:
    """Keep one connection open to every SQLite file that SQLAlchemy opens during the block."""
    kept: dict[str, sqlite3.Connection] = {}

    def tune(connection: Any, record: object) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if path and path not in kept:
            kept[path] = sqlite3.connect(path, check_same_thread=False)
            # A connection takes part in the log only once it has read something.
            kept[path].execute("SELECT count(*) FROM sqlite_master").fetchone()

    event.listen(Engine, "connect", tune)
    try:
        yield
    finally:
        event.remove(Engine, "connect", tune)
        for connection in kept.values():
            connection.close()
