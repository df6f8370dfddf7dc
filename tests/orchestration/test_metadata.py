"""What the UI plots over time: every materialization of a run tells rows, seconds and memory as numbers."""

from pathlib import Path

import dagster as dg

from assets import outside
from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from tests.command import marquee_json
from tests.orchestration.test_ingest import IN_2018, films
from warehouse.home import Home

MEASURED = {"seconds", "cpu_seconds", "peak_memory_megabytes"}


def numbers(home: Path, key: dg.AssetKey) -> dict[str, float]:
    """Numeric metadata of an asset's last materialization."""
    with prepare_instance(Home(home)) as instance:
        (record,) = instance.fetch_materializations(key, limit=1).records
    assert record.asset_materialization is not None
    metadata = record.asset_materialization.metadata.items()
    return {name: value.value for name, value in metadata if isinstance(value.value, int | float)}


def test_every_asset_tells_its_rows_seconds_and_memory(small_home: Path, tmp_path: Path) -> None:
    a, *_ = films(small_home)
    file = tmp_path / "new.csv"
    file.write_text(f"userId,movieId,rating,timestamp\n910001,{a},5.0,{IN_2018}\n910001,-1,5.0,{IN_2018}\n")
    marquee_json(small_home, "ingest", file)
    for spec in build_defs().resolve_all_asset_specs():
        if spec.group_name in outside.GROUPS:
            continue
        found = numbers(small_home, spec.key)
        if spec.key.path == ["raw", "ratings"]:  # loaded with others: its months have rows of their own, no seconds
            assert found["dagster/partition_row_count"] > 0
            continue
        assert set(found) >= MEASURED, spec.key
        assert "dagster/row_count" in found or spec.key.path[-1] == "retired_releases", spec.key
    taken = numbers(small_home, dg.AssetKey(["raw", "rating_files"]))
    assert (taken["accepted"], taken["rejected"], taken["files_taken_in"]) == (1, 1, 1)
    assert numbers(small_home, outside.LANDING)["taken"] == 1  # something new came, and its freshness counts from then
    with prepare_instance(Home(small_home)) as instance:
        assert instance.get_latest_materialization_event(outside.EVENTS) is None  # looked at, but nothing ever came
    staged = numbers(small_home, dg.AssetKey(["published", "staged_release"]))
    assert set(staged) >= {"megabytes", "checks_seconds", "report_seconds", "overlap_jaccard", "rows_ratings"}
    assert {"hit_rate@3", "ndcg@10"} <= set(numbers(small_home, dg.AssetKey(["model", "evaluation"])))
