"""The published group: write, audit, publish. A release is staged with its checks, goes live, and retires."""

import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import duckdb
from pydantic import Field

from assets.common import OWNERS, Stopwatch, markdown_table, result, run_title
from assets.release_report import render_report
from checks.asset_checks import check_result
from checks.release.suite import ASSET, RELEASE_CHECKS, REQUIRED_CHECKS, audit_release
from checks.results import seconds_of
from checks.settings import CheckSettings
from checks.tables.content import Context
from checks.tables.suite import results_of, thresholds_version
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.experiments.reading import described_experiments
from warehouse.files import write_text
from warehouse.home_parameters import HomeParameters
from warehouse.releases.promotion import promote, refuse_what_no_longer_passes, was_rolled_back
from warehouse.releases.reader import example_pairs, open_release, row_counts
from warehouse.releases.registry import ReleaseError, acting_user, list_releases, live_release
from warehouse.releases.retirement import retire
from warehouse.releases.staging import StagedRelease, describe_next, same_content, stage_release
from warehouse.store.client import store_address
from warehouse.store.upload import publish
from warehouse.tables.check_results import CheckResult, Conditions, recorded_results
from warehouse.tables.ratings import input_files
from warehouse.tables.versions import digest

STAGED = dg.AssetKey(["published", "staged_release"])


PLOTTED_CHECKS = ("overlap_jaccard", "pairs_changed", "catalogue_coverage", "popular_share")
"""Checks whose values are repeated among the numbers that the UI plots over time."""


REPORTED_EXPERIMENTS = 3
"""Of late, shown in the report of a release."""


class RetentionConfig(dg.Config):
    """How much is kept."""

    keep: int = Field(default=24, ge=1, description="Newest releases to keep, besides the live one and the challenger.")


