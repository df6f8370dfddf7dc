"""What every asset shares: owners, metadata of a table, timing.

Belongs here: helpers that shape what Dagster shows. Does not belong here: reading or computing data.
"""

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from warehouse.queries import count_rows, database_file
from warehouse.schemas.definitions import column_types, model_of
from warehouse.schemas.lineage import sources_of

OWNERS = ["team:recommendations"]

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of `ru_maxrss`: kibibytes on Linux, bytes on macOS."""


def table_metadata(con: duckdb.DuckDBPyConnection, table: str, preview: str | None = None) -> dict[str, Any]:
    """Metadata of a table for the catalog: name, place, rows, columns, where these come from, and a small preview.

    `table` is ``schema.table``, `preview` SQL whose first rows are shown as a Markdown table.
    """
    metadata: dict[str, Any] = {
        "dagster/table_name": table,
        "dagster/uri": f"{Path(database_file(con)).as_uri()}#{table}",
        "dagster/row_count": count_rows(con, table),
        "dagster/column_schema": column_schema(table, column_types(con, table, model_of(table))),
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey(owner.split(".")), name) for owner, name in sources]
                for column, sources in sources_of(table).items()
            }
        ),
    }
    if preview is not None:
        metadata["preview"] = markdown_table(con, preview)
    return metadata


def column_schema(table: str, types: Mapping[str, str]) -> dg.TableSchema:
    """Columns of a table as its model has them, with these types."""
    columns = model_of(table).to_schema().columns
    return dg.TableSchema(
        [
            dg.TableColumn(
                name,
                kind,
                columns[name].description,
                dg.TableColumnConstraints(nullable=columns[name].nullable, unique=columns[name].unique),
            )
            for name, kind in types.items()
        ]
    )


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


def run_title(run: dg.DagsterRun) -> str:
    """What a run is called among people: its job, or the assets that were launched without one."""
    if not run.job_name.startswith("__"):
        return run.job_name
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    return (" and ".join(assets) if len(assets) < 3 else f"{assets[0]} and {len(assets) - 1} other assets") or "a run"


class Stopwatch:
    """Wall time, processor time and peak memory of a step, from the moment it was made."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._processor = time.process_time()

    def metadata(self) -> dict[str, float]:
        """Seconds of wall and processor time since, and the peak memory of the process so far in megabytes."""
        return {
            "seconds": round(time.perf_counter() - self._wall, 3),
            "cpu_seconds": round(time.process_time() - self._processor, 3),
            "peak_memory_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 1e6, 1),
        }


def table_spec(
    schema: str, table: str, description: str, deps: Sequence[Sequence[str] | dg.AssetKey], kinds: set[str]
) -> dg.AssetSpec:
    """Asset of a step that makes several."""
    return dg.AssetSpec(
        [schema, table],
        deps=deps,
        description=description,
        group_name=schema,
        kinds=kinds,
        owners=OWNERS,
    )


def result(
    watch: Stopwatch,
    metadata: Mapping[str, Any],
    *,
    key: dg.AssetKey | None = None,
    version: str | None = None,
    changed: bool = True,
) -> dg.MaterializeResult:
    """Materialization with its seconds, whether anything was written, and the version of the data.

    The key says which asset it is, in a step that makes several.
    """
    return dg.MaterializeResult(
        asset_key=key,
        metadata={**metadata, **watch.metadata(), "unchanged": dg.MetadataValue.bool(not changed)},
        data_version=dg.DataVersion(version) if version else None,
    )
