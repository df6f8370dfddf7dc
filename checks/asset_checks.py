"""Dagster's asset checks, made by a factory from the declared checks: one op per asset, each check green or red with
its numbers in the asset's tab.

Belongs here: the translation of a `CheckResult` to Dagster. Does not belong here: what is checked
(`checks.tables.suite`)."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from checks.settings import CheckSettings
from checks.tables.content import Context
from checks.tables.suite import BOOK_CHECKS, TABLE_CHECKS, TableCheck, results_of
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.tables.check_results import CheckResult


def check_result(outcome: CheckResult) -> dg.AssetCheckResult:
    """An outcome as Dagster shows it: value, threshold and details as metadata."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(outcome.asset.split("/")),
        check_name=outcome.check_name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.severity == "error" else dg.AssetCheckSeverity.WARN,
        description=outcome.text,
        metadata={
            "value": outcome.value,
            "threshold": outcome.threshold,
            **{name: _metadata(value) for name, value in outcome.details.items()},
        },
    )


def _metadata(value: Any) -> Any:
    return dg.MetadataValue.json(value) if isinstance(value, dict | list) else value


def make_asset_checks(checks: Sequence[TableCheck] = (*TABLE_CHECKS, *BOOK_CHECKS)) -> list[dg.AssetChecksDefinition]:
    """One definition per asset with all its checks; those that `stop` hold back the assets downstream."""
    assets = dict.fromkeys(check.asset for check in checks)
    return [_checks_of(asset, [check for check in checks if check.asset == asset]) for asset in assets]


def _checks_of(asset: str, checks: Sequence[TableCheck]) -> dg.AssetChecksDefinition:
    key = dg.AssetKey(asset.split("/"))
    other = {table.replace(".", "/") for check in checks for table in check.reads if "." in table} - {asset}
    specs = [
        dg.AssetCheckSpec(
            check.name,
            asset=key,
            description=check.description,
            blocking=check.stops,
            additional_deps=[dg.AssetKey(name.split("/")) for name in sorted(other)],
        )
        for check in checks
    ]

    @dg.multi_asset_check(name=f"{asset.replace('/', '_')}_checks", specs=specs, can_subset=True)
    def run(
        context: dg.AssetCheckExecutionContext,
        parameters: dg.ResourceParam[ModelParameters],
        check_settings: dg.ResourceParam[CheckSettings],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        asked = [check for check in checks if check.name in chosen]
        for outcome in results_of(Context(warehouse, parameters, check_settings), asked):
            yield check_result(outcome)

    return run
