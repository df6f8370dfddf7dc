"""Checks of how well a release recommends to users it has not seen: against baselines, and against what is live.

Belongs here: what a measurement must not fall below, and which measurements may be compared. Does not belong here:
measuring (`recommender.evaluation.evaluate`), how varied lists are (`checks.release.lists`).
"""

from collections.abc import Sequence
from dataclasses import replace

from checks.release.staged import ASSET, Staged
from recommender.evaluation.evaluate import CURRENT, Measurement, measurement_of
from recommender.evaluation.splits import TEST_NAME
from recommender.parameters import recorded_parameters
from warehouse.releases.reader import open_release
from warehouse.tables.check_results import CheckResult
from warehouse.tables.evaluation import NothingToEvaluateError, compare_nightly, read_evaluation, same_model

AHEAD_OF_BASELINES = "ahead_of_baselines"
NO_FALL = "no_fall_against_live"

METRIC = "ndcg@10"


def quality(staged: Staged) -> list[CheckResult]:
    """Both checks of a staged release; against a live release of another source they only warn."""
    current = read_evaluation(staged.con)
    results = [ahead_of_baselines(current), no_fall(staged, current)]
    return results if staged.same_source else [replace(result, severity="warn") for result in results]


def ahead_of_baselines(current: Sequence[Measurement]) -> CheckResult:
    """Warn if a baseline orders better, on the mean over held-out users, or if nobody measured.

    Parameters
    ----------
    current : sequence of Measurement
        Of the release (`warehouse.tables.evaluation.read_evaluation`); empty if it was not measured.
    """
    rows = {
        row.method: row
        for row in current
        if (row.split, row.slice, row.metric) == (TEST_NAME, "all", METRIC) and row.ahead is not None
    }
    if not rows:
        text = "this release was not evaluated, or no user could be held out; run the job retrain_model"
        return CheckResult(AHEAD_OF_BASELINES, ASSET, False, "warn", None, 0.0, text)
    behind = [row for row in rows.values() if row.ahead is not None and row.ahead < 0]
    closest = min(rows.values(), key=lambda row: row.ahead or 0.0)
    if behind:
        text = f"NDCG@10 of held-out users is behind {', '.join(f'{row.method} ({_change(row)})' for row in behind)}"
    else:
        text = f"NDCG@10 of held-out users is ahead of every baseline, of {closest.method} by {_change(closest)}"
    return CheckResult(AHEAD_OF_BASELINES, ASSET, not behind, "warn", closest.ahead, 0.0, text)


def _change(row: Measurement) -> str:
    return f"{row.ahead:+.3f}, 95% interval {row.ahead_low:+.3f} to {row.ahead_high:+.3f}"


def no_fall(staged: Staged, current: Sequence[Measurement]) -> CheckResult:
    """Block if NDCG@10 falls beyond `evaluation_margin` against what is live, both asked the same cases.

    Where the parameters differ, those of the live release are measured on this release's data. Where they are the
    same, only other code can make a difference: measurements of the same ratings are compared. Where nothing was asked
    the same cases, nothing is compared.
    """
    margin = staged.settings.evaluation_margin
    text, change = _compared(staged, current)
    if change is None:
        return CheckResult(NO_FALL, ASSET, True, "error", None, -margin, f"nothing to compare: {text}")
    text = f"NDCG@10 of held-out users, asked the same cases: {text}; a fall of {margin:g} blocks"
    return CheckResult(NO_FALL, ASSET, change >= -margin, "error", change, -margin, text)


def _compared(staged: Staged, current: Sequence[Measurement]) -> tuple[str, float | None]:
    """What was compared and the change; None and the reason if nothing can be."""
    if staged.live is None:
        return "no release is live", None
    live = recorded_parameters(staged.live["parameters"])
    if not same_model(live, staged.parameters):
        try:
            found = compare_nightly(staged.con, staged.parameters, live)
        except NothingToEvaluateError as error:
            return str(error), None
        row = measurement_of(found, TEST_NAME, "live", METRIC)
        ours = measurement_of(found, TEST_NAME, CURRENT, METRIC)
        if row is None or ours is None or row.ahead is None:
            return "no user can be held out", None
        return f"{row.value:.3f} with the live parameters, {ours.value:.3f} with these ({_change(row)})", row.ahead
    if staged.live["ratings_fingerprint"] != staged.row["ratings_fingerprint"]:
        return "the parameters are the live ones, and the ratings are others", None
    with open_release(staged.home, staged.live["release"]) as con:
        before = measurement_of(read_evaluation(con), TEST_NAME, CURRENT, METRIC)
    now = measurement_of(current, TEST_NAME, CURRENT, METRIC)
    if before is None or now is None or before.cases != now.cases:
        return "this release or the live one was not evaluated on these ratings", None
    return f"{before.value:.3f} (live) to {now.value:.3f}", now.value - before.value
