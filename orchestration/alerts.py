"""Alerts: a failed run or a failed check becomes one JSON message to the webhook of the people on call.

Belongs here: what is sent, and when. The address is the variable MARQUEE_WEBHOOK_URL, read at every tick; without it
nothing is sent. What each alert means and what to do about it: docs/operations.md.
"""

import os
from typing import Any

import dagster as dg
import httpx

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
    """Checks that failed in a run: name, asset, severity and description."""
    found = []
    for log in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        event = log.dagster_event
        evaluation = event.asset_check_evaluation_data if event is not None else None
        if evaluation is not None and not evaluation.passed:
            found.append(
                {
                    "check": evaluation.check_name,
                    "asset": evaluation.asset_key.to_user_string(),
                    "severity": evaluation.severity.value,
                    "description": evaluation.description or "",
                }
            )
    return found


@dg.run_failure_sensor(
    name="alert_run_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=f"Posts failed runs, with the checks that failed in them, to the address in {WEBHOOK_VARIABLE}.",
)
def alert_run_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Post a failed run."""
    run = context.dagster_run
    checks = failed_checks(context.instance, run.run_id)
    reason = context.failure_event.message or "no message"
    errors = [check for check in checks if check["severity"] == "ERROR"]
    why = "; ".join(f"{check['check']}: {check['description']}" for check in errors) or reason
    sent = send_alert(
        {
            "event": "run_failure",
            "text": f"Marquee: {run.job_name} failed (run {run.run_id[:8]}). {why}",
            "job": run.job_name,
            "run": run.run_id,
            "failed_checks": checks,
        }
    )
    return None if sent else dg.SkipReason(f"{WEBHOOK_VARIABLE} is not set")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="alert_failed_check",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=f"Posts checks that failed in runs that went through to the address in {WEBHOOK_VARIABLE}.",
)
def alert_failed_check(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
    """Post the warnings of a run that succeeded."""
    run = context.dagster_run
    checks = failed_checks(context.instance, run.run_id)
    if not checks:
        return dg.SkipReason(f"all checks of run {run.run_id[:8]} passed")
    names = ", ".join(check["check"] for check in checks)
    sent = send_alert(
        {
            "event": "failed_check",
            "text": f"Marquee: {run.job_name} succeeded (run {run.run_id[:8]}), but warns: {names}",
            "job": run.job_name,
            "run": run.run_id,
            "failed_checks": checks,
        }
    )
    return None if sent else dg.SkipReason(f"{WEBHOOK_VARIABLE} is not set")


SENSORS = [alert_run_failure, alert_failed_check]
