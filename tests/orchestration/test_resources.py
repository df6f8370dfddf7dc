"""Thresholds are those of the home that a run writes to, and what is given for the run wins over them."""

from pathlib import Path

import dagster as dg

from checks.settings import CheckSettings, GivenSettings
from orchestration.resources import CheckSettingsResource, WarehouseResource
from warehouse.database import Warehouse


def settings_in(home: Path, **given: float) -> CheckSettings:
    seen = []

    @dg.op
    def look(check_settings: dg.ResourceParam[GivenSettings], warehouse: dg.ResourceParam[Warehouse]) -> None:
        seen.append(check_settings.at(warehouse.home.root))

    @dg.job(
        resource_defs={"check_settings": CheckSettingsResource(), "warehouse": WarehouseResource(home=str(home))},
        executor_def=dg.in_process_executor,
    )
    def look_once() -> None:
        look()

    look_once.execute_in_process(run_config={"resources": {"check_settings": {"config": given}}})
    return seen[0]


def test_thresholds_are_those_of_the_home_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "checks.toml").write_text("drift_warn = 0.3\noverlap_warn = 0.2\n")
    found = settings_in(tmp_path)
    assert (found.drift_warn, found.overlap_warn) == (0.3, 0.2)


def test_a_given_value_wins_even_if_it_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "checks.toml").write_text("drift_warn = 0.3\n")
    default = CheckSettings().drift_warn
    assert settings_in(tmp_path, drift_warn=default).drift_warn == default
