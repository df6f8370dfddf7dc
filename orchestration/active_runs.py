"""Detect active runs, and mark orphaned ones as failed.

Belongs here: what schedules, sensors and the command line ask before they start a run. The process of a run holds a
lock on a file of its own. The kernel frees the lock however the process ends: a run that is recorded as STARTED while
its lock is free was killed. The lock of the warehouse itself is in `warehouse.locks`.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from assets.common import run_title
from orchestration.jobs import EXPORT_TURN, TURN
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
"""A started run without a lock file is taken for dead after this long, if nobody writes the warehouse."""

_held: set[str] = set()


def _sign_of(home: Home, run_id: str) -> Path:
    return home.dagster / "alive" / f"{run_id}.lock"


@contextmanager
def run_lock(home: Home, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while its process lives; once per process and run."""
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


def fail_orphaned_runs(instance: dg.DagsterInstance, home: Home) -> list[str]:
    """Mark as failed the runs whose process died; return their names."""
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        if run.run_id not in _held and _is_dead(home, run, record.start_time):
            instance.report_run_failed(run, "the process of this run died (killed, crashed or power cut)")
            _sign_of(home, run.run_id).unlink(missing_ok=True)
            closed.append(f"{run_title(run)} (run {run.run_id[:8]})")
    return closed


def _is_dead(home: Home, run: dg.DagsterRun, started: float | None) -> bool:
    path = _sign_of(home, run.run_id)
    if path.exists():
        return not is_held(path)
    silent = started is not None and time.time() - started > SILENT_SECONDS
    return run.status == dg.DagsterRunStatus.STARTED and silent and not is_held(home.writer_lock)


def active_run(instance: dg.DagsterInstance, home: Home) -> str | None:
    """Name of an active run that a new one would overlap; None if there is none. Exports overlap with nothing."""
    fail_orphaned_runs(instance, home)
    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    busy = [run for run in unfinished if run.tags.get(TURN) != EXPORT_TURN[TURN]]
    return f"{run_title(busy[0])} (run {busy[0].run_id[:8]})" if busy else None
