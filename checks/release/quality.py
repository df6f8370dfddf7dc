"""Checks of how well a release recommends: against the most popular films, and against the release that is live.

Belongs here: what a measurement must not fall below. Does not belong here: measuring
(`recommender.evaluation.evaluate`).
"""

from collections.abc import Sequence

from recommender.evaluation.evaluate import CURRENT, Measurement, value_of
from warehouse.tables.check_results import CheckResult

ASSET = "published/staged_release"

SPLIT = "held-out users"

AHEAD_OF_POPULAR = "ahead_of_most_popular"
NO_FALL = "no_fall_against_live"


def evaluation_checks(
    current: Sequence[Measurement], live: Sequence[Measurement] | None, margin: float
) -> list[CheckResult]:
    """Judge a release's evaluation.

    Parameters
    ----------
    current : sequence of Measurement
        Of the release to be judged (`warehouse.tables.evaluation.read_evaluation`); empty if it was not measured.
    live : sequence of Measurement or None
        Of the live release; empty or None if there is none or it was not measured.
    margin : float
        How far NDCG@10 may fall below that of the live release.

    Returns
    -------
    list of CheckResult
        `ahead_of_most_popular` (warn: recommendations trail the most popular films, or nobody measured) and
        `no_fall_against_live` (error).
    """
    return [_ahead_of_popular(current), _no_fall(current, live or [], margin)]


def _ahead_of_popular(current: Sequence[Measurement]) -> CheckResult:
    ours, theirs = (value_of(current, SPLIT, method, "hit_rate@3") for method in (CURRENT, "most_popular"))
    measured = ours == ours and theirs == theirs  # NaN: not measured
    if not measured:
        text = "this release was not evaluated, or no user could be held out; run the job retrain_model"
    elif ours < theirs:
        text = f"recommendations trail the most popular films: hit rate@3 {ours:.3f} against {theirs:.3f}"
    else:
        text = f"hit rate@3 of held-out users {ours:.3f}, of the most popular films {theirs:.3f}"
    value = ours - theirs if measured else None
    return CheckResult(AHEAD_OF_POPULAR, ASSET, measured and ours >= theirs, "warn", value, 0.0, text)


def _no_fall(current: Sequence[Measurement], live: Sequence[Measurement], margin: float) -> CheckResult:
    ours, before = (value_of(rows, SPLIT, CURRENT, "ndcg@10") for rows in (current, live))
    if ours != ours or before != before:
        side = "this release" if ours != ours else "the live release"
        text = f"nothing to compare: {side} was not evaluated, or there is none"
        return CheckResult(NO_FALL, ASSET, True, "error", None, -margin, text)
    change = ours - before
    verb = "falls" if change < -margin else "goes"
    text = f"NDCG@10 of held-out users {verb} from {before:.3f} (live) to {ours:.3f}; a fall of {margin:g} blocks"
    return CheckResult(NO_FALL, ASSET, change >= -margin, "error", change, -margin, text)
