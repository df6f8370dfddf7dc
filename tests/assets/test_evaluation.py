"""The evaluation through the doors people use: the release, the command line, the asset's page, the checks."""

import base64
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets.evaluation import evaluation_report
from checks.release.quality import AHEAD_OF_BASELINES, NO_FALL, ahead_of_baselines, no_fall
from checks.release.staged import Staged, open_staged
from checks.settings import CheckSettings
from recommender.evaluation.baselines import BASELINES
from recommender.evaluation.evaluate import (
    CURRENT,
    NIGHTLY_CASES,
    Measurement,
    evaluate,
    measurement_of,
    value_of,
)
from recommender.evaluation.long_profiles import evaluate_users
from recommender.evaluation.splits import at_least
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
    read_ratings,
)

METHODS = {"current", *BASELINES, "book"}
METHODS_OF_USERS = {"current", "votes", "most_popular", "rp3beta", "ease_100", "ease_200", "ease_500"}


def released(home: Path) -> list[Measurement]:
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as con:
        return read_evaluation(con)


def measured_at_once(warehouse: Warehouse, **settings: object) -> list[Measurement]:
    """The evaluation of a small home, without units or a pack."""
    values, films = make_parameters(settings=settings), read_films(warehouse.con)
    ratings = read_ratings(warehouse.con, 0.0)
    of_pairs = evaluate(at_least(ratings, 4.0), films, values, folds=1, most=NIGHTLY_CASES)
    return of_pairs + evaluate_users(ratings, films, values, most=NIGHTLY_CASES)


@pytest.fixture
def warehouse(small_home: Path) -> Iterator[Warehouse]:
    with open_warehouse(Home.find(small_home), "a test") as opened:
        yield opened


def test_release_holds_the_evaluation_of_its_own_parameters(small_live: Path, warehouse: Warehouse) -> None:
    """Computed in units, from a pack; here from the tables, at once."""
    found = released(small_live)
    for split in ("held-out users", "later users"):
        assert {row.method for row in found if row.split == split} == METHODS
    of_users = [row for row in found if row.split == "later likes"]
    assert len(of_users) == 2 * len(METHODS_OF_USERS)
    assert {row.method for row in of_users} == METHODS_OF_USERS
    assert {row.metric for row in of_users} == {"ndcg@10", "recall@20"}
    assert found == measured_at_once(warehouse, top_movies=40)


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
    assert "current: preset book top_movies=40; other than the defaults:" in printed
    assert re.search(r"^  current +(\d\.\d{4} *){8}$", printed, re.MULTILINE)
    assert re.search(r"^  book +ndcg@10 +\+0\.0000 \(\+0\.0000 to \+0\.0000\)$", printed, re.MULTILINE)
    assert sorted(path.name for path in (small_home / "published").iterdir()) == before


def rows_of(report: dict[str, Any]) -> list[Measurement]:
    return [Measurement(**row) for row in report["measurements"]]


def test_what_is_live_is_measured_unless_something_else_is_asked_for(small_home: Path) -> None:
    """The home is live with 40 sign-up films; every user of every fold is asked about."""
    report = marquee_json(small_home, "evaluate", "--against", "live", "--against", "neighbours=3,liked_bonus=0")
    assert report["parameters"]["top_movies"] == 40
    found = rows_of(report)
    live = measurement_of(found, "held-out users", "live", "ndcg@10")
    other = measurement_of(found, "held-out users", "neighbours=3,liked_bonus=0", "ndcg@10")
    nightly = measurement_of(released(small_home), "held-out users", CURRENT, "ndcg@10")
    assert live is not None
    assert other is not None
    assert nightly is not None
    assert (live.ahead, live.ahead_low, live.ahead_high) == (0.0, 0.0, 0.0)
    assert other.ahead == pytest.approx(live.value - other.value)
    assert live.cases > 2 * nightly.cases


def test_several_sources_are_measured_side_by_side(small_home: Path, small_source: Path) -> None:
    """The home's own source, named twice over: once as it lies there, once by another path."""
    again = small_home / "again"
    again.symlink_to(small_source)
    asked = ["--set", "top_movies=40"]
    both = marquee_json(small_home, "evaluate", *asked, "--source", small_source, "--source", again)
    assert len(both["sources"]) == 2
    first, second = both["sources"].values()
    assert first == second == marquee_json(small_home, "evaluate", *asked)["measurements"]
    for row, mean in zip(first, both["measurements"], strict=True):
        assert mean["value"] == pytest.approx(row["value"])
        assert mean["cases"] == 2 * row["cases"]
        if row["ahead"] is not None:  # two independent data sets: the interval is narrower by the root of two
            assert mean["ahead_high"] - mean["ahead_low"] == pytest.approx(
                (row["ahead_high"] - row["ahead_low"]) / 2**0.5
            )
    assert not list((small_home / "sources").glob("*marquee-evaluate*"))


def test_sweep_takes_its_grid_from_the_command_line(small_home: Path) -> None:
    done = marquee(small_home, "evaluate", "--grid", "neighbours=5,0,120", "--grid", "liked_bonus=0", "--json")
    report = json.loads(done.stdout)
    assert report["trials"][0]["method"] == "start"
    assert len(report["trials"]) == 2 + len(BASELINES) + 3
    assert len(re.findall(r"ndcg@10 \d\.\d{4}, to start [+-]\d\.\d{4} \(", done.stderr)) == len(report["trials"])
    assert report["parameters"]["neighbours"] == report["chosen"].get("neighbours", 0)
    assert report["parameters"]["top_movies"] == 40


