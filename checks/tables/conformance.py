"""Checks of whole tables against their models: shape, types, every bound of every column, uniqueness, foreign keys.

Belongs here: one function for tables of any size. Every row is held against the model in one SQL pass (conditions from
`warehouse.schemas.row_rules`); pandera itself judges small tables whole, and of large ones a sample and some rows that
failed, so that memory stays the same whatever the size. Does not belong here: the models (`warehouse.schemas`),
which table is checked when (`checks.tables.suite`), what follows from a failure (`warehouse.releases.promotion`)."""

import json
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pandera.polars as pa
import polars as pl

from warehouse.queries import one_row, records
from warehouse.schemas.definitions import column_types
from warehouse.schemas.row_rules import RowRule, row_conditions
from warehouse.schemas.table import Table, foreign_keys, sql_types, unique_keys
from warehouse.tables.check_results import CheckResult

PANDERA_ROWS = 20_000
"""Rows that pandera sees of a table: all of a smaller one, a sample of a larger one."""

PANDERA_WIDE_ROWS = 2_000
"""The same for tables with vectors, whose rows are a thousand times as wide."""

EXAMPLES = 5
"""Failing rows shown."""

LARGE = 2_000_000
"""Rows from which on uniqueness of two whole numbers is left to polars: a fifth of the time of DuckDB's GROUP BY."""

AT_ONCE = 30_000_000
"""Keys held at a time for that, 240 MB."""


def check_name(table: str, kind: str = "schema") -> str:
    """Name of a table's check; unique over all assets, because promotion and reports go by names."""
    return f"{table.replace('.', '_')}_{kind}"


def check_schema(
    con: duckdb.DuckDBPyConnection, table: str, model: type[Table], asset: str, *, name: str = "", unique: bool = True
) -> CheckResult:
    """Hold a table against its model.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
    table : str
        As SQL names it there, schema included.
    model : type of Table
    asset : str
        ``schema/table`` of the asset it is about.
    name : str
        Name of the check; default: from the table.
    unique : bool
        Whether uniqueness is looked at; it costs more than all the rest.

    Returns
    -------
    CheckResult
        Its value is the number of violations; details hold shape, dtypes and failing cases.
    """
    name = name or check_name(table)
    columns = check_columns(con, table, model, asset, name=name)
    if not columns.passed:
        return columns
    details = dict(columns.details)
    rules = row_conditions(model)
    rows, counts = _count_violations(con, table, rules)
    details["shape"] = [rows, len(details["dtypes"])]
    failing = {rule.reason: count for rule, count in zip(rules, counts, strict=True) if count}
    for key in unique_keys(model) if unique else []:
        if repeated := _repeated(con, table, key, rows):
            failing[f"{', '.join(key)} not unique"] = repeated
    bad = [rule for rule, count in zip(rules, counts, strict=True) if count]
    details |= _pandera(con, table, model, rows, bad)
    if details["pandera_failures"] and not failing:
        failing["pandera"] = len(details["pandera_failures"])
    if bad:
        details["examples"] = _examples(con, table, bad)
    return _outcome(name, asset, table, failing, details)


def check_columns(
    con: duckdb.DuckDBPyConnection, table: str, model: type[Table], asset: str, *, name: str = ""
) -> CheckResult:
    """Hold a table's columns and their types against its model; parameters as for `check_schema`."""
    types = _column_types(con, table)
    expected = column_types(con, table, model)
    failing = {} if types == expected else {_type_difference(types, expected): 1}
    details: dict[str, Any] = {"dtypes": types}
    if not failing:
        details["shape"] = [one_row(con, f"SELECT count(*) FROM {table}")[0], len(types)]
    return _outcome(name or check_name(table), asset, table, failing, details)


def _outcome(name: str, asset: str, table: str, failing: dict[str, int], details: dict[str, Any]) -> CheckResult:
    found = "; ".join(f"{reason} ({count:,})" for reason, count in failing.items()) or "all rows do"
    return CheckResult(
        check_name=name,
        asset=asset,
        passed=not failing,
        severity="error",
        value=float(sum(failing.values())),
        threshold=0.0,
        description=f"{table} meets its schema: {found}",
        details=details | {"failing": failing},
    )


def _column_types(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE {table}").fetchall()}


def _type_difference(found: dict[str, str], expected: dict[str, str]) -> str:
    if list(found) != list(expected):
        return f"columns are {', '.join(found)}, not {', '.join(expected)}"
    wrong = [f"{name} is {found[name]}, not {expected[name]}" for name in found if found[name] != expected[name]]
    return "; ".join(wrong)


def _count_violations(con: duckdb.DuckDBPyConnection, table: str, rules: list[RowRule]) -> tuple[int, list[int]]:
    """Rows of a table, and how many of them break each rule, in one pass."""
    counts = ", ".join(f"count(*) FILTER (WHERE {rule.violated})" for rule in rules)
    row = one_row(con, f"SELECT count(*), {counts} FROM {table}")
    return row[0], list(row[1:])


def _repeated(con: duckdb.DuckDBPyConnection, table: str, key: list[str], rows: int) -> int:
    """Rows too many: those whose key another row has already."""
    if _strictly_sorted(con, table, key):
        return 0
    if rows > LARGE and len(key) == 2:
        return _repeated_pairs(con, table, key, rows)
    columns = ", ".join(key)
    row = one_row(
        con, f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {table} GROUP BY {columns} HAVING n > 1)"
    )
    return int(row[0])


