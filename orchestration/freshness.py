"""Freshness policies: how old the live release, the model and the ratings may get before the UI says so.

Belongs here: the ages, in one place. They are Dagster's own policies and are evaluated by its daemon.
"""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

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
    dg.AssetKey(["raw", "rating_files"]): dg.FreshnessPolicy.time_window(
        warn_window=timedelta(days=7), fail_window=timedelta(days=30)
    ),
}


def with_freshness(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give the assets that age their policies."""
    return [
        definition.map_asset_specs(
            lambda spec: dg.apply_freshness_policy(spec, POLICIES[spec.key]) if spec.key in POLICIES else spec
        )
        for definition in assets
    ]
