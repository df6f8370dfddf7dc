"""Exports follow the live release: the condition on their assets, and the sensor that evaluates it.

Belongs here: when to export. Does not belong here: how (`warehouse.exports`), or the assets (`assets.exports`).

The condition compares what is with what was exported last, instead of waiting for an event: a rollback or a promotion
by the command line changes the link of the live release only, and what happens while a run exports must not be lost.
The sensor is on from the start: writing `exports.toml` is the request. A run of exports does not open the working
database, so it need not wait for those that do.
"""

import warnings
from collections.abc import Sequence

import dagster as dg

from assets.exports import exported_last, wanted_now
from orchestration.jobs import EXPORT_TURN
from warehouse.home import Home

INTERVAL_SECONDS = 30
RETRY = "*/15 * * * *"
"""When an export that failed is tried again."""


class BehindLive(dg.AutomationCondition[dg.AssetKey]):
    """True while a target has another release than the live one, or one that was exported by other settings."""

    @property
    def name(self) -> str:
        """As the UI shows it in the evaluations."""
        return "behind_live_release"

    @property
    def description(self) -> str:
        """As the UI explains it."""
        return "Another release is live than was exported last, or exports.toml has changed since"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Compare the link of the live release and `exports.toml` with the last materialization."""
        wanted = wanted_now(Home.find(), context.key)
        behind = wanted is not None and exported_last(context.asset_graph_view.instance, context.key) != wanted
        return dg.AutomationResult(context, context.candidate_subset if behind else context.get_empty_subset())


FOLLOWS_LIVE = (
    BehindLive()
    & ~dg.AutomationCondition.in_progress()
    & (~dg.AutomationCondition.execution_failed() | dg.AutomationCondition.cron_tick_passed(RETRY))
)


def following_live(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give the assets of exports their condition."""
    return [
        definition.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=FOLLOWS_LIVE))
        for definition in assets
    ]


with warnings.catch_warnings():  # conditions of our own are evaluated in the code location, which is "in beta"
    warnings.simplefilter("ignore", dg.BetaWarning)
    exports_sensor = dg.AutomationConditionSensorDefinition(
        name="live_release_exports",
        target=dg.AssetSelection.groups("exports"),
        run_tags=EXPORT_TURN,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        use_user_code_server=True,
        description="Exports the live release to every target that has another one. A target whose export failed is "
        "tried again every quarter of an hour, and holds up no other.",
    )

SENSORS = [exports_sensor]
"""Of a home that has targets."""
