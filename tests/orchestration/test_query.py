"""`marquee query`: table, JSON, CSV and files, a row limit, a reader that stops early; `diff` and `releases`."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.command import marquee, marquee_json

PAIRS = "SELECT movie_a, movie_b, rank, movie_id FROM pair_recommendations ORDER BY ALL"


@pytest.fixture(scope="module")
def expected(small_live: Path) -> list[tuple[int, ...]]:
    with duckdb.connect(str(small_live / "published" / "current.duckdb"), read_only=True) as con:
        return con.execute(PAIRS).fetchall()


def test_csv_has_every_row(small_live: Path, expected: list[tuple[int, ...]]) -> None:
    header, *rows = csv.reader(io.StringIO(marquee(small_live, "query", PAIRS, "--csv").stdout))
    assert header == ["movie_a", "movie_b", "rank", "movie_id"]
    assert [tuple(map(int, row)) for row in rows] == expected


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_is_written_whole(
    small_live: Path, expected: list[tuple[int, ...]], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"pairs.{suffix}"
    marquee(small_live, "query", PAIRS, "--output", path)
    assert duckdb.sql(f"FROM '{path}'").fetchall() == expected
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_the_row_limit_can_be_set(small_live: Path, expected: list[tuple[int, ...]]) -> None:
    assert marquee_json(small_live, "query", PAIRS, "--rows", 7)["rows"] == [list(row) for row in expected[:7]]
    printed = marquee(small_live, "query", "SELECT rank AS place FROM pair_recommendations", "--rows", 250).stdout
    assert sum(line.strip("│ ").isdigit() for line in printed.splitlines()) == 250
    assert "--output" in marquee(small_live, "query", PAIRS, "--output", "pairs.xlsx", expect=2).stderr


def test_a_reader_may_stop_early(small_live: Path) -> None:
    command = [str(Path(sys.executable).parent / "marquee"), "--home", str(small_live)]
    command += ["query", "SELECT range AS n FROM range(3000000)", "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"n\n"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_diff_names_the_parameters_that_differ_and_no_others(three_releases: Path) -> None:
    names = [entry["release"] for entry in marquee_json(three_releases, "releases")["releases"]]
    said = marquee(three_releases, "diff", names[1], names[0]).stdout
    assert [line for line in said.splitlines() if line.startswith("parameter")] == ["parameter neighbours: 10 -> 13"]


def test_releases_say_why_one_is_live(home_of_two: Path) -> None:
    newer, live = (entry["release"] for entry in marquee_json(home_of_two, "releases")["releases"])
    marquee(home_of_two, "rollback", "--why", "the old lists were better")
    marquee(home_of_two, "experiment", "start", "one", "--challenger", newer, "--why", "to compare")
    marquee(home_of_two, "promote", newer, "--why", "it won")
    marquee(home_of_two, "experiment", "stop", "one", "--withdraw", "--why", "it went live")
    marquee(home_of_two, "experiment", "start", "two", "--challenger", live, "--why", "to compare again")
    marquee(home_of_two, "experiment", "stop", "two", "--withdraw", "--why", "enough")
    (line,) = (line for line in marquee(home_of_two, "releases").stdout.splitlines() if line.startswith(newer))
    assert "it won" in line
    assert "it won" in marquee(home_of_two, "status").stdout
