"""Exports as runs: the job that brings all targets of a home to the live release, and the sensor that starts it.

Belongs here: when to export. Does not belong here: how (`warehouse.exports`), or the assets (`assets.exports`).

The sensor looks at the link of the live release, not at materializations: a rollback or a promotion by the command line
changes the link only. What it knows of the past it reads from Dagster's records of the job's runs. It is on from the
start: writing `exports.toml` is the request. A run of this job does not open the working database, so it need not wait
for those that do.
"""

import time
from collections.abc import Mapping
from itertools import takewhile

import dagster as dg

from orchestration.active_runs import UNFINISHED, fail_orphaned_runs
from orchestration.jobs import EXPORT_TURN
from warehouse.exports.settings import SETTINGS_FILE
from warehouse.files import file_sha256
from warehouse.home import Home
from warehouse.releases.registry import live_release

JOB = "export_releases"
RELEASE_TAG, TARGETS_TAG = "marquee/release", "marquee/targets"
INTERVAL_SECONDS = 30
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
LOOKED_AT = 20
"""Newest runs of the job that the sensor reads: enough for the pauses to have become the longest."""


export_releases = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.groups("exports"),
    tags=EXPORT_TURN,
    description="Bring every target of exports.toml to the live release; a target that fails holds up no other.",
)


@dg.sensor(
    name="live_release_exports",
    job=export_releases,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Exports the live release when another one is live than the last that was exported.",
)
def exports_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run unless this release was exported last, is being exported, or has just failed to be."""
    home = Home.find()
    fail_orphaned_runs(context.instance, home)
    live = live_release(home)
    if live is None:
        return dg.SkipReason("nothing is live yet")
    tags = {RELEASE_TAG: live, TARGETS_TAG: file_sha256(home.root / SETTINGS_FILE)[:12]}
    records = context.instance.get_run_records(dg.RunsFilter(job_name=JOB), limit=LOOKED_AT)
    if not records:
        return dg.RunRequest(tags=tags)
    run = records[0].dagster_run
    if run.status in UNFINISHED:
        return dg.SkipReason(f"run {run.run_id[:8]} is exporting {run.tags.get(RELEASE_TAG, 'the live release')}")
    if run.status == dg.DagsterRunStatus.SUCCESS and _same(run, tags):
        return dg.SkipReason(f"{live} was exported by run {run.run_id[:8]}")
    failed = list(takewhile(lambda record: _failed(record.dagster_run) and _same(record.dagster_run, tags), records))
    if failed:
        pause = min(FIRST_PAUSE * 2 ** (len(failed) - 1), LONGEST_PAUSE)
        wait = (failed[0].end_time or 0.0) + pause - time.time()
        if wait > 0:
            return dg.SkipReason(f"try {len(failed)} to export {live} failed; the next is in {wait:.0f} s")
    return dg.RunRequest(tags=tags)


def _failed(run: dg.DagsterRun) -> bool:
    return run.status == dg.DagsterRunStatus.FAILURE


def _same(run: dg.DagsterRun, tags: Mapping[str, str]) -> bool:
    return all(run.tags.get(name) == value for name, value in tags.items())


JOBS, SENSORS = [export_releases], [exports_sensor]
"""Of a home that has targets."""
