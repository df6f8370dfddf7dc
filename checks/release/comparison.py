"""The staged release beside the live one: what changes for users, and whether the data have drifted.

Belongs here: whether other parameters were asked for, overlaps of the pairs' lists and population stability indexes
(PSI). A change that was asked for, by another source or other parameters, is reported and at most warned of; one that
nobody asked for can block. Does not belong here: what is wrong with a release in itself (`checks.release.suite`,
`checks.release.lists`), or how well it recommends (`checks.release.quality`).

Rank-biased overlap after Webber, Moffat and Zobel (2010), persistence 0.9, cut at the longer list and scaled so that
equal lists have 1. It is a sum over the films in both lists: one that both have seen by depth m counts from m on.
"""

import math
from collections.abc import Mapping
from typing import Any

from checks.release.staged import LIVE, Staged
from warehouse.queries import one_row
from warehouse.tables.check_results import CheckResult

PERSISTENCE = 0.9
TINY = 1e-4
"""Share given to an empty group, so that the index stays finite."""


def psi(before: Mapping[Any, float], now: Mapping[Any, float]) -> float:
    """Population stability index of two distributions given as counts by group.

    Sum over the groups of (p - q) ln(p / q); 0 for equal ones, 0.1 is worth a look, 0.25 a clear shift.
    """
    totals = sum(now.values()), sum(before.values())
    if not all(totals):
        return 0.0 if totals == (0, 0) else math.inf
    index = 0.0
    for group in before.keys() | now.keys():
        p, q = (max(counts.get(group, 0) / total, TINY) for counts, total in zip((now, before), totals, strict=True))
        index += (p - q) * math.log(p / q)
    return index


def _weights(longest: int) -> list[float]:
    """What a film that is in both lists from depth m on adds to the overlap, by m from 1."""
    at = [PERSISTENCE ** (depth - 1) / depth for depth in range(1, longest + 1)]
    return [sum(at[depth:]) for depth in range(longest)]


COMPARED = f"""
    WITH weights AS (SELECT unnest(range(1, len($weights) + 1)) AS m, unnest($weights) AS w),
    ideal AS (SELECT m AS n, sum(w) OVER (ORDER BY m) AS most FROM weights),
    ours AS (SELECT movie_a, movie_b, count(*) AS n FROM pair_recommendations GROUP BY ALL),
    theirs AS (SELECT movie_a, movie_b, count(*) AS n FROM {LIVE}.pair_recommendations GROUP BY ALL),
    shared AS (
        SELECT o.movie_a, o.movie_b, count(*) AS films, count(*) FILTER (o.rank = t.rank) AS in_place,
            sum(w) AS weight
        FROM pair_recommendations o
        JOIN {LIVE}.pair_recommendations t
            ON o.movie_a = t.movie_a AND o.movie_b = t.movie_b AND o.movie_id = t.movie_id
        JOIN weights ON m = greatest(o.rank, t.rank)
        GROUP BY ALL
    ),
    pairs AS (
        SELECT coalesce(films, 0) / (o.n + t.n - coalesce(films, 0)) AS jaccard, coalesce(weight, 0) / most AS rbo,
            NOT (o.n = t.n AND coalesce(in_place, 0) = o.n) AS changed
        FROM ours o JOIN theirs t USING (movie_a, movie_b)
        LEFT JOIN shared USING (movie_a, movie_b)
        JOIN ideal ON ideal.n = greatest(o.n, t.n)
    )
    SELECT count(*), avg(jaccard), quantile_cont(jaccard, 0.05), avg(rbo), quantile_cont(rbo, 0.05), avg(changed::INT),
        histogram(least(floor(10 * jaccard), 9)::INT)
    FROM pairs
"""


def parameters_as_asked(staged: Staged) -> CheckResult:
    """The parameters are those of the live release, or somebody has set the others: the run or parameters.toml."""
    live = staged.live["parameters"] if staged.live is not None else {}
    reverted = [name for name in staged.by_default if name in live and live[name] != staged.row["parameters"][name]]
    text = "the parameters are the live release's, or were asked for"
    if reverted:
        changes = ", ".join(f"{name} {live[name]} -> {staged.row['parameters'][name]}" for name in sorted(reverted))
        text = (
            f"nobody asked for other parameters than those of the live release ({changes}, the defaults); "
            "write the values to use into parameters.toml in the home, or ask for them with --set"
        )
    return staged.judge("parameters_as_asked", len(reverted), text, error=0)


