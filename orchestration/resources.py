"""Dagster resources: the home, the model's parameters and the working database.

Belongs here: how a run gets them. The parameters resource is made from `recommender.parameters`, so that every
parameter appears in the Launchpad with its description and default, and is declared once; so are the thresholds of the
checks. The home is the one of `MARQUEE_HOME`, for all of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field, create_model

from assets.common import run_title
from checks.settings import CheckSettings, load_settings
from orchestration.active_runs import run_lock
from recommender.parameters import ModelParameters
from warehouse.compute.ray_nodes import RayWorkers
from warehouse.compute.workers import LocalWorkers, Workers
from warehouse.database import WAIT_SECONDS, Warehouse, open_warehouse
from warehouse.home import Home
from warehouse.home_parameters import HomeParameters, home_parameters
from warehouse.locks import WriterBusyError, writer_lock
from warehouse.migrations import require_tables
from warehouse.releases.repair import repair


@contextmanager
def refused_once(context: dg.InitResourceContext) -> Iterator[None]:
    """Have the daemon not repeat a run that fails in this block: a value that cannot be, or a disk that is read-only.

    Dagster repeats runs that end without a failed step, as if their process had died. Another writer that goes on for
    longer than this run waits is gone the next time: such a run is repeated.
    """
    try:
        yield
    except WriterBusyError:
        raise
    except Exception:
        if context.run is not None and context.instance is not None:
            context.instance.add_run_tags(context.run.run_id, {"dagster/max_retries": "0"})
        raise


def _unset_field(model: type[BaseModel], name: str) -> tuple[Any, Any]:
    """Field of a Dagster config that is None unless it was set; choices are an enumeration, which the UI checks."""
    field = model.model_fields[name]
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    kind = _enumeration(name, choices) if choices else type(field.default)
    return kind | None, Field(default=None, description=f"{field.description} Default: {field.default}.")


def _enumeration(name: str, choices: Sequence[str]) -> type[Enum]:
    return Enum(name, {choice: choice for choice in choices})  # type: ignore[return-value]


def _set_fields(resource: dg.ConfigurableResource, model: type[BaseModel]) -> dict[str, Any]:
    """Fields of a resource that were set, as plain values."""
    found = {name: getattr(resource, name) for name in model.model_fields}
    return {
        name: value.value if isinstance(value, Enum) else value for name, value in found.items() if value is not None
    }


class _ParametersBase(dg.ConfigurableResource):
    """The model's parameters: a value given here wins over the home's parameters.toml, and that over the default."""

    def create_resource(self, context: dg.InitResourceContext) -> HomeParameters:
        """Build the immutable value object the assets receive."""
        with refused_once(context):
            return home_parameters(Home.find(), _set_fields(self, ModelParameters))


ParametersResource: type[dg.ConfigurableResource] = create_model(  # type: ignore[call-overload]
    "ParametersResource",
    __base__=_ParametersBase,
    __doc__=_ParametersBase.__doc__,
    **{name: _unset_field(ModelParameters, name) for name in ModelParameters.model_fields},
)
"""Resource with one field per model parameter; hands the assets a `HomeParameters`."""


class _CheckSettingsBase(dg.ConfigurableResource):
    """Thresholds of the checks: a value given here wins over the home's checks.toml, and that over the default."""

    def create_resource(self, context: dg.InitResourceContext) -> CheckSettings:
        """Build the immutable value object the checks receive."""
        with refused_once(context):
            return load_settings(Home.find().root, _set_fields(self, CheckSettings))


CheckSettingsResource: type[dg.ConfigurableResource] = create_model(  # type: ignore[call-overload]
    "CheckSettingsResource",
    __base__=_CheckSettingsBase,
    __doc__=_CheckSettingsBase.__doc__,
    **{name: _unset_field(CheckSettings, name) for name in CheckSettings.model_fields},
)
"""Resource with one field per threshold; hands the checks a `CheckSettings`."""


PASSES = "ingest_ratings"
"""The job that may write the warehouse while another run computes. The others wait until that one has ended: two that
recommend at once would make each other's tables out of date."""


class Engine(Enum):
    """Who computes the units of work that lists are made of."""

    local = "local"
    ray = "ray"


class WorkersResource(dg.ConfigurableResource):
    """Who computes lists: threads of the run's process, or the nodes of a Ray cluster. The rows are the same."""

    engine_workers: Engine = Field(default=Engine.local, description="local: threads of this process; ray: Ray.")
    ray_address: str = Field(
        default="",
        description="host:port of a Ray cluster that this machine belongs to; empty: Ray is started here for the run.",
    )

    def create_resource(self, context: dg.InitResourceContext) -> Workers:
        """Hand the assets what computes their units."""
        with refused_once(context):
            return RayWorkers(self.ray_address) if self.engine_workers == Engine.ray else LocalWorkers()


class HomeResource(dg.ConfigurableResource):
    """The home, for runs that do not open the working database."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Home]:
        """Hold the lock of the run, by which others see that its process lives."""
        home = Home.find()
        with ExitStack() as stack:
            if context.run:
                stack.enter_context(run_lock(home, context.run.run_id))
            yield home


class WarehouseResource(dg.ConfigurableResource):
    """The home's working database, open during a run under the writer's lock, except while lists are computed."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Warehouse]:
        """Open the database, waiting for other writers, and repair what a writer that died left behind."""
        log = context.log
        run = context.run
        purpose = f"{run_title(run)} (run {run.run_id[:8]})" if run else "a Dagster run"
        notify = log.info if log else None
        home = Home.find()
        with ExitStack() as stack:
            with refused_once(context):
                if run:
                    stack.enter_context(run_lock(home, run.run_id))
                if run is None or run.job_name != PASSES:
                    home.root.mkdir(parents=True, exist_ok=True)
                    turn = writer_lock(home.turn_lock, purpose, wait_seconds=WAIT_SECONDS, notify=notify)
                    stack.enter_context(turn)
                warehouse = stack.enter_context(open_warehouse(home, purpose, wait_seconds=WAIT_SECONDS, notify=notify))
                require_tables(warehouse.con, home.warehouse)
                for line in repair(warehouse):
                    if log:
                        log.warning(f"repaired: {line}")
            yield warehouse
