"""A home's own parameters: read by every run, shown with their origin, and not undone by a run that nobody asked to."""

from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import build_defs
from orchestration.instance import execute, prepare_instance
from tests.command import marquee, marquee_json
from warehouse.home import Home


def live(home: Path) -> str:
    return (home / "published" / "current.duckdb").resolve().stem


def test_a_refresh_uses_what_the_home_says(small_home: Path) -> None:
    (small_home / "parameters.toml").write_text("top_movies = 40\nneighbours = 30\n")
    assert marquee_json(small_home, "refresh")["state"] == "live"
    found = marquee_json(small_home, "query", "SELECT parameters FROM release")["rows"][0][0]
    assert '"neighbours": 30' in found
    assert '"top_movies": 40' in found
    # As a schedule does: no configuration of parameters at all.
    with prepare_instance(Home(small_home)) as instance:
        job = build_defs().resolve_job_def("refresh_recommendations")
        result = job.execute_in_process(instance=instance)
        (made,) = result.asset_materializations_for_node("published__live_release")
        assert made.metadata["unchanged"].value is True


def test_a_refresh_with_defaults_does_not_undo_what_is_live(small_home: Path) -> None:
    before = live(small_home)  # made with --set top_movies=40
    report = marquee_json(small_home, "refresh", expect=1)
    assert report["state"] == "rejected"
    assert report["failed_checks"] == ["parameters_as_asked"]
    assert "top_movies 40 -> 1000" in report["errors"][0]
    assert "parameters.toml" in report["errors"][0]
    assert live(small_home) == before
    assert marquee_json(small_home, "refresh", "--set", "top_movies=1000")["state"] == "live"


def test_each_value_is_shown_with_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "parameters.toml").write_text("neighbours = 30\nper_pair = 5\n")
    rows = marquee_json(tmp_path, "parameters", "--set", "per_pair=6")["parameters"]
    assert rows["neighbours"] == {"value": 30, "from": "parameters.toml"}
    assert rows["per_pair"] == {"value": 6, "from": "asked for"}
    assert rows["top_movies"] == {"value": 1000, "from": "default"}
    book = marquee_json(tmp_path, "parameters", "--preset", "default")["parameters"]
    assert book["neighbours"] == {"value": 0, "from": "asked for"}


@pytest.mark.parametrize(
    ("content", "message"),
    [("neighbours = many", "cannot be read"), ("neighbors = 3", "neighbors"), ("neighbours = 500", "max_neighbours")],
)
def test_a_file_that_cannot_be_is_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "parameters.toml").write_text(content)
    said = marquee(tmp_path, "refresh", expect=2).stderr
    assert message in said
    assert str(tmp_path / "parameters.toml") in said


def test_a_stale_table_names_the_parameters_that_differ(small_home: Path) -> None:
    asked = {"top_movies": 40, "neighbours": 30}
    with prepare_instance(Home(small_home)) as instance:
        job = build_defs().resolve_job_def("refresh_recommendations")
        result = job.execute_in_process(
            instance=instance,
            run_config={"resources": {"parameters": {"config": asked}}},
            asset_selection=[dg.AssetKey(["published", "staged_release"])],
            raise_on_error=False,
        )
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "neighbours 0 -> 30" in str(failure.step_failure_data.error)
    assert execute(Home(small_home), "refresh_recommendations", asked).success
