"""Whose turn it is: which run is unfinished, and which runs only seem to be because their process died.

Belongs here: what schedules, sensors and the command line ask before they start a run. A run's process holds a lock on
a file of its own while it lives; the kernel frees it however the process ends, so a record that says STARTED beside a
free lock is the trace of a killed run and is closed as failed. Taking turns at the warehouse itself is
`warehouse.locks`.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from warehouse.home import Home
from warehouse.locks import is_held

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

SILENT_SECONDS = 1800.0
"""After this long a started run without a file of its own, while nobody writes, is taken for dead."""

_held: set[str] = set()


def _sign_of(home: Home, run_id: str) -> Path:
    return home.dagster / "alive" / f"{run_id}.lock"


@contextmanager
def sign_of_life(home: Home, run_id: str) -> Iterator[None]:
    """Hold the lock that says that the process of a run lives; once per process and run."""
    if run_id in _held:
        yield
        return
    path = _sign_of(home, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _held.add(run_id)
        try:
            yield
        finally:
            _held.discard(run_id)
            path.unlink(missing_ok=True)


def close_abandoned(instance: dg.DagsterInstance, home: Home) -> list[str]:
    """Record as failed the runs whose process died without saying so; return them in words."""
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        if run.run_id not in _held and _is_dead(home, run, record.start_time):
            instance.report_run_failed(run, "the process of this run died (killed, crashed or power cut)")
            _sign_of(home, run.run_id).unlink(missing_ok=True)
            closed.append(f"{run.job_name} (run {run.run_id[:8]})")
    return closed


def _is_dead(home: Home, run: dg.DagsterRun, started: float | None) -> bool:
    path = _sign_of(home, run.run_id)
    if path.exists():
        return not is_held(path)
    silent = started is not None and time.time() - started > SILENT_SECONDS
    return run.status == dg.DagsterRunStatus.STARTED and silent and not is_held(home.writer_lock)


def run_in_the_way(instance: dg.DagsterInstance, home: Home) -> str | None:
    """The unfinished run that a new one would overlap, in words; None if the way is clear."""
    close_abandoned(instance, home)
    busy = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1)
    return f"{busy[0].job_name} (run {busy[0].run_id[:8]})" if busy else None
