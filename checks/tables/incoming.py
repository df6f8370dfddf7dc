"""Checks of what one run brought in: files of new ratings, requests that the HTTP service answered, and events.

Belongs here: checks that the step itself reports, because only the step knows what came in. They never gate a release:
rows that can be used are in use, and what people ask does not make a release wrong. Does not belong here: the tables as
a whole (`checks.tables.content`).
"""

from collections.abc import Mapping, Sequence

from checks.results import judge
from checks.settings import CheckSettings
from warehouse.ingest.import_manifest import ImportedFile
from warehouse.tables.check_results import CheckResult
from warehouse.tables.events import BEFORE_DAYS, EventFacts
from warehouse.tables.requests import RequestFacts

FILES_ASSET = "raw/rating_files"
SHARE_PER_FILE, FILES_READABLE = "rejected_share_per_file", "files_readable"
FILE_CHECKS = {
    SHARE_PER_FILE: "few rows of each file of new ratings are rejected",
    FILES_READABLE: "every file in landing/ can be read and has rows that can be used",
}
"""Names and meanings."""


def file_checks(
    files: Sequence[ImportedFile], refused: Mapping[str, str], settings: CheckSettings
) -> list[CheckResult]:
    """Judge the files of one ingest, each by itself; `refused` are landed files by name, with the reason."""
    worst = max((file.rejected_share for file in files), default=0.0)
    few = min(settings.rejected_share_warn, settings.rejected_share_error)
    found = [
        f"{file.name}: {file.rejected_share:.3g} of its rows rejected, {file.rejected:,} of {file.data_rows:,} "
        f"({file.reasons})"
        for file in files
        if file.rejected_share > few
    ]
    return [
        judge(
            SHARE_PER_FILE,
            FILES_ASSET,
            worst,
            "; ".join(found) or f"at most {worst:.3g} of the rows of each of {len(files)} files were rejected",
            warn=settings.rejected_share_warn,
            error=settings.rejected_share_error,
            details={"shares": [f"{file.name}: {file.rejected_share:.6g}" for file in files]},
        ),
        judge(
            FILES_READABLE,
            FILES_ASSET,
            len(refused),
            "; ".join(f"{name} was refused: {reason}" for name, reason in refused.items()) or "no file was refused",
            warn=0,
        ),
    ]


REQUESTS_ASSET = "ops/served_requests"
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
            asset=REQUESTS_ASSET,
            passed=few or value <= threshold,
            severity="warn",
            value=round(value, 4),
            threshold=threshold,
            description=f"{REQUEST_CHECKS[name]}: {value:.3f} over {facts.requests:,} requests"
            + (" (too few to judge)" if few else ""),
        )
        for name, (value, threshold) in measured.items()
    ]


EVENTS_ASSET = "ops/events"
MOST_UNKNOWN_ANSWERS = 0.05
MOST_CHANGE = 2.0
KNOWN_ANSWERS, AS_BEFORE = "events_name_known_answers", "events_per_answer_as_before"
EVENT_CHECKS = {
    KNOWN_ANSWERS: f"at most {MOST_UNKNOWN_ANSWERS:.0%} of the events of a day name an answer that was not given",
    AS_BEFORE: f"of each type there are at most {MOST_CHANGE:g} times as many or as few events per answer as in the "
    f"{BEFORE_DAYS} days before",
}
"""Names and meanings."""


def event_checks(facts: EventFacts) -> list[CheckResult]:
    """Judge the events of the last day; what is less than `ENOUGH` is not judged."""
    unknown = facts.unknown_answers / max(facts.naming_answers, 1)
    changes = {
        kind: _change(facts.now.get(kind, 0) / facts.answers_now, before / facts.answers_before)
        for kind, before in facts.before.items()
        if before >= ENOUGH and facts.answers_now >= ENOUGH and facts.answers_before
    }
    worst = max(changes, key=changes.__getitem__, default="")
    change = changes.get(worst, 1.0)
    few = facts.naming_answers < ENOUGH
    said = f"{worst}, by a factor of {change:.3g}" if worst else "too few events or answers to judge"
    return [
        CheckResult(
            check_name=KNOWN_ANSWERS,
            asset=EVENTS_ASSET,
            passed=few or unknown <= MOST_UNKNOWN_ANSWERS,
            severity="warn",
            value=round(unknown, 4),
            threshold=MOST_UNKNOWN_ANSWERS,
            description=f"{EVENT_CHECKS[KNOWN_ANSWERS]}: {unknown:.3f} of {facts.naming_answers:,}"
            + (" (too few to judge)" if few else ""),
        ),
        CheckResult(
            check_name=AS_BEFORE,
            asset=EVENTS_ASSET,
            passed=change <= MOST_CHANGE,
            severity="warn",
            value=round(change, 4),
            threshold=MOST_CHANGE,
            description=f"{EVENT_CHECKS[AS_BEFORE]}: most {said}",
        ),
    ]


def _change(now: float, before: float) -> float:
    """By which factor a rate has changed, up or down; a thousand at most, for one that is gone."""
    low, high = sorted((now, before))
    return min(high / low, 1000.0) if low else 1000.0
