"""Thresholds are those of the home that a run writes to, and what is given for the run wins over them."""

from pathlib import Path

import dagster as dg
import pytest

from checks.settings import CheckSettings
from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from orchestration.resources import CheckSettingsResource
from warehouse.home import Home


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))


def settings_given(**given: float) -> CheckSettings:
    seen = []

    @dg.op
    def look(check_settings: dg.ResourceParam[CheckSettings]) -> None:
        seen.append(check_settings)

    @dg.job(resource_defs={"check_settings": CheckSettingsResource()}, executor_def=dg.in_process_executor)
    def look_once() -> None:
        look()

    look_once.execute_in_process(run_config={"resources": {"check_settings": {"config": given}}})
    return seen[0]


def test_thresholds_are_those_of_the_home_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "checks.toml").write_text("drift_warn = 0.3\noverlap_warn = 0.2\n")
    found = settings_given()
    assert (found.drift_warn, found.overlap_warn) == (0.3, 0.2)


def test_a_run_that_cannot_be_is_not_repeated(tmp_path: Path) -> None:
    config = {"resources": {"parameters": {"config": {"neighbours": 500}}}}  # more than max_neighbours
    with prepare_instance(Home(tmp_path)) as instance:
        job = build_defs().resolve_job_def("refresh_recommendations")
        result = job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)
        (run,) = instance.get_runs()
    assert not result.success
    assert run.tags["dagster/will_retry"] == "false"


def test_choices_are_checked_before_a_run_is_launched() -> None:
    job = build_defs().resolve_job_def("refresh_recommendations")
    config = {"resources": {"parameters": {"config": {"weighting": "bm25"}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="bm25"):
        dg.validate_run_config(job, config)


def test_a_given_value_wins_even_if_it_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "checks.toml").write_text("drift_warn = 0.3\n")
    default = CheckSettings().drift_warn
    assert settings_given(drift_warn=default).drift_warn == default
