"""The evaluation: how good the current parameters recommend, measured with every retrain."""

import base64

import dagster as dg

from assets.common import OWNERS, Stopwatch, result, table_metadata
from assets.interval_plot import interval_plot
from recommender.evaluation.evaluate import CURRENT, Measurement, value_of
from recommender.evaluation.long_profiles import METRICS
from recommender.evaluation.metrics import HEADLINE
from recommender.evaluation.splits import LONG_NAME
from recommender.parameters import ModelParameters
from warehouse.compute.workers import Workers
from warehouse.database import Warehouse
from warehouse.evaluating import evaluate_nightly
from warehouse.tables.evaluation import (
    TABLE,
    evaluation_version,
    read_evaluation,
)


@dg.asset(
    key=["model", "evaluation"],
    group_name="model",
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    # Not the likes: it makes its own, without the users it asks about.
    deps=[
        dg.AssetDep(["raw", "ratings"], partition_mapping=dg.AllPartitionMapping()),
        ["raw", "movies"],
        ["raw", "genome"],
    ],
)
def model_evaluation(
    context: dg.AssetExecutionContext,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
    workers: dg.ResourceParam[Workers],
) -> dg.MaterializeResult:
    """How well the parameters recommend to users the model has not seen, beside baselines: one row per split, slice,
    method and metric, with 95% intervals. Of large data it takes a fixed sample of users. Rebuilt whole when ratings,
    genome or parameters change."""
    watch = Stopwatch()
    batch = evaluate_nightly(warehouse, parameters, workers, context.log.info)
    version = evaluation_version(warehouse.con, parameters)
    measurements = read_evaluation(warehouse.con)
    metadata = table_metadata(warehouse.con, TABLE) | {"preview": evaluation_report(measurements)}
    for metric in HEADLINE:
        value = value_of(measurements, "held-out users", CURRENT, metric)
        if value == value:  # NaN where nobody could be held out
            metadata[metric] = dg.MetadataValue.float(value)
    if batch is not None:
        metadata |= {"units_computed": batch.computed, "units_reused": batch.reused}
    return result(watch, metadata, version=version, changed=batch is not None)


def evaluation_report(measurements: list[Measurement]) -> dg.MarkdownMetadataValue:
    """A plot of methods with their intervals, and the numbers as a table."""
    if not measurements:
        return dg.MetadataValue.md("No user could be held out: each needs two liked sign-up films and a third film.")
    parts = []
    for split in dict.fromkeys(found.split for found in measurements):
        rows = [found for found in measurements if (found.split, found.slice) == (split, "all")]
        drawn = [found for found in rows if found.metric in {*HEADLINE, *METRICS}]
        asked = "users" if split == LONG_NAME else "pairs"
        svg = interval_plot(drawn, f"{split}: {rows[0].cases:,} {asked}")
        parts.append(f"![{split}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")
        parts.append(_markdown(rows))
    return dg.MetadataValue.md("\n\n".join(parts))


def _markdown(rows: list[Measurement]) -> str:
    """Methods down, metrics across."""
    metrics = list(dict.fromkeys(found.metric for found in rows))
    lines = ["| method | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    for method in dict.fromkeys(found.method for found in rows):
        cells = {found.metric: found for found in rows if found.method == method}
        lines.append(f"| {method} | " + " | ".join(_cell(cells[metric]) for metric in metrics) + " |")
    return "\n".join(lines)


def _cell(found: Measurement) -> str:
    if found.ci_low is None or found.ci_high is None:
        return f"{found.value:.3f}"
    return f"{found.value:.3f} ({found.ci_low:.3f} to {found.ci_high:.3f})"


ASSETS = [model_evaluation]
