"""Dagster's SQLite records at the speed of one disk write per transaction, for runs in this process.

Belongs here: how this process opens those files. What is written to them is Dagster's affair, and with PostgreSQL as
its storage nothing here applies.

Dagster opens and closes a connection for every event, through an engine made for it alone, which prepares every
statement anew: two fifths of the time of an event. Here each file keeps its engine. And the last connection to close
moves SQLite's log into the database and waits for the disk several times; while a bulk load is being flushed that took
45 ms an event, and an import reports some 270 months. With one more connection open meanwhile there is nothing to move,
and in WAL mode `synchronous = NORMAL` is SQLite's own recommendation: safe against a process that dies; a power cut can
cost the last events, never the files' integrity.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine

MODULES = (sqlite_event_log, sqlite_run_storage)
"""Where Dagster makes engines."""


@contextmanager
def quick_event_log() -> Iterator[None]:
    """Keep one engine of Dagster's and one connection to every SQLite file that is opened during the block."""
    engines: dict[str, Engine] = {}
    kept: dict[str, sqlite3.Connection] = {}

    def engine_of(url: str, **settings: Any) -> Engine:
        if url not in engines:
            engines[url] = create_engine(url, **settings)
        return engines[url]

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
    # Dagster has no setting for it; its modules call what they imported under this name.
    for module in MODULES:
        module.create_engine = engine_of  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in MODULES:
            module.create_engine = create_engine  # type: ignore[attr-defined]
        event.remove(Engine, "connect", tune)
        for connection in kept.values():
            connection.close()
