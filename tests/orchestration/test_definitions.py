"""The graph: every asset describes itself, and a change to assets, jobs or schedules shows in a diff."""

import json
from pathlib import Path

import dagster as dg
import pytest

from assets import outside
from orchestration.definitions import build_defs
from warehouse.code import code_version
from warehouse.schemas.definitions import columns_of
from warehouse.schemas.lineage import LINEAGE, sources_of
from warehouse.schemas.models import WORKING_MODELS

SNAPSHOT = Path(__file__).parent / "graph.json"


@pytest.fixture(scope="module")
def specs() -> list[dg.AssetSpec]:
    return list(build_defs().resolve_all_asset_specs())


def test_every_asset_explains_itself(specs: list[dg.AssetSpec]) -> None:
    assert specs
    for spec in specs:
        name = spec.key.to_user_string()
        assert len(spec.key.path) == 2, f"{name}: the key is [schema, table]"
        assert spec.group_name == spec.key.path[0], f"{name}: the group is the schema"
        assert spec.kinds, f"{name} has no kinds"
        assert spec.owners, f"{name} has no owner"
        assert spec.group_name in outside.GROUPS or spec.code_version == code_version(), f"{name}: another version"
        assert spec.description, f"{name} has no description"
        assert len(spec.description) > 40, f"{name} has no description worth the name"


def test_columns_come_from_columns_of_assets_upstream(specs: list[dg.AssetSpec]) -> None:
    tables = {".".join(spec.key.path): spec for spec in specs}
    columns = {table: set(columns_of(table)) for table in WORKING_MODELS}
    for table, spec in tables.items():
        if table in columns:
            shown = spec.metadata["dagster/column_schema"].columns
            assert {column.name for column in shown if column.description} == columns[table]
            assert "dagster/code_references" in spec.metadata
    for table, lineage in LINEAGE.items():
        upstream, new = set[str](), {table}
        while new:
            upstream |= new
            new = {".".join(dep.asset_key.path) for name in new for dep in tables[name].deps} - upstream
        assert set(lineage) <= columns[table]
        for owner, column in (source for sources in sources_of(table).values() for source in sources):
            assert column in columns[owner], (table, owner, column)
            assert owner in upstream - {table}, (table, owner)


def test_graph_is_as_recorded(specs: list[dg.AssetSpec]) -> None:
    """Recreate with: python -m tests.orchestration.test_definitions"""
    assert snapshot(specs) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def snapshot(specs: list[dg.AssetSpec]) -> dict[str, object]:
    """Assets with what they depend on and their checks, jobs with what they make, schedules with their cron lines."""
    defs = build_defs()
    repository = defs.get_repository_def()
    return {
        "assets": {
            spec.key.to_user_string(): sorted(dep.asset_key.to_user_string() for dep in spec.deps)
            for spec in sorted(specs, key=lambda spec: spec.key)
        },
        "checks": {
            key.to_user_string(): sorted(
                check.name for check in repository.asset_graph.asset_check_keys if check.asset_key == key
            )
            for key in sorted({check.asset_key for check in repository.asset_graph.asset_check_keys})
        },
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "schedules": {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs},
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }


if __name__ == "__main__":
    text = json.dumps(snapshot(list(build_defs().resolve_all_asset_specs())), indent=2)
    SNAPSHOT.write_text(text + "\n", encoding="utf-8")
