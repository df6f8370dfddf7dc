"""A challenger beside the live release: pointed to, compared, withdrawn; and the gate it passes like any other."""

from pathlib import Path

import duckdb
import pytest

from tests.command import marquee, marquee_json


def link(home: Path, name: str) -> str | None:
    path = home / "published" / f"{name}.duckdb"
    return path.resolve().stem if path.is_symlink() else None


def test_challenger_is_tried_beside_the_live_release(home_of_two: Path) -> None:
    newer, older = (entry["release"] for entry in marquee_json(home_of_two, "releases")["releases"])
    assert "is live; a challenger" in marquee(home_of_two, "promote", newer, "--challenger", expect=1).stderr
    marquee(home_of_two, "promote", older, "--challenger", "--why", "A/B test")
    assert (link(home_of_two, "current"), link(home_of_two, "challenger")) == (newer, older)
    states = {entry["release"]: entry["state"] for entry in marquee_json(home_of_two, "releases")["releases"]}
    assert states == {newer: "live", older: "challenger"}
    marquee(home_of_two, "retire", "--keep", 1)
    assert (home_of_two / "published" / "challenger.duckdb").exists()

    found = marquee_json(home_of_two, "diff", older, newer)
    assert found["pairs"]["changed"] > 0
    assert found["metrics"]["catalogue_coverage"][0] > 0
    name = "ndcg@10 (held-out users)"
    for value, (low, high) in zip(found["metrics"][name], found["intervals"][name], strict=True):
        assert low <= value <= high
    change, low, high = found["paired"][name]
    assert change == pytest.approx(found["metrics"][name][1] - found["metrics"][name][0])  # the same ratings
    assert low <= change <= high
    assert marquee_json(home_of_two, "diff", newer, newer)["paired"] == {}
    text = marquee(home_of_two, "diff", older, newer).stdout
    assert "catalogue_coverage: " in text
    assert f"{name}, both asked the same pairs of {newer}: {change:+.4f} ({low:+.4f} to {high:+.4f})" in text
    assert found["examples"][0]["pair"][0] in text

    marquee(home_of_two, "withdraw", "--why", "the test is over")
    assert (link(home_of_two, "current"), link(home_of_two, "challenger")) == (newer, None)
    assert "no challenger" in marquee(home_of_two, "withdraw", expect=1).stderr
    entry = next(e for e in marquee_json(home_of_two, "releases")["releases"] if e["release"] == older)
    assert [(e["event"], e["why"]) for e in entry["events"]][-2:] == [
        ("challenger", "A/B test"),
        ("withdrawn", "the test is over"),
    ]


def test_challenger_needs_its_checks(home_of_two: Path) -> None:
    newer, older = (entry["release"] for entry in marquee_json(home_of_two, "releases")["releases"])
    assert link(home_of_two, "current") == newer
    with duckdb.connect(str(home_of_two / "warehouse.duckdb")) as con:
        con.execute("DELETE FROM ops.check_results WHERE subject = ? AND check_name = 'likes_with_vector'", [older])
    refused = marquee(home_of_two, "promote", older, "--challenger", expect=1).stderr
    assert "likes_with_vector has no recorded result" in refused
    assert link(home_of_two, "challenger") is None