@pytest.mark.parametrize(
    "arguments",
    [["--against", "yesterday"], ["--against", "neighbors=3"], ["--grid", "neighbours"], ["--grid", "neighbours=many"]],
    ids=str,
)
def test_what_cannot_be_asked_is_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    said = marquee(tmp_path, "evaluate", *arguments, expect=2).stderr
    assert arguments[0] in said or "neighb" in said


def test_wrong_usage_and_empty_homes_are_told_apart(tmp_path: Path) -> None:
    assert "neighbors" in marquee(tmp_path, "evaluate", "--set", "neighbors=3", expect=2).stderr
    assert "marquee run" in marquee(tmp_path, "evaluate", expect=1).stderr


def test_films_without_a_genome_are_refused_in_words(tmp_path: Path) -> None:
    with (
        open_warehouse(Home.find(tmp_path), "a test") as warehouse,
        pytest.raises(NothingToEvaluateError, match="vectors"),
    ):
        read_films(warehouse.con)


def test_report_has_a_plot_for_each_split_and_a_table(small_live: Path) -> None:
    text = evaluation_report(released(small_live)).value
    pictures = re.findall(r"!\[(.*?)\]\(data:image/svg\+xml;base64,([^)]*)\)", text)
    assert [name for name, _ in pictures] == ["held-out users", "later users", "later likes"]
    for _, encoded in pictures:
        root = ET.fromstring(base64.b64decode(encoded))
        assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 2 * len(METHODS)
    assert text.count("| most_popular |") == 3
    assert "No user" in evaluation_report([]).value


def measured(**ahead: float) -> list[Measurement]:
    """Measurements of NDCG@10: current has 0.4, the others trail it by so much."""
    rows = [Measurement("held-out users", "all", CURRENT, "ndcg@10", 0.4, 0.3, 0.5, 100)]
    for method, by in ahead.items():
        row = Measurement("held-out users", "all", method, "ndcg@10", 0.4 - by, 0.3, 0.5, 100, by, by - 0.1, by + 0.1)
        rows.append(row)
    return rows


def test_being_behind_any_baseline_warns_and_says_which() -> None:
    good = ahead_of_baselines(measured(most_popular=0.02, ease=0.0))
    bad = ahead_of_baselines(measured(most_popular=0.02, ease=-0.001, book=-0.2))
    nothing = ahead_of_baselines([])
    assert (good.check_name, good.passed, good.value) == (AHEAD_OF_BASELINES, True, 0.0)
    assert (bad.passed, bad.severity, bad.blocks, bad.value) == (False, "warn", False, -0.2)
    assert "ease (-0.001" in bad.description
    assert "book" in bad.description
    assert "most_popular" not in bad.description
    assert (nothing.passed, nothing.blocks) == (False, False)


@contextmanager
def beside_live(home: Home, margin: float = 0.05, **changed: object) -> Iterator[Staged]:
    """The live release as if it were staged: beside itself, with some parameters changed."""
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{home.current.resolve()}' AS staged (READ_ONLY)")
        con.execute("USE staged")
        with open_staged(con, home, CheckSettings(evaluation_margin=margin)) as staged:
            row = staged.row
            parameters = {**row["parameters"], **changed}
            yield replace(staged, row=row | {"parameters": parameters}, live=row)


def test_the_live_parameters_are_asked_the_cases_of_this_release(small_live: Path) -> None:
    """A shorter sign-up list is another set of cases: live, it must not stand in the way of a longer one."""
    home = Home.find(small_live)
    with beside_live(home, top_movies=60) as staged:
        longer = no_fall(staged, read_evaluation(staged.con))
    assert (longer.check_name, longer.passed, longer.value) == (NO_FALL, True, 0.0)  # the lists are the same
    assert "same cases" in longer.description
    with beside_live(home, liked_bonus=0.0, neighbours=1, weighting="none") as staged:
        worse = no_fall(staged, read_evaluation(staged.con))
    assert worse.value is not None
    assert worse.value < 0
    assert worse.passed == (worse.value >= -0.05)
    with beside_live(home, margin=0.0, liked_bonus=0.0, neighbours=1, weighting="none") as staged:
        assert no_fall(staged, read_evaluation(staged.con)).blocks


def test_other_code_is_compared_on_the_same_ratings_only(small_live: Path) -> None:
    home = Home.find(small_live)
    with beside_live(home) as staged:
        own = read_evaluation(staged.con)
        assert no_fall(staged, own).value == 0.0
        fallen = [replace(row, value=row.value - 0.2) if row.method == CURRENT else row for row in own]
        assert no_fall(staged, fallen).blocks
        other_ratings = replace(staged, row=staged.row | {"ratings_fingerprint": "0" * 16})
        assert no_fall(other_ratings, fallen).passed
        assert "others" in no_fall(other_ratings, fallen).description
        assert no_fall(replace(staged, live=None), []).passed


def test_values_survive_the_way_through_the_table(small_live: Path) -> None:
    found = released(small_live)
    value = value_of(found, "held-out users", CURRENT, "ndcg@10")
    assert 0.0 < value < 1.0
    variety = [row for row in found if row.metric == "gini@10"]
    assert variety
    assert all(replace(row, ci_low=None, ci_high=None) == row for row in variety)
