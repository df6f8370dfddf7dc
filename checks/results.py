"""How a measurement becomes a result: against a threshold that warns, one that blocks, or both; and what it cost.

Belongs here: the comparison and its wording, the time a check took. Does not belong here: measurements, or
the thresholds (`checks.settings`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from warehouse.tables.check_results import CheckResult


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


def timed(run: Callable[[], CheckResult | Sequence[CheckResult]]) -> list[CheckResult]:
    """Run a check, or several that share their work, and note the seconds with the first result."""
    started = time.perf_counter()
    found = run()
    first, *others = [found] if isinstance(found, CheckResult) else found
    seconds = round(time.perf_counter() - started, 3)
    return [replace(first, details={**first.details, "seconds": seconds}), *others]


def seconds_of(results: Sequence[CheckResult]) -> float:
    """Seconds that checks took, whenever they ran."""
    return round(sum(result.details.get("seconds", 0.0) for result in results), 3)
