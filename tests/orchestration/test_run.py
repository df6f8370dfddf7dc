"""`marquee run`: from ratings to a live release, compared with plain loops, and what happens the second time."""

import csv
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from recommender.parameters import make_parameters
from tests.brute_force import Ranked, Rating
from tests.command import DATA, ROOT, marquee, marquee_json
from tests.reference import assert_is_brute_force

RELEASE_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


def published_pairs(path: Path) -> dict[tuple[int, int], Ranked]:
    """Recommendations of a release: (film, votes, score) by rank, by pair."""
    with duckdb.connect(str(path), read_only=True) as con:
        rows = con.execute(
            "SELECT movie_a, movie_b, movie_id, votes, score FROM pair_recommendations ORDER BY movie_a, movie_b, rank"
        ).fetchall()
    found: dict[tuple[int, int], Ranked] = {}
    for a, b, *film in rows:
        found.setdefault((a, b), []).append(tuple(film))
    return found


def inputs(source: Path, release: Path) -> tuple[list[Rating], dict[int, list[float]]]:
    """What they must follow from: the source's own ratings.csv and the published film vectors."""
    with (source / "ratings.csv").open(encoding="utf-8", newline="") as file:
        ratings = [
            (int(row["userId"]), int(row["movieId"]), float(row["rating"]), int(row["timestamp"]))
            for row in csv.DictReader(file)
        ]
    with duckdb.connect(str(release), read_only=True) as con:
        vectors = dict(con.execute("SELECT movie_id, relevance FROM genome").fetchall())
    return ratings, vectors


@pytest.mark.timeout(1200)  # minutes, but only where the reference is not known
def test_sample_book_preset_is_the_brute_force(sample_home: Path, recompute: bool) -> None:
    release = sample_home / "published" / "current.duckdb"
    found = published_pairs(release)
    assert len(found) == 499_500
    ratings, vectors = inputs(ROOT / "sample", release)
    values = make_parameters("book").model_dump()
    assert_is_brute_force("sample, book", found, ratings, vectors, values, recompute=recompute)


@pytest.mark.timeout(1200)
def test_sample_by_default_is_the_brute_force(tmp_path: Path, recompute: bool) -> None:
    report = marquee_json(tmp_path / "home", "run", "--source", "sample")
    found = published_pairs(Path(report["database"]))
    assert len(found) == 499_500
    ratings, vectors = inputs(ROOT / "sample", Path(report["database"]))
    values = make_parameters().model_dump()
    assert_is_brute_force("sample, defaults", found, ratings, vectors, values, recompute=recompute)


@pytest.mark.parametrize("settings", [{}, {"liked_bonus": 0.3, "weighting": "idf", "neighbours": 15}], ids=str)
def test_generated_genome_is_the_brute_force(
    small_source: Path, tmp_path: Path, settings: dict[str, Any], recompute: bool
) -> None:
    values = {"top_movies": 40, **settings}
    options = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    report = marquee_json(tmp_path / "home", "run", "--source", small_source, *options)
    release = Path(report["database"])
    found, parameters = published_pairs(release), make_parameters(settings=values).model_dump()
    assert_is_brute_force(
        f"generated, {values}", found, *inputs(small_source, release), parameters, recompute=recompute
    )


def test_shuffled_lines_give_the_same_recommendations(small_source: Path, small_live: Path, tmp_path: Path) -> None:
    shuffled = tmp_path / "shuffled"
    shutil.copytree(small_source, shuffled)
    for path in shuffled.glob("*.csv"):
        header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        random.Random(5).shuffle(lines)
        path.write_text(header + "".join(lines), encoding="utf-8")
    report = marquee_json(tmp_path / "home", "run", "--source", shuffled, "--set", "top_movies=40")
    assert published_pairs(Path(report["database"])) == published_pairs(small_live / "published" / "current.duckdb")


def test_report_names_what_scripts_need(small_home: Path) -> None:
    report = marquee_json(small_home, "run", "--set", "top_movies=30")
    assert report["state"] == "live"
    assert RELEASE_NAME.fullmatch(report["release"])
    assert RELEASE_NAME.fullmatch(report["model_version"])
    assert Path(report["database"]) == small_home / "published" / f"{report['release']}.duckdb"
    assert (small_home / "published" / "current.duckdb").resolve() == Path(report["database"])
    assert report["failed_checks"] == []
    assert report["seconds"]["total"] > report["seconds"]["recs/pair_recommendations"]


def test_second_run_recognises_that_nothing_changed(small_home: Path, small_source: Path) -> None:
    before = sorted(path.name for path in (small_home / "published").iterdir())
    for arguments in ([], ["--source", small_source], ["--replace-source"]):
        report = marquee_json(small_home, "run", *arguments, "--set", "top_movies=40")
        assert report["state"] == "unchanged"
        assert f"{report['release']}.duckdb" in before
    assert sorted(path.name for path in (small_home / "published").iterdir()) == before


