"""The landing sensor: ingests files that are dropped into the home's folder `landing`, once they are complete.

Belongs here: when a file is ready and when to try again. The asset raw/rating_files ingests it and moves it away.
Each tick first takes in events that machines elsewhere have sent to the store, and seals those that no service has
sealed: their ratings land as a file, too.
On by default: dropping a file into the folder is the request, and an empty folder costs nothing. Each tick also marks
runs as failed whose process died: they would block the queue, which lets one run through.

A file is ready when its inode, size and time of change are the same at two ticks. The cursor holds what the last tick
saw and how often the present set of files was tried: should a run fail with the files still there, the next try comes
after 1, 2, 4 ... minutes, at most an hour.
"""

import json
import time
from typing import Any

import dagster as dg

from orchestration import alerts, retention
from orchestration.active_runs import active_run, fail_orphaned_runs
from orchestration.jobs import ingest_ratings
from warehouse.events.database import JournalError
from warehouse.events.journal import Journal
from warehouse.events.segments import seal
from warehouse.home import Home
from warehouse.ingest.landing import batch_key, landed_files, signature
from warehouse.store.client import StoreError, store_address
from warehouse.store.events import take_in_events

INTERVAL_SECONDS = 30
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0


def _seen(home: Home) -> dict[str, list[int]]:
    """Signatures of the waiting files, by name."""
    marks = {path.name: signature(path) for path in landed_files(home.landing)}
    return {name: list(mark) for name, mark in marks.items() if mark is not None}


@dg.sensor(
    name="landing_files",
    job=ingest_ratings,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ingests files of ratings dropped into landing/, each content once, when they are complete.",
)
def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Request one run for all complete files, unless a run is active or has just failed."""
    home = Home.find()
    _seal_events(context, home)
    fail_orphaned_runs(context.instance, home)
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    seen = _seen(home)
    before = cursor.get("seen", {})
    ready = {name: mark for name, mark in seen.items() if before.get(name) == mark}
    cursor["seen"] = seen
    if not ready:
        reason = f"{len(seen)} files may still be being written; looked at again" if seen else "nothing has landed"
        return _skip(cursor, reason)
    busy = active_run(context.instance, home)
    if busy is not None:
        return _skip(cursor, f"{len(ready)} files wait for {busy} to finish")
    key = batch_key((name, (mark[0], mark[1], mark[2])) for name, mark in ready.items())
    tries = cursor.get("tries", 0) if cursor.get("key") == key else 0
    pause = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE) if tries else 0.0
    wait = cursor.get("tried_at", 0.0) + pause - time.time()
    if tries and wait > 0:
        return _skip(cursor, f"run {tries} for these files failed; the next try is in {wait:.0f} s")
    cursor |= {"key": key, "tries": tries + 1, "tried_at": time.time()}
    files = [str(home.landing / name) for name in sorted(ready)]
    config = {"ops": {"raw__rating_files": {"config": {"files": files}}}}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"{key}-{time.time_ns()}", run_config=config)], cursor=json.dumps(cursor)
    )


def _seal_events(context: dg.SensorEvaluationContext, home: Home) -> None:
    """Have events become files also when no service runs. Other files do not wait for a journal or store in trouble."""
    journal = Journal(home.events)
    try:
        seal(journal, home.landing)
        if url := store_address():
            take_in_events(home, url)
    except (JournalError, StoreError) as error:
        context.log.error(str(error))
    finally:
        journal.close()


def _skip(cursor: dict[str, Any], reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=json.dumps(cursor))


SENSORS = [landing_sensor, *alerts.SENSORS, *retention.SENSORS]
