"""Thresholds are those of the home that a run writes to, and what is given for the run wins over them."""

from pathlib import Path

import dagster as dg
import pytest

from checks.settings import CheckSettings
from orchestration.resources import CheckSettingsResource


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


def test_a_given_value_wins_even_if_it_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "checks.toml").write_text("drift_warn = 0.3\n")
    default = CheckSettings().drift_warn
    assert settings_given(drift_warn=default).drift_warn == default
