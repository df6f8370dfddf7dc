"""Writers take turns: commands at once all end well; the schedules give way and lose no night."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from orchestration.schedules import NIGHT_TAG, hourly_refresh, nightly_retrain
from tests.command import start_marquee
from tests.operations.conftest import HEADER
from tests.orchestration.test_ingest import IN_2018, films
from tests.orchestration.test_partitions import working_table
from warehouse.home import Home
from warehouse.locks import writer_lock


def test_two_refreshes_and_an_ingest_at_once_all_end_well(small_home: Path, tmp_path: Path) -> None:
    a, *_ = films(small_home)
    file = tmp_path / "new.csv"
    file.write_text(HEADER + f"910001,{a},5.0,{IN_2018}\n")
    settings = ("--set", "top_movies=40", "--set", "neighbours=9")
    running = [
        start_marquee(small_home, "refresh", *settings),
        start_marquee(small_home, "refresh", *settings),
        start_marquee(small_home, "ingest", file),
    ]
    ended = [process.communicate(timeout=900) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert any("waiting for" in stderr for _, stderr in ended)
    assert working_table(small_home, "SELECT count(*) FROM raw.ratings WHERE user_id = 910001") == [(1,)]


def test_a_writer_that_waits_too_long_is_told_for_whom(small_home: Path) -> None:
    with writer_lock(small_home / "warehouse.lock", "the test", wait_seconds=1):
        waiting = start_marquee(small_home, "rollback")
        assert waiting.stderr is not None
        said = waiting.stderr.readline()
        assert "the test" in said
        assert "waiting for" in said
    waiting.communicate(timeout=60)


def evaluate(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, when: datetime) -> object:
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=when, repository_def=build_defs().get_repository_def()
    )
    return schedule.evaluate_tick(context)


def test_the_retrain_gives_way_but_is_not_lost(small_home: Path) -> None:
    night = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
    with prepare_instance(Home(small_home)) as instance:
        assert evaluate(nightly_retrain, instance, night).run_requests  # type: ignore[attr-defined]
        refresh = build_defs().resolve_job_def("refresh_recommendations")
        run = instance.create_run_for_job(refresh, tags={"dagster/asset_partition_range_start": "0",
                                                         "dagster/asset_partition_range_end": "7"})  # fmt: skip
        skipped = evaluate(nightly_retrain, instance, night)
        assert run.run_id[:8] in str(skipped.skip_message)  # type: ignore[attr-defined]
        hourly = evaluate(hourly_refresh, instance, night.replace(hour=4))
        assert run.run_id[:8] in str(hourly.skip_message)  # type: ignore[attr-defined]
        (request,) = evaluate(nightly_retrain, instance, night.replace(minute=45)).run_requests  # type: ignore[attr-defined]
        assert request.tags[NIGHT_TAG] == "2026-05-04"
        instance.report_run_canceled(run)
        retrain = build_defs().resolve_job_def("retrain_model")
        done = instance.create_run_for_job(retrain, tags=dict(request.tags))
        again = evaluate(nightly_retrain, instance, night.replace(minute=15))
        assert done.run_id[:8] in str(again.skip_message)  # type: ignore[attr-defined]
        assert "nightly retrain" in str(evaluate(hourly_refresh, instance, night).skip_message)  # type: ignore[attr-defined]


def test_a_killed_run_does_not_hold_up_the_queue(
    small_home: Path, tick: Callable[[str | None], dg.SensorResult]
) -> None:
    with prepare_instance(Home(small_home)) as instance:
        run = instance.create_run_for_job(
            build_defs().resolve_job_def("ingest_ratings"), status=dg.DagsterRunStatus.STARTED
        )
        sign = small_home / "dagster" / "alive" / f"{run.run_id}.lock"
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()  # what a killed process leaves: its file, and nobody who holds the lock
        tick(None)
        (closed,) = instance.get_runs(dg.RunsFilter(run_ids=[run.run_id]))
        assert closed.status == dg.DagsterRunStatus.FAILURE
    assert not sign.exists()
