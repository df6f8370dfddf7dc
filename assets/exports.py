"""The exports group: one asset per target of the home's `exports.toml`; the release that consumers find there.

Belongs here: the assets, and what a target should have and was given last. Does not belong here: when to export
(`orchestration.exports`).
"""

from collections.abc import Mapping

import dagster as dg

from assets.common import OWNERS, Stopwatch, result
from checks.asset_checks import check_result
from checks.exports import EXPORT_CHECKS, export_checks
from warehouse.exports.export import ExportSpec, export_release
from warehouse.exports.release_file import open_release_file
from warehouse.exports.settings import configured_targets
from warehouse.home import Home
from warehouse.releases.registry import live_release
from warehouse.tables.versions import digest

RECORDED = ("release", "settings")
"""Metadata of an export by which one knows what a target was given last."""

KINDS = {"postgresql": "postgres", "redis": "redis", "parquet": "parquet"}
"""Dagster's names of the kinds of targets, which have pictures."""


def wanted_now(home: Home, key: dg.AssetKey) -> tuple[str, str] | None:
    """The live release, and the version of the settings of a target; None if nothing is live, or no such target."""
    spec, live = configured_targets(home).get(key.path[-1]), live_release(home)
    return None if spec is None or live is None else (live, _settings_version(spec))


def exported_last(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str, str] | None:
    """The release that was exported last, and by which settings; None if none was."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    if made is None:
        return None
    release, settings = (str(made.metadata[name].value) if name in made.metadata else "" for name in RECORDED)
    return release, settings


def _settings_version(spec: ExportSpec) -> str:
    """Version of what is asked for of a target, without its password."""
    return digest(spec.address.shown, spec.tables, spec.keep)[:12]


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
        asked = configured_targets(home).get(name, spec)  # as the file is now, not when definitions were loaded
        with open_release_file(home) as source:
            done = export_release(source, asked, context.log.info)
            rows = {table: source.rows(table) for table in done.tables}
        metadata = {
            "release": done.release,
            "target": done.target,
            "settings": _settings_version(asked),
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
