"""Alerts: a failed run or a failed check becomes one JSON message to the webhook of the people on call.

Belongs here: what is sent, and when. The address is the variable MARQUEE_WEBHOOK_URL, read at every tick; without it
nothing is sent. What each alert means and what to do about it: docs/operations.md.
"""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg
import httpx

from assets.common import run_title
from checks.tables.incoming import FILE_CHECKS
from orchestration.errors import reason_of
from recommender.errors import MarqueeError

WEBHOOK_VARIABLE = "MARQUEE_WEBHOOK_URL"
TIMEOUT_SECONDS = 10.0


class AlertError(MarqueeError):
    """The webhook did not accept an alert; the sensor's tick fails, is shown in the UI and tried again."""


def send_alert(message: dict[str, Any]) -> bool:
    """Post an alert to the webhook, if there is one.

    Parameters
    ----------
    message : dict
        ``text`` (one line, which chat services show as it is), ``event`` and what belongs to it.

    Returns
    -------
    bool
        False if no webhook is configured.

    Raises
    ------
    AlertError
        If the webhook cannot be reached or refuses; the address, which may be a secret, is not in the message.
    """
    url = os.environ.get(WEBHOOK_VARIABLE, "")
    if not url:
        return False
    try:
        answer = httpx.post(url, json=message, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise AlertError(f"the webhook in {WEBHOOK_VARIABLE} cannot be reached: {type(error).__name__}") from None
    if answer.is_error:
        raise AlertError(f"the webhook in {WEBHOOK_VARIABLE} answered {answer.status_code}")
    return True


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[dict[str, Any]]:
    """Checks that failed in a run: name, asset, severity, description, value and threshold."""
    found = []
    for log in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        event = log.dagster_event
        evaluation = event.asset_check_evaluation_data if event is not None else None
        if evaluation is not None and not evaluation.passed:
            numbers = {name: evaluation.metadata.get(name) for name in ("value", "threshold")}
            found.append(
                {
                    "check": evaluation.check_name,
                    "asset": evaluation.asset_key.to_user_string(),
                    "severity": evaluation.severity.value,
                    "description": evaluation.description or "",
                    **{name: None if number is None else number.value for name, number in numbers.items()},
                }
            )
    return found


def _worded(check: Mapping[str, Any]) -> str:
    """A failed check in words; its description has the value and the threshold."""
    return f"{check['check']}: {check['description']}"


def _cause(context: dg.RunFailureSensorContext) -> str:
    """The innermost message of what went wrong: of the failed steps, else of the run."""
    run_id = context.dagster_run.run_id
    events = [log.dagster_event for log in context.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)]
    reasons = [reason_of(event.step_failure_data.error).text for event in events if event is not None]
    data = context.failure_event.job_failure_data
    if not reasons and data is not None and data.error is not None:
        reasons = [reason_of(data.error).text]
    return "; ".join(dict.fromkeys(reasons)) or context.failure_event.message or "no message"


def _what_next(tags: Mapping[str, str]) -> str:
    """Whether the run is tried again."""
    if tags.get("dagster/will_retry") == "true":
        return "It is tried again now."
    if "dagster/sensor_name" in tags:
        return "The sensor tries again in some minutes."
    if "dagster/schedule_name" in tags:
        return "It is not repeated; the next tick of the schedule comes anyway."
    return "It is not repeated."


@dg.run_failure_sensor(
    name="alert_run_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=f"Posts failed runs, with the checks that failed in them, to the address in {WEBHOOK_VARIABLE}.",
)
def alert_run_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Post a failed run: its cause, the checks that failed, and whether it is tried again."""
    # As it is now: whether it is tried again is noted after it has failed.
    run = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
    checks = failed_checks(context.instance, run.run_id)
    errors = [_worded(check) for check in checks if check["severity"] == "ERROR"]
    why = "; ".join(errors) or _cause(context)
    sent = send_alert(
        {
            "event": "run_failure",
            "text": f"Marquee: {run_title(run)} failed (run {run.run_id[:8]}). {why}. {_what_next(run.tags)}",
            "job": run.job_name,
            "run": run.run_id,
            "failed_checks": checks,
            "will_retry": run.tags.get("dagster/will_retry") == "true",
        }
    )
    return None if sent else dg.SkipReason(f"{WEBHOOK_VARIABLE} is not set")


def _posted_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[tuple[str, str]]:
    """Checks, by asset and name, that failed in the last successful run before this one that made the same.

    Not those of files that came in: in the next run they are about other files.
    """
    runs = instance.get_runs(dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=50)
    ids = [found.run_id for found in runs if run_title(found) == run_title(run)]
    earlier = ids[ids.index(run.run_id) + 1 :][:1] if run.run_id in ids else []
    found = [check for run_id in earlier for check in failed_checks(instance, run_id)]
    return {(check["asset"], check["check"]) for check in found if check["check"] not in FILE_CHECKS}


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="alert_failed_check",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=f"Posts checks that failed in runs that succeeded to the address in {WEBHOOK_VARIABLE}, each once.",
)
def alert_failed_check(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
    """Post the warnings of a run that succeeded, unless the run of that job before it had the same."""
    run = context.dagster_run
    checks = failed_checks(context.instance, run.run_id)
    before = _posted_before(context.instance, run)
    new = [check for check in checks if (check["asset"], check["check"]) not in before]
    if not new:
        standing = f"{len(checks)} warnings as in the run before" if checks else "all checks passed"
        return dg.SkipReason(f"run {run.run_id[:8]}: {standing}")
    sent = send_alert(
        {
            "event": "failed_check",
            "text": f"Marquee: {run_title(run)} succeeded (run {run.run_id[:8]}), but warns. "
            + "; ".join(map(_worded, new)),
            "job": run.job_name,
            "run": run.run_id,
            "failed_checks": checks,
        }
    )
    return None if sent else dg.SkipReason(f"{WEBHOOK_VARIABLE} is not set")


SENSORS = [alert_run_failure, alert_failed_check]
