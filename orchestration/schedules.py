"""Schedules: the nightly retrain and the hourly refresh.

A tick that would overlap an active run is skipped and names that run. The refresh comes again an hour later. The
retrain has four ticks in its hour; at the last one it is queued instead of skipped, so that no night is lost.
"""

from datetime import UTC

import dagster as dg

from orchestration.active_runs import active_run
from orchestration.jobs import refresh_recommendations, retrain_model
from warehouse.home import Home

RETRAIN_HOUR = 3
LAST_MINUTE = 45
NIGHT_TAG = "marquee/night"
"""Run tag with the date of the night a scheduled retrain is for: one a night."""


def _refresh_unless_busy(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    if context.scheduled_execution_time.astimezone(UTC).hour == RETRAIN_HOUR:
        return dg.SkipReason("the nightly retrain of this hour ends with a refresh")
    busy = active_run(context.instance, Home.find())
    if busy is not None:
        return dg.SkipReason(f"{busy} has not finished; the tick of the next hour tries again")
    return dg.RunRequest()


def _retrain_once_a_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    tick = context.scheduled_execution_time.astimezone(UTC)
    night = tick.date().isoformat()
    done = context.instance.get_runs(dg.RunsFilter(job_name=retrain_model.name, tags={NIGHT_TAG: night}), limit=1)
    if done:
        return dg.SkipReason(f"tonight's retrain is run {done[0].run_id[:8]}")
    busy = active_run(context.instance, Home.find())
    if busy is not None and tick.minute < LAST_MINUTE:
        return dg.SkipReason(f"{busy} has not finished; tried again in 15 minutes, at the latest at 03:{LAST_MINUTE}")
    return dg.RunRequest(tags={NIGHT_TAG: night})


nightly_retrain = dg.ScheduleDefinition(
    name="nightly_retrain",
    job=retrain_model,
    description="Retrain at 03:00 UTC, once a night; the later ticks of that hour replace one that was skipped.",
    cron_schedule=f"0,15,30,{LAST_MINUTE} {RETRAIN_HOUR} * * *",
    execution_timezone="UTC",
    execution_fn=_retrain_once_a_night,
)
hourly_refresh = dg.ScheduleDefinition(
    name="hourly_refresh",
    job=refresh_recommendations,
    description="Recommend from the likes as they are now, every hour except that of the retrain.",
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    execution_fn=_refresh_unless_busy,
)

SCHEDULES = [nightly_retrain, hourly_refresh]
