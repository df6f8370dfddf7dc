"""How a measurement becomes a result: against a threshold that warns, one that blocks, or both.

Belongs here: the comparison and its wording. Does not belong here: measurements, or the thresholds (`checks.settings`).
"""

from collections.abc import Mapping
from typing import Any, Literal

from warehouse.check_results import CheckResult


def judge(
    name: str,
    asset: str,
    value: float,
    description: str,
    *,
    warn: float | None = None,
    error: float | None = None,
    want: Literal["at most", "at least"] = "at most",
    blocks: bool = True,
    details: Mapping[str, Any] | None = None,
) -> CheckResult:
    """Hold a value against its thresholds.

    Parameters
    ----------
    name, asset : str
    value : float
        NaN fails every threshold.
    description : str
        What was measured, with the facts.
    warn, error : float, optional
        Thresholds; a value beyond `error` blocks, one beyond `warn` alone warns.
    want : {'at most', 'at least'}
    blocks : bool
        False: a value beyond `error` warns as well, because here a change was asked for.
    details : mapping, optional

    Returns
    -------
    CheckResult
    """

    def good(threshold: float | None) -> bool:
        return threshold is None or (value <= threshold if want == "at most" else value >= threshold)

    severity: Literal["error", "warn"] = "warn"
    threshold = warn
    if error is not None and blocks and (not good(error) or warn is None or good(warn)):
        severity, threshold = "error", error
    elif warn is None:
        threshold = error
    passed = good(warn) and good(error)
    return CheckResult(name, asset, passed, severity, float(value), threshold, description, dict(details or {}))
