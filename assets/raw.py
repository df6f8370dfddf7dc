"""The raw group: the source and new ratings as they came in, checked row by row by ingest validation.

Two ways in: a whole source (`source_files` and the tables loaded with it, in one transaction) and files of new ratings
(`rating_files`). `ratings` is partitioned by month; both ways in report the months they changed, and one month can be
made again alone.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets import outside
from assets.common import OWNERS, Stopwatch, result, table_metadata, table_spec
from assets.partitions import months
from checks.asset_checks import check_result
from checks.settings import CheckSettings
from checks.tables.incoming import FILE_CHECKS, file_checks
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.errors import SourceError
from warehouse.faults import step
from warehouse.ingest.import_manifest import ImportedFile, SourceManifest, read_manifest
from warehouse.ingest.importer import import_ratings_file, import_source
from warehouse.ingest.landing import Signature, is_settled, landed_files, put_away, refuse, signature
from warehouse.queries import one_row
from warehouse.schemas.row_rules import row_rules
from warehouse.sources.resolve import resolve_source
from warehouse.tables.genome import load_genome
from warehouse.tables.held_source import current_source, require_source
from warehouse.tables.inputs import record_inputs
from warehouse.tables.ratings import add_rating_file, is_ingested, load_months, next_month
from warehouse.tables.source import load_source, refuse_other_source
from warehouse.tables.versions import table_notes, table_version

RATINGS = dg.AssetKey(["raw", "ratings"])
RATING_FILES = dg.AssetKey(["raw", "rating_files"])
RATINGS_PREVIEW = "SELECT rating, count(*) AS ratings FROM raw.ratings GROUP BY 1 ORDER BY 1"


class SourceConfig(dg.Config):
    """Which source to load."""

    source: str = Field(
        default="",
        description="sample, a folder, a zip, a URL or a known name such as ml-latest. Empty: the one the home holds, "
        "and in a home that holds none the bundled sample.",
    )
    replace_source: bool = Field(default=False, description="Swap all raw tables if the home holds another source.")


class RatingFilesConfig(dg.Config):
    """Which files of ratings to ingest."""

    files: list[str] = Field(default=[], description="CSV or Parquet files; empty: all files in the landing folder.")


SOURCE_PREVIEWS = {
    "source_files": "FROM raw.source_files",
    "movies": "FROM raw.movies LIMIT 8",
    "rejected_rows": "SELECT source, reason, count(*) AS row_count FROM raw.rejected_rows GROUP BY ALL ORDER BY ALL",
}


@dg.multi_asset(
    name="source_tables",
    specs=[
        table_spec(
            "raw",
            "source_files",
            "Files of the source: one row per file, with size, sha256 and rows.",
            [outside.DATA_SET],
            {"csv", "parquet"},
        ),
        table_spec(
            "raw",
            "movies",
            "Films of the source: one row per film, year parsed from the title. Replaced whole with the source.",
            [["raw", "source_files"]],
            {"duckdb"},
        ),
        table_spec(
            "raw",
            "rejected_rows",
            "Input rows that were rejected: one row each, with file, line, raw text and reason. Nothing is lost.",
            [["raw", "source_files"]],
            {"duckdb"},
        ),
    ],
)
def source_tables(
    context: dg.AssetExecutionContext,
    config: SourceConfig,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
) -> Iterator[dg.MaterializeResult]:
    """Import a source once to Parquet and swap all raw tables for it, ratings and genome included.

    The source the home holds already is left as it is, files of ratings ingested since included; `replace_source` loads
    it anew without them.
    """
    watch = Stopwatch()
    manifest = _imported(config, warehouse)
    held = current_source(warehouse.con)
    changed = config.replace_source or held is None or held["fingerprint"] != manifest.fingerprint
    if not config.replace_source:
        refuse_other_source(warehouse.con, manifest)
    outside.report(
        context, outside.DATA_SET, None, new=changed, origin=manifest.origin, fingerprint=manifest.fingerprint
    )
    if changed:
        with warehouse.transaction() as con:
            load_source(con, warehouse.home, manifest, parameters.genome_source)
            record_inputs(con, warehouse.home)
        # All months, also those without ratings: a month that was not reported would look as if it was missing.
        _report_months(context, warehouse, [date.fromisoformat(key) for key in months.get_partition_keys()])
        # The source has none, and what is made of the ratings depends on them.
        none = table_metadata(warehouse.con, "raw.rating_files") | watch.metadata()
        context.log_event(dg.AssetMaterialization(RATING_FILES, metadata=none))
    for table, preview in SOURCE_PREVIEWS.items():
        metadata = table_metadata(warehouse.con, f"raw.{table}", preview)
        if table == "source_files":
            metadata |= {"origin": manifest.origin, "fingerprint": manifest.fingerprint} | _fates(manifest.files)
        key, version = dg.AssetKey(["raw", table]), table_version(warehouse.con, f"raw.{table}")
        yield result(watch, metadata, key=key, version=version, changed=changed)


def _fates(files: Iterable[ImportedFile]) -> dict[str, int]:
    """How many rows of input files were accepted and rejected."""
    files = list(files)
    return {"accepted": sum(file.accepted for file in files), "rejected": sum(file.rejected for file in files)}


def _imported(config: SourceConfig, warehouse: Warehouse) -> SourceManifest:
    """Import the source named, or find the import of the one the home holds; an empty home gets the sample."""
    held = current_source(warehouse.con)
    if not config.source and held is not None:
        return read_manifest(warehouse.home.source_folder(held["fingerprint"]))
    local = resolve_source(config.source or "sample", warehouse.home.sources)
    return import_source(local, warehouse.home.sources, row_rules())


def _report_months(context: dg.AssetExecutionContext, warehouse: Warehouse, changed: list[date]) -> None:
    """Report to Dagster the months of ratings this step has made; the last one describes the whole table."""
    facts = {
        month: (count, mark)
        for month, count, mark in warehouse.con.execute(
            "SELECT month, ratings, fingerprint FROM raw.rating_months"
        ).fetchall()
    }
    for month in changed:
        count, mark = facts.get(month, (0, ""))
        metadata: dict[str, Any] = {"dagster/partition_row_count": count, "fingerprint": mark}
        if month == changed[-1]:
            metadata |= table_metadata(warehouse.con, "raw.ratings", RATINGS_PREVIEW)
        context.log_event(dg.AssetMaterialization(RATINGS, partition=month.isoformat(), metadata=metadata))


@dg.asset(
    key=RATING_FILES,
    group_name="raw",
    kinds={"csv", "parquet"},
    owners=OWNERS,
    deps=[["raw", "source_files"], outside.LANDING],
    check_specs=[dg.AssetCheckSpec(name, asset=RATING_FILES, description=text) for name, text in FILE_CHECKS.items()],
)
def rating_files(
    context: dg.AssetExecutionContext,
    config: RatingFilesConfig,
    check_settings: dg.ResourceParam[CheckSettings],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    """Files of new ratings ingested since the source was loaded: one row per file, each content exactly once.

    A file of the landing folder moves to `ingested/` when its ratings are committed, to `refused/` if it is no table or
    if none of its rows can be used; these are in raw.rejected_rows all the same.
    """
    watch = Stopwatch()
    paths = [Path(file) for file in config.files] or landed_files(warehouse.home.landing)
    imported, refused = _import_files(context, warehouse, paths)
    step("ratings_imported")
    changed: set[date] = set()
    taken = []
    for path, before, manifest in imported:
        (file,) = manifest.files
        known = is_ingested(warehouse.con, manifest.fingerprint)
        with warehouse.transaction() as con:
            changed.update(add_rating_file(con, warehouse.home, manifest))
            record_inputs(con, warehouse.home)
            step("ratings_committing")
        step("ratings_committed")
        if path.parent == warehouse.home.landing and is_settled(path, before):
            if file.useless:
                refuse(path, file.useless)
                refused[path.name] = file.useless
            else:
                put_away(path, manifest.fingerprint)
            step("file_put_away")
        taken.append(
            {
                "file": file.name,
                "fingerprint": manifest.fingerprint,
                "known": known,
                "accepted": file.accepted,
                "rejected": file.rejected,
                "reasons": file.rejected_by_reason,
                "rejected_rows": str(manifest.folder / "rejected_rows.parquet"),
            }
        )
    _report_months(context, warehouse, sorted(changed))
    (last,) = one_row(warehouse.con, "SELECT max(ingested_at) FROM raw.rating_files")
    outside.report(context, outside.LANDING, last, new=bool(taken), taken=len(taken), refused=len(refused))
    metadata = table_metadata(
        warehouse.con, "raw.rating_files", "FROM raw.rating_files ORDER BY ingested_at DESC LIMIT 8"
    )
    files = [file for _, _, manifest in imported for file in manifest.files]
    metadata |= _fates(files)
    metadata |= {"files_taken_in": len(taken), "files_refused": len(refused)}
    metadata |= {"files": taken, "refused": refused, "months": [month.isoformat() for month in sorted(changed)]}
    found = result(watch, metadata, version=table_version(warehouse.con, "raw.rating_files"), changed=bool(changed))
    checked = file_checks(files, refused, check_settings)
    return found._replace(check_results=[check_result(outcome) for outcome in checked])


def _import_files(
    context: dg.AssetExecutionContext, warehouse: Warehouse, paths: list[Path]
) -> tuple[list[tuple[Path, Signature | None, SourceManifest]], dict[str, str]]:
    """Convert files to Parquet. A landed file that is no table is put aside and does not keep the others waiting.

    Returns
    -------
    list of (Path, Signature, SourceManifest)
        Each file with its state before it was read.
    dict of str to str
        Landed files refused, with the reason.
    """
    source = require_source(warehouse.con)
    movies = warehouse.home.source_folder(source["fingerprint"]) / "movies.parquet"
    imported, refused = [], {}
    for path in paths:
        landed = path.parent == warehouse.home.landing
        before = signature(path)
        if landed and before is None:
            context.log.info(f"{path.name} is gone: another run ingested it")
            continue
        try:
            imported.append((path, before, import_ratings_file(path, warehouse.home.sources, row_rules(), movies)))
        except SourceError as error:
            if not landed:
                raise
            if is_settled(path, before):
                refuse(path, str(error))
                refused[path.name] = str(error)
                context.log.warning(f"refused: {error}")
            else:
                context.log.warning(f"left for later, it may still be being written: {error}")
    return imported, refused


@dg.asset(
    key=["raw", "ratings"],
    group_name="raw",
    kinds={"duckdb"},
    owners=OWNERS,
    partitions_def=months,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[["raw", "source_files"], ["raw", "rating_files"], ["raw", "movies"]],
)
def ratings(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Latest rating per user and film, partitioned by month of `rated_at` (UTC). A month can be made again alone."""
    watch = Stopwatch()
    span = context.partition_key_range
    first, after = date.fromisoformat(span.start), next_month(date.fromisoformat(span.end))
    with warehouse.transaction() as con:
        count = load_months(con, warehouse.home, first, after)
    metadata = table_metadata(warehouse.con, "raw.ratings", RATINGS_PREVIEW)
    return result(watch, metadata | {"dagster/partition_row_count": count})


