"""Jobs: which assets are made together. Schedules and sensors launch them, so do the command line and the UI."""

import dagster as dg

from checks.tables.incoming import FILE_CHECKS
from warehouse.compute.units import SHARDS

TURN = "marquee/turn"
"""Run tag that groups runs in the queue (`dagster.yaml`): of each value one run at a time."""
WAREHOUSE_TURN = {TURN: "warehouse"}
EXPORT_TURN = {TURN: "exports"}

ALL_SHARDS = {
    "dagster/asset_partition_range_start": "0",
    "dagster/asset_partition_range_end": str(SHARDS - 1),
}
"""Tags of a run that makes all pairs and lists of users, as whoever launches a job without a partition expects."""

RAW_TABLES = [
    dg.AssetKey(["raw", name])
    for name in ("source_files", "rating_files", "rejected_rows", "movies", "ratings", "genome_tags", "genome")
]
IMPORTED = dg.AssetSelection.assets(["raw", "source_files"], ["raw", "movies"], ["raw", "rejected_rows"])
LIKES = dg.AssetSelection.assets(["model", "likes"], ["model", "film_likes"])
GENOME = dg.AssetSelection.assets(["raw", "genome_tags"], ["raw", "genome"])
RECOMMENDED = dg.AssetSelection.groups("recs", "published", "ops")
RATINGS_CHECKED = dg.AssetSelection.checks_for_assets(dg.AssetKey(["raw", "ratings"]))
FILES_CHECKED = dg.AssetSelection.checks(
    *(dg.AssetCheckKey(dg.AssetKey(["raw", "rating_files"]), name) for name in FILE_CHECKS)
)
INPUTS_CHECKED = dg.AssetSelection.checks_for_assets(*RAW_TABLES) - FILES_CHECKED
"""Checks of what a run reads but does not make; those of what it makes are part of it anyway."""
MODEL_CHECKED = dg.AssetSelection.checks_for_assets(
    *(dg.AssetKey(["model", name]) for name in ("user_vectors", "annoy_indexes", "evaluation"))
)

import_source = dg.define_asset_job(
    "import_source",
    selection=IMPORTED | RATINGS_CHECKED,
    description="Load a source, the bundled sample if none is named: swaps all raw tables in one transaction. Then "
    "launch retrain_model.",
    tags=WAREHOUSE_TURN,
)
ingest_ratings = dg.define_asset_job(
    "ingest_ratings",
    selection=dg.AssetSelection.assets(["raw", "rating_files"]) | LIKES | RATINGS_CHECKED,
    description="Ingest files of new ratings: the months they touch, and the likes that follow. The next refresh "
    "recommends from them.",
    tags=WAREHOUSE_TURN,
)
reload_ratings = dg.define_asset_job(
    "reload_ratings",
    selection=dg.AssetSelection.assets(["raw", "ratings"]),
    description="Make one month of ratings, or a range of months, anew from everything that came in.",
    tags=WAREHOUSE_TURN,
)
refresh_recommendations = dg.define_asset_job(
    "refresh_recommendations",
    selection=LIKES | RECOMMENDED | INPUTS_CHECKED | MODEL_CHECKED,
    description="Recommend from the likes as they are now: all lists, staged, checked, live. Hourly. Launch it without "
    "a partition.",
    tags={**WAREHOUSE_TURN, **ALL_SHARDS},
)
retrain_model = dg.define_asset_job(
    "retrain_model",
    selection=GENOME | dg.AssetSelection.groups("model") | RECOMMENDED | INPUTS_CHECKED,
    description="Genome, likes, user vectors, index, item model and evaluation anew, then a refresh. Nightly. Launch "
    "it without a partition.",
    tags={**WAREHOUSE_TURN, **ALL_SHARDS},
)

JOBS = [import_source, ingest_ratings, reload_ratings, refresh_recommendations, retrain_model]
