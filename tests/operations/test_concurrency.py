"""Everything at once: the daemon's runs, those of the command line, and a file that lands meanwhile.

One `dagster dev` serves all of it. Whoever has to wait says for whom; nobody fails, and nothing is written twice or by
two at a time.
"""

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.instance import prepare_instance
from tests.command import marquee, marquee_json, start_marquee
from tests.dagster_dev import ENDED, Webserver, wait_for
from tests.homes import copy_home
from tests.operations.conftest import HEADER
from tests.orchestration.test_ingest import IN_2018, films
from tests.orchestration.test_partitions import working_table
from warehouse.database import open_warehouse
from warehouse.home import Home
from warehouse.locks import WriterBusyError, holder, writer_lock

STEPS = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}


def parameters(neighbours: int) -> dict[str, Any]:
    """Run configuration; another number of neighbours makes another release."""
    return {"resources": {"parameters": {"config": {"top_movies": 40, "neighbours": neighbours}}}}


def settings(neighbours: int) -> tuple[str, ...]:
    return ("--set", "top_movies=40", "--set", f"neighbours={neighbours}")


def wrote_at_the_same_time(home: Path) -> list[str]:
    """Runs whose steps overlap by Dagster's event log; an ingest may come in between while another run computes."""
    with prepare_instance(Home(home)) as instance:
        spans = []
        for run in instance.get_runs():
            if run.job_name == "ingest_ratings":
                continue
            moments = [entry.timestamp for entry in instance.all_logs(run.run_id, of_type=STEPS)]
            if moments:
                spans.append((min(moments), max(moments), f"{run.job_name} {run.run_id[:8]}"))
    spans.sort()
    return [f"{before[2]} and {after[2]}" for before, after in pairwise(spans) if after[0] < before[1]]


def test_two_runs_at_once_make_one_release(small_home: Path) -> None:
    running = [start_marquee(small_home, "run", *settings(9), "--json") for _ in range(2)]
    ended = [process.communicate(timeout=900) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert sorted(stdout.split('"state": "')[1].split('"')[0] for stdout, _ in ended) == ["live", "unchanged"]
    assert any("waiting for process" in stderr for _, stderr in ended)
    assert len(marquee_json(small_home, "releases")["releases"]) == 2


READER = (
    "import duckdb, sys, time; con = duckdb.connect(sys.argv[1], read_only=True); print(1, flush=True); time.sleep(600)"
)


def test_a_program_that_has_the_working_database_open_is_waited_for_and_named(
    three_releases: Path, tmp_path: Path
) -> None:
    home = copy_home(three_releases, tmp_path)
    path = home / "warehouse.duckdb"
    reader = subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE)
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline()
        found = marquee_json(home, "status")
        assert (found["writer"], found["open_in"]["pid"]) == (None, str(reader.pid))
        assert f"open in    process {reader.pid} ({sys.executable} -c " in marquee(home, "status").stdout
        words = rf"process {reader.pid} .* has {path} open; waited 0 s.*published/current\.duckdb"
        with pytest.raises(WriterBusyError, match=words), open_warehouse(Home(home), "the test", wait_seconds=0):
            pass
        command = start_marquee(home, "rollback")
        assert command.stderr is not None
        said = command.stderr.readline()
        assert f"waiting for process {reader.pid} ({sys.executable} -c " in said
        assert str(home / "published" / "current.duckdb") in said
        assert command.poll() is None
    finally:
        reader.kill()
        reader.wait()
    assert command.wait(timeout=120) == 0
    assert marquee_json(home, "status")["open_in"] is None


@pytest.mark.campaign
def test_a_run_an_ingest_and_a_landing_file_while_the_daemon_refreshes(webserver: Webserver, tmp_path: Path) -> None:
    home = webserver.home
    a, b, *_ = films(home)
    typed = tmp_path / "typed.csv"
    typed.write_text(HEADER + f"920001,{a},5.0,{IN_2018}\n")
    with writer_lock(home / "warehouse.lock", "the test", wait_seconds=60):
        # The daemon's refresh is under way and stays so until the lock is free, long enough for the sensor to look.
        refresh = webserver.start("refresh_recommendations", parameters(8), {})
        wait_for(lambda: webserver.status(refresh) == "STARTED", 120, "the daemon's refresh")
        landed = home / "landing" / "landed.csv"
        landed.write_text(HEADER + f"920002,{a},5.0,{IN_2018}\n920002,{b},4.5,{IN_2018}\n")
        os.utime(landed, (time.time() - 60, time.time() - 60))
        commands = [start_marquee(home, "run", *settings(7)), start_marquee(home, "ingest", typed)]
        for process in commands:
            assert process.stderr is not None
            assert "waiting for" in process.stderr.readline()

        def gave_way() -> bool:
            reasons = [str(tick["skipReason"]) for tick in webserver.sensor_ticks("landing_files")]
            return any("1 files wait for" in reason and "to finish" in reason for reason in reasons)

        wait_for(gave_way, 120, "a tick of the landing sensor that gives way")
    ended = [process.communicate(timeout=900) for process in commands]
    assert [process.returncode for process in commands] == [0, 0], ended
    assert webserver.wait(refresh) == "SUCCESS"
    wait_for(lambda: (home / "landing" / "ingested" / "landed.csv").exists(), 180, "the landed file to be taken in")
    wait_for(lambda: {run["status"] for run in webserver.runs()} <= ENDED, 120, "all runs to end")
    assert {run["status"] for run in webserver.runs()} == {"SUCCESS"}
    assert holder(home / "warehouse.lock") == {}
    rated = "SELECT user_id, count(*) FROM raw.ratings WHERE user_id IN (920001, 920002) GROUP BY ALL ORDER BY ALL"
    assert working_table(home, rated) == [(920001, 1), (920002, 2)]
    assert wrote_at_the_same_time(home) == []
    assert marquee_json(home, "doctor")["healthy"]
    last = marquee_json(home, "refresh", *settings(7))
    read = marquee_json(home, "query", "SELECT count(*) FROM ratings WHERE user_id IN (920001, 920002)")
    assert (last["state"], read["rows"]) == ("live", [[3]])
