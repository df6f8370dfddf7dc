"""The check of the experiment that runs: its clients are divided as planned.

Belongs here: wording a look as a check, so that people are told. Does not belong here: the test itself
(`recommender.experiments.sample_ratio`), or ending the experiment (`warehouse.experiments.looking`).
"""

from warehouse.experiments.looking import Look
from warehouse.tables.check_results import CheckResult

EXPERIMENTS_ASSET = "ops/experiments"
EXPERIMENT_VALID = "experiment_not_violated"
EXPERIMENT_CHECKS = {EXPERIMENT_VALID: "the clients of the experiment that runs are divided as planned"}
"""Names and meanings."""


def experiment_checks(found: Look | None) -> list[CheckResult]:
    """Judge the look at the experiment that runs; None: none does."""
    violated = found is not None and found.is_violated
    if found is None:
        text = "no experiment runs"
    else:
        text = f"experiment {found.planned.experiment}: {found.found['stands']}, {found.found['text']}"
        text += "; it was ended, and all clients meet the live release" if violated else ""
    return [
        CheckResult(
            check_name=EXPERIMENT_VALID,
            asset=EXPERIMENTS_ASSET,
            passed=not violated,
            severity="warn",
            value=None,
            threshold=None,
            description=text,
        )
    ]
