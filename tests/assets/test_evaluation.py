"""The evaluation through the doors people use: the release, the command line, the asset's page, the checks."""

import base64
import functools
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from assets.evaluation import evaluation_report
from checks.release.quality import AHEAD_OF_POPULAR, NO_FALL, evaluation_checks
from orchestration.cli import evaluation_report as evaluating
from recommender.evaluation.evaluate import CURRENT, Measurement, value_of
from recommender.evaluation.sweep import sweep
from recommender.parameters import make_parameters
from tests.command import marquee, marquee_json
from warehouse.database import Warehouse, open_warehouse
from warehouse.home import Home
from warehouse.tables.evaluation import (
    NothingToEvaluateError,
    evaluation_to_publish,
    evaluation_version,
    read_evaluation,
    read_films,
)


def released(home: Path) -> list[Measurement]:
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as con:
        return read_evaluation(con)


@pytest.fixture
def warehouse(small_home: Path) -> Iterator[Warehouse]:
    with open_warehouse(Home.find(small_home), "a test") as opened:
        yield opened


def test_release_holds_the_evaluation_of_its_own_parameters(small_live: Path) -> None:
    found = released(small_live)
    assert {row.method for row in found} == {"current", "most_popular", "item_item", "book"}
    assert {row.split for row in found} == {"held-out users", "later users"}
    report = marquee_json(small_live, "evaluate", "--set", "top_movies=40")
    assert [Measurement(**row) for row in report["measurements"]] == found


def test_nothing_is_measured_again_until_something_changes(small_home: Path) -> None:
    again = marquee(small_home, "run", "--set", "top_movies=40")
    assert re.search(r"model/evaluation +unchanged", again.stderr)
    changed = marquee(small_home, "run", "--set", "top_movies=40", "--set", "neighbours=5")
    assert re.search(r"model/evaluation +\d+ rows", changed.stderr)


def test_version_follows_what_measurements_depend_on(warehouse: Warehouse) -> None:
    def version(**settings: object) -> str:
        return evaluation_version(warehouse.con, make_parameters(settings=settings))

    assert version() == version(per_pair=3) == version(engine="annoy", annoy_trees=7)
    assert len({version(), version(neighbours=7), version(top_movies=50), version(like_threshold=4.5)}) == 4


def test_a_release_of_other_parameters_carries_no_evaluation(warehouse: Warehouse) -> None:
    own = make_parameters(settings={"top_movies": 40}).model_dump()
    assert warehouse.con.execute(evaluation_to_publish(warehouse.con, own)).fetchall()
    other = {**own, "neighbours": 7}
    assert warehouse.con.execute(evaluation_to_publish(warehouse.con, other)).fetchall() == []


def test_command_prints_a_table_and_changes_nothing(small_home: Path) -> None:
    before = sorted(path.name for path in (small_home / "published").iterdir())
    printed = marquee(small_home, "evaluate", "--preset", "book", "--set", "top_movies=40").stdout
    assert re.search(r"^  current +(\d\.\d{3} *){8}$", printed, re.MULTILINE)
    assert "ahead of" in printed
    assert sorted(path.name for path in (small_home / "published").iterdir()) == before


def test_book_preset_is_as_good_as_itself(small_home: Path) -> None:
    report = marquee_json(small_home, "evaluate", "--preset", "book", "--set", "top_movies=1000")
    found = [Measurement(**row) for row in report["measurements"]]
    for row in found:
        if row.method == "book" and row.ahead is not None:
            assert (row.ahead, row.ahead_low, row.ahead_high) == (0.0, 0.0, 0.0)


def test_wrong_usage_and_empty_homes_are_told_apart(tmp_path: Path) -> None:
    assert "neighbors" in marquee(tmp_path, "evaluate", "--set", "neighbors=3", expect=2).stderr
    assert "marquee run" in marquee(tmp_path, "evaluate", expect=1).stderr


def test_sweep_reports_trials_and_measures_the_chosen_ones(small_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = functools.partial(sweep, grid={"neighbours": (5, 20)}, around={"liked_bonus": (0.0,)}, most_per_user=1)
    monkeypatch.setattr(evaluating, "sweep", few)
    lines: list[str] = []
    parameters = make_parameters(settings={"top_movies": 40})
    report = evaluating.evaluate_home(Home.find(small_home), parameters, search=True, notify=lines.append)
    assert len(report["trials"]) == len([line for line in lines if "ndcg@10" in line]) == 3 + 2 + 1
    assert report["parameters"]["neighbours"] == report["chosen"]["neighbours"]
    assert "chosen: neighbours=" in evaluating.printed(report)


def test_films_without_a_genome_are_refused_in_words(tmp_path: Path) -> None:
    with (
        open_warehouse(Home.find(tmp_path), "a test") as warehouse,
        pytest.raises(NothingToEvaluateError, match="vectors"),
    ):
        read_films(warehouse.con)


def test_report_has_a_plot_for_each_split_and_a_table(small_live: Path) -> None:
    text = evaluation_report(released(small_live)).value
    pictures = re.findall(r"!\[(.*?)\]\(data:image/svg\+xml;base64,([^)]*)\)", text)
    assert [name for name, _ in pictures] == ["held-out users", "later users"]
    for _, encoded in pictures:
        root = ET.fromstring(base64.b64decode(encoded))
        assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 2 * 4
    assert text.count("| most_popular |") == 2
    assert "No user" in evaluation_report([]).value


def measured(hits: float, popular: float, ndcg: float) -> list[Measurement]:
    def row(method: str, metric: str, value: float) -> Measurement:
        return Measurement("held-out users", "all", method, metric, value, value, value, 100)

    return [row(CURRENT, "hit_rate@3", hits), row("most_popular", "hit_rate@3", popular), row(CURRENT, "ndcg@10", ndcg)]


def test_trailing_the_most_popular_films_warns() -> None:
    good, bad = (evaluation_checks(measured(hits, 0.6, 0.4), None, margin=0.05)[0] for hits in (0.6, 0.599))
    assert (good.check_name, good.passed) == (AHEAD_OF_POPULAR, True)
    assert (bad.passed, bad.severity, bad.blocks) == (False, "warn", False)
    assert bad.value == pytest.approx(-0.001)
    assert "trail the most popular films" in bad.description


@pytest.mark.parametrize(("now", "passed"), [(0.5, True), (0.36, True), (0.35, True), (0.349, False)])
def test_a_fall_beyond_the_margin_blocks(now: float, passed: bool) -> None:
    found = evaluation_checks(measured(0.7, 0.6, now), measured(0.7, 0.6, 0.4), margin=0.05 + 1e-12)[1]
    assert (found.check_name, found.passed, found.blocks) == (NO_FALL, passed, not passed)


def test_what_was_not_measured_is_said_and_blocks_nothing() -> None:
    for current, live in (([], measured(0.7, 0.6, 0.4)), (measured(0.7, 0.6, 0.4), []), ([], None)):
        popular, fall = evaluation_checks(current, live, margin=0.05)
        assert popular.passed == bool(current)
        assert fall.passed
        assert not popular.blocks


def test_values_survive_the_way_through_the_table(small_live: Path) -> None:
    found = released(small_live)
    value = value_of(found, "held-out users", CURRENT, "ndcg@10")
    assert 0.0 < value < 1.0
    variety = [row for row in found if row.metric == "gini@10"]
    assert variety
    assert all(replace(row, ci_low=None, ci_high=None) == row for row in variety)
