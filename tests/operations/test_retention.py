"""Dagster's records of runs do not grow for ever, and what they say about assets stays true."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from orchestration.retention import KEPT_FOR, forget_old_runs
from tests.command import marquee_json
from warehouse.home import Home

REFRESH = ("refresh", "--set", "top_movies=40", "--set", "neighbours=9")


def test_old_refreshes_are_forgotten_but_not_the_last_nor_any_import(small_home: Path) -> None:
    older, last = (marquee_json(small_home, *REFRESH)["runs"][-1] for _ in range(2))
    history = small_home / "dagster" / "history" / "runs"
    with dg.DagsterInstance.from_config(str(small_home / "dagster")) as instance:
        before = {run.run_id: run.job_name for run in instance.get_runs()}
        made = {key for key in instance.get_asset_keys() if instance.get_latest_materialization_event(key)}
        assert forget_old_runs(instance, Home(small_home), datetime.now(UTC)) == 0
        later = datetime.now(UTC) + KEPT_FOR + timedelta(minutes=1)
        assert forget_old_runs(instance, Home(small_home), later) > 0
        left = {run.run_id for run in instance.get_runs()}
        assert older not in left
        assert last in left
        assert left >= {run for run, job in before.items() if job == "import_source"}
        assert {key for key in instance.get_asset_keys() if instance.get_latest_materialization_event(key)} == made
        assert forget_old_runs(instance, Home(small_home), later) == 0
    assert not (history / f"{older}.db").exists()
    assert marquee_json(small_home, *REFRESH)["state"] == "unchanged"
