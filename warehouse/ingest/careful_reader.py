"""The careful CSV reader: line by line in SQL, for any file; a line it cannot read is rejected with a reason.

Belongs here: quotes, fields, the text of numbers: everything that can be said of one line alone. The fields of Parquet
files of ratings go through the same casts. Does not belong here: what the values must be (rules, duplicates, unknown
films), which is `acceptance`.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from warehouse.ingest.layouts import EARLIEST_SECOND, LATEST_SECOND, Column
from warehouse.ingest.lines import Lines, as_text
from warehouse.queries import sql_name

LONGEST_LINE = 100_000
"""Characters; a longer line is no row of any of these files but a file without line ends."""

_MACROS = r"""
CREATE OR REPLACE TEMP MACRO csv_is_well_formed(raw) AS
    NOT contains(raw, '"') OR regexp_full_match(',' || raw, '(?:,(?:"(?:[^"]|"")*"|[^",][^,]*|))+');
CREATE OR REPLACE TEMP MACRO csv_fields(raw) AS CASE
    WHEN NOT contains(raw, '"') THEN string_split(raw, ',')
    -- Every match begins with a comma, so that empty fields match something.
    ELSE list_transform(
        regexp_extract_all(',' || raw, ',("(?:[^"]|"")*"|[^",][^,]*|)', 1),
        lambda field: CASE
            WHEN field[1] = '"' THEN replace(substr(field, 2, length(field) - 2), '""', '"') ELSE field END) END;
-- DuckDB's casts take 3.7, 0x3 and 1_000 for integers; a file that has those is damaged.
CREATE OR REPLACE TEMP MACRO is_integer(field) AS regexp_full_match(trim(field), '[+-]?[0-9]+');
CREATE OR REPLACE TEMP MACRO to_integer(field) AS
    CASE WHEN is_integer(field) THEN TRY_CAST(trim(field) AS INTEGER) END;
CREATE OR REPLACE TEMP MACRO is_beyond_integer(field) AS
    is_integer(field) AND TRY_CAST(trim(field) AS INTEGER) IS NULL;
CREATE OR REPLACE TEMP MACRO to_finite(number) AS CASE WHEN isfinite(number) THEN number END;
CREATE OR REPLACE TEMP MACRO to_real(field) AS CASE
    WHEN regexp_full_match(trim(field), '[+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?')
    THEN to_finite(TRY_CAST(trim(field) AS FLOAT)) END;
CREATE OR REPLACE TEMP MACRO to_seconds(field) AS CASE
    WHEN is_integer(field) AND TRY_CAST(trim(field) AS BIGINT) BETWEEN {earliest} AND {latest}
    THEN TRY_CAST(trim(field) AS BIGINT) END;
CREATE OR REPLACE TEMP MACRO to_micros(field) AS CASE
    WHEN TRY_CAST(field AS BIGINT) BETWEEN {earliest}000000 AND {latest}000000 THEN TRY_CAST(field AS BIGINT) END;
"""


def _record_sql(columns: int) -> str:
    return f"""
        CREATE OR REPLACE TEMP TABLE record AS
        WITH text AS (SELECT line, rtrim(raw, chr(13) || chr(10)) AS raw, encoding FROM lines),
        shape AS (SELECT *, CASE
            WHEN encoding IS NULL THEN 'text is neither UTF-8 nor Windows-1252'
            WHEN length(raw) > {LONGEST_LINE} THEN 'line is longer than {LONGEST_LINE} characters'
            WHEN trim(raw) = '' THEN 'empty line'
            WHEN NOT csv_is_well_formed(raw) THEN 'a quote is never closed, or text follows the closing one' END
            AS problem FROM text),
        split AS (SELECT *, CASE WHEN problem IS NULL THEN csv_fields(raw) END AS fields FROM shape)
        SELECT line, raw, fields, COALESCE(problem, CASE WHEN len(fields) <> {columns}
            THEN 'expected {columns} columns, found ' || len(fields) END) AS problem FROM split"""


def _value(column: Column, field: str) -> str:
    return field if column.kind == "text" else f"to_{column.kind}({field})"


def stage_fields(con: duckdb.DuckDBPyConnection, layout: Sequence[Column], positions: Sequence[int]) -> None:
    """Move the rows of the temporary table ``record`` to ``staged`` (typed) or ``unreadable`` (with a reason).

    Fields that are not numbers where numbers belong become NULL: the rules of the table say what that means.
    """
    fields = [f"fields[{position + 1}]" for position in positions]
    beyond = " ".join(
        f"WHEN is_beyond_integer({field}) THEN '{column.ours} is beyond 32 bits'"
        for column, field in zip(layout, fields, strict=True)
        if column.kind == "integer"
    )
    con.execute(f"UPDATE record SET problem = CASE {beyond} END WHERE problem IS NULL")
    values = ", ".join(_value(column, field) for column, field in zip(layout, fields, strict=True))
    con.execute(f"INSERT INTO staged SELECT line, {values} FROM record WHERE problem IS NULL")
    con.execute("INSERT INTO unreadable SELECT line, raw, problem FROM record WHERE problem IS NOT NULL")


def create_staging(con: duckdb.DuckDBPyConnection, layout: Sequence[Column]) -> None:
    """Create the temporary tables ``staged(line, our columns)`` and ``unreadable(line, raw, reason)``, empty."""
    con.execute(_MACROS.replace("{earliest}", str(EARLIEST_SECOND)).replace("{latest}", str(LATEST_SECOND)))
    types = {"integer": "INTEGER", "real": "FLOAT", "seconds": "BIGINT", "micros": "BIGINT", "text": "VARCHAR"}
    columns = ", ".join(f"{sql_name(column.ours)} {types[column.kind]}" for column in layout)
    con.execute(f"CREATE OR REPLACE TEMP TABLE staged (line BIGINT, {columns})")
    con.execute("CREATE OR REPLACE TEMP TABLE unreadable (line BIGINT, raw VARCHAR, reason VARCHAR)")


def stage_lines(con: duckdb.DuckDBPyConnection, header: Sequence[str], layout: Sequence[Column], lines: Lines) -> int:
    """Read any lines one by one into the temporary tables; returns how many were in another encoding than UTF-8."""
    text, encodings = as_text(lines)
    numbers = pa.array(np.arange(lines.first, lines.first + len(text)))
    known = pa.array(encodings, pa.string()) if encodings else pa.repeat("utf-8", len(text))
    con.register("lines", pa.table({"line": numbers, "raw": text, "encoding": known}))
    con.execute(_record_sql(len(header)))
    con.unregister("lines")
    stage_fields(con, layout, [header.index(column.name) for column in layout])
    return encodings.count("cp1252") if encodings else 0
