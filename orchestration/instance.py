"""The Dagster instance of a home, and runs in this process against it.

Belongs here: preparing `DAGSTER_HOME`, launching a job without a daemon, and reading its outcome. Does not belong
here: which jobs there are, or how the outcome is worded for people (`orchestration.cli`).
"""

import logging
import os
import shutil
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.active_runs import fail_orphaned_runs, run_lock
from orchestration.code_location import record_in_code_location
from orchestration.definitions import build_defs
from orchestration.errors import reason_of
from orchestration.event_log import quick_event_log
from orchestration.progress_bar import earlier_seconds
from warehouse.home import HOME_VARIABLE, Home
from warehouse.logs import say

POSTGRESQL_VARIABLE = "DAGSTER_POSTGRES_URL"
"""Address of the database that has Dagster's records; without it they are in SQLite files of the home."""


def prepare_instance(home: Home) -> dg.DagsterInstance:
    """Open the Dagster instance of a home, giving it the shipped configuration where it has none."""
    home.create()
    config = home.dagster / "dagster.yaml"
    if not config.exists():
        shipped = "dagster-postgresql.yaml" if os.environ.get(POSTGRESQL_VARIABLE) else "dagster.yaml"
        shutil.copyfile(Path(__file__).parent / shipped, config)
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ[HOME_VARIABLE] = str(home.root)
    return dg.DagsterInstance.get()


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run.

    Attributes
    ----------
    success : bool
    run_id : str
    metadata : dict
        Plain metadata values by asset (``schema/table``), of the last materialization of each.
    failed_checks : dict of str to str
        Failed checks of severity error by name, in words, with value and threshold; `warnings` those of severity warn.
    errors : list of str
        What went wrong, one line per failed step.
    failed_steps : set of str
    """

    success: bool
    run_id: str
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed_checks: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    failed_steps: set[str] = field(default_factory=set)


def execute(
    home: Home,
    job: str,
    asked: Mapping[str, Any],
    *,
    ops: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    partition: str | None = None,
    workers: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run a job in this process, recorded in the home's instance as a run of the code location.

    `asked` are the model parameters asked for; others are the home's. `ops` is configuration by op, `workers` that
    of who computes lists, for jobs that make some.
    """
    config = {
        "resources": {
            "parameters": {"config": dict(asked)},
            **({"workers": {"config": dict(workers)}} if workers else {}),
        },
        "ops": {name: {"config": dict(values)} for name, values in (ops or {}).items()},
    }
    run_id = str(uuid.uuid4())
    with quick_event_log(), prepare_instance(home) as instance, run_lock(home, run_id):
        fail_orphaned_runs(instance, home)
        earlier = earlier_seconds(instance, job) if sys.stderr.isatty() else {}  # only a bar shows them
        config["loggers"] = {"progress": {"config": {"earlier_seconds": earlier}}}
        record_in_code_location(instance, job)
        result = (
            build_defs()
            .resolve_job_def(job)
            .execute_in_process(
                run_config=config,
                instance=instance,
                run_id=run_id,
                # Whoever started it at a terminal decides whether to start it again, not the daemon.
                tags={"dagster/max_retries": "0", **(tags or {})},
                partition_key=partition,
                raise_on_error=False,
            )
        )
    return _outcome(result)


def _outcome(result: dg.ExecuteInProcessResult) -> Outcome:
    outcome = Outcome(result.success, result.run_id)
    for event in result.all_events:
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            if materialization.partition is None or materialization.metadata.get("seconds") is not None:
                outcome.metadata[materialization.asset_key.to_user_string()] = {
                    key: value.value for key, value in materialization.metadata.items()
                }
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            evaluation = event.asset_check_evaluation_data
            if not evaluation.passed:
                is_error = evaluation.severity == dg.AssetCheckSeverity.ERROR
                failed = outcome.failed_checks if is_error else outcome.warnings
                failed[evaluation.check_name] = evaluation.description or ""
        elif event.is_step_failure:
            outcome.failed_steps.add(str(event.step_key))
            error = event.step_failure_data.error
            stopped_by_check = error is not None and error.cls_name == "DagsterAssetCheckFailedError"
            # What Dagster says of a blocking check is its key; what the check says is the reason.
            reasons = [f"the check {name} failed: {text}" for name, text in outcome.failed_checks.items()]
            _explain(outcome, reasons if stopped_by_check else error)
        elif event.is_failure and not outcome.errors:
            data = event.job_failure_data
            _explain(outcome, data.error if data and data.error else [event.message or "the run failed"])
    return outcome


def _explain(outcome: Outcome, why: Any) -> None:
    """Add the reasons of a failed step: lines that say it already, or the error that Dagster recorded."""
    if isinstance(why, list):
        outcome.errors.extend(why)
        return
    reason = reason_of(why)
    outcome.errors.append(reason.text)
    if reason.traceback:
        say(reason.traceback, logging.ERROR)
