"""Killed at a named step or at any moment, under readers: they notice nothing and the next run repairs it."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from tests.campaigns.faults import Platform, kill_once, run_campaign
from tests.campaigns.readers import Readers
from tests.command import marquee, marquee_json
from tests.conftest import OTHER_LISTS
from tests.operations.conftest import HEADER
from tests.operations.test_landing import drop, launch
from tests.orchestration.test_ingest import IN_2018, films
from tests.orchestration.test_partitions import working_table
from warehouse.faults import MODEL_STEPS
from warehouse.releases.registry import live_release


@pytest.mark.campaign
def test_a_short_campaign(tiny_platform: Platform) -> None:
    """Every kind of kill once or twice; `make faults` does 220."""
    campaign = run_campaign(tiny_platform, 16, readers=2)
    assert campaign.failures == []
    assert sum(kill.killed for kill in campaign.kills) >= 8
    assert campaign.reads > 50


@pytest.mark.parametrize("at", ["ratings_imported", "ratings_committing", "ratings_committed"])
def test_an_ingest_that_is_killed_ends_as_if_it_had_run_once(platform: Platform, tmp_path: Path, at: str) -> None:
    home = platform.home.root
    a, b, *_ = films(home)
    file = tmp_path / "new.csv"
    file.write_text(HEADER + f"910001,{a},5.0,{IN_2018}\n910001,{b},4.5,{IN_2018}\n")
    process = platform.start(["ingest", str(file)], at)
    process.join(300)
    assert process.exitcode == -9
    assert platform.run("ingest", str(file)) == 0
    rows = working_table(home, "SELECT movie_id, rating FROM raw.ratings WHERE user_id = 910001 ORDER BY ALL")
    assert rows == sorted([(a, 5.0), (b, 4.5)])
    assert working_table(home, "SELECT count(*) FROM raw.rating_files") == [(1,)]


@pytest.mark.parametrize("at", ["ratings_committed", "file_put_away"])
def test_landed_files_whose_run_is_killed_before_they_are_all_put_away_count_once(
    platform: Platform, tick: Callable[[str | None], dg.SensorResult], at: str
) -> None:
    """Killed between the commit of the first of two files and its move, or just after the move."""
    home = platform.home.root
    a, b, *_ = films(home)
    paths = [
        drop(home, f"{number}.csv", HEADER + f"91000{number},{a},5.0,{IN_2018}\n91000{number},{b},4.5,{IN_2018}\n")
        for number in (1, 2)
    ]
    process = platform.start(["ingest", *map(str, paths)], at)
    process.join(300)
    assert process.exitcode == -9
    assert working_table(home, "SELECT count(*) FROM raw.rating_files") == [(1,)]
    assert paths[0].exists() == (at == "ratings_committed")
    assert paths[1].exists()
    (request,) = tick(tick(None).cursor).run_requests or []
    assert launch(home, request)
    rows = working_table(home, "SELECT user_id, movie_id, rating FROM raw.ratings WHERE user_id >= 910001 ORDER BY ALL")
    assert rows == sorted((user, *rated) for user in (910001, 910002) for rated in ((a, 5.0), (b, 4.5)))
    assert working_table(home, "SELECT count(*) FROM raw.rating_files") == [(2,)]
    assert working_table(home, "SELECT count(*) FROM raw.rejected_rows") == [(0,)]
    assert {path.name for path in (home / "landing" / "ingested").iterdir()} == {"1.csv", "2.csv"}
    assert not any(path.exists() for path in paths)


@pytest.mark.campaign
def test_a_retrain_killed_at_each_of_its_steps_is_repaired_by_the_next(tiny_platform: Platform) -> None:
    """Likes, user vectors and index half made, or the model's folder there and not recorded."""
    kills = [kill_once(tiny_platform, "retrain", number, at) for number, at in enumerate(MODEL_STEPS)]
    assert [kill.problems for kill in kills] == [[] for _ in kills]
    assert marquee_json(tiny_platform.home.root, "doctor")["healthy"]


@pytest.mark.parametrize("at", ["retirement_recorded", "release_deleted", "pack_deleted"])
def test_a_retirement_that_is_killed_is_finished(platform_of_two: Platform, at: str) -> None:
    platform, home = platform_of_two, platform_of_two.home.root
    process = platform.start(["retire", "--keep", "1"], at)
    process.join(60)
    assert process.exitcode == -9
    assert "repaired" in marquee(home, "retire", "--keep", 5).stderr
    assert platform.problems() == []
    states = [entry["state"] for entry in marquee_json(home, "releases")["releases"]]
    assert states == ["live", "retired"]
    assert len(list((home / "published").glob("*.report.html"))) == 1


def test_a_release_whose_writer_died_before_its_report_gets_one(platform: Platform) -> None:
    home = platform.home.root
    settings = ("--set", "top_movies=40", "--set", "neighbours=9")
    process = platform.start(["refresh", *settings], "mirror_written")
    process.join(300)
    assert process.exitcode == -9
    newest, before = marquee_json(home, "releases")["releases"]
    assert newest["report"] is None
    assert marquee_json(home, "refresh", *settings)["release"] == newest["release"]
    text = Path(marquee_json(home, "releases")["releases"][0]["report"]).read_text(encoding="utf-8")
    assert f"compared with the live release {before['release']}" in text


def test_a_rollback_that_is_killed_after_the_swap_is_not_undone_by_the_next_refresh(platform_of_two: Platform) -> None:
    platform, home = platform_of_two, platform_of_two.home.root
    newer = live_release(platform.home)
    process = platform.start(["rollback", "--why", "bad lists"], "link_swapped")
    process.join(60)
    assert process.exitcode == -9
    assert marquee_json(home, "refresh", *OTHER_LISTS)["release"] != newer


def test_back_and_forth_a_hundred_times_under_readers(platform_of_two: Platform) -> None:
    platform, newest = platform_of_two, live_release(platform_of_two.home)
    assert newest is not None
    with Readers(platform.home, 2) as readers:
        process = platform.start(["back-and-forth", newest])
        process.join(300)
        assert process.exitcode == 0
    assert readers.errors == []
    assert len(readers.seen) == 2
    assert platform.problems(newest) == []


def test_kill_once_says_when_a_step_was_not_reached(platform: Platform) -> None:
    kill = kill_once(platform, "rollback", 0, "no such step")
    assert kill.problems