def overlaps(staged: Staged) -> list[CheckResult]:
    """How many of a pair's films stay: Jaccard and rank-biased overlap; and the share of pairs that change at all."""
    names = ("overlap_jaccard", "overlap_rbo", "pairs_changed")
    if staged.live is None:
        return [staged.judge(name, float(name != "pairs_changed"), "nothing is live to compare with") for name in names]
    longest = max(staged.parameters.per_pair, staged.live["parameters"]["per_pair"])
    pairs, jaccard, jaccard_low, rbo, rbo_low, changed, tenths = one_row(
        staged.con, COMPARED, {"weights": _weights(longest)}
    )
    live = staged.live["release"]
    if not pairs:
        return [
            staged.judge(
                name,
                float(name == "pairs_changed"),
                f"no pair is in {live} as well",
                want="at least",
                details={"against": live},
            )
            for name in names
        ]
    settings, asked = staged.settings, "" if staged.same_recipe else " (source or parameters are others)"
    results = [
        staged.judge(
            name,
            mean,
            f"{meaning} with {live}, {pairs:,} pairs: mean {mean:.3f}, 5th percentile {low:.3f}{asked}",
            warn=settings.overlap_warn,
            error=settings.overlap_error,
            want="at least",
            blocks=staged.same_recipe,
            details={"against": live, "percentile_5": low, "pairs": pairs} | more,
        )
        for name, meaning, mean, low, more in (
            (names[0], "overlap (Jaccard)", jaccard, jaccard_low, {"tenths": [tenths.get(n, 0) for n in range(10)]}),
            (names[1], "rank-biased overlap", rbo, rbo_low, {}),
        )
    ]
    text = f"{changed:.1%} of {pairs:,} pairs have another list than in {live}{asked}"
    return [*results, staged.judge(names[2], changed, text)]


RATINGS = "SELECT rating, count(*) FROM {at}ratings GROUP BY 1"
LIKES_PER_USER = """
    SELECT floor(log2(likes + 1)), count(*) FROM (
        SELECT count(*) FILTER (rating >= $threshold) AS likes FROM {at}ratings GROUP BY user_id
    ) GROUP BY 1
"""
POPULARITY = f"""
    WITH ordered AS (
        SELECT movie_id, sum(likes) OVER (ORDER BY likes DESC, movie_id) - likes AS before, sum(likes) OVER () AS total
        FROM {LIVE}.movies WHERE likes > 0
    ),
    groups AS (SELECT movie_id, floor(10 * before / total) AS tenth FROM ordered)
    SELECT coalesce(tenth, 10), sum(likes) FROM {{at}}movies LEFT JOIN groups USING (movie_id)
    WHERE likes > 0 GROUP BY 1
"""


def drift(staged: Staged) -> list[CheckResult]:
    """How far ratings, likes per user and the popularity of films have moved from the live release's."""
    measured = {
        "drift_ratings": ("stars given", RATINGS),
        "drift_likes_per_user": ("likes per user", LIKES_PER_USER),
        "drift_film_popularity": ("likes of the films, in tenths by popularity", POPULARITY),
    }
    return [_drift(staged, name, meaning, query) for name, (meaning, query) in measured.items()]


def _drift(staged: Staged, name: str, meaning: str, query: str) -> CheckResult:
    settings = staged.settings
    if staged.live is None:
        return staged.judge(name, 0.0, "nothing is live to compare with", error=settings.drift_error)
    thresholds = staged.parameters.like_threshold, staged.live["parameters"]["like_threshold"]
    live = staged.live["release"]
    if staged.live["ratings_fingerprint"] == staged.row["ratings_fingerprint"] and thresholds[0] == thresholds[1]:
        return staged.judge(name, 0.0, f"the ratings are those of {live}", error=settings.drift_error)
    now, before = (
        dict(
            staged.con.execute(query.format(at=at), {"threshold": level} if "$threshold" in query else None).fetchall()
        )
        for at, level in zip(("", f"{LIVE}."), thresholds, strict=True)
    )
    index = psi(before, now)
    asked = "" if staged.same_source else " (another source)"
    return staged.judge(
        name,
        index,
        f"{meaning}: stability index {index:.3f} against {live}{asked}",
        warn=settings.drift_warn,
        error=settings.drift_error,
        blocks=staged.same_source,
        details={"now": {str(key): value for key, value in sorted(now.items())},
                 "live": {str(key): value for key, value in sorted(before.items())}},
    )  # fmt: skip
