"""Dagster's SQLite records at the speed of one disk write per transaction, for runs in this process.

Belongs here: how this process opens those files, where it asks for it (`orchestration.instance.execute`). What is
written to them is Dagster's affair, and with PostgreSQL as its storage nothing here applies.

Dagster opens and closes a connection for every event, through an engine made for it alone. That prepares statements
anew; and the last connection to close moves SQLite's log into the database and waits for the disk several times: 45 ms
an event while a bulk load is being flushed, and an import reports some 270 months. Here each file keeps its engine, and
the engine its connections. In WAL mode `synchronous = NORMAL` is SQLite's own recommendation: safe against a process
that dies; a power cut can cost the last events, never the files' integrity.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import dagster as dg
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import QueuePool

TESTED = "1.13."
"""Versions of Dagster this was tested with; with others nothing is replaced."""

MODULES = (
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
)
"""Where Dagster makes engines. They are its own affair: if they move some day, events become slower, and no more."""


class KeptPool(QueuePool):
    """Connections that outlast the `Engine.dispose` with which Dagster ends each use."""

    def dispose(self) -> None:
        """Keep the connections."""

    def recreate(self) -> "KeptPool":
        """Be the pool to go on with."""
        return self

    def close(self) -> None:
        """Close the connections."""
        super().dispose()


@contextmanager
def quick_event_log() -> Iterator[None]:
    """Keep one engine and its connections to every SQLite file that Dagster writes during the block."""
    engines: dict[str, Engine] = {}

    def engine_of(url: str, **settings: Any) -> Engine:
        if url not in engines:
            engines[url] = create_engine(url, **{**settings, "poolclass": KeptPool})
        return engines[url]

    # Dagster has no setting for it; its modules call what they imported under this name.
    modules = _modules() if dg.__version__.startswith(TESTED) else []
    for module in modules:
        module.create_engine = engine_of  # type: ignore[attr-defined]
    event.listen(Engine, "connect", _tune)
    try:
        yield
    finally:
        event.remove(Engine, "connect", _tune)
        for module in modules:
            module.create_engine = create_engine  # type: ignore[attr-defined]
        for engine in engines.values():
            if isinstance(engine.pool, KeptPool):
                engine.pool.close()


def _modules() -> list[ModuleType]:
    """Those of `MODULES` that there are."""
    found = []
    for name in MODULES:
        with suppress(ImportError):
            found.append(import_module(name))
    return found


def _tune(connection: Any, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
