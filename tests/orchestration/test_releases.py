"""Promote, roll back, retire, compare: the life of releases, through the command line."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.command import marquee, marquee_json
from tests.conftest import MORE_NEIGHBOURS
from tests.homes import copy_home


@pytest.fixture
def home(three_releases: Path, tmp_path: Path) -> Path:
    return copy_home(three_releases, tmp_path)


def live(home: Path) -> str:
    return (home / "published" / "current.duckdb").resolve().stem


def names(home: Path) -> list[str]:
    """Releases, newest first."""
    return [entry["release"] for entry in marquee_json(home, "releases")["releases"]]


def states(home: Path) -> list[str]:
    return [entry["state"] for entry in marquee_json(home, "releases")["releases"]]


def test_rollback_and_promote_swap_and_are_recorded(home: Path) -> None:
    newest, middle, oldest = names(home)
    files = {path.name: path.stat().st_mtime_ns for path in (home / "published").glob("*Z-*.duckdb")}
    marquee(home, "rollback", "--why", "looks odd")
    assert live(home) == middle
    marquee(home, "rollback", "--why", "still odd")
    assert live(home) == oldest
    assert states(home) == ["rolled_back", "rolled_back", "live"]
    refused = marquee(home, "rollback", expect=1)
    assert "no release older" in refused.stderr
    marquee(home, "promote", newest, "--why", "it was right after all")
    assert live(home) == newest
    events = marquee_json(home, "releases")["releases"][0]["events"]
    assert [event["event"] for event in events] == ["staged", "promoted", "rolled_back", "promoted"]
    assert events[-1]["why"] == "it was right after all"
    assert events[-1]["who"]
    assert {path.name: path.stat().st_mtime_ns for path in (home / "published").glob("*Z-*.duckdb")} == files


def test_a_refresh_does_not_bring_back_what_was_rolled_back(home: Path) -> None:
    newest, middle, _ = names(home)
    marquee(home, "rollback", "--why", "bad lists")
    report = marquee_json(home, "run", *MORE_NEIGHBOURS)
    assert report["state"] == "unchanged"
    assert live(home) == middle
    marquee(home, "promote", newest)
    assert live(home) == newest


def test_promote_refuses_a_release_with_a_failed_or_missing_check(home: Path) -> None:
    _, middle, oldest = names(home)
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        con.execute(
            "UPDATE ops.check_results SET passed = false WHERE subject = ? AND check_name = 'no_film_twice'", [middle]
        )
        con.execute("DELETE FROM ops.check_results WHERE subject = ? AND check_name = 'ranks_contiguous'", [oldest])
    before = live(home)
    assert "no_film_twice failed" in marquee(home, "promote", middle, expect=1).stderr
    assert "ranks_contiguous has no recorded result" in marquee(home, "promote", oldest, expect=1).stderr
    assert live(home) == before
    assert "needs a reason" in marquee(home, "promote", middle, "--force", expect=1).stderr
    marquee(home, "promote", middle, "--force", "--why", "the check is wrong, see the log")
    assert live(home) == middle
    last = next(e for e in marquee_json(home, "releases")["releases"] if e["release"] == middle)["events"][-1]
    assert (last["event"], last["why"]) == ("forced", "the check is wrong, see the log")


def test_unknown_release_is_refused(home: Path) -> None:
    assert (
        "no release 20000101T000000Z-00000000" in marquee(home, "promote", "20000101T000000Z-00000000", expect=1).stderr
    )


def test_retire_keeps_the_newest_the_live_one_and_their_models(home: Path) -> None:
    newest, _, oldest = names(home)
    marquee(home, "rollback")
    marquee(home, "rollback")
    marquee(home, "retire", "--keep", 1)
    kept = {path.stem for path in (home / "published").glob("*Z-*.duckdb")}
    assert kept == {newest, oldest}
    assert {path.stem for path in (home / "published").glob("*.pack")} == kept
    assert states(home) == ["rolled_back", "retired", "live"]
    models = {path.name for path in (home / "models").iterdir()}
    needed = set()
    for release in kept:
        with duckdb.connect(str(home / "published" / f"{release}.duckdb"), read_only=True) as con:
            needed |= {row[0] for row in con.execute("SELECT model_version FROM release").fetchall()}
    assert models == needed
    assert "is gone" in marquee(home, "promote", names(home)[1], expect=1).stderr


def lists_of(home: Path, release: str, table: str, owner: str, listed: str) -> dict[tuple[Any, ...], list[int]]:
    found: dict[tuple[Any, ...], list[int]] = {}
    with duckdb.connect(str(home / "published" / f"{release}.duckdb"), read_only=True) as con:
        for *key, film in con.execute(f"SELECT {owner}, {listed} FROM {table} ORDER BY {owner}, rank").fetchall():
            found.setdefault(tuple(key), []).append(film)
    return found


def test_diff_counts_changed_lists_like_a_plain_comparison(home: Path) -> None:
    newest, middle, _ = names(home)
    found = marquee_json(home, "diff", middle, newest)
    kinds = {
        "pairs": ("pair_recommendations", "movie_a, movie_b", "movie_id"),
        "users": ("user_recommendations", "user_id", "movie_id"),
        "similar": ("similar_movies", "movie_id", "similar_id"),
        "popular": ("popular_movies", "list", "movie_id"),
    }
    for name, kind in kinds.items():
        before, after = (lists_of(home, release, *kind) for release in (middle, newest))
        both = before.keys() & after.keys()
        overlaps = [len(set(before[key]) & set(after[key])) / len(set(before[key]) | set(after[key])) for key in both]
        counted = {"mean_overlap": found["mean_overlap"], **found[name]}
        assert counted == {
            "in_both": len(both),
            "only_a": len(before.keys() - both),
            "only_b": len(after.keys() - both),
            "changed": sum(before[key] != after[key] for key in both),
            "mean_overlap": pytest.approx(sum(overlaps) / len(overlaps)),
        }
    assert found["pairs"]["changed"]
    assert found["examples"]
    said = marquee(home, "diff", middle, newest).stdout
    assert f"users: {found['users']['in_both']:,} lists in both, {found['users']['changed']:,} of them changed" in said


CHANGES = {
    "UPDATE pair_recommendations SET rank = 3 - rank WHERE (movie_a, movie_b) = PAIR AND rank < 3": (
        "780 pairs in both, 1 of them changed (the same films in another order)"
    ),
    "UPDATE pair_recommendations SET movie_id = 2147483647 WHERE (movie_a, movie_b) = PAIR AND rank = 1": (
        "780 pairs in both, 1 of them changed (mean overlap over 99.9%)"
    ),
    "UPDATE pair_recommendations SET movie_id = 2147483647 WHERE rank = 1": (
        "780 pairs in both, 780 of them changed (mean overlap 75.0%)"
    ),
    "SELECT 1": "780 pairs in both, 0 of them changed (mean overlap 100.0%)",
}
"""What is done to a copy of a release with 40 sign-up films and 7 films a pair, and what is said of the two."""


@pytest.mark.parametrize("change", CHANGES, ids=CHANGES.get)
def test_diff_does_not_say_that_all_is_the_same_beside_changed_pairs(home: Path, change: str) -> None:
    newest, other = names(home)[0], "20200101T000000Z-00000000"
    path = home / "published" / f"{other}.duckdb"
    shutil.copyfile(home / "published" / f"{newest}.duckdb", path)
    with duckdb.connect(str(path)) as con:
        pair = con.execute("SELECT DISTINCT movie_a, movie_b FROM pair_recommendations ORDER BY ALL LIMIT 1").fetchone()
        con.execute(change.replace("PAIR", str(pair)))
    assert marquee(home, "diff", newest, other).stdout.splitlines()[0] == CHANGES[change]


def test_query_reads_the_live_release_and_writes_nothing(home: Path) -> None:
    assert marquee_json(home, "query", "SELECT count(*) FROM signup_movies")["rows"] == [[40]]
    a, b = marquee_json(home, "query", "SELECT movie_id FROM signup_movies ORDER BY position LIMIT 2")["rows"]
    forward = marquee_json(home, "query", f"FROM recommend_pair({a[0]}, {b[0]})")
    assert forward["columns"] == ["rank", "movie_id", "title", "score", "votes"]
    assert forward["rows"]
    assert marquee_json(home, "query", f"FROM recommend_pair({b[0]}, {a[0]})")["rows"] == forward["rows"]
    assert "read-only" in marquee(home, "query", "DELETE FROM movies", expect=1).stderr


def test_without_a_release_the_message_says_what_to_do(tmp_path: Path) -> None:
    done = marquee(tmp_path / "empty", "query", "SELECT 1", expect=1)
    assert "marquee run" in done.stderr
    assert marquee_json(tmp_path, "releases") == {"releases": []}


def test_wrong_usage_exits_with_2(tmp_path: Path) -> None:
    for arguments in (
        ["run", "--set", "nonsense=1"],
        ["run", "--set", "neighbours=-1"],
        ["run", "--preset", "no"],
        ["x"],
    ):
        marquee(tmp_path / "home", *arguments, expect=2)