@dg.asset(
    key=STAGED,
    group_name="published",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[
        ["recs", "pair_recommendations"], ["recs", "signup_movies"], ["recs", "user_recommendations"],
        ["recs", "similar_movies"], ["recs", "popular_movies"], ["raw", "ratings"], ["raw", "movies"],
        ["raw", "genome"], ["model", "annoy_indexes"], ["model", "item_models"], ["model", "evaluation"],
    ],
    check_specs=[
        dg.AssetCheckSpec(check.name, asset=STAGED, description=check.description, blocking=check.gates)
        for check in RELEASE_CHECKS
    ],
)  # fmt: skip
def staged_release(
    parameters: dg.ResourceParam[HomeParameters],
    check_settings: dg.ResourceParam[CheckSettings],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    """A complete release beside the live one: database file and serving pack, checked, read by nobody yet."""
    watch = Stopwatch()
    tables = results_of(Context(warehouse, parameters, check_settings))

    def audit(con: duckdb.DuckDBPyConnection, against: str) -> list[CheckResult]:
        return audit_release(con, warehouse.home, check_settings, tables, parameters.by_default, against)

    asked = Conditions(thresholds_version(check_settings), digest(sorted(parameters.by_default))[:12])
    staged = stage_release(warehouse, parameters, audit, REQUIRED_CHECKS, asked)
    report, report_seconds = _write_report(warehouse, staged)
    with open_release(warehouse.home, staged.release) as con:
        preview = markdown_table(con, "SELECT check_name, passed, value, description FROM checks", rows=100)
        facts = markdown_table(con, "SELECT * EXCLUDE (parameters, row_counts) FROM release")
        rows = row_counts(con)
    path = warehouse.home.release_file(staged.release)
    metadata = {
        "release": staged.release,
        "file": dg.MetadataValue.path(str(path)),
        "dagster/uri": path.as_uri(),
        "report": dg.MetadataValue.path(str(report)),
        "report_seconds": report_seconds,
        "megabytes": round(path.stat().st_size / 1e6, 3),
        "dagster/row_count": sum(rows.values()),
        **{f"rows_{table}": rows[table] for table in ("ratings", "pair_recommendations", "user_recommendations")},
        "checks": preview,
        "checks_seconds": seconds_of(staged.results),
        "checks_forbidding": len(staged.failed),
        "checks_warning": sum(not outcome.passed and not outcome.blocks for outcome in staged.results),
        **{outcome.check_name: outcome.value for outcome in staged.results if outcome.check_name in PLOTTED_CHECKS},
        "lineage": facts,
    }
    found = result(watch, metadata, version=staged.release, changed=not staged.reused)
    return found._replace(check_results=[check_result(outcome) for outcome in staged.results if outcome.asset == ASSET])


def _write_report(warehouse: Warehouse, staged: StagedRelease) -> tuple[Path, float]:
    """Write the report of a release, unless it has one; also after a writer died before it came to that."""
    started = time.perf_counter()
    path = warehouse.home.report_file(staged.release)
    if not path.exists():
        entries = {entry["release"]: entry for entry in list_releases(warehouse.home)}
        live = entries.get(_compared_with(staged.results))
        live_results = recorded_results(warehouse.con, live["release"]) if live else []
        with open_release(warehouse.home, staged.release) as con:
            text = render_report(
                con, entries[staged.release], staged.results, input_files(warehouse.con), live, live_results,
                described_experiments(warehouse.home)[:REPORTED_EXPERIMENTS],
            )  # fmt: skip
        write_text(path, text)
    return path, round(time.perf_counter() - started, 3)


def _compared_with(results: Sequence[CheckResult]) -> str:
    """The release that was live when the checks ran, as they recorded it; empty if none was."""
    return next((str(found.details["against"]) for found in results if "against" in found.details), "")


@dg.asset(
    key=["published", "live_release"],
    group_name="published",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[STAGED],
)
def live_release_asset(
    context: dg.AssetExecutionContext,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    """The release everybody reads, behind `published/current.duckdb`. Refuses what has not passed its checks."""
    watch = Stopwatch()
    release = _release_to_promote(warehouse, parameters)
    reason = was_rolled_back(warehouse.con, release)
    promoted = False
    if reason is not None:
        context.log.warning(
            f"{release} was rolled back ({reason}) and its inputs have not changed since; it stays where it is. "
            f"To bring it back: marquee promote {release}"
        )
    else:
        promoted = promote(
            warehouse,
            release,
            REQUIRED_CHECKS,
            who=acting_user(),
            why=f"run {context.run.run_id} of {run_title(context.run)}",
        )
        refuse_what_no_longer_passes(warehouse.con, release, REQUIRED_CHECKS)
    live = live_release(warehouse.home)
    with open_release(warehouse.home) as con:
        metadata = {
            "release": live,
            "file": dg.MetadataValue.path(str(warehouse.home.current)),
            "dagster/uri": warehouse.home.current.absolute().as_uri(),
            "dagster/row_count": sum(row_counts(con).values()),
            "examples": dg.MetadataValue.json(example_pairs(con)),
        }
    pages = warehouse.home.docs / "index.html"
    if pages.exists():
        metadata["docs"] = dg.MetadataValue.path(str(pages))
    return result(watch, metadata, version=live, changed=promoted)


def _release_to_promote(warehouse: Warehouse, parameters: ModelParameters) -> str:
    """The staged release made from the tables as they are now."""
    release = same_content(warehouse, describe_next(warehouse, parameters)["content_hash"])
    if release is None:
        raise ReleaseError(
            "no release is staged for the tables as they are now; materialize published/staged_release first"
        )
    return release


@dg.asset(
    key=["published", "retired_releases"],
    group_name="published",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[["published", "live_release"]],
)
def retired_releases(
    context: dg.AssetExecutionContext, config: RetentionConfig, warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """Releases and models deleted by retention; never the live one, the challenger, or a model one of them needs."""
    watch = Stopwatch()
    gone = retire(
        warehouse, config.keep, who=acting_user(), why=f"retention: newest {config.keep} kept, run {context.run.run_id}"
    )
    metadata = {
        "releases": gone.releases,
        "models": gone.models,
        "releases_deleted": len(gone.releases),
        "models_deleted": len(gone.models),
        "megabytes_freed": round(gone.bytes / 1e6, 3),
        "kept": config.keep,
    }
    return result(watch, metadata, changed=bool(gone.releases or gone.models))


@dg.asset(
    key=["published", "stored_release"],
    group_name="published",
    kinds={"objectstorage"},
    owners=OWNERS,
    deps=[["published", "live_release"], ["published", "retired_releases"]],
)
def stored_release(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """The live release in the store of `MARQUEE_STORE`, for other machines. There is no such asset without a store."""
    watch, url = Stopwatch(), store_address()
    with warehouse.released():  # a rollback need not wait until a gigabyte is sent
        done = publish(warehouse.home, url, notify=context.log.info)
    metadata = {
        "release": done.release,
        "store": url,
        "files_sent": done.files,
        "files_copied": done.copied,
        "megabytes_sent": round(done.bytes / 1e6, 3),
        "releases_deleted": len(done.retired),
        "events_taken_in": done.events,
    }
    return result(watch, metadata, version=done.release, changed=done.changed)


ASSETS = [staged_release, live_release_asset, retired_releases]
STORE_ASSETS = [stored_release]
"""Of an installation that has a store."""
