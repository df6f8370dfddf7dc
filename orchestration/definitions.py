"""The code location: assets, checks, jobs, schedules and resources, put together.

`build_defs` returns fresh Definitions each time, so that tests swap parts instead of patching globals.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets import evaluation, events, experiments, exports, model, outside, raw, recommendations, releases, requests
from checks.asset_checks import make_asset_checks
from orchestration.catalog import with_catalog
from orchestration.exports import SENSORS as EXPORT_SENSORS
from orchestration.exports import following_live
from orchestration.freshness import with_freshness
from orchestration.jobs import JOBS
from orchestration.logs import write_runs_as_json
from orchestration.progress import progress_logger
from orchestration.resources import (
    CheckSettingsResource,
    HomeResource,
    ParametersResource,
    WarehouseResource,
    WorkersResource,
)
from orchestration.schedules import SCHEDULES
from orchestration.sensors import SENSORS
from warehouse.exports.settings import configured_targets
from warehouse.home import Home
from warehouse.store.client import store_address


def build_defs(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Make the Definitions of the platform; `resources` replace the default ones by name.

    Targets of exports are those of the home's `exports.toml` as it is now; the store is that of `MARQUEE_STORE`.
    """
    targets = configured_targets(Home.find())
    made = [
        *raw.ASSETS,
        *model.ASSETS,
        *evaluation.ASSETS,
        *recommendations.ASSETS,
        *releases.ASSETS,
        *(releases.STORE_ASSETS if store_address() else []),
        *requests.ASSETS,
        *events.ASSETS,
        *experiments.ASSETS,
        *following_live(exports.export_assets(targets)),
    ]
    return dg.Definitions(
        assets=with_freshness([*outside.SPECS, *with_catalog(made)]),
        asset_checks=make_asset_checks(),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=[*SENSORS, *(EXPORT_SENSORS if targets else [])],
        resources={
            "check_settings": CheckSettingsResource(),
            "home": HomeResource(),
            "parameters": ParametersResource(),
            "warehouse": WarehouseResource(),
            "workers": WorkersResource(),
            **(resources or {}),
        },
        loggers={"console": dg.colored_console_logger, "progress": progress_logger},
        # A process per step would cost seconds each and could not share the arrays read from the database.
        executor=dg.in_process_executor,
    )


write_runs_as_json()
defs = build_defs()
