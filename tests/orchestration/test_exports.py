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
from orchestration.exports import exports_sensor
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


Tick = Callable[[int], set[str]]


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with prepare_instance(Home(home)) as opened:
        yield opened


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Tick:
    """Evaluate the conditions at a minute after ten, as the sensor does; the targets that are to be exported."""
    last: list[dg.EvaluateAutomationConditionsResult] = []

    def evaluate_at(minute: int) -> set[str]:
        when = datetime(2026, 5, 4, 10, minute, tzinfo=UTC)
        cursor = last[-1].cursor if last else None
        last.append(dg.evaluate_automation_conditions(build_defs(), instance, evaluation_time=when, cursor=cursor))
        targets = [dg.AssetKey(["exports", name]) for name in ("lake", "broken")]
        wanted = {key.path[-1] for key in targets if last[-1].get_num_requested(key)}
        assert last[-1].total_requested == len(wanted)
        return wanted

    return evaluate_at


def run(instance: dg.DagsterInstance, names: set[str]) -> dg.ExecuteInProcessResult:
    """Do what a tick requests."""
    job = build_defs().resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["exports", name]) for name in sorted(names)]
    return job.execute_in_process(
        instance=instance, asset_selection=keys, tags=exports_sensor.run_tags, raise_on_error=False
    )


def current(home: Path) -> str:
    return str(json.loads((home / "lake" / "current.json").read_text())["release"])


def test_without_targets_there_is_nothing_of_exports(small_home: Path) -> None:
    with patch.dict(os.environ, {"MARQUEE_HOME": str(small_home)}):
        defs = build_defs()
    assert not [spec for spec in defs.resolve_all_asset_specs() if spec.group_name == "exports"]
    assert exports_sensor.name not in [sensor.name for sensor in defs.get_repository_def().sensor_defs]
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
        failed = run(instance, tick(1))
    assert not failed.success
    materialized = failed.asset_materializations_for_node("exports__lake")
    assert materialized[0].metadata["release"].value == newer == current(home)
    rows = {check.check_name: check for check in failed.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in rows.items()} == {"rows_as_released": True, "release_as_live": True}
    (step,) = [event for event in failed.all_events if event.is_step_failure]
    assert "Connection refused" in str(step.step_failure_data.error)
    assert live_release(Home(home)) == newer
    assert [tick(minute) for minute in (2, 14, 16, 17)] == [set(), set(), {"broken"}, set()]
    files = [path for path in (home / "dagster").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
    said = marquee(home, "status").stdout
    assert f"export     lake, {home / 'lake'}: {newer}\n" in said
    assert "export     broken, postgresql://marquee:***@127.0.0.1:1/films: nothing was exported yet\n" in said

    (home / "exports.toml").write_text(LAKE + "keep = 1\n")
    assert run(instance, tick(18)).success
    assert tick(19) == set()
    marquee(home, "rollback", "--why", "a test")
    assert run(instance, tick(20)).success
    assert current(home) == older
    marquee(home, "promote", newer)
    back = run(instance, tick(21))
    (there,) = back.asset_materializations_for_node("exports__lake")
    assert there.metadata["tables_loaded"].value == []
    assert current(home) == newer


def test_exports_and_schedules_do_not_hold_up_each_other(home: Path, instance: dg.DagsterInstance, tick: Tick) -> None:
    defs = build_defs()
    assert tick(1) == {"lake", "broken"}
    exporting = instance.create_run_for_job(  # as the daemon does
        defs.resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({dg.AssetKey(["exports", "lake"])}),
        tags=exports_sensor.run_tags,
        status=dg.DagsterRunStatus.STARTED,
    )
    assert exporting.tags["marquee/turn"] == "exports"
    assert tick(2) == {"broken"}
    assert evaluate(hourly_refresh, instance, datetime(2026, 5, 4, 4, 0, tzinfo=UTC)).run_requests  # type: ignore[attr-defined]
    queue = instance.run_coordinator.get_run_queue_config()  # type: ignore[attr-defined]
    assert (queue.max_concurrent_runs, [limit["limit"] for limit in queue.tag_concurrency_limits]) == (2, [1])
    turns = {job.name: job.run_tags["marquee/turn"] for job in defs.get_repository_def().get_all_jobs() if job.run_tags}
    assert set(turns.values()) == {"warehouse"}
    assert len(turns) == 5
