"""Measurements against plain computations, thresholds at their edges, and the record that spares a second look."""

import math
import random
from collections import Counter
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from checks.release.comparison import COMPARED, _weights, psi
from checks.release.staged import LIVE
from checks.release.suite import REQUIRED_CHECKS, audit_release
from checks.results import judge
from checks.settings import CheckSettings, SettingsError, load_settings
from checks.tables.content import Context
from checks.tables.suite import TABLE_CHECKS, results_of
from recommender.parameters import make_parameters
from tests.command import marquee, marquee_json
from warehouse.database import open_warehouse
from warehouse.home import Home

PARAMETERS = make_parameters(settings={"top_movies": 40})


def test_psi_is_zero_for_equal_shares_and_grows_with_the_difference() -> None:
    assert psi({1: 10, 2: 30}, {1: 100, 2: 300}) == pytest.approx(0)
    assert psi({1: 50, 2: 50}, {1: 60, 2: 40}) == pytest.approx(0.1 * math.log(0.6 / 0.5) - 0.1 * math.log(0.4 / 0.5))
    assert psi({1: 1}, {2: 1}) > 5
    assert psi({}, {}) == 0
    assert psi({}, {1: 1}) == math.inf


def rank_biased_overlap(ours: list[int], theirs: list[int], p: float = 0.9) -> float:
    """The sum over depths of the agreement so far, as in the paper, scaled by that of equal lists."""
    longest = max(len(ours), len(theirs))

    def summed(a: list[int], b: list[int], depths: int) -> float:
        return sum(p ** (d - 1) * len(set(a[:d]) & set(b[:d])) / d for d in range(1, depths + 1))

    equal = list(range(longest))
    return summed(ours, theirs, 10) / summed(equal, equal, 10)


def test_overlaps_are_those_of_plain_sets() -> None:
    generator = random.Random(3)
    lists = {
        (a, b): [generator.sample(range(100, 125), generator.choice([10, 10, 4])) for _ in range(2)]
        for a in range(1, 12)
        for b in range(20, 30)
    }
    with duckdb.connect() as con:
        con.execute(f"ATTACH ':memory:' AS {LIVE}")
        for side, table in enumerate(("pair_recommendations", f"{LIVE}.pair_recommendations")):
            con.execute(f"CREATE TABLE {table} (movie_a INTEGER, movie_b INTEGER, rank SMALLINT, movie_id INTEGER)")
            rows = [(*pair, rank, film) for pair, both in lists.items() for rank, film in enumerate(both[side], 1)]
            con.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows)
        ((pairs, jaccard, jaccard_low, rbo, rbo_low, changed, tenths),) = con.execute(
            COMPARED, {"weights": _weights(10)}
        ).fetchall()
    jaccards = sorted(len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in lists.values())
    rbos = sorted(rank_biased_overlap(a, b) for a, b in lists.values())
    assert pairs == len(lists)
    assert jaccard == pytest.approx(sum(jaccards) / pairs)
    assert rbo == pytest.approx(sum(rbos) / pairs)
    assert tenths == Counter(min(math.floor(10 * value), 9) for value in jaccards)
    assert jaccard_low == pytest.approx(jaccards[5], abs=0.05)
    assert rbo_low == pytest.approx(rbos[5], abs=0.05)
    assert changed == pytest.approx(sum(a != b for a, b in lists.values()) / pairs)


def test_variety_of_the_lists_is_that_of_a_plain_count(small_live: Path) -> None:
    """The values on the release, against all its rows counted one by one."""
    with duckdb.connect(str(small_live / "published" / "current.duckdb"), read_only=True) as con:
        measured = dict(con.execute("SELECT check_name, value FROM checks").fetchall())
        rows = con.execute("SELECT movie_a, movie_b, movie_id FROM pair_recommendations").fetchall()
        likes = dict(con.execute("SELECT movie_id, likes FROM movies").fetchall())
        signup = [film for (film,) in con.execute("SELECT movie_id FROM signup_movies").fetchall()]
    lists: dict[tuple[int, int], set[int]] = {}
    for a, b, film in rows:
        lists.setdefault((a, b), set()).add(film)
    places = Counter(film for _, _, film in rows)
    most_liked = sorted(likes, key=lambda film: (-likes[film], film))[: PARAMETERS.per_pair]
    expected = {
        "catalogue_coverage": len(places) / sum(count > 0 for count in likes.values()),
        "popular_share": sum(places[film] for film in most_liked) / len(rows),
        "most_frequent_film": max(sum(film in films for films in lists.values()) for film in places) / len(lists),
        "frequent_films_share": sum(sorted(places.values())[-10:]) / len(rows),
        "signup_films_unrecommended": sum(film not in places for film in signup) / len(signup),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "passed", "severity", "threshold"),
    [(0.1, True, "error", 0.5), (0.2, True, "error", 0.5), (0.3, False, "warn", 0.2), (0.6, False, "error", 0.5),
     (math.nan, False, "error", 0.5)],
)  # fmt: skip
def test_thresholds_that_warn_and_block(value: float, passed: bool, severity: str, threshold: float) -> None:
    found = judge("x", "a/b", value, "text", warn=0.2, error=0.5)
    assert (found.passed, found.severity, found.threshold) == (passed, severity, threshold)
    assert not judge("x", "a/b", value, "text", warn=0.2, error=0.5, blocks=False).blocks


