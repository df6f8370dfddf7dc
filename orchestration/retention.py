"""Dagster's records of runs, kept for a month: hourly runs of 1.6 MB each would be 14 GB a year.

Belongs here: which runs are forgotten. Releases have a retention of their own (asset published/retired_releases), ticks
have Dagster's (`retention` in dagster.yaml); Dagster itself never forgets a run.

Only runs that remake all they touch are cleared: whatever an old refresh, retrain or export materialized, a newer one
has materialized since, so no asset looks as if it had never been made. Imports and ingests stay.
"""

import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.jobs import EXPORT_TURN, refresh_recommendations, retrain_model
from warehouse.home import Home

KEPT_FOR = timedelta(days=30)

AT_ONCE = 100
"""Runs forgotten per tick and kind: a tick should take seconds."""

KINDS = (
    {"job_name": refresh_recommendations.name},
    {"job_name": retrain_model.name},
    {"tags": EXPORT_TURN},
)
"""Which runs are cleared."""

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def forget_old_runs(instance: dg.DagsterInstance, home: Home, now: datetime) -> int:
    """Delete old records of refreshes, retrains and exports, but never of the last success, or of what made an asset.

    Old means: created more than `KEPT_FOR` ago.

    Parameters
    ----------
    instance : dagster.DagsterInstance
    home : Home
        Whose folder `dagster` holds the records, unless they are in PostgreSQL.
    now : datetime
        With time zone.

    Returns
    -------
    int
        Runs forgotten.
    """
    forgotten = 0
    made = [instance.get_latest_materialization_event(key) for key in instance.get_asset_keys()]
    kept = {event.run_id for event in made if event is not None}
    for kind in KINDS:
        succeeded = dg.RunsFilter(**kind, statuses=[dg.DagsterRunStatus.SUCCESS])
        kept |= {run.run_id for run in instance.get_runs(filters=succeeded, limit=1)}
        old = dg.RunsFilter(**kind, statuses=ENDED, created_before=now - KEPT_FOR)
        for run in instance.get_runs(filters=old, limit=AT_ONCE, ascending=True):
            if run.run_id not in kept:
                instance.delete_run(run.run_id)
                _delete_files(home, run.run_id)
                forgotten += 1
    return forgotten


def _delete_files(home: Home, run_id: str) -> None:
    """Delete a run's event log, which Dagster only empties, and its captured output."""
    for path in (home.dagster / "history" / "runs").glob(f"{run_id}.db*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(home.dagster / "storage" / run_id, ignore_errors=True)


@dg.sensor(
    name="forget_old_runs",
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Deletes Dagster's records of refreshes, retrains and exports after {KEPT_FOR.days} days. "
    "Launches nothing.",
)
def retention_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Forget what is old; there is never a run to launch."""
    return dg.SkipReason(f"{forget_old_runs(context.instance, Home.find(), datetime.now(UTC))} old runs forgotten")


SENSORS = [retention_sensor]
