"""A home's tables are brought forward, and those of a newer Marquee are left alone."""

from pathlib import Path

import duckdb
import pytest

from warehouse.database import open_warehouse
from warehouse.home import Home
from warehouse.migrations import SCHEMA_VERSION, SchemaVersionError, schema_version
from warehouse.schemas.models import WORKING_MODELS


def columns(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    return set(
        con.execute(
            "SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns() "
            "WHERE schema_name IN ('raw', 'model', 'recs', 'ops')"
        ).fetchall()
    )


def test_a_home_from_before_there_were_versions_gets_the_new_columns_and_keeps_its_rows(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_warehouse(home, "a test") as warehouse:
        new = columns(warehouse.con)
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("DROP TABLE ops.schema_versions")
        con.execute("ALTER TABLE raw.source_files DROP superseded")
        con.execute("ALTER TABLE raw.rating_files DROP superseded")
        con.execute("ALTER TABLE ops.check_results DROP conditions")
        con.execute("ALTER TABLE ops.check_results DROP details")
        con.execute("ALTER TABLE recs.pair_recommendations DROP score")
        con.execute("ALTER TABLE ops.served_requests DROP answer_id")
        con.execute("ALTER TABLE ops.served_requests DROP client")
        con.execute("ALTER TABLE ops.served_requests DROP experiment")
        con.execute("DROP TABLE ops.events")
        con.execute("DROP TABLE ops.request_files")
        con.execute(f"INSERT INTO raw.source_files VALUES ('ratings.csv', 1, '{'0' * 64}', 3, 2, 1)")
    with open_warehouse(home, "a test") as warehouse:
        assert columns(warehouse.con) == new
        assert schema_version(warehouse.con) == SCHEMA_VERSION
        assert warehouse.con.execute("SELECT accepted, rejected, superseded FROM raw.source_files").fetchall() == [
            (2, 1, 0)
        ]


def test_a_home_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_warehouse(home, "a test") as warehouse:
        warehouse.con.execute("INSERT INTO ops.schema_versions VALUES (?, now()::TIMESTAMP)", [SCHEMA_VERSION + 1])
    before = home.warehouse.read_bytes()
    with pytest.raises(SchemaVersionError, match="newer Marquee"), open_warehouse(home, "a test"):
        pass
    assert home.warehouse.read_bytes() == before


def test_a_new_home_is_of_the_present_version(tmp_path: Path) -> None:
    with open_warehouse(Home(tmp_path), "a test") as warehouse:
        assert schema_version(warehouse.con) == SCHEMA_VERSION
        assert {table for table, _ in columns(warehouse.con)} == set(WORKING_MODELS) - {
            "raw.genome", "model.user_vectors",
        }  # fmt: skip
