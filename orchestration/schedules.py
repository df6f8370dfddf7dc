"""Schedules: the nightly retrain and the hourly refresh.

A tick that would overlap a run that writes the warehouse is skipped and says which run it gave way to.
"""

import dagster as dg

from orchestration.jobs import refresh_recommendations, retrain_model
from warehouse.model_tables import SHARDS

ALL_SHARDS = {
    "dagster/asset_partition_range_start": "0",
    "dagster/asset_partition_range_end": str(SHARDS - 1),
}
"""Run tags that cover every shard of the pairs in one run."""

RETRAIN_HOUR = 3

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def _request_unless_busy(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    busy = context.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1)
    if busy:
        return dg.SkipReason(f"{busy[0].job_name} (run {busy[0].run_id[:8]}) has not finished; next tick tries again")
    return dg.RunRequest(tags=ALL_SHARDS)


def _refresh_unless_retrain(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    if context.scheduled_execution_time.hour == RETRAIN_HOUR:
        return dg.SkipReason("the nightly retrain of this hour ends with a refresh")
    return _request_unless_busy(context)


nightly_retrain = dg.ScheduleDefinition(
    name="nightly_retrain",
    job=retrain_model,
    cron_schedule=f"0 {RETRAIN_HOUR} * * *",
    execution_timezone="UTC",
    execution_fn=_request_unless_busy,
)
hourly_refresh = dg.ScheduleDefinition(
    name="hourly_refresh",
    job=refresh_recommendations,
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    execution_fn=_refresh_unless_retrain,
)

SCHEDULES = [nightly_retrain, hourly_refresh]