def _strictly_sorted(con: duckdb.DuckDBPyConnection, table: str, key: list[str]) -> bool:
    """Whether every row's key is greater than that of the row before, as in tables that are written sorted."""
    columns = ", ".join(key)
    before = ", ".join(f"lag({column}) OVER () AS before_{column}" for column in key)
    found = con.execute(
        f"SELECT 1 FROM (SELECT {columns}, row_number() OVER () AS n, {before} FROM {table}) "
        f"WHERE n > 1 AND ({_greater(key)}) IS NOT TRUE LIMIT 1"
    ).fetchall()
    return not found


def _greater(key: list[str]) -> str:
    """SQL: this key comes after the one before, column by column."""
    first, *rest = key
    later = f"{first} > before_{first}"
    return f"{later} OR {first} = before_{first} AND ({_greater(rest)})" if rest else later


def _repeated_pairs(con: duckdb.DuckDBPyConnection, table: str, key: list[str], rows: int) -> int:
    """The same for two whole numbers in a large table: as one number each, in ranges that fit the memory."""
    first, second = key
    span = one_row(con, f"SELECT min({first}), max({first}) FROM {table}")
    repeated = 0
    edges = np.linspace(span[0], span[1] + 1, -(-rows // AT_ONCE) + 1).astype(np.int64)
    for low, high in pairwise(edges):
        found = con.execute(
            f"SELECT {first}::BIGINT * 4294967296 + {second} AS k FROM {table} WHERE {first} >= ? AND {first} < ?",
            [int(low), int(high)],
        ).fetchnumpy()["k"]
        repeated += len(found) - pl.Series(np.asarray(found)).n_unique()
    return repeated


def _pandera(
    con: duckdb.DuckDBPyConnection, table: str, model: type[Table], rows: int, bad: list[RowRule]
) -> dict[str, Any]:
    """What pandera says of all rows, or of a sample and some rows that SQL has found bad."""
    sample = ""
    most = PANDERA_WIDE_ROWS if _wide(model) else PANDERA_ROWS
    if rows > most:
        # Whole blocks of rows: a sample row by row would read the table once more.
        sample = f"USING SAMPLE {100 * most / rows:.9f} PERCENT (system, 1)"
    frames = [_frame(con, f"SELECT * FROM {table} {sample}", model)]
    if bad and sample:
        frames.append(_frame(con, _bad_rows(table, bad), model))
    failures: list[str] = []
    for frame in frames:
        failures += pandera_failures(model, frame)
    return {"pandera_rows": sum(len(frame) for frame in frames), "pandera_failures": failures[:EXAMPLES]}


def pandera_failures(model: type[Table], frame: pl.DataFrame) -> list[str]:
    """What pandera objects to in a frame: one line per case; empty if it is well."""
    try:
        model.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.to_dicts()
        return [f"{case['column']}: {case['check']}: {case['failure_case']}" for case in cases]
    return []


def _frame(con: duckdb.DuckDBPyConnection, query: str, model: type[Table]) -> pl.DataFrame:
    """Rows as an eager frame; vectors as lists, because their width is the SQL type's business."""
    wide = _wide(model)
    casts = ", ".join(f"{name}::FLOAT[] AS {name}" for name in wide)
    return con.sql(f"SELECT * {f'REPLACE ({casts})' if wide else ''} FROM ({query})").pl()


def _wide(model: type[Table]) -> list[str]:
    """Columns that hold vectors."""
    return [name for name, kind in sql_types(model).items() if "n_tags" in kind]


def _bad_rows(table: str, bad: list[RowRule]) -> str:
    broken = " OR ".join(f"({rule.violated})" for rule in bad)
    return f"SELECT * FROM {table} WHERE {broken} LIMIT {EXAMPLES}"


def _examples(con: duckdb.DuckDBPyConnection, table: str, bad: list[RowRule]) -> list[str]:
    """Some rows that break a rule, each as text short enough to read."""
    rows = records(con.execute(_bad_rows(table, bad)))
    return [json.dumps(row, default=str, ensure_ascii=False)[:300] for row in rows]


def check_foreign_keys(con: duckdb.DuckDBPyConnection, table: str, model: type[Table], asset: str) -> CheckResult:
    """Look for values that are not in the tables they refer to.

    Parameters and result as for `check_schema`; the value is the number of rows with an orphan id.
    """
    orphans: dict[str, int] = {}
    examples: dict[str, list[Any]] = {}
    for column, (target, key) in foreign_keys(model).items():
        lost = con.execute(
            f"SELECT {column}, n FROM (SELECT {column}, count(*) AS n FROM {table} GROUP BY 1) AS found "
            f"ANTI JOIN {target} AS known ON found.{column} = known.{key} ORDER BY 1"
        ).fetchall()
        if lost:
            orphans[f"{column} not in {target}"] = sum(count for _, count in lost)
            examples[column] = [value for value, _ in lost[:EXAMPLES]]
    found = "; ".join(f"{reason} ({count:,} rows)" for reason, count in orphans.items()) or "all do"
    return CheckResult(
        check_name=check_name(table, "orphans"),
        asset=asset,
        passed=not orphans,
        severity="error",
        value=float(sum(orphans.values())),
        threshold=0.0,
        description=f"ids in {table} exist where they come from: {found}",
        details={"failing": orphans, "examples": examples},
    )
