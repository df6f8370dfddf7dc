"""A challenger beside the live release: pointed to, compared, withdrawn; and the gate it passes like any other."""

from pathlib import Path

import duckdb
import pytest

from tests.command import marquee, marquee_json


def link(home: Path, name: str) -> str | None:
    path = home / "published" / f"{name}.duckdb"
    return path.resolve().stem if path.is_symlink() else None


def test_challenger_is_tried_beside_the_live_release(small_home: Path) -> None:
    older = link(small_home, "current")
    newer = marquee_json(small_home, "run", "--set", "top_movies=40", "--set", "neighbours=5")["release"]
    assert older is not None
    assert "is live; a challenger" in marquee(small_home, "promote", newer, "--challenger", expect=1).stderr
    marquee(small_home, "promote", older, "--challenger", "--why", "A/B test")
    assert (link(small_home, "current"), link(small_home, "challenger")) == (newer, older)
    states = {entry["release"]: entry["state"] for entry in marquee_json(small_home, "releases")["releases"]}
    assert states == {newer: "live", older: "challenger"}
    marquee(small_home, "retire", "--keep", 1)
    assert (small_home / "published" / "challenger.duckdb").exists()

    found = marquee_json(small_home, "diff", older, newer)
    assert found["pairs"]["changed"] > 0
    assert found["metrics"]["catalogue_coverage"][0] > 0
    name = "ndcg@10 (held-out users)"
    for value, (low, high) in zip(found["metrics"][name], found["intervals"][name], strict=True):
        assert low <= value <= high
    change, low, high = found["paired"][name]
    assert change == pytest.approx(found["metrics"][name][1] - found["metrics"][name][0])  # the same ratings
    assert low <= change <= high
    assert marquee_json(small_home, "diff", newer, newer)["paired"] == {}
    text = marquee(small_home, "diff", older, newer).stdout
    assert "catalogue_coverage: " in text
    assert f"{name}, both asked the same pairs of {newer}: {change:+.4f} ({low:+.4f} to {high:+.4f})" in text
    assert found["examples"][0]["pair"][0] in text

    marquee(small_home, "withdraw", "--why", "the test is over")
    assert (link(small_home, "current"), link(small_home, "challenger")) == (newer, None)
    assert "no challenger" in marquee(small_home, "withdraw", expect=1).stderr
    entry = next(e for e in marquee_json(small_home, "releases")["releases"] if e["release"] == older)
    assert [(e["event"], e["why"]) for e in entry["events"]][-2:] == [
        ("challenger", "A/B test"),
        ("withdrawn", "the test is over"),
    ]


def test_challenger_needs_its_checks(small_home: Path) -> None:
    older = link(small_home, "current")
    newer = marquee_json(small_home, "run", "--set", "top_movies=30")["release"]
    assert newer != older
    with duckdb.connect(str(small_home / "warehouse.duckdb")) as con:
        con.execute("DELETE FROM ops.check_results WHERE subject = ? AND check_name = 'likes_with_vector'", [older])
    refused = marquee(small_home, "promote", older, "--challenger", expect=1).stderr
    assert "likes_with_vector has no recorded result" in refused
    assert link(small_home, "challenger") is None
