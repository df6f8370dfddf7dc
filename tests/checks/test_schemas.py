"""Models against tables: the same columns everywhere, and one bad value in any column fails, in SQL as in pandera."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import duckdb
import polars as pl
import pytest

from checks.tables.conformance import check_foreign_keys, check_schema, pandera_failures
from warehouse.schemas.definitions import create_statements
from warehouse.schemas.models import PUBLISHED_MODELS, WORKING_MODELS
from warehouse.schemas.table import Table, foreign_keys, sql_types, unique_keys

ALL_MODELS = {**WORKING_MODELS, **{f"published {name}": model for name, model in PUBLISHED_MODELS.items()}}
COLUMNS = [(table, column) for table, model in ALL_MODELS.items() for column in model.to_schema().columns]
TAGS = 3
TEXTS = {
    "^[0-9a-f]{64}$": "0" * 64,
    "^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$": "20260101T000000Z-0123abcd",
    "^[0-9a-f]{16}$": "0" * 16,
    "^[0-9a-f]{16,64}$": "0" * 32,
    "^[0-9a-f]+-[0-9a-f]+$": "12-ab",
    r"^\{": "{}",
    "^[a-z0-9][a-z0-9._-]{0,63}$": "name-1",
}


def good_value(name: str, column: Any) -> Any:
    """A value that meets every bound of a column."""
    bounds = {check.name: check.statistics for check in column.checks}
    kind = column.dtype.type
    if "isin" in bounds:
        return bounds["isin"]["allowed_values"][0]
    if "str_matches" in bounds:
        return TEXTS[bounds["str_matches"]["pattern"]]
    if kind == pl.List(pl.Float32):
        return [0.0, 0.5, 1.0]
    if kind in (pl.List(pl.String), pl.List(pl.Int32)):
        return []
    simple = {pl.String: "x", pl.Boolean: True, pl.Date: date(2020, 1, 1), pl.Datetime("us"): datetime(2020, 1, 1)}
    if kind in simple:
        return simple[kind]
    # Values that also fit together: accepted + rejected = data_rows, movie_a < movie_b, and so on.
    special = {
        "data_rows": 2,
        "accepted": 1,
        "rejected": 1,
        "superseded": 0,
        "rows": 2,
        "movie_a": 1,
        "movie_b": 2,
        "movie_id": 3,
        "year": 1999,
    }
    return special.get(name, 1)


def good_row(model: type[Table]) -> dict[str, Any]:
    return {name: good_value(name, column) for name, column in model.to_schema().columns.items()}


def bad_values(column: Any) -> Iterator[Any]:
    """Values just outside every bound of a column, and NULL where there must be a value."""
    if not column.nullable:
        yield None
    for check in column.checks:
        match check.name:
            case "greater_than_or_equal_to":
                low = check.statistics["min_value"]
                if isinstance(low, date):
                    yield low.replace(year=low.year - 1)
                elif abs(low) < 1e300:
                    yield low - 1
                else:
                    yield -float("inf")
            case "less_than_or_equal_to":
                high = check.statistics["max_value"]
                if column.dtype.type in (pl.Float32, pl.Float64):
                    yield float("nan")
                    yield float("inf") if high > 1e300 else high + 1
                elif column.dtype.type != pl.Int32 or high < 2**31 - 1:
                    yield high + 1
            case "str_length":
                yield ""
            case "str_matches" | "isin":
                yield "[]"  # valid JSON, but not an object
            case "elements_between":
                yield from ([0.0, 2.0, 0.0], [0.0, -1.0, 0.0], [0.0, float("nan"), 0.0], [0.0, None, 0.0])


def frame_of(model: type[Table], row: dict[str, Any]) -> pl.DataFrame:
    types = {name: column.dtype.type for name, column in model.to_schema().columns.items()}
    return pl.DataFrame({name: [value] for name, value in row.items()}, schema=types)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA raw")
        con.execute(f"CREATE TABLE raw.genome_tags AS SELECT range AS tag_id, 'x' AS tag FROM range({TAGS})")
        yield con


def table_of(con: duckdb.DuckDBPyConnection, model: type[Table], row: dict[str, Any]) -> str:
    """A table of one row, in the types of the model."""
    columns = ", ".join(f"{name} {kind.replace('n_tags', str(TAGS))}" for name, kind in sql_types(model).items())
    con.execute(f"CREATE OR REPLACE TABLE raw.tried ({columns})")
    con.execute(f"INSERT INTO raw.tried VALUES ({', '.join('?' for _ in row)})", list(row.values()))
    return "raw.tried"


@pytest.mark.parametrize("table", ALL_MODELS)
def test_a_good_row_passes(con: duckdb.DuckDBPyConnection, table: str) -> None:
    model = ALL_MODELS[table]
    row = good_row(model)
    assert pandera_failures(model, frame_of(model, row)) == []
    found = check_schema(con, table_of(con, model, row), model, "x/y")
    assert found.passed, found.description
    assert found.details["shape"] == [1, len(row)]
    assert set(found.details["dtypes"]) == set(row)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_one_bad_value_in_any_column_fails(con: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    model = ALL_MODELS[table]
    tried = list(bad_values(model.to_schema().columns[column]))
    assert tried, f"{table}.{column} takes any value"
    for value in tried:
        row = good_row(model) | {column: value}
        found = check_schema(con, table_of(con, model, row), model, "x/y")
        assert found.details["pandera_failures"], f"pandera takes {value!r}"
        assert not found.passed
        assert found.severity == "error"
        assert column in found.description, f"SQL takes {value!r}"


@pytest.mark.parametrize("table", [name for name, model in ALL_MODELS.items() if unique_keys(model)])
def test_a_repeated_key_fails(con: duckdb.DuckDBPyConnection, table: str) -> None:
    model = ALL_MODELS[table]
    name = table_of(con, model, good_row(model))
    con.execute(f"INSERT INTO {name} FROM {name}")
    found = check_schema(con, name, model, "x/y")
    assert not found.passed
    assert "not unique" in found.description


def test_a_repeated_key_is_found_in_a_large_unsorted_table(con: duckdb.DuckDBPyConnection) -> None:
    """The way that sorts ranges of keys instead of hashing them."""
    con.execute(
        "CREATE TABLE raw.likes AS SELECT (range * 7919 % 1000 + 1)::INTEGER AS user_id, "
        "(range // 1000 + 1)::INTEGER AS movie_id FROM range(2_100_000)"
    )
    model = WORKING_MODELS["model.likes"]
    assert check_schema(con, "raw.likes", model, "x/y").passed
    con.execute("INSERT INTO raw.likes SELECT * FROM raw.likes WHERE movie_id = 77 LIMIT 5")
    found = check_schema(con, "raw.likes", model, "x/y")
    assert found.value == 5
    assert "not unique (5)" in found.description


@pytest.mark.parametrize("table", [name for name, model in ALL_MODELS.items() if foreign_keys(model)])
def test_an_orphan_fails(con: duckdb.DuckDBPyConnection, table: str) -> None:
    model = ALL_MODELS[table]
    name = table_of(con, model, good_row(model))
    for column, (target, key) in foreign_keys(model).items():
        schema = target.split(".")[0]
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        con.execute(f"CREATE TABLE IF NOT EXISTS {target} AS SELECT {column} AS {key} FROM {name}")
        con.execute(f"INSERT INTO {target} SELECT {column} FROM {name}")
    assert check_foreign_keys(con, name, model, "x/y").passed
    for column, (target, _) in foreign_keys(model).items():
        con.execute(f"CREATE OR REPLACE TEMP TABLE kept AS FROM {target}")
        con.execute(f"DELETE FROM {target} WHERE true")
        found = check_foreign_keys(con, name, model, "x/y")
        assert not found.passed
        assert f"{column} not in {target}" in found.description
        con.execute(f"INSERT INTO {target} FROM kept")


@pytest.mark.parametrize("change", ["DROP votes", "ADD COLUMN extra INTEGER", "ALTER votes TYPE BIGINT"])
def test_other_columns_or_types_fail(con: duckdb.DuckDBPyConnection, change: str) -> None:
    model = WORKING_MODELS["recs.pair_recommendations"]
    name = table_of(con, model, good_row(model))
    con.execute(f"ALTER TABLE {name} {change}")
    found = check_schema(con, name, model, "x/y")
    assert not found.passed
    assert "votes" in found.description


def test_models_declare_the_tables_that_duckdb_has(small_live: Any, tmp_path: Any) -> None:
    with duckdb.connect(str(small_live / "published" / "current.duckdb"), read_only=True) as con:
        check_real(con, PUBLISHED_MODELS, "genome_tags")
    with duckdb.connect(str(small_live / "warehouse.duckdb"), read_only=True) as con:
        check_real(con, WORKING_MODELS, "raw.genome_tags")


def check_real(con: duckdb.DuckDBPyConnection, models: dict[str, type[Table]], tags: str) -> None:
    width = con.execute(f"SELECT count(*) FROM {tags}").fetchall()[0][0]
    found = con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
    names = {table if schema == "main" else f"{schema}.{table}" for schema, table in found}
    assert names == set(models)
    for table, model in models.items():
        real = {row[0]: row[1] for row in con.execute(f"DESCRIBE {table}").fetchall()}
        assert real == {name: kind.replace("n_tags", str(width)) for name, kind in sql_types(model).items()}, table
        if "." not in table:
            assert check_schema(con, table, model, "x/y").passed


def test_every_column_and_table_is_described() -> None:
    for table, model in ALL_MODELS.items():
        assert model.__doc__, table
        for name, column in model.to_schema().columns.items():
            assert column.description, f"{table}.{name}"


def test_a_new_home_has_every_fixed_table() -> None:
    with duckdb.connect() as con:
        for statement in create_statements() * 2:
            con.execute(statement)
        found = con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
        assert {row[0] for row in found} == set(WORKING_MODELS) - {"raw.genome", "model.user_vectors"}
