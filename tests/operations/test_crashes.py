"""Killed at a named step or at any moment, under readers: they notice nothing and the next run repairs it."""

from pathlib import Path

import pytest

from benchmarks.faults import Platform, Readers, kill_once, run_campaign
from tests.command import marquee, marquee_json
from tests.operations.conftest import HEADER
from tests.orchestration.test_ingest import IN_2018, films
from tests.orchestration.test_partitions import working_table


def test_a_short_campaign(tmp_path: Path) -> None:
    """Every kind of kill once or twice; `make faults` does 220."""
    campaign = run_campaign(tmp_path, 16, readers=8)
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


@pytest.mark.parametrize("at", ["retirement_recorded", "release_deleted", "pack_deleted"])
def test_a_retirement_that_is_killed_is_finished(platform: Platform, at: str) -> None:
    home = platform.home.root
    assert marquee_json(home, "refresh", "--set", "top_movies=40", "--set", "neighbours=9")["state"] == "live"
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


def test_a_rollback_that_is_killed_after_the_swap_is_not_undone_by_the_next_refresh(platform: Platform) -> None:
    home = platform.home.root
    settings = ("--set", "top_movies=40", "--set", "neighbours=9")
    newer = marquee_json(home, "refresh", *settings)["release"]
    process = platform.start(["rollback", "--why", "bad lists"], "link_swapped")
    process.join(60)
    assert process.exitcode == -9
    assert marquee_json(home, "refresh", *settings)["release"] != newer


def test_back_and_forth_a_hundred_times_under_readers(platform: Platform) -> None:
    home = platform.home.root
    newest = marquee_json(home, "refresh", "--set", "top_movies=40", "--set", "neighbours=9")["release"]
    with Readers(platform.home, 4) as readers:
        process = platform.start(["back-and-forth", newest])
        process.join(300)
        assert process.exitcode == 0
    assert readers.errors == []
    assert len(readers.seen) == 2
    assert platform.problems(newest) == []


def test_kill_once_says_when_a_step_was_not_reached(platform: Platform) -> None:
    kill = kill_once(platform, "rollback", 0, "no such step")
    assert kill.problems
