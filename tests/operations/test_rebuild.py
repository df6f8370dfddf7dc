"""`marquee rebuild`: a working database that is damaged or gone is made again, equal to the lost one as far as can be.

Each part of a home is damaged and deleted in turn, alone and together with the database. The home has three releases,
two files of ratings that were ingested, of which one replaces ratings of the other, events, requests, an experiment.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.campaigns.faults import Platform
from tests.command import marquee, marquee_json
from tests.conftest import OTHER_LISTS
from tests.homes import copy_home, made_once
from tests.operations.conftest import HEADER
from tests.orchestration.test_experiments import clients, start, traffic
from tests.orchestration.test_ingest import IN_2017, IN_2018, films
from tests.orchestration.test_partitions import working_table
from warehouse import integrity
from warehouse.database import open_warehouse
from warehouse.events.event import Event
from warehouse.events.journal import Journal
from warehouse.events.segments import seal
from warehouse.faults import REBUILD_STEPS
from warehouse.home import Home
from warehouse.locks import WriterBusyError, writer_lock
from warehouse.queries import utc_now
from warehouse.releases.registry import live_release

DATABASE = "warehouse.duckdb"
EQUAL = (
    "raw.source_files", "raw.rating_files", "raw.rejected_rows", "raw.movies", "raw.ratings", "raw.rating_months",
    "raw.genome_tags", "raw.genome", "model.likes", "model.film_likes", "model.annoy_indexes", "model.item_models",
    "model.evaluation", "recs.similar_movies", "ops.source", "ops.releases", "ops.release_events", "ops.experiments",
    "ops.experiment_events", "ops.events",
)  # fmt: skip
"""Tables that are made again row for row, times included."""

CHECKS = "SELECT subject, check_name, asset, passed, severity, value, threshold, description FROM ops.check_results "
VERSIONS = "SELECT table_name, version, row_count, notes FROM ops.table_versions "


def tables(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of the tables that must be equal, the checks of releases, and versions of tables, in a fixed order."""
    with duckdb.connect(str(home / DATABASE), read_only=True) as con:
        found = {table: con.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in EQUAL}
        found["checks"] = con.execute(f"{CHECKS} WHERE NOT contains(subject, '@') ORDER BY ALL").fetchall()
        named = [table for table in EQUAL if not table.startswith("ops.")]
        found["versions"] = con.execute(f"{VERSIONS} WHERE list_contains($named, table_name) ORDER BY ALL",
                                        {"named": named}).fetchall()  # fmt: skip
    return found


def unequal(home: Path, before: dict[str, list[tuple[Any, ...]]]) -> list[str]:
    """Names of what is not as it was."""
    now = tables(home)
    return [name for name, rows in before.items() if rows != now[name]]


def mirror(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / "published" / "releases.json").read_text()))


