"""Lists computed apart from the database: killed and continued, files damaged, others writing meanwhile."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from orchestration.instance import Outcome, execute
from recommender.ann.bound import bind
from recommender.ann.index import open_index
from recommender.ann.pairs import IndexPairSearch
from recommender.pairs import joined
from tests.campaigns.faults import Platform
from tests.command import marquee, marquee_json, marquee_process, start_marquee
from tests.dagster_dev import wait_for
from tests.homes import copy_home
from tests.operations.conftest import HEADER
from tests.orchestration.test_ingest import IN_2018, films
from tests.orchestration.test_partitions import change, working_table
from warehouse.compute.packs import INDEX_FILE
from warehouse.compute.units import PAIR_SCHEMA, SIMILAR_SCHEMA, USER_SCHEMA
from warehouse.faults import STOP_VARIABLE, UNIT_STEPS
from warehouse.home import Home
from warehouse.locks import is_held
from warehouse.releases.pack import open_pack
from warehouse.releases.registry import live_release
from warehouse.schemas.definitions import arrow_schema

NINE = ("--set", "top_movies=40", "--set", "neighbours=9")
TABLES = ("pair_recommendations", "user_recommendations", "similar_movies", "popular_movies")
UNITS = ("pairs-1.9", "similar-0.4.8.12", "users-5.13")
RETRAINED = (
    "DELETE FROM ops.table_versions "
    "WHERE starts_with(table_name, 'recs.user_recommendations') OR table_name = 'recs.similar_movies'"
)
"""Makes all lists of users and films out of date, as a retrain does."""


def recommended(home: Path) -> list[list[tuple[object, ...]]]:
    """All rows of the four tables of lists, in order."""
    return [working_table(home, f"SELECT * FROM recs.{table} ORDER BY ALL") for table in TABLES]


def refresh(home: Path) -> Outcome:
    """Refresh in this process; the outcome has the metadata of the steps."""
    return execute(Home(home), "refresh_recommendations", {"top_movies": 40, "neighbours": 9})


def units(outcome: Outcome) -> tuple[int, int]:
    """How many units a refresh has computed, and how many it found."""
    assert outcome.success, outcome.errors
    made = outcome.metadata["recs/pair_recommendations"]
    return made["units_computed"], made["units_reused"]


@pytest.fixture(scope="module")
def uninterrupted(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[object, ...]]]:
    """The lists that a refresh makes which nothing disturbs."""
    home = copy_home(small_live, tmp_path_factory.mktemp("uninterrupted"))
    assert units(refresh(home)) == (8, 0)
    return recommended(home)


@pytest.mark.parametrize(
    ("at", "computed", "reused"),
    [("work_pack_appeared", 20, 0), ("unit_written", 20, 0), ("unit_finished", 19, 1), ("pairs_committing", 0, 20)],
)
def test_a_run_that_is_killed_is_continued_with_the_units_that_are_missing(
    platform: Platform, uninterrupted: list[list[tuple[object, ...]]], at: str, computed: int, reused: int
) -> None:
    home = platform.home.root
    change(home, RETRAINED)
    process = platform.start(["refresh", *NINE], at)
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    assert at in UNIT_STEPS
    assert units(refresh(home)) == (computed, reused)
    assert recommended(home) == uninterrupted
    assert not (home / "work").exists()
    assert platform.problems() == []


def test_damaged_units_and_packs_are_made_again_with_a_message(
    platform: Platform, uninterrupted: list[list[tuple[object, ...]]]
) -> None:
    home = platform.home.root
    change(home, RETRAINED)
    process = platform.start(["refresh", *NINE], "units_finished")
    process.join(300)
    (folder,) = (home / "work").iterdir()
    truncated, altered, missing, other, foreign = sorted(folder.glob("*.parquet"))[:5]
    truncated.write_bytes(truncated.read_bytes()[:-7])
    content = bytearray(altered.read_bytes())
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    missing.unlink()
    other.with_suffix(".json").write_text("{")
    record = json.loads(foreign.with_suffix(".json").read_text())
    foreign.with_suffix(".json").write_text(json.dumps({**record, "version": "0" * 16}))
    said = marquee(home, "refresh", *NINE).stderr
    for path in (truncated, altered, missing, other, foreign):
        assert f"the unit {path.stem} is computed again" in said
    assert "15 of 20 units were computed by a run that did not get to its end" in said
    assert recommended(home) == uninterrupted


def test_a_damaged_pack_and_stale_folders_are_not_used(
    platform: Platform, uninterrupted: list[list[tuple[object, ...]]]
) -> None:
    home = platform.home.root
    change(home, RETRAINED)
    stale = home / "work" / "0123456789abcdef"
    stale.mkdir(parents=True)
    platform.start(["refresh", *NINE], "unit_finished").join(300)
    assert not stale.exists()
    (folder,) = (home / "work").iterdir()
    vectors = folder / "pack" / "vectors.npy"
    vectors.write_bytes(vectors.read_bytes()[:-4])
    assert units(refresh(home)) == (20, 0)
    assert recommended(home) == uninterrupted


def test_the_pack_of_a_release_has_the_files_that_lists_were_computed_from(small_home: Path) -> None:
    process = start_marquee(small_home, "refresh", *NINE, **{STOP_VARIABLE: "units_finished"})
    when_stopped(process)
    (pack,) = (small_home / "work").glob("*/pack")
    computed_from = {path.name: path.stat().st_ino for path in pack.glob("*.npy")}
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=240) == 0
    release = live_release(Home(small_home))
    assert release is not None
    published = {path.name: path.stat().st_ino for path in Home(small_home).pack_folder(release).glob("*.npy")}
    assert set(computed_from) - set(published) == {"users_to_list.npy"}
    assert {name for name in published if published[name] == computed_from.get(name)} == set(computed_from) - {
        "users_to_list.npy"
    }


def when_stopped(process: subprocess.Popen[str]) -> None:
    """Wait until a process has stopped itself at the step it was told."""

    def stopped() -> bool:
        assert process.poll() is None, process.communicate()
        return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    wait_for(stopped, 240, "the run to stop at a step")


def test_ratings_that_come_in_while_lists_are_computed_are_in_the_release(small_home: Path, tmp_path: Path) -> None:
    """A second process ingests while the first computes; the first notices, and computes again under the lock."""
    a, b, c, *_ = films(small_home)
    new = tmp_path / "new.csv"
    new.write_text(HEADER + "".join(f"930001,{film},5.0,{IN_2018}\n" for film in (a, b, c)))
    calm = copy_home(small_home, tmp_path / "calm")
    lock = small_home / "warehouse.lock"
    running = start_marquee(small_home, "refresh", *NINE, "--json", **{STOP_VARIABLE: "units_finished"})
    when_stopped(running)
    assert not is_held(lock)
    other = start_marquee(small_home, "refresh", *NINE)  # waits: two that recommend at once would not end
    assert other.stderr is not None
    assert "waiting for process" in other.stderr.readline()
    marquee_process(small_home, "ingest", new, *NINE)
    running.send_signal(signal.SIGCONT)
    when_stopped(running)
    assert is_held(lock)
    running.send_signal(signal.SIGCONT)
    stdout, said = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert said.count("computed again, and until then nobody else can write") == 1
    assert json.loads(stdout)["state"] == "live"
    assert other.wait(timeout=240) == 0
    found = marquee_json(small_home, "query", "SELECT count(*) FROM ratings WHERE user_id = 930001")
    assert found["rows"] == [[3]]
    marquee(calm, "ingest", new, *NINE)
    assert refresh(calm).success
    assert recommended(small_home) == recommended(calm)
    assert len(marquee_json(small_home, "releases")["releases"]) == 2


def test_a_unit_computed_by_a_process_that_has_only_the_pack_is_committed_by_the_run(
    platform: Platform, uninterrupted: list[list[tuple[object, ...]]], tmp_path: Path
) -> None:
    """What a container or a pod does: `marquee compute PACK UNIT OUT`, without a home."""
    home = platform.home.root
    change(home, RETRAINED)
    platform.start(["refresh", *NINE], "work_pack_appeared").join(300)
    (folder,) = (home / "work").iterdir()
    pack = tmp_path / "copied" / "pack"
    shutil.copytree(folder / "pack", pack)
    nowhere, out = tmp_path / "no" / "home", tmp_path / "out"
    for unit in UNITS:
        done = marquee_process(nowhere, "compute", pack, unit, out)
        assert f"{unit}: " in done.stderr
        for path in out.glob(f"{unit}.*"):
            shutil.copy(path, folder)
    assert not nowhere.exists()
    assert sorted(path.name for path in out.iterdir()) == [
        f"{unit}.{kind}" for unit in UNITS for kind in ("json", "parquet")
    ]
    assert units(refresh(home)) == (17, 3)
    assert recommended(home) == uninterrupted
    assert "there is no unit 'pears-1'" in marquee(nowhere, "compute", pack, "pears-1", out, expect=2).stderr
    assert "there is no unit 'users-16'" in marquee(nowhere, "compute", pack, "users-16", out, expect=2).stderr
    (pack / "vectors.npy").write_bytes(b"")
    said = marquee(nowhere, "compute", pack, "pairs-0", out, expect=1).stderr
    assert f"{pack} is not as it was written: vectors.npy differ" in said


def test_units_of_the_engine_annoy_ask_the_index_of_the_model(small_home: Path) -> None:
    words = ("--set", "top_movies=12", "--set", "engine=annoy")
    release = marquee_json(small_home, "refresh", *words)["release"]
    home, rows = Home(small_home), marquee_json(small_home, "query", "SELECT model_version FROM release")["rows"]
    index = open_index(home.model_folder(rows[0][0]) / INDEX_FILE)
    found = joined(IndexPairSearch(bind(index, open_pack(home.pack_folder(release)))).pairs())
    columns = (found.movie_a, found.movie_b, found.rank, found.movie_id, found.score, found.votes)
    expected = list(zip(*(column.tolist() for column in columns), strict=True))
    assert expected
    assert working_table(small_home, "SELECT * FROM recs.pair_recommendations ORDER BY ALL") == expected


def test_units_have_the_columns_of_their_tables() -> None:
    """They are written down twice, because what computes a unit loads no models of tables."""
    units = (PAIR_SCHEMA, USER_SCHEMA, SIMILAR_SCHEMA)
    for table, schema in zip(TABLES, units, strict=False):
        assert [(field.name, field.type) for field in arrow_schema(f"recs.{table}")] == [
            (field.name, field.type) for field in schema
        ]
