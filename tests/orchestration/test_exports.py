"""Exports through Dagster: assets of the configured targets, the sensor, and what a failed export leaves alone."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest

from orchestration.definitions import build_defs
from orchestration.exports import JOB, exports_sensor
from orchestration.instance import prepare_instance
from orchestration.schedules import hourly_refresh
from tests.command import marquee
from tests.operations.test_turns import evaluate
from tests.orchestration.test_definitions import test_every_asset_explains_itself as assert_explained
from warehouse.home import Home
from warehouse.locks import writer_lock
from warehouse.releases.registry import live_release

PASSWORD = "never-to-be-seen-17"
LAKE = '[lake]\nurl = "lake"\n'
"""A folder in the home: an address without a scheme is below it."""
BROKEN = f'[broken]\nurl = "postgresql://marquee:{PASSWORD}@127.0.0.1:1/films"\n'


@pytest.fixture
def home(home_of_two: Path) -> Iterator[Path]:
    """A home with two releases and two targets, one of which cannot be reached."""
    (home_of_two / "exports.toml").write_text(LAKE + BROKEN)
    with patch.dict(os.environ, {"MARQUEE_HOME": str(home_of_two)}):
        yield home_of_two


Tick = Callable[[], dg.RunRequest | dg.SkipReason]


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with prepare_instance(Home(home)) as opened:
        yield opened


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Tick:
    return lambda: exports_sensor(dg.build_sensor_context(instance=instance))  # type: ignore[return-value]


def run(instance: dg.DagsterInstance, request: dg.RunRequest | dg.SkipReason) -> dg.ExecuteInProcessResult:
    """Do what a tick requests."""
    assert isinstance(request, dg.RunRequest), request
    job = build_defs().resolve_job_def(JOB)
    return job.execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False)


def current(home: Path) -> str:
    return str(json.loads((home / "lake" / "current.json").read_text())["release"])


def test_without_targets_there_is_nothing_of_exports(small_home: Path) -> None:
    with patch.dict(os.environ, {"MARQUEE_HOME": str(small_home)}):
        defs = build_defs()
    assert not [spec for spec in defs.resolve_all_asset_specs() if spec.group_name == "exports"]
    assert JOB not in [job.name for job in defs.get_repository_def().get_all_jobs()]
    (small_home / "exports.toml").write_text('[lake]\nurl = "lake"\ncolour = "blue"\n')
    said = marquee(small_home, "refresh", expect=2).stderr
    assert "exports.toml: lake.colour" in said


def test_a_target_that_fails_holds_up_nothing_and_a_rollback_reaches_the_others(
    home: Path, instance: dg.DagsterInstance, tick: Tick
) -> None:
    older, newer = sorted(path.stem for path in (home / "published").glob("*Z-*.duckdb"))
    specs = {spec.key.to_user_string(): spec for spec in build_defs().resolve_all_asset_specs()}
    assert_explained(list(specs.values()))
    assert PASSWORD not in str(specs["exports/broken"])
    assert [dep.asset_key.to_user_string() for dep in specs["exports/lake"].deps] == ["published/live_release"]

    with writer_lock(Home(home).writer_lock, "a run of hours", wait_seconds=1):  # exports do not wait for it
        failed = run(instance, tick())
    assert not failed.success
    materialized = failed.asset_materializations_for_node("exports__lake")
    assert materialized[0].metadata["release"].value == newer == current(home)
    rows = {check.check_name: check for check in failed.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in rows.items()} == {"rows_as_released": True, "release_as_live": True}
    (step,) = [event for event in failed.all_events if event.is_step_failure]
    assert "Connection refused" in str(step.step_failure_data.error)
    assert live_release(Home(home)) == newer
    assert "try 1 to export" in str(tick())
    files = [path for path in (home / "dagster").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
    said = marquee(home, "status").stdout
    assert f"export     lake, {home / 'lake'}: {newer}\n" in said
    assert "export     broken, postgresql://marquee:***@127.0.0.1:1/films: nothing was exported yet\n" in said

    (home / "exports.toml").write_text(LAKE + "keep = 1\n")  # other targets: no reason to wait
    assert run(instance, tick()).success
    assert "was exported by run" in str(tick())
    marquee(home, "rollback", "--why", "a test")
    assert run(instance, tick()).success
    assert current(home) == older
    marquee(home, "promote", newer)
    back = run(instance, tick())
    (there,) = back.asset_materializations_for_node("exports__lake")
    assert there.metadata["tables_loaded"].value == []
    assert current(home) == newer


def test_exports_and_schedules_do_not_hold_up_each_other(home: Path, instance: dg.DagsterInstance, tick: Tick) -> None:
    defs = build_defs()
    request = tick()
    assert isinstance(request, dg.RunRequest)
    job = defs.resolve_job_def(JOB)
    exporting = instance.create_run_for_job(job, tags={**job.run_tags, **request.tags})  # as the daemon does
    assert exporting.tags["marquee/turn"] == "exports"
    assert "is exporting" in str(tick())
    assert evaluate(hourly_refresh, instance, datetime(2026, 5, 4, 4, 0, tzinfo=UTC)).run_requests  # type: ignore[attr-defined]
    queue = instance.run_coordinator.get_run_queue_config()  # type: ignore[attr-defined]
    assert (queue.max_concurrent_runs, [limit["limit"] for limit in queue.tag_concurrency_limits]) == (2, [1])
    turns = {job.name: job.run_tags["marquee/turn"] for job in defs.get_repository_def().get_all_jobs() if job.run_tags}
    assert {turn for name, turn in turns.items() if name != JOB} == {"warehouse"}
    assert len(turns) == 6