@pytest.fixture(scope="module")
def eventful(two_releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home described above; the file of the second ingest is in landing/ingested."""

    def make(folder: Path) -> None:
        home = copy_home(two_releases, folder)
        a, b, c, *_ = films(home)
        (folder / "one.csv").write_text(f"{HEADER}910001,{a},5.0,{IN_2017}\n910001,{b},4.5,{IN_2017}\n0,{a},4,1\n")
        marquee_json(home, "ingest", folder / "one.csv", *OTHER_LISTS)
        journal = Journal(home / "events")
        rated = [Event(f"r{n}", "rating", 910_001, film, 2.5, utc_now()) for n, film in enumerate((a, c))]
        journal.append([*rated, Event("p", "play", 910_001, b, None, None)], "http")
        (segment,) = seal(journal, home / "landing", seconds=0)
        journal.close()
        landed = home / "landing" / f"events-{segment.path.name}"
        os.utime(landed, (time.time() - 60, time.time() - 60))
        marquee_json(home, "ingest", landed, *OTHER_LISTS)
        start(home, "tried", "--why", "to see")
        traffic(home, "tried", list(clients(5, 0.5, (0.4, 0.6))))
        marquee_json(home, "experiment", "look")
        # Only now are the events loaded: `traffic` has put its own into the table, whose numbers are those of no file.
        with duckdb.connect(str(home / DATABASE)) as con:
            con.execute("DELETE FROM ops.events; DELETE FROM ops.event_files")
        assert marquee_json(home, "refresh", *OTHER_LISTS)["state"] == "live"

    return made_once(tmp_path_factory, "eventful", make) / "home"


@pytest.fixture
def home(eventful: Path, tmp_path: Path) -> Path:
    return copy_home(eventful, tmp_path)


def rebuilt(home: Path, *arguments: object) -> dict[str, Any]:
    done = marquee_json(home, "rebuild", *arguments)
    assert done["rebuilt"]
    return done


def lost(done: dict[str, Any]) -> list[str]:
    """What was not restored, but for what never is."""
    return [text for text in done["lost"] if not text.startswith("what no file keeps")]


def wrong(home: Path) -> list[str]:
    findings = marquee_json(home, "doctor", expect=None)["findings"]
    return [f"{item['subject']}: {item['text']} -> {item['remedy']}" for item in findings if item["state"] == "wrong"]


def overwrite(path: Path, at: float, length: int) -> None:
    """Overwrite bytes of a file from a share of its length on."""
    with path.open("r+b") as file:
        file.seek(int(at * path.stat().st_size))
        file.write(os.urandom(length))


def drop_a_table(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("DROP TABLE raw.movies")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda path: os.truncate(path, 0),
    "cut to its head": lambda path: os.truncate(path, 5000),
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "overwritten at the head": lambda path: overwrite(path, 0, 12_288),
    "overwritten from the middle on": lambda path: overwrite(path, 0.3, int(0.6 * path.stat().st_size)),
    "a table is missing": drop_a_table,
}
"""What happens to the working database."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_named_and_made_again(home: Path, damage: str) -> None:
    before, readers, aside = tables(home), mirror(home), damage not in {"deleted"}
    DAMAGES[damage](home / DATABASE)
    (found,) = wrong(home)
    assert found.startswith("working database: ")
    assert "marquee rebuild" in found
    commands = [("refresh", *OTHER_LISTS), ("run", *OTHER_LISTS)]
    for command in commands if damage == "a table is missing" else [("rollback",), *commands]:
        said = marquee(home, *command, expect=1).stderr
        assert [line.count("marquee rebuild") for line in said.splitlines() if line.startswith("marquee: ")] == [1], (
            said
        )
    done = rebuilt(home)
    assert lost(done) == []
    assert unequal(home, before) == []
    assert mirror(home) == readers
    assert len(done["put_aside"]) == aside
    assert all(Path(path).exists() for path in done["put_aside"])
    assert wrong(home) == []
    assert not marquee_json(home, "rebuild")["rebuilt"]


def test_one_flipped_bit_is_found_by_the_doctor_and_by_who_reads_it_and_repaired(home: Path, tmp_path: Path) -> None:
    before, new = tables(home), tmp_path / "new.csv"
    new.write_text(f"{HEADER}910005,{films(home)[0]},5.0,{IN_2018}\n")
    with duckdb.connect(str(home / DATABASE), read_only=True) as con:
        query = (
            "SELECT block_id FROM pragma_storage_info('raw.ratings') WHERE persistent AND segment_type <> 'VALIDITY'"
        )
        (block,) = con.execute(f"{query} ORDER BY block_id LIMIT 1").fetchall()[0]
    with (home / DATABASE).open("r+b") as file:
        place = 3 * 4096 + block * 262_144 + 1000
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    (found,) = wrong(home)
    assert "marquee rebuild" in found
    (line,) = [line for line in marquee(home, "ingest", new, expect=1).stderr.splitlines() if "marquee: " in line]
    assert "marquee rebuild" in line
    rebuilt(home)
    assert unequal(home, before) == []


def content(home: Path, release: str) -> dict[str, Any]:
    """What a release holds, but for its name, its time and its checks."""
    path = home / "published" / f"{release}.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        named = con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1").fetchall()
        rows = {
            table: con.execute(f"SELECT count(*), bit_xor(hash(t))::VARCHAR FROM {table} AS t").fetchall()
            for (table,) in named
            if table not in {"release", "checks"}
        }
        rows["release"] = con.execute("SELECT * EXCLUDE (release, created_at) FROM release").fetchall()
    return rows


def test_afterwards_the_home_goes_on_as_if_nothing_had_happened(home: Path, eventful: Path, tmp_path: Path) -> None:
    """Beside a twin whose database was not lost."""
    twin = copy_home(eventful, tmp_path / "twin")
    (home / DATABASE).unlink()
    rebuilt(home)
    live = live_release(Home(home))
    again = marquee_json(home, "refresh", *OTHER_LISTS)
    assert (again["state"], again["release"]) == ("unchanged", live)
    marquee(home, "experiment", "stop", "tried", "--withdraw")
    assert live in marquee(home, "rollback", "--why", "to see").stdout
    oldest = min(path.stem for path in (home / "published").glob("*Z-*.duckdb"))
    marquee(home, "promote", oldest)
    assert live_release(Home(home)) == oldest
    marquee(home, "promote", live)
    file = tmp_path / "more.csv"
    file.write_text(f"{HEADER}910003,{films(twin)[0]},5.0,{IN_2018}\n")
    made = []
    for one in (home, twin):
        marquee(one, "ingest", file, *OTHER_LISTS)
        made.append(marquee_json(one, "refresh", *OTHER_LISTS))
    assert [report["state"] for report in made] == ["live", "live"]
    assert content(home, made[0]["release"]) == content(twin, made[1]["release"])
    assert made[0]["release"].partition("-")[2] == made[1]["release"].partition("-")[2]
    assert wrong(home) == []


