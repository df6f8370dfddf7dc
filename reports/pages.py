"""What the pages of the site show: for each, what its template is given.

Belongs here: which numbers are on which page, in which order and under which words. Does not belong here: reading them
(`history`, `dictionary`, `coverage`), drawing (`charts`), writing the folder (`site`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from recommender.evaluation.metrics import HEADLINE
from recommender.evaluation.splits import TEST_NAME
from reports import charts
from reports.coverage import measure_coverage
from reports.history import MOST_RELEASES, Known
from reports.rendering import minute, plain
from warehouse.queries import one_row, records
from warehouse.releases.release_file import STORAGE_VERSION

CONTENTS = {
    "dictionary.html": "every table, view and macro of a release: columns, what they mean, where they come from",
    "lineage.html": "the working tables behind them, down to the files that came in",
    "releases.html": "what was made when and why, what it was made from, its report",
    "quality.html": "measurements on held-out users, overlap, drift and all checks, over the releases",
    "coverage.html": "which films the lists reach, and how evenly",
    "experiments.html": "champion and challenger: what was found",
    "queries.html": "SQL to begin with, and what it finds",
}

CHANGES = ("overlap_jaccard", "overlap_rbo", "pairs_changed")
DRIFT = ("drift_ratings", "drift_likes_per_user", "drift_film_popularity")
VARIETY = ("catalogue_coverage", "popular_share", "most_frequent_film", "users_coverage", "users_popular_share",
           "users_most_frequent_film")  # fmt: skip
COUNTED = ("ratings", "movies", "pair_recommendations", "user_recommendations", "similar_movies", "rejected_rows")
"""Checks whose values, and tables whose rows, are drawn over the releases."""


def overview(con: duckdb.DuckDBPyConnection, chosen: Known, known: Sequence[Known]) -> dict[str, Any]:
    """The release whose tables are described, at a glance."""
    rows = chosen.entry["row_counts"]
    users, rated = one_row(con, "SELECT count(DISTINCT user_id), count(DISTINCT movie_id) FROM ratings")
    (pairs,) = one_row(con, "SELECT count(*) FROM pair_recommendations WHERE rank = 1")
    (listed,) = one_row(con, "SELECT count(*) FROM user_recommendations WHERE rank = 1")
    tiles = [
        ("ratings", rows.get("ratings"), f"of {users:,} users"),
        ("films", rows.get("movies"), f"{rated:,} of them rated"),
        ("pairs with a list", pairs, f"of {rows.get('signup_movies', 0):,} sign-up films"),
        ("users with a list", listed, ""),
    ]
    for metric in HEADLINE:
        if found := chosen.measurement(metric):
            between = "" if found.ci_low is None else f"95%: {found.ci_low:.3f} to {found.ci_high:.3f}"
            tiles.append((metric, f"{found.value:.3f}", between))
    failed = [check for check in chosen.checks if not check.passed]
    tiles.append(("checks passed", len(chosen.checks) - len(failed), f"of {len(chosen.checks)}"))
    months = records(
        con.execute(
            "SELECT strftime(date_trunc('month', rated_at), '%Y-%m-%d') AS month, count(*) AS ratings FROM ratings "
            "GROUP BY ALL ORDER BY 1"
        )
    )
    stars = records(con.execute("SELECT rating AS stars, count(*) AS ratings FROM ratings GROUP BY ALL ORDER BY 1"))
    drawn = [charts.metric_chart(known, TEST_NAME, "ndcg@10"), charts.months_chart(months), charts.stars_chart(stars)]
    oldest = STORAGE_VERSION.removeprefix("v").removesuffix(".0")
    return {"tiles": tiles, "charts": _there(drawn), "contents": CONTENTS, "oldest": oldest}


def releases(known: Sequence[Known]) -> dict[str, Any]:
    """All releases: what each was made from, what happened to it, which parameters differ from the one before."""
    facts, changes, events = {}, {}, {}
    before: Mapping[str, Any] = {}
    for one in (one for one in known if one.kept):
        entry = one.entry
        facts[one.name] = [
            ("state", entry["state"]),
            ("model", entry["model_version"]),
            ("source", entry["source"]),
            ("fingerprint of the source", entry["source_fingerprint"]),
            ("fingerprint of the ratings", entry["ratings_fingerprint"]),
            ("film vectors", entry["genome_source"]),
            ("code", entry["code_version"]),
            ("sha256 of the file", entry["sha256"]),
        ]
        if entry["failed_checks"]:
            facts[one.name].append(("failed checks", ", ".join(entry["failed_checks"])))
        here = one.parameters
        names = sorted(name for name in here.keys() & before.keys() if here[name] != before[name])
        changes[one.name] = [(name, plain(before[name]), plain(here[name])) for name in names]
        events[one.name] = _events(entry["events"])
        before = here
    return {"known": known, "most": MOST_RELEASES, "facts": facts, "changes": changes, "events": events,
            "charts": charts.rows_charts(known, COUNTED)}  # fmt: skip


def quality(known: Sequence[Known], chosen: Known) -> dict[str, Any]:
    """Measurements and checks over the releases, and all checks of the one whose tables are described."""
    kept = [one for one in known if one.kept]
    splits = list(dict.fromkeys(row.split for one in kept for row in one.measured))
    measured = [charts.metric_chart(known, split, metric) for split in splits for metric in HEADLINE]
    beside = "Against the release that was live when it was staged. Dashed: what the value is held against."
    sections = [
        ("Measurements", "Each release, as of its last retrain, beside the baselines.", _there(measured)),
        ("What changes for users", beside, _there(charts.check_chart(known, name) for name in CHANGES)),
        ("Drift", "Population stability indexes: 0 is no change, 0.1 is worth a look, 0.25 a clear shift. " + beside,
         _there(charts.check_chart(known, name) for name in DRIFT)),
        ("Failed checks", "A check that forbids keeps a release from going live; one that warns does not.",
         _there([charts.failures_chart(known)])),
    ]  # fmt: skip
    return {
        "kept": len(kept),
        "sections": [section for section in sections if section[2]],
        "checks": [
            (check, charts.outcome(check), *_failures(kept, check.asset, check.check_name))
            for check in sorted(chosen.checks, key=lambda check: (check.passed, not check.blocks))
        ],
    }


def _failures(kept: Sequence[Known], asset: str, name: str) -> tuple[int, int]:
    """In how many releases a check failed, and how many have it."""
    found = [check for one in kept for check in one.checks if (check.asset, check.check_name) == (asset, name)]
    return sum(not check.passed for check in found), len(found)


def coverage(con: duckdb.DuckDBPyConnection, known: Sequence[Known]) -> dict[str, Any]:
    """What the lists of an open release reach, and how that was in the releases before."""
    found = measure_coverage(con)
    drawn = [
        charts.concentration_chart(found),
        charts.tenths_chart(found),
        *(charts.groups_chart(found, group) for group in found.groups),
    ]
    most = [(row["title"], row["likes"], row["places"], f"{row['share']:.1%}") for row in found.most]
    history = _there(charts.check_chart(known, name) for name in VARIETY)
    return {"coverage": found, "charts": drawn, "most": most, "history": history}


def experiment(found: Mapping[str, Any]) -> tuple[Any, ...]:
    """An experiment with its chart, the figures of both variants at the last look, and its events."""
    last = found["last_look"]
    counts = [
        (side, *(last[side][name] for name in ("clients", "answers", "outcomes", "value")))
        for side in ("champion", "challenger")
    ] if last else []  # fmt: skip
    return found, charts.experiment_chart(found), counts, _events(found["events"])


def _events(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(minute(event["at"]), event["event"].replace("_", " "), event["who"], event["why"]) for event in events]


def _there(found: Iterable[charts.Chart | None]) -> list[charts.Chart]:
    return [chart for chart in found if chart is not None]