@dg.multi_asset(
    name="genome_tables",
    specs=[
        table_spec(
            "raw",
            "genome_tags",
            "Tags of the genome: one row per tag; its id is its place in every film's vector.",
            [["raw", "source_files"], ["raw", "movies"]],
            {"duckdb"},
        ),
        table_spec(
            "raw",
            "genome",
            "Film vectors: one row per film, relevance of each tag on [0, 1], from genome scores or derived from tags "
            "and genres. Replaced whole.",
            [["raw", "genome_tags"]],
            {"duckdb"},
        ),
    ],
)
def genome_tables(
    parameters: dg.ResourceParam[ModelParameters], warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult]:
    """Load the genome again if the source or the choice of genome_source has changed."""
    watch = Stopwatch()
    with warehouse.transaction() as con:
        changed = load_genome(con, warehouse.home, parameters.genome_source)
    con = warehouse.con
    for table, preview in {
        "genome_tags": "FROM raw.genome_tags ORDER BY tag_id LIMIT 8",
        "genome": "SELECT title, list_max(relevance::FLOAT[]) AS highest, list_sum(relevance::FLOAT[]) AS total "
        "FROM raw.genome JOIN raw.movies USING (movie_id) ORDER BY movie_id LIMIT 8",
    }.items():
        metadata = table_metadata(con, f"raw.{table}", preview) | dict(table_notes(con, "raw.genome"))
        key, version = dg.AssetKey(["raw", table]), table_version(con, f"raw.{table}")
        yield result(watch, metadata, key=key, version=version, changed=changed)


ASSETS = [source_tables, rating_files, ratings, genome_tables]
