"""The ops group: how the experiment that runs is going."""

import base64

import dagster as dg

from assets.common import OWNERS, Stopwatch, markdown_table, result, table_metadata
from assets.experiment_plot import experiment_plot
from checks.asset_checks import check_result
from checks.tables.experiment import EXPERIMENT_CHECKS, experiment_checks
from warehouse.database import Warehouse
from warehouse.experiments.looking import look
from warehouse.experiments.reading import described_experiments
from warehouse.releases.registry import acting_user

KEY = dg.AssetKey(["ops", "experiments"])
EVENTS = """
    SELECT experiment, event, happened_at, who, why FROM ops.experiment_events ORDER BY happened_at DESC LIMIT 8
"""


@dg.asset(
    key=KEY,
    group_name="ops",
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    deps=[["ops", "served_requests"], ["ops", "events"]],
    check_specs=[dg.AssetCheckSpec(name, asset=KEY, description=text) for name, text in EXPERIMENT_CHECKS.items()],
)
def experiments(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Experiments, one row each, and a look at the one that runs: is the challenger better, or is it too early to say.
    An experiment whose clients were not divided by chance is ended."""
    watch = Stopwatch()
    found = look(warehouse, who=acting_user())
    metadata = table_metadata(warehouse.con, "ops.experiments")
    metadata["events"] = markdown_table(warehouse.con, EVENTS)
    if found is not None:
        context.log.info(f"{found.planned.experiment}: {found.found['stands']}; {found.found['text']}")
        metadata["decision"] = found.found["stands"]
        metadata |= {name: found.found[name] for name in ("difference", "low", "high") if found.found[name] is not None}
    for described in described_experiments(warehouse.home)[:1]:
        svg = base64.b64encode(experiment_plot(described).encode()).decode()
        metadata["plot"] = dg.MetadataValue.md(f"![{described['experiment']}](data:image/svg+xml;base64,{svg})")
    made = result(watch, metadata, changed=found is not None and found.is_new)
    return made._replace(check_results=[check_result(outcome) for outcome in experiment_checks(found)])


ASSETS = [experiments]
