"""Months and shards: one can be made anew alone, touches only itself, and shows in Dagster's own records."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from assets.partitions import months
from orchestration.instance import execute, prepare_instance
from tests.homes import copy_home
from warehouse.home import Home
from warehouse.tables.user_lists import BUCKET

ASKED = {"top_movies": 40}


def test_after_a_run_nothing_of_the_ratings_looks_missing(small_live: Path, tmp_path: Path) -> None:
    home = copy_home(small_live, tmp_path)
    ratings = dg.AssetKey(["raw", "ratings"])
    with prepare_instance(Home(home)) as instance:
        assert instance.get_materialized_partitions(ratings) == set(months.get_partition_keys())
        (record,) = instance.fetch_materializations(ratings, limit=1).records
        assert instance.get_latest_materialization_event(dg.AssetKey(["raw", "rating_files"])) is not None
    assert record.asset_materialization is not None
    metadata = record.asset_materialization.metadata
    assert metadata["dagster/row_count"].value == 12_000
    assert "rating" in metadata["preview"].value
    columns = metadata["dagster/column_schema"].value.columns
    assert [column.name for column in columns] == ["user_id", "movie_id", "rating", "rated_at"]


def working_table(home: Path, query: str) -> list[tuple[object, ...]]:
    """Look into the working database, as only tests do."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def change(home: Path, statement: str) -> None:
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        con.execute(statement)


def busiest_months(home: Path) -> tuple[str, str]:
    rows = working_table(home, "SELECT month FROM raw.rating_months ORDER BY ratings DESC LIMIT 2")
    return str(rows[0][0]), str(rows[1][0])


def test_one_month_is_made_anew_and_no_other_is_touched(small_home: Path) -> None:
    wanted, other = busiest_months(small_home)
    everything = "SELECT user_id, movie_id, rating, rated_at FROM raw.ratings ORDER BY ALL"
    before = working_table(small_home, everything)
    change(small_home, "UPDATE raw.ratings SET rating = 0.5 WHERE date_trunc('month', rated_at) IN "
           f"(DATE '{wanted}', DATE '{other}')")  # fmt: skip
    outcome = execute(Home(small_home), "reload_ratings", ASKED, partition=wanted)
    assert outcome.success, outcome.errors
    after = working_table(small_home, everything)
    in_month = [row for row in after if str(row[3])[:7] == wanted[:7]]
    assert in_month == [row for row in before if str(row[3])[:7] == wanted[:7]]
    assert {row[2] for row in after if str(row[3])[:7] == other[:7]} == {0.5}
    with prepare_instance(Home(small_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["raw", "ratings"]))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == wanted


@pytest.mark.parametrize("shard", ["0", "5"])
def test_one_shard_is_made_anew_alone(small_home: Path, shard: str) -> None:
    everything = "SELECT * FROM recs.pair_recommendations ORDER BY ALL"
    before = working_table(small_home, everything)
    change(small_home, f"DELETE FROM recs.pair_recommendations WHERE movie_a % 16 = {shard}")
    change(small_home, f"DELETE FROM ops.table_versions WHERE table_name = 'recs.pair_recommendations/{shard}'")
    outcome = execute(
        Home(small_home),
        "refresh_recommendations",
        ASKED,
        tags={"dagster/asset_partition_range_start": shard, "dagster/asset_partition_range_end": shard},
    )
    assert outcome.success, outcome.errors
    assert working_table(small_home, everything) == before


@pytest.mark.parametrize("bucket", ["3", "11"])
def test_one_bucket_of_users_is_made_anew_alone(small_home: Path, bucket: str) -> None:
    everything = "SELECT * FROM recs.user_recommendations ORDER BY ALL"
    before = working_table(small_home, everything)
    change(small_home, f"DELETE FROM recs.user_recommendations WHERE {BUCKET} = {bucket}")
    change(small_home, f"DELETE FROM ops.table_versions WHERE table_name = 'recs.user_recommendations/{bucket}'")
    assert 0 < len(working_table(small_home, everything)) < len(before)
    outcome = execute(
        Home(small_home),
        "refresh_recommendations",
        ASKED,
        tags={"dagster/asset_partition_range_start": bucket, "dagster/asset_partition_range_end": bucket},
    )
    assert outcome.success, outcome.errors
    assert outcome.metadata["recs/user_recommendations"]["buckets_replaced"] == 1
    assert working_table(small_home, everything) == before


def test_a_release_is_not_staged_from_stale_shards(small_home: Path) -> None:
    change(small_home, "DELETE FROM ops.table_versions WHERE table_name = 'recs.pair_recommendations/3'")
    outcome = execute(
        Home(small_home),
        "refresh_recommendations",
        ASKED,
        tags={"dagster/asset_partition_range_start": "0", "dagster/asset_partition_range_end": "0"},
    )
    assert not outcome.success
    assert any("shards 3" in error for error in outcome.errors), outcome.errors
