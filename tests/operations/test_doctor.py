"""`marquee doctor` finds each kind of damage and names the remedy; `marquee status` answers while somebody writes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from orchestration.cli.home_status import next_tick
from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from tests.command import marquee, marquee_json
from warehouse.home import Home
from warehouse.locks import writer_lock


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def live(home: Path) -> Path:
    return (home / "published" / "current.duckdb").resolve()


def damage_link(home: Path) -> None:
    live(home).rename(home / "away.duckdb")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "releases": (lambda home: flip(live(home)), "sha256"),
    "packs": (lambda home: flip(next((home / "published").glob("*.pack")) / "vectors.npy"), "vectors.npy"),
    "models": (lambda home: flip(next((home / "models").glob("*/users.ann"))), "users.ann"),
    "sources": (lambda home: flip(next((home / "sources").glob("*/ratings.parquet"))), "sha256"),
    "sources ": (lambda home: next((home / "sources").glob("*/ratings.parquet")).unlink(), "ratings.parquet"),
    "live release": (damage_link, "which is gone"),
    "registry": (lambda home: (home / "published" / "releases.json").write_text("{"), "cannot be read"),
    "folders": (lambda home: shutil.rmtree(home / "landing"), "missing"),
}


def test_a_healthy_home_is_healthy(small_live: Path) -> None:
    examined = marquee_json(small_live, "doctor")
    assert examined["healthy"]
    assert {finding["state"] for finding in examined["findings"]} == {"ok"}


@pytest.mark.parametrize("subject", DAMAGES)
def test_damage_is_found_with_its_remedy(small_home: Path, subject: str) -> None:
    damage, words = DAMAGES[subject]
    damage(small_home)
    examined = marquee_json(small_home, "doctor", expect=1)
    wrong = [finding for finding in examined["findings"] if finding["state"] == "wrong"]
    assert any(finding["subject"] == subject.strip() and words in finding["text"] for finding in wrong), wrong
    assert all(finding["remedy"] for finding in wrong)


def test_an_import_from_before_sha256_were_recorded_is_unverifiable_not_wrong(small_home: Path) -> None:
    manifest = next((small_home / "sources").glob("*/manifest.json"))
    values = json.loads(manifest.read_text())
    for table in values["tables"].values():
        del table["sha256"]
    manifest.write_text(json.dumps(values))
    examined = marquee_json(small_home, "doctor")
    assert examined["healthy"]
    (found,) = [item["text"] for item in examined["findings"] if item["subject"] == "sources"]
    assert "unverifiable" in found
    assert manifest.parent.name in found


def test_a_report_of_no_release_is_named(small_home: Path) -> None:
    report = next((small_home / "published").glob("*.report.html"))
    report.rename(report.with_name(f"20200101T000000Z-00000000{''.join(report.suffixes[-2:])}"))
    warned = [item for item in marquee_json(small_home, "doctor")["findings"] if item["state"] == "warning"]
    assert [item["subject"] for item in warned] == ["reports"]
    assert "20200101T000000Z-00000000.report.html" in warned[0]["remedy"]


DATABASES: dict[str, tuple[str, str]] = {
    "a table is missing": ("DROP TABLE raw.movies", "the table raw.movies is missing"),
    "a table with vectors is missing": ("DROP TABLE raw.genome", "the table raw.genome is missing"),
    "a column is missing": ("ALTER TABLE ops.releases DROP sha256", "ops.releases has no column sha256"),
    "a column is of another type": (
        "ALTER TABLE raw.ratings ALTER rating TYPE VARCHAR",
        "raw.ratings.rating is VARCHAR, not FLOAT",
    ),
}
"""What is done to the working database, and what is said of it."""


@pytest.mark.parametrize("damage", DATABASES)
def test_a_damaged_working_database_is_named_as_such(small_home: Path, damage: str) -> None:
    statement, words = DATABASES[damage]
    with duckdb.connect(str(small_home / "warehouse.duckdb")) as con:
        con.execute(statement)
    examined = marquee_json(small_home, "doctor", expect=1)
    (wrong,) = [item for item in examined["findings"] if item["state"] == "wrong"]
    assert (wrong["subject"], wrong["text"]) == ("working database", words)
    # A command says the same: neither that the data are bad nor that it is a bug of the program.
    (line,) = [
        line for line in marquee(small_home, "refresh", expect=1).stderr.splitlines() if line.startswith("marquee: ")
    ]
    assert f"warehouse.duckdb is damaged: {words}" in line
    assert wrong["remedy"] in line


def test_commands_without_dagster_name_the_damaged_database_too(small_home: Path) -> None:
    with duckdb.connect(str(small_home / "warehouse.duckdb")) as con:
        con.execute("ALTER TABLE ops.release_events DROP happened_at")
    assert "ops.release_events has no column happened_at" in marquee(small_home, "rollback", expect=1).stderr


def test_a_database_of_another_version_is_told_from_a_damaged_one(small_home: Path) -> None:
    def found() -> dict[str, str]:
        findings = marquee_json(small_home, "doctor", expect=None)["findings"]
        return next(dict(item) for item in findings if item["subject"] == "working database")

    with duckdb.connect(str(small_home / "warehouse.duckdb")) as con:
        con.execute("DELETE FROM ops.schema_versions WHERE version = (SELECT max(version) FROM ops.schema_versions)")
    assert (found()["state"], "next run brings them" in found()["text"]) == ("ok", True)
    with duckdb.connect(str(small_home / "warehouse.duckdb")) as con:
        con.execute("INSERT INTO ops.schema_versions VALUES (1000, now()::TIMESTAMP)")
    assert (found()["state"], "of version 1000" in found()["text"]) == ("wrong", True)


def test_doctor_leaves_the_database_to_a_writer(small_home: Path) -> None:
    with writer_lock(small_home / "warehouse.lock", "the test", wait_seconds=1):
        findings = marquee_json(small_home, "doctor")["findings"]
    assert [item["text"] for item in findings if item["subject"] == "working database"] == [
        "not examined, because somebody is writing"
    ]


@pytest.mark.parametrize(
    "command",
    [("status",), ("releases",), ("refresh",), ("ingest", "new.csv"), ("promote", "x"), ("rollback",),
     ("retire", "--keep", "1"), ("evaluate",), ("query", "SELECT 1"), ("recommend", "1"), ("diff", "a", "b"),
     ("doctor",)],
    ids=" ".join,
)  # fmt: skip
def test_a_misspelt_home_is_named_and_not_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    home, other = tmp_path / "hmoe", tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").touch()
    for path in (home, other):
        done = marquee(path, *command, expect=None)
        assert done.returncode == (1 if command[0] in {"query", "recommend", "diff", "doctor"} else 2)
        assert str(path) in done.stdout + done.stderr
        assert "marquee" in done.stdout + done.stderr
    assert not home.exists()
    assert [path.name for path in other.iterdir()] == ["notes.txt"]


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    assert "marquee run" in marquee(tmp_path / "none", "doctor", expect=1).stdout


def test_status_does_not_wait_for_a_writer(small_home: Path) -> None:
    with writer_lock(small_home / "warehouse.lock", "the test", wait_seconds=1):
        found = marquee_json(small_home, "status")
    assert found["writer"]["purpose"] == "the test"
    assert found["live"]["release"] == live(small_home).stem
    assert found["runs"][0]["status"] == "SUCCESS"
    assert {item["name"] for item in found["schedules"]} == {"nightly_retrain", "hourly_refresh"}
    assert found["bytes"]["warehouse"] > 0
    assert live(small_home).stem in marquee(small_home, "status").stdout


def test_status_shows_a_run_that_has_not_ended(small_home: Path) -> None:
    with prepare_instance(Home(small_home)) as instance:
        instance.create_run_for_job(build_defs().resolve_job_def("ingest_ratings"))
    said = marquee(small_home, "status").stdout
    assert "not started yet ingest_ratings NOT_STARTED\n" in said
    assert "None" not in said


def test_one_thing_is_wrong_and_two_things_are(small_home: Path) -> None:
    shutil.rmtree(small_home / "landing")
    assert marquee(small_home, "doctor", expect=1).stdout.endswith("\n1 thing is wrong\n")
    shutil.rmtree(small_home / "models")
    assert marquee(small_home, "doctor", expect=1).stdout.endswith("\n2 things are wrong\n")


def test_next_tick() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 5, 4, 3, 20, tzinfo=UTC)
    assert next_tick("0,15,30,45 3 * * *", now) == "2026-05-04T03:30+00:00"
    assert next_tick("0 * * * *", now) == "2026-05-04T04:00+00:00"
    assert next_tick("0 0 1 * *", now) is None


def test_the_folder_of_downloads_is_no_broken_source(small_home: Path) -> None:
    (small_home / "sources" / "downloads").mkdir()
    (small_home / "sources" / "downloads" / "ml.zip.part").write_bytes(b"PK")
    assert marquee_json(small_home, "doctor")["healthy"]
