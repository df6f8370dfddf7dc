"""What every asset shares: owners, metadata of a table, timing.

Belongs here: helpers that shape what Dagster shows. Does not belong here: reading or computing data.
"""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import duckdb

OWNERS = ["team:recommendations"]


def table_metadata(con: duckdb.DuckDBPyConnection, table: str, preview: str | None = None) -> dict[str, Any]:
    """Metadata of a table for the catalog: name, rows, columns and a small preview.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
    table : str
        ``schema.table``.
    preview : str, optional
        SQL whose first rows are shown as a Markdown table.
    """
    row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    described = con.execute(f"DESCRIBE {table}").fetchall()
    metadata: dict[str, Any] = {
        "dagster/table_name": table,
        "dagster/row_count": int(row[0]) if row else 0,
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name=column[0], type=column[1]) for column in described]
        ),
    }
    if preview is not None:
        metadata["preview"] = markdown_table(con, preview)
    return metadata


def markdown_table(con: duckdb.DuckDBPyConnection, query: str, rows: int = 8) -> dg.MarkdownMetadataValue:
    """First rows of a query as a Markdown table."""
    found = con.execute(query)
    names = [column[0] for column in found.description or []]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for values in found.fetchmany(rows):
        lines.append("| " + " | ".join(_cell(value) for value in values) + " |")
    found.fetchall()
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else str(value)
    return text.replace("|", "\\|")


class Stopwatch:
    """Seconds since it was made, for the metadata key `seconds`."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> dg.FloatMetadataValue:
        """Elapsed wall time."""
        return dg.MetadataValue.float(round(time.perf_counter() - self._start, 3))


def result(
    watch: Stopwatch, metadata: Mapping[str, Any], *, version: str | None = None, changed: bool = True
) -> dg.MaterializeResult:
    """Materialization with its seconds, whether anything was written, and the version of the data."""
    return dg.MaterializeResult(
        metadata={**metadata, "seconds": watch.seconds(), "unchanged": dg.MetadataValue.bool(not changed)},
        data_version=dg.DataVersion(version) if version else None,
    )