@pytest.mark.parametrize("at", REBUILD_STEPS)
def test_a_rebuild_that_is_killed_is_begun_again(home: Path, at: str) -> None:
    before, platform = tables(home), Platform(home.parent)
    overwrite(home / DATABASE, 0, 4096)
    damaged = (home / DATABASE).read_bytes()
    process = platform.start(["rebuild"], at)
    process.join(120)
    assert process.exitcode == -9
    if at != "database_replaced":
        assert "marquee rebuild" in marquee(home, "rollback", expect=1).stderr
    marquee(home, "rebuild")
    # Killed after the database has its name, all there is left to do is what every refresh does.
    assert unequal(home, before) == (["ops.events"] if at == "database_replaced" else [])
    assert wrong(home) == []
    (aside,) = home.glob(f"{DATABASE}.damaged-*")
    assert aside.read_bytes() == damaged
    assert not list(home.glob(".incoming-*"))


def test_a_log_that_was_not_written_back_is_put_aside_with_its_database(home: Path) -> None:
    before = tables(home)
    (home / DATABASE).unlink()
    (home / f"{DATABASE}.wal").write_bytes(os.urandom(5000))
    done = rebuilt(home)
    assert unequal(home, before) == []
    assert [Path(path).name.startswith(f"{DATABASE}.wal.damaged-") for path in done["put_aside"]] == [True]


# -- the database and another part -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted", "damaged"])
def test_without_the_copy_of_the_registry_releases_are_known_by_their_files(home: Path, how: str) -> None:
    before, readers, live = tables(home), mirror(home), live_release(Home(home))
    (home / DATABASE).unlink()
    path = home / "published" / "releases.json"
    path.unlink() if how == "deleted" else path.write_text('{"releases": [')
    done = rebuilt(home)
    assert len(done["put_aside"]) == (how == "damaged")
    assert set(unequal(home, before)) == {"ops.release_events"}
    (said,) = lost(done)
    assert "marquee promote RELEASE" in said
    now = mirror(home)["releases"]
    plain = [[{**entry, "events": None} for entry in entries] for entries in (now, readers["releases"])]
    assert plain[0] == plain[1]
    assert [[event["event"] for event in entry["events"]] for entry in now] == [
        ["staged"],
        ["staged"],
        ["staged", "promoted"],
    ]
    assert wrong(home) == []
    assert marquee_json(home, "refresh", *OTHER_LISTS)["release"] == live
    assert "no release older" in marquee(home, "rollback", expect=1).stderr
    marquee(home, "promote", now[1]["release"])


def test_the_copy_of_the_registry_alone_is_written_anew_by_any_writer(home: Path) -> None:
    readers = mirror(home)
    for damage in (lambda path: path.unlink(), lambda path: path.write_text('{"releases": [')):
        damage(home / "published" / "releases.json")
        assert "registry" in " ".join(wrong(home))
        assert not marquee_json(home, "rebuild")["rebuilt"]
        marquee(home, "retire", "--keep", 9)
        assert mirror(home) == readers
        assert wrong(home) == []


def test_without_a_release_file_the_rest_is_made_and_the_doctor_says_what_is_gone(home: Path) -> None:
    before = tables(home)
    releases = sorted(path for path in (home / "published").glob("*Z-*.duckdb") if not path.is_symlink())
    oldest, live = releases[0].stem, releases[-1].stem
    for path in (releases[0], releases[-1]):
        (home / DATABASE).unlink()
        path.rename(home / "away")
        rebuilt(home)
        assert set(unequal(home, before)) <= {"checks", "model.evaluation", "recs.similar_movies", "versions"}
        assert any(f"{path.stem}.duckdb is gone" in text or f"points to {path.stem}" in text for text in wrong(home))
        (home / "away").rename(path)
    shutil.rmtree(home / "published" / f"{oldest}.pack")
    releases[0].unlink()
    (home / DATABASE).unlink()
    rebuilt(home)
    assert working_table(home, f"SELECT release FROM ops.releases WHERE release = '{oldest}'") == [(oldest,)]
    assert live_release(Home(home)) == live
    assert marquee_json(home, "refresh", *OTHER_LISTS)["state"] == "unchanged"


