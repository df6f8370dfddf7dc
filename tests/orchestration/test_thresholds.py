"""What is good enough can change while the data stay: a release is held against the thresholds of now."""

from pathlib import Path
from typing import Any

import pytest

from tests.command import marquee_json
from tests.orchestration.test_partitions import working_table

TOP_40 = ("--set", "top_movies=40")


def live(home: Path) -> str:
    return (home / "published" / "current.duckdb").resolve().stem


def registered(home: Path) -> list[dict[str, Any]]:
    return list(marquee_json(home, "releases")["releases"])


@pytest.mark.parametrize(
    ("check", "threshold"), [("popular_share", "popular_share"), ("rating_distribution", "one_rating")]
)
def test_a_changed_threshold_is_applied_to_an_unchanged_release(small_home: Path, check: str, threshold: str) -> None:
    """One check of the release's file, one of the tables it was made from."""
    before = live(small_home)
    (small_home / "checks.toml").write_text(f"{threshold}_warn = 0.001\n{threshold}_error = 0.002\n")
    report = marquee_json(small_home, "refresh", *TOP_40, expect=1)
    assert (report["state"], report["failed_checks"]) == ("rejected", [check])
    assert any(check in error and "threshold 0.002)" in error for error in report["errors"]), report["errors"]
    assert [(entry["release"], entry["state"], entry["blocked"]) for entry in registered(small_home)] == [
        (before, "live", True)
    ]
    (small_home / "checks.toml").unlink()
    assert marquee_json(small_home, "refresh", *TOP_40)["state"] == "unchanged"
    assert [(entry["release"], entry["blocked"]) for entry in registered(small_home)] == [(before, False)]
    looked = "SELECT max(checked_at) FROM ops.check_results WHERE subject NOT LIKE '%@%'"
    last = working_table(small_home, looked)
    assert marquee_json(small_home, "refresh", *TOP_40)["state"] == "unchanged"
    assert working_table(small_home, looked) == last


def test_an_older_release_does_not_come_back_unasked_because_its_checks_passed_once(small_home: Path) -> None:
    (small_home / "parameters.toml").write_text("top_movies = 40\n")
    assert marquee_json(small_home, "refresh")["state"] == "unchanged"
    assert marquee_json(small_home, "refresh", "--set", "neighbours=30")["state"] == "live"
    tuned = live(small_home)
    report = marquee_json(small_home, "refresh", expect=1)
    assert report["failed_checks"] == ["parameters_as_asked"]
    assert "neighbours 30 -> 0" in report["errors"][0]
    assert live(small_home) == tuned