def test_another_source_is_refused_and_replaced_on_request(small_home: Path) -> None:
    live = (small_home / "published" / "current.duckdb").resolve()
    refused = marquee(small_home, "run", "--source", "sample", expect=1)
    assert "--replace-source" in refused.stderr
    assert (small_home / "published" / "current.duckdb").resolve() == live
    report = marquee_json(small_home, "run", "--source", "sample", "--replace-source", "--set", "top_movies=20")
    assert report["state"] == "live"
    with duckdb.connect(report["database"], read_only=True) as con:
        assert con.execute("SELECT count(*) FROM ratings").fetchone() == (100_836,)
        assert con.execute("SELECT source, genome_source FROM release").fetchone() == ("sample", "tags")


def test_release_can_be_traced_to_its_files(small_live: Path, small_source: Path) -> None:
    current = small_live / "published" / "current.duckdb"
    with duckdb.connect(str(current), read_only=True) as con:
        release, model, source = con.execute(
            "SELECT release, model_version, source_fingerprint FROM release"
        ).fetchone() or ("", "", "")
    assert current.resolve().stem == release
    model_manifest = json.loads((small_live / "models" / model / "manifest.json").read_text())
    assert model_manifest["source_fingerprint"] == source
    files = json.loads((small_live / "sources" / source / "manifest.json").read_text())["files"]
    for file in files:
        assert file["sha256"] == hashlib.sha256((small_source / file["name"]).read_bytes()).hexdigest()


def test_analysts_read_while_the_pipeline_writes(small_home: Path) -> None:
    """Plain duckdb connections to current.duckdb, opened again and again during runs that publish releases."""
    current = small_home / "published" / "current.duckdb"
    script = (
        "import duckdb, sys\n"
        "with duckdb.connect(sys.argv[1], read_only=True) as con:\n"
        "    pairs, releases = con.execute('SELECT (SELECT count(*) FROM pair_recommendations), count(*) FROM release')"
        ".fetchone()\n"
        "    assert pairs > 0 and releases == 1\n"
    )
    failures, reads, stop = [], 0, threading.Event()

    def read() -> None:
        nonlocal reads
        while not stop.wait(0.3):
            done = subprocess.run(
                [sys.executable, "-c", script, str(current)], capture_output=True, text=True, check=False
            )
            reads += 1
            if done.returncode:
                failures.append(done.stderr)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for top in (25, 35):
            assert marquee_json(small_home, "run", "--set", f"top_movies={top}")["state"] == "live"
    finally:
        stop.set()
        reader.join()
    assert reads > 5
    assert failures == []


def test_excerpt_as_far_as_it_is_usable(tmp_path: Path, recompute: bool) -> None:
    """The damaged excerpt: what can be used is used exactly, what cannot is kept with its reason."""
    home = tmp_path / "home"
    report = marquee_json(home, "run", "--source", DATA / "ml-latest-cut", "--set", "top_movies=50", expect=1)
    assert report["state"] == "rejected"
    assert report["failed_checks"] == ["likes_with_vector"]
    assert "genome-scores.csv may be cut short" in report["errors"][0]
    assert not (home / "published" / "current.duckdb").exists()
    database = Path(report["database"])
    with duckdb.connect(str(database), read_only=True) as con:
        films = con.execute("SELECT count(*), max(len(relevance)) FROM genome").fetchone()
    assert films == (24, 1128)
    reasons = marquee_reasons(home)
    assert any("of 1128 tags" in reason for reason in reasons)
    with (DATA / "ml-latest-cut" / "ratings.csv").open() as file:
        rows = [line.strip().split(",") for line in file][1:]
    whole = [row for row in rows if len(row) == 4 and all(row)]
    known = known_films(home)
    ratings = [(int(u), int(m), float(r), int(t)) for u, m, r, t in whole if int(m) in known]
    with duckdb.connect(str(database), read_only=True) as con:
        vectors = dict(con.execute("SELECT movie_id, relevance FROM genome").fetchall())
    parameters = make_parameters(settings={"top_movies": 50}).model_dump()
    assert_is_brute_force("excerpt", published_pairs(database), ratings, vectors, parameters, recompute=recompute)


def marquee_reasons(home: Path) -> set[str]:
    """Reasons in the rejected rows of the imported source."""
    (file,) = (home / "sources").glob("*/rejected_rows.parquet")
    return {row[0] for row in duckdb.sql(f"SELECT DISTINCT reason FROM read_parquet('{file}')").fetchall()}


def known_films(home: Path) -> set[int]:
    """Ids in the imported movies."""
    (file,) = (home / "sources").glob("*/movies.parquet")
    return {row[0] for row in duckdb.sql(f"SELECT movie_id FROM read_parquet('{file}')").fetchall()}
