"""The exports group: one asset per target of the home's `exports.toml`; the release that consumers find there."""

from collections.abc import Mapping

import dagster as dg

from assets.common import OWNERS, Stopwatch, result
from checks.asset_checks import check_result
from checks.exports import EXPORT_CHECKS, export_checks
from warehouse.exports.export import ExportSpec, export_release
from warehouse.exports.release_file import open_release_file
from warehouse.home import Home
from warehouse.releases.registry import live_release

KINDS = {"postgresql": "postgres", "redis": "redis", "parquet": "parquet"}
"""Dagster's names of the kinds of targets, which have pictures."""


def export_assets(targets: Mapping[str, ExportSpec]) -> list[dg.AssetsDefinition]:
    """One asset per target, named like it."""
    return [_export_asset(name, spec) for name, spec in targets.items()]


def _export_asset(name: str, spec: ExportSpec) -> dg.AssetsDefinition:
    key = dg.AssetKey(["exports", name])

    @dg.asset(
        key=key,
        group_name="exports",
        kinds={KINDS[spec.address.kind]},
        owners=OWNERS,
        deps=[["published", "live_release"]],
        description=f"The live release in {spec.address.shown}: loaded under its name, verified, then switched to at "
        "once. One that is there already is only switched to.",
        check_specs=[dg.AssetCheckSpec(check, asset=key, description=text) for check, text in EXPORT_CHECKS.items()],
    )
    def exported(context: dg.AssetExecutionContext, home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
        watch = Stopwatch()
        with open_release_file(home) as source:
            done = export_release(source, spec, context.log.info)
            rows = {table: source.rows(table) for table in done.tables}
        metadata = {
            "release": done.release,
            "target": done.target,
            "dagster/row_count": sum(done.seen.rows.values()),
            **{f"rows_{table}": count for table, count in done.seen.rows.items()},
            "tables_loaded": done.loaded,
            "releases_given_up": done.retired,
            **{f"{step}_seconds": seconds for step, seconds in done.seconds.items()},
        }
        found = result(watch, metadata, version=done.release, changed=bool(done.loaded) or done.switched)
        outcomes = export_checks("/".join(key.path), done.seen, rows, live_release(home))
        return found._replace(check_results=[check_result(outcome) for outcome in outcomes])

    return exported
