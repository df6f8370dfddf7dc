"""Checks of what the HTTP service was asked, against what the model was trained on: drift, unknown films, no answer.

Belongs here: the judgement on `warehouse.tables.requests.RequestFacts`. They warn and never gate a release: what people
ask does not make a release wrong, it tells when the model should look at other films.
"""

from warehouse.tables.check_results import CheckResult
from warehouse.tables.requests import RequestFacts

ASSET = "ops/served_requests"
DAYS = 7
MOST_EMPTY = 0.01
MOST_UNKNOWN = 0.05
MOST_DRIFT = 0.25
"""A population stability index above a quarter is the customary sign of another population."""

ENOUGH = 100
"""Requests below which shares say nothing."""

REQUEST_CHECKS = {
    "requests_get_an_answer": f"at most {MOST_EMPTY:.0%} of the requests of {DAYS} days had an empty answer",
    "requests_name_known_films": f"at most {MOST_UNKNOWN:.0%} of the requests of {DAYS} days named an unknown film",
    "requests_like_the_ratings": f"films asked for in {DAYS} days are as popular as those liked (PSI <= {MOST_DRIFT})",
}
"""Names and meanings."""


def request_checks(facts: RequestFacts) -> list[CheckResult]:
    """Judge the requests of the last days; with fewer than `ENOUGH` of them every check passes and says so."""
    total = max(facts.requests, 1)
    measured = {
        "requests_get_an_answer": (facts.empty / total, MOST_EMPTY),
        "requests_name_known_films": (facts.with_unknown / total, MOST_UNKNOWN),
        "requests_like_the_ratings": (facts.popularity_drift or 0.0, MOST_DRIFT),
    }
    few = facts.requests < ENOUGH
    return [
        CheckResult(
            check_name=name,
            asset=ASSET,
            passed=few or value <= threshold,
            severity="warn",
            value=round(value, 4),
            threshold=threshold,
            description=f"{REQUEST_CHECKS[name]}: {value:.3f} over {facts.requests:,} requests"
            + (" (too few to judge)" if few else ""),
        )
        for name, (value, threshold) in measured.items()
    ]
