"""Dagster resources: the home, the model's parameters and the working database.

Belongs here: how a run gets them. The parameters resource is made from `recommender.parameters`, so that every
parameter appears in the Launchpad with its description and default, and is declared once; so are the thresholds of the
checks.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
from pydantic import Field, create_model

from checks.settings import CheckSettings, GivenSettings
from orchestration.active_runs import run_lock
from recommender.parameters import ModelParameters, make_parameters
from warehouse.database import WAIT_SECONDS, Warehouse, open_warehouse
from warehouse.home import Home
from warehouse.releases.repair import repair


class _ParametersBase(dg.ConfigurableResource):
    """The model's parameters, validated as a whole when a run starts."""

    def create_resource(self, context: dg.InitResourceContext) -> ModelParameters:
        """Build the immutable value object the assets receive."""
        return make_parameters(settings={name: getattr(self, name) for name in ModelParameters.model_fields})


def _plain_field(name: str) -> tuple[type, Any]:
    """Field of a Dagster config: a plain type; `make_parameters` enforces ranges and choices, and words the error."""
    field = ModelParameters.model_fields[name]
    kind = type(field.default)
    return kind, Field(default=field.default, description=field.description)


ParametersResource: type[dg.ConfigurableResource] = create_model(  # type: ignore[call-overload]
    "ParametersResource",
    __base__=_ParametersBase,
    **{name: _plain_field(name) for name in ModelParameters.model_fields},
)
"""Resource with one field per model parameter; hands the assets a `ModelParameters`."""


class WarehouseResource(dg.ConfigurableResource):
    """The working database, open for the duration of a run under the writer's lock."""

    home: str = Field(default="", description="Folder of the installation; empty: MARQUEE_HOME, else ./var.")
    wait_seconds: float = Field(default=WAIT_SECONDS, description="How long to wait for another writer.")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Warehouse]:
        """Open the database, waiting for other writers, and repair what a writer that died left behind."""
        log = context.log
        run = context.run
        purpose = f"{run.job_name} (run {run.run_id[:8]})" if run else "a Dagster run"
        notify = log.info if log else None
        home = Home.find(self.home)
        with ExitStack() as stack:
            if run:
                stack.enter_context(run_lock(home, run.run_id))
            warehouse = stack.enter_context(
                open_warehouse(home, purpose, wait_seconds=self.wait_seconds, notify=notify)
            )
            for line in repair(warehouse):
                if log:
                    log.warning(f"repaired: {line}")
            yield warehouse


class _CheckSettingsBase(dg.ConfigurableResource):
    """Thresholds of the checks: a value given here wins over the home's checks.toml, and that over the default."""

    def create_resource(self, context: dg.InitResourceContext) -> GivenSettings:
        """Hand on what was given for this run; the home that the run writes to decides the rest."""
        values = {name: getattr(self, name) for name in CheckSettings.model_fields}
        return GivenSettings({name: value for name, value in values.items() if value is not None})


CheckSettingsResource: type[dg.ConfigurableResource] = create_model(  # type: ignore[call-overload]
    "CheckSettingsResource",
    __base__=_CheckSettingsBase,
    **{
        name: (
            type(field.default) | None,
            Field(default=None, description=f"{field.description} Default: {field.default}, or as in checks.toml."),
        )
        for name, field in CheckSettings.model_fields.items()
    },
)
"""Resource with one field per threshold; hands the checks `GivenSettings`."""