def test_an_import_that_is_gone_is_made_again_or_named(home: Path, eventful: Path) -> None:
    before = tables(home)
    files = working_table(home, "SELECT name, fingerprint FROM raw.rating_files ORDER BY ingested_at")
    (one, first), (two, second) = ((str(name), str(mark)) for name, mark in files)
    for mark in (first, second):
        shutil.rmtree(home / "sources" / mark)
    assert [text.count(f"{mark} is missing") for mark, text in zip((first, second), wrong(home), strict=True)] == [1, 1]
    (home / DATABASE).unlink()
    done = rebuilt(home)
    (said,) = lost(done)  # the other one is in landing/ingested
    assert one in said
    assert [name for (name,) in working_table(home, "SELECT name FROM raw.rating_files")] == [two]
    (found,) = wrong(home)
    assert one in found
    marquee(home, "ingest", eventful.parent / one, *OTHER_LISTS)
    assert wrong(home) == []
    rows = working_table(home, "FROM raw.ratings ORDER BY ALL")
    assert rows == before["raw.ratings"]


def test_without_the_import_of_the_source_nothing_is_made_until_it_is_there(home: Path, small_source: Path) -> None:
    before = tables(home)
    del before["ops.source"]  # it says when the source was imported
    ((mark,),) = working_table(home, "SELECT fingerprint FROM ops.source")
    folder = home / "sources" / str(mark)
    overwrite(folder / "ratings.parquet", 0.5, 8)
    overwrite(home / DATABASE, 0, 4096)
    damaged = (home / DATABASE).read_bytes()
    said = marquee(home, "rebuild", expect=1).stderr
    assert f"marquee rebuild --source {small_source}" in said
    assert "is damaged" in said
    assert (home / DATABASE).read_bytes() == damaged
    other = shutil.copytree(small_source, home.parent / "other")
    with (other / "ratings.csv").open("a") as file:
        file.write("1,1,4.0,1500000000\n")
    assert "is not what this home held" in marquee(home, "rebuild", "--source", other, expect=1).stderr
    assert (home / DATABASE).read_bytes() == damaged
    rebuilt(home, "--source", small_source)
    assert unequal(home, before) == []
    assert wrong(home) == []


def test_without_the_record_of_inputs_they_are_known_by_the_newest_release(home: Path, tmp_path: Path) -> None:
    """And by what was imported since; when they were ingested is not known."""
    file = tmp_path / "since.csv"
    file.write_text(f"{HEADER}910004,{films(home)[1]},4.0,{IN_2018}\n")
    time.sleep(1)  # imports are dated by the second
    marquee(home, "ingest", file, *OTHER_LISTS)
    before = tables(home)
    (home / DATABASE).unlink()
    (home / "sources" / "inputs.jsonl").unlink()
    done = rebuilt(home)
    (said,) = lost(done)
    assert "at the times of their import" in said
    assert set(unequal(home, before)) == {"raw.rating_files", "ops.source"}
    order = "SELECT * EXCLUDE (ingested_at) FROM raw.rating_files ORDER BY ingested_at"
    assert [row[0] for row in working_table(home, order)] == [
        row[0] for row in sorted(before["raw.rating_files"], key=lambda row: row[7])
    ]
    assert wrong(home) == []


def test_models_and_experiments_that_are_gone_are_named(home: Path) -> None:
    (home / DATABASE).unlink()
    (home / "published" / "experiments.json").unlink()
    shutil.rmtree(home / "models")
    done = rebuilt(home)
    assert [text.split(":")[0] for text in lost(done)] == ["the experiments", "the model"]
    assert not (home / "published" / "exposure.json").exists()
    assert "marquee run" in marquee(home, "refresh", *OTHER_LISTS, expect=1).stderr
    assert marquee_json(home, "run", *OTHER_LISTS)["state"] in {"live", "unchanged"}
    assert wrong(home) == []


# -- what is not touched -----------------------------------------------------------------------------------------------


def test_it_does_nothing_where_nothing_is_wrong(home: Path, tmp_path: Path) -> None:
    before = (home / DATABASE).read_bytes()
    assert "nothing to do" in marquee(home, "rebuild").stdout
    assert (home / DATABASE).read_bytes() == before
    assert "no Marquee home" in marquee(tmp_path, "rebuild", expect=2).stderr
    with duckdb.connect(str(home / DATABASE)) as con:
        con.execute("INSERT INTO ops.schema_versions VALUES (1000, now()::TIMESTAMP)")
    assert "newer" in marquee(home, "rebuild", expect=1).stderr


def test_the_doctor_gives_way_to_a_writer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "LOOK_SECONDS", 0.0001)
    with (
        writer_lock(home / "warehouse.lock", "the test", wait_seconds=1),
        pytest.raises(WriterBusyError, match="writing"),
    ):
        integrity.examine_database(Home(home), gives_way=True)
    with open_warehouse(Home(home), "the test", wait_seconds=1):
        pass
    assert integrity.examine_database(Home(home), gives_way=True).problems == []
