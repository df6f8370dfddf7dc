"""Readers of the live release, each a process that queries without pause until it is stopped.

Belongs here: reading as a careful consumer does, and counting. It imports little, so that a reader soon reads.
"""

import json
import os
from pathlib import Path
from typing import Any

import duckdb

from tests.campaigns import forks
from warehouse.home import Home

READERS = 8
LONGEST = 600.0
"""Seconds after which a reader that should end is given up."""


def read_once(current: Path) -> str:
    """Read the live release as a careful consumer does; return its name.

    Raises
    ------
    AssertionError
        If the rows are not those of one complete release.
    """
    path = current.resolve(strict=True)
    with duckdb.connect(str(path), read_only=True) as con:
        rows = con.execute("SELECT release, row_counts FROM release").fetchall()
        assert len(rows) == 1, f"{path.name} has {len(rows)} release rows"
        release, recorded = rows[0][0], json.loads(rows[0][1])
        assert f"{release}.duckdb" == path.name, f"{path.name} says it is {release}"
        for table, expected in recorded.items():
            found = con.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert found == (expected,), f"{path.name}: {table} has {found} rows, recorded are {expected}"
    return str(release)


def _read_until_stopped(current: Path, stop: Any, results: Any) -> None:
    """Body of a reader process."""
    os.nice(10)
    reads, errors, seen = 0, [], set()
    while not stop.is_set():
        try:
            seen.add(read_once(current))
        except (AssertionError, OSError, ValueError, duckdb.Error) as error:
            errors.append(f"reader {os.getpid()}: {type(error).__name__}: {error}")
        reads += 1
    results.put((reads, errors, sorted(seen)))


class Readers:
    """Reader processes that query the live release until they are stopped."""

    def __init__(self, home: Home, count: int = READERS) -> None:
        self._stop = forks.Event()
        self._results: Any = forks.Queue()
        arguments = (home.current, self._stop, self._results)
        self._processes = [forks.Process(target=_read_until_stopped, args=arguments) for _ in range(count)]

    def __enter__(self) -> "Readers":
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        found = [self._results.get(timeout=LONGEST) for _ in self._processes]
        for process in self._processes:
            process.join()
        self.reads = sum(reads for reads, _, _ in found)
        self.errors = [text for _, errors, _ in found for text in errors]
        self.seen = {name for _, _, names in found for name in names}
