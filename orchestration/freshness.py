"""Freshness policies: how old the live release, the model and what comes from outside may get before the UI says so.

Belongs here: the ages, in one place. They are Dagster's own policies and are evaluated by its daemon, from the last
materialization. Does not belong here: the age of what is in a table, which checks measure (`ratings_freshness`).
"""

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from assets import outside

POLICIES = {
    # Refreshed every hour; a refresh with nothing new counts, because it looked.
    dg.AssetKey(["published", "live_release"]): dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=2), fail_window=timedelta(hours=4)
    ),
    # Retrained every night.
    dg.AssetKey(["model", "annoy_indexes"]): dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=26), fail_window=timedelta(hours=50)
    ),
    # Nobody promises when ratings land; a week without any is worth a look, a month means the feed is broken.
    outside.LANDING: dg.FreshnessPolicy.time_window(warn_window=timedelta(days=7), fail_window=timedelta(days=30)),
    # Every refresh looks for new ones. A quiet night is usual, a day without any is not. What never came is no worry.
    outside.EVENTS: dg.FreshnessPolicy.time_window(warn_window=timedelta(days=1), fail_window=timedelta(days=3)),
    outside.REQUEST_LOG: dg.FreshnessPolicy.time_window(warn_window=timedelta(days=1), fail_window=timedelta(days=3)),
}


def with_freshness(
    assets: Iterable[dg.AssetsDefinition | dg.AssetSpec],
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Give the assets that age their policies."""
    return list(
        dg.map_asset_specs(
            lambda spec: dg.apply_freshness_policy(spec, POLICIES[spec.key]) if spec.key in POLICIES else spec, assets
        )
    )
