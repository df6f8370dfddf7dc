"""Files dropped into landing/: taken in once, when complete, and moved only when committed."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from tests.command import marquee, marquee_json
from tests.operations.conftest import HEADER, TOP_40
from tests.orchestration.test_ingest import IN_2018, films
from tests.orchestration.test_partitions import working_table
from warehouse.home import Home

Tick = Callable[[str | None], dg.SensorResult]
IN = "SELECT movie_id, rating FROM raw.ratings WHERE user_id = 910001 ORDER BY ALL"


def drop(home: Path, name: str, text: str) -> Path:
    """Put a file into the landing folder as if it had lain there for a minute."""
    path = home / "landing" / name
    path.write_text(text)
    os.utime(path, (time.time() - 60, time.time() - 60))
    return path


def launch(home: Path, request: dg.RunRequest) -> bool:
    """Run what the sensor asked for."""
    config = {**request.run_config, **TOP_40}
    with prepare_instance(Home(home)) as instance:
        job = build_defs().resolve_job_def("ingest_ratings")
        return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False).success


def test_files_are_taken_in_once_and_put_away_and_a_bad_one_holds_up_nobody(small_home: Path, tick: Tick) -> None:
    a, b, *_ = films(small_home)
    text = HEADER + f"910001,{a},5.0,{IN_2018}\n910001,{b},4.5,{IN_2018}\n"
    drop(small_home, "first.csv", text)
    drop(small_home, "again.csv", text)
    drop(small_home, "a-bad-one.csv", "this is no table\n")
    drop(small_home, ".hidden.csv", text)
    drop(small_home, "unfinished.csv.part", text)
    first = tick(None)
    assert not first.run_requests
    second = tick(first.cursor)
    (request,) = second.run_requests or []
    assert launch(small_home, request)
    assert working_table(small_home, IN) == sorted([(a, 5.0), (b, 4.5)])
    assert working_table(small_home, "SELECT count(*) FROM raw.rating_files") == [(1,)]
    landing = small_home / "landing"
    assert {path.name for path in (landing / "ingested").iterdir()} == {"first.csv", "again.csv"}
    assert {path.name for path in (landing / "refused").iterdir()} == {"a-bad-one.csv", "a-bad-one.csv.reason.txt"}
    assert "a-bad-one.csv" in (landing / "refused" / "a-bad-one.csv.reason.txt").read_text()
    assert {path.name for path in landing.iterdir() if path.is_file()} == {".hidden.csv", "unfinished.csv.part"}
    assert not tick(second.cursor).run_requests


def test_a_file_without_a_usable_row_is_refused_and_its_rows_are_kept(small_home: Path, tick: Tick) -> None:
    drop(small_home, "useless.csv", HEADER + f"910001,1,50,{IN_2018}\n" * 3)
    (request,) = tick(tick(None).cursor).run_requests or []
    assert launch(small_home, request)
    refused = small_home / "landing" / "refused"
    assert {path.name for path in refused.iterdir()} == {"useless.csv", "useless.csv.reason.txt"}
    reason = (refused / "useless.csv.reason.txt").read_text()
    assert reason == "none of the 3 rows of useless.csv can be used (rating is above 5.0: 3)\n"
    assert working_table(small_home, "SELECT line FROM raw.rejected_rows ORDER BY line") == [(2,), (3,), (4,)]
    assert marquee_json(small_home, "status")["landing"] == {"waiting": 0, "refused": 1}
    findings = marquee_json(small_home, "doctor")["findings"]
    assert [item["state"] for item in findings if "useless.csv" in item["text"]] == ["warning"]


def test_a_growing_file_is_left_alone_until_it_is_complete(small_home: Path, tick: Tick) -> None:
    a, b, *_ = films(small_home)
    path = drop(small_home, "slow.csv", HEADER + f"910001,{a},5.0,{IN_2018}\n")
    cursor = tick(None).cursor
    with path.open("a") as file:
        file.write(f"910001,{b},4.5,{IN_2018}\n")
    grown = tick(cursor)
    assert not grown.run_requests
    assert "still be being written" in str(grown.skip_reason)
    os.utime(path, (time.time() - 60, time.time() - 60))
    settled = tick(tick(grown.cursor).cursor)
    (request,) = settled.run_requests or []
    assert launch(small_home, request)
    assert working_table(small_home, IN) == sorted([(a, 5.0), (b, 4.5)])


@pytest.mark.parametrize("cut", ["between lines", "within a line"])
def test_a_half_written_file_that_is_read_all_the_same_counts_once_when_it_is_complete(
    small_home: Path, tick: Tick, cut: str
) -> None:
    """Somebody types `marquee ingest` while a file is being copied into the folder."""
    a, b, *_ = films(small_home)
    text = HEADER + f"910001,{a},5.0,{IN_2018}\n910001,{b},4.5,{IN_2018}\n"
    path = small_home / "landing" / "slow.csv"
    path.write_text(text[: text.index(f"910001,{b}")] if cut == "between lines" else text[:-8])
    marquee(small_home, "ingest", path)
    assert working_table(small_home, IN) == ([(a, 5.0)] if cut == "between lines" else [])
    assert [item.name for item in (small_home / "landing").iterdir()] == ["slow.csv"]
    drop(small_home, "slow.csv", text)
    (request,) = tick(tick(None).cursor).run_requests or []
    assert launch(small_home, request)
    assert working_table(small_home, IN) == sorted([(a, 5.0), (b, 4.5)])
    # The row that was there before the rest is in both files: it is in use once and accounted for twice.
    twice = [("duplicate of a row of another file",)] if cut == "between lines" else []
    assert working_table(small_home, "SELECT reason FROM raw.rejected_rows") == twice
    assert [item.name for item in (small_home / "landing" / "ingested").iterdir()] == ["slow.csv"]


def test_the_skip_reason_names_the_active_run_and_a_dead_run_is_not_in_it(small_home: Path, tick: Tick) -> None:
    a, *_ = films(small_home)
    drop(small_home, "new.csv", HEADER + f"910001,{a},5.0,{IN_2018}\n")
    cursor = tick(None).cursor
    with prepare_instance(Home(small_home)) as instance:
        job = build_defs().resolve_job_def("refresh_recommendations")
        run = instance.create_run_for_job(job, tags={"dagster/asset_partition_range_start": "0",
                                                     "dagster/asset_partition_range_end": "7"})  # fmt: skip
        busy = tick(cursor)
        assert not busy.run_requests
        assert f"refresh_recommendations (run {run.run_id[:8]})" in str(busy.skip_reason)
        # A sign of life that nobody holds: the process of the run was killed.
        sign = small_home / "dagster" / "alive" / f"{run.run_id}.lock"
        sign.parent.mkdir(exist_ok=True)
        sign.touch()
        assert tick(busy.cursor).run_requests
        closed = instance.get_run_by_id(run.run_id)
        assert closed is not None
        assert closed.status == dg.DagsterRunStatus.FAILURE


def test_a_failed_run_is_tried_again_after_a_pause_not_at_once(small_home: Path, tick: Tick) -> None:
    a, *_ = films(small_home)
    drop(small_home, "new.csv", HEADER + f"910001,{a},5.0,{IN_2018}\n")
    asked = tick(tick(None).cursor)
    assert asked.run_requests
    waiting = tick(asked.cursor)
    assert not waiting.run_requests
    assert "next try is in" in str(waiting.skip_reason)