def test_thresholds_come_from_the_home_and_from_the_run(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == CheckSettings()
    (tmp_path / "checks.toml").write_text("drift_warn = 0.3\noverlap_warn = 0.2\n")
    found = load_settings(tmp_path, {"overlap_warn": 0.4})
    assert (found.drift_warn, found.overlap_warn) == (0.3, 0.4)
    (tmp_path / "checks.toml").write_text("drift_wran = 0.3\n")
    with pytest.raises(SettingsError, match=r"checks\.toml: drift_wran"):
        load_settings(tmp_path)


def test_a_table_is_looked_at_once_per_version(small_home: Path) -> None:
    with open_warehouse(Home(small_home), "a test") as warehouse:
        context = Context(warehouse, PARAMETERS, CheckSettings())
        recorded = warehouse.con.execute("SELECT count(*), max(checked_at) FROM ops.check_results").fetchall()
        results = results_of(context)
        assert {result.check_name for result in results} == {check.name for check in TABLE_CHECKS}
        assert not any(result.blocks for result in results)
        assert warehouse.con.execute("SELECT count(*), max(checked_at) FROM ops.check_results").fetchall() == recorded
        # Another threshold, another row, another table version: the question is asked again.
        stricter = Context(warehouse, PARAMETERS, CheckSettings(index_recall_error=1.0, index_recall_warn=1.0))
        results_of(stricter)
        (after,) = warehouse.con.execute("SELECT count(*) FROM ops.check_results").fetchall()
        assert after[0] > recorded[0][0]
        warehouse.con.execute("INSERT INTO raw.movies VALUES (0, '', NULL, [])")
        found = {result.check_name: result for result in results_of(context)}
        assert found["raw_movies_schema"].value == 2
        assert "title is empty (1)" in found["raw_movies_schema"].description


def test_settings_change_what_passes(small_live: Path) -> None:
    home = Home(small_live)
    with duckdb.connect(str(home.current.resolve()), read_only=True) as con:
        strict = CheckSettings(coverage_error=1.0, coverage_warn=1.0, popular_share_error=0.0, popular_share_warn=0.0)
        blocked = {result.check_name for result in audit_release(con, home, strict) if result.blocks}
    assert blocked == {"catalogue_coverage", "popular_share"}


def test_every_check_is_in_the_release_and_in_the_check_tab(small_live: Path) -> None:
    """Green or red with numbers: the file's table `checks`, and what Dagster's check tab is made from."""
    with duckdb.connect(str(small_live / "published" / "current.duckdb"), read_only=True) as con:
        rows = con.execute("SELECT check_name, asset, passed, description FROM checks").fetchall()
    names = {row[0] for row in rows}
    assert names >= REQUIRED_CHECKS
    assert all(row[3] for row in rows)
    with dg.DagsterInstance.from_config(str(small_live / "dagster")) as instance:
        for check, asset, passed, _ in rows:
            key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), check)
            (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            assert record.evaluation is not None, check
            assert record.evaluation.passed == passed
            assert "value" in record.evaluation.metadata
            if check.endswith("_schema"):
                assert {"shape", "dtypes", "failing"} <= set(record.evaluation.metadata)


def test_a_malformed_table_stops_the_run_in_the_checks_own_words(small_home: Path) -> None:
    with duckdb.connect(str(small_home / "warehouse.duckdb")) as con:
        con.execute("INSERT INTO raw.ratings SELECT user_id, 1999999999, 7, rated_at FROM raw.ratings LIMIT 3")
    report = marquee_json(small_home, "run", "--set", "top_movies=40", expect=1)
    assert report["state"] == "rejected"
    assert "raw_ratings_schema" in report["failed_checks"]
    assert any("rating is above 5.0 (3)" in error for error in report["errors"])


def test_a_release_whose_tables_were_not_checked_stays_staged(home_of_two: Path) -> None:
    """The gate reads the registry: what was not recorded has not passed."""
    newer, older = (entry["release"] for entry in marquee_json(home_of_two, "releases")["releases"])
    with duckdb.connect(str(home_of_two / "warehouse.duckdb")) as con:
        con.execute("DELETE FROM ops.check_results WHERE subject = ? AND asset LIKE 'raw/%'", [older])
    refused = marquee(home_of_two, "promote", older, expect=1).stderr
    assert "raw_ratings_schema has no recorded result" in refused
    assert (home_of_two / "published" / "current.duckdb").resolve().stem == newer
