"""Exit codes of the command line: wrong usage 2, the data or the machine said no 1, and a bug keeps its traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.instance import execute
from tests.command import ROOT, marquee
from warehouse.home import Home

BROKEN = """
import sys
from orchestration.cli.app import main
from warehouse.compute import units

def search_pairs(*arguments, **options):
    raise ValueError("a bug, made for this test")

units.PairSearch = search_pairs
main()
"""


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        (("retire", "--keep", 0), "--keep"),
        (("synth", "out", "--users", -1), "--users"),
        (("run", "--set", "neighbours=500"), "neighbours"),
        (("run", "--preset", "none"), "preset"),
    ],
    ids=str,
)
def test_wrong_usage_names_the_parameter(tmp_path: Path, arguments: tuple[object, ...], parameter: str) -> None:
    assert parameter in marquee(tmp_path / "home", *arguments, expect=2).stderr
    assert not (tmp_path / "home").exists()


def test_sql_that_cannot_be_is_one_line(small_live: Path) -> None:
    said = marquee(small_live, "query", "SELECT nonsense FROM release", expect=1).stderr
    assert said.startswith("marquee: ")
    assert "nonsense" in said


def test_a_home_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    said = marquee(path, "home", expect=1).stderr
    assert said.startswith("marquee: ")
    assert str(path) in said


def test_a_bug_keeps_its_traceback_and_is_no_rejection(small_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "--home", str(small_home), "refresh", "--set", "top_movies=30", "--json"],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "in search_pairs" in done.stderr
    report = json.loads(done.stdout)
    assert report["state"] == "failed"
    assert report["failed_checks"] == []
    assert report["errors"] == ["a bug: ValueError: a bug, made for this test"]


def test_an_error_is_said_to_be_no_rejection(small_home: Path) -> None:
    (small_home / "checks.toml").write_text("drift_warn = often\n")
    said = marquee(small_home, "refresh", "--set", "top_movies=40", expect=1).stderr
    assert "\nfailed: no release was staged\n" in said
    assert "rejected" not in said
    assert "Failed checks" not in said


def test_the_preview_of_the_pairs_begins_with_the_first_place(small_home: Path) -> None:
    tags = {"dagster/asset_partition_range_start": "0", "dagster/asset_partition_range_end": "7"}
    made = execute(Home(small_home), "refresh_recommendations", {"top_movies": 40}, tags=tags)
    rows = made.metadata["recs/pair_recommendations"]["preview"].splitlines()[2:]
    assert [int(row.split("|")[3]) for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
