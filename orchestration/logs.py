"""Logs of runs as JSON: what Dagster reports about a run, its steps, assets and checks, one object per line.

Belongs here: what of a Dagster record goes into a line, and how Dagster's own console is made to write it. Does not
belong here: the form of a line (`warehouse.logs`), the lines people see at a terminal (`orchestration.progress`), or
the daemon's and the webserver's own logs, which have the option ``--log-format json``.
"""

import logging
from math import isfinite
from typing import Any

from warehouse.logs import JsonLines, as_json


class RunJsonLines(JsonLines):
    """A line with run, job and step, and the numbers of an asset or check where it is about one."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record with Dagster's message as it was given, not joined with ids that have fields of their own."""
        meta = getattr(record, "dagster_meta", None)
        if meta is None:
            return super().format(record)
        plain = logging.makeLogRecord({**record.__dict__, "msg": meta["orig_message"] or record.msg, "args": ()})
        return super().format(plain)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Fields of a record that Dagster made."""
        meta = getattr(record, "dagster_meta", None) or {}
        found = {"run": meta.get("run_id"), "job": meta.get("job_name"), "step": meta.get("step_key")}
        event = meta.get("dagster_event")
        return found if event is None else found | _of_event(event)


def _of_event(event: Any) -> dict[str, Any]:
    """What an event is about: its type, the asset with its numbers, the check with its outcome, the error."""
    found: dict[str, Any] = {"event": event.event_type_value}
    if event.is_step_materialization:
        made = event.step_materialization_data.materialization
        found |= {"asset": made.asset_key.to_user_string(), "partition": made.partition}
        found |= _numbers(made.metadata)
    elif event.event_type_value == "ASSET_CHECK_EVALUATION":
        check = event.asset_check_evaluation_data
        found |= {"asset": check.asset_key.to_user_string(), "check": check.check_name, "passed": check.passed}
        found |= {"severity": check.severity.value.lower(), "description": check.description}
        found |= _numbers(check.metadata)
        if not check.passed:  # to Dagster every event is debug; whoever filters by level wants to see this one
            found["level"] = "error" if check.severity.value == "ERROR" else "warning"
    error = getattr(event.event_specific_data, "error", None)
    if error is not None:
        found["exception"] = error.to_string()
    return found


def _numbers(metadata: Any) -> dict[str, Any]:
    """Plain numbers and flags among the metadata, under their own names; JSON knows no infinity."""
    values = {name.removeprefix("dagster/"): value.value for name, value in metadata.items()}
    finite = {name: value for name, value in values.items() if isinstance(value, int | float) and isfinite(value)}
    return {"numbers": finite}


class _JsonConsole(logging.Logger):
    """A logger whose console writes JSON, whatever form it was set up with."""

    def addHandler(self, hdlr: logging.Handler) -> None:
        """Add a handler; one that writes to a console gets our form."""
        if isinstance(hdlr, logging.StreamHandler) and not isinstance(hdlr, logging.FileHandler):
            hdlr.setFormatter(RunJsonLines())
        super().addHandler(hdlr)


def write_runs_as_json() -> None:
    """Have the console of every run in this process write JSON, if MARQUEE_LOG asks for it.

    Dagster gives a run whose configuration names no logger its coloured console, and there is no setting for another
    one. It makes that console with `logging.getLoggerClass`, the standard library's place to say so.
    """
    if as_json():
        logging.setLoggerClass(_JsonConsole)
