"""Release checks: what a staged file must satisfy before anybody may read it.

Belongs here: checks that look at the published file itself, so that they hold for what consumers get and not for what
the pipeline believes it wrote; and the audit that runs them all. Most are rows of `VIOLATION_CHECKS`: a name, a query
for the number of violations, and what the number means. Does not belong here: what needs the serving pack
(`checks.release.lists`) or the live release (`checks.release.comparison`), checks of the working tables
(`checks.tables.suite`), and the decision what a failure leads to (`warehouse.releases.promotion`)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import duckdb

from checks.release.comparison import drift, overlaps, parameters_as_asked
from checks.release.film_lists import FILM_CHECKS
from checks.release.lists import LIST_CHECKS, LIST_WARNINGS
from checks.release.quality import AHEAD_OF_BASELINES, NO_FALL, quality
from checks.release.staged import ASSET, Staged, open_staged
from checks.release.user_lists import USER_CHECKS, users_variety
from checks.results import timed
from checks.settings import CheckSettings
from checks.tables.conformance import check_columns, check_schema
from checks.tables.suite import REQUIRED_TABLE_CHECKS
from warehouse.compute.packs import PackError, damaged_files, read_manifest
from warehouse.home import Home
from warehouse.queries import one_row
from warehouse.schemas.models import PUBLISHED_MODELS
from warehouse.schemas.table import FIRST_MONTH
from warehouse.sql import sql
from warehouse.tables.check_results import CheckResult
from warehouse.tables.ratings import LAST_MONTH, fingerprint_of_months


@dataclass(frozen=True)
class ViolationCheck:
    """A check that counts violations; it passes at zero.

    Attributes
    ----------
    name : str
    description : str
        What must hold.
    query : str
        SQL that returns the number of violations.
    """

    name: str
    description: str
    query: str

    def __call__(self, staged: Staged) -> CheckResult:
        """Count violations in a staged release."""
        violations = int(one_row(staged.con, self.query)[0])
        found = "holds" if violations == 0 else f"{violations:,} violations"
        return staged.judge(self.name, violations, f"{self.description}: {found}", error=0)


VIOLATION_CHECKS: tuple[ViolationCheck, ...] = (
    ViolationCheck(
        "no_table_empty",
        "every table but checks has rows",
        """
        SELECT count(*) FROM (
            SELECT count(*) AS n FROM movies UNION ALL SELECT count(*) FROM ratings
            UNION ALL SELECT count(*) FROM genome_tags UNION ALL SELECT count(*) FROM genome
            UNION ALL SELECT count(*) FROM signup_movies UNION ALL SELECT count(*) FROM pair_recommendations
            UNION ALL SELECT count(*) FROM release
        ) WHERE n = 0
        """,
    ),
    ViolationCheck(
        "row_counts_as_recorded",
        "tables have the row counts written on the release",
        """
        SELECT count(*) FROM (
            SELECT 'movies' AS t, count(*) AS n FROM movies UNION ALL SELECT 'ratings', count(*) FROM ratings
            UNION ALL SELECT 'genome_tags', count(*) FROM genome_tags UNION ALL SELECT 'genome', count(*) FROM genome
            UNION ALL SELECT 'signup_movies', count(*) FROM signup_movies
            UNION ALL SELECT 'pair_recommendations', count(*) FROM pair_recommendations
            UNION ALL SELECT 'user_recommendations', count(*) FROM user_recommendations
            UNION ALL SELECT 'similar_movies', count(*) FROM similar_movies
            UNION ALL SELECT 'popular_movies', count(*) FROM popular_movies
        ) WHERE n <> CAST((SELECT row_counts FROM release) ->> t AS BIGINT)
        """,
    ),
    ViolationCheck(
        "signup_movies_most_liked",
        "sign-up films have a vector, are in order of likes (ties by movie_id), and none with more likes is left out",
        """
        WITH expected AS (
            SELECT row_number() OVER (ORDER BY likes DESC, movie_id) AS position, movie_id, likes
            FROM movies WHERE has_vector AND likes > 0
            QUALIFY position <= (SELECT CAST(parameters ->> 'top_movies' AS INTEGER) FROM release)
        )
        SELECT count(*) FROM expected FULL JOIN signup_movies USING (position, movie_id, likes)
        WHERE expected.position IS NULL OR signup_movies.position IS NULL
        """,
    ),
    ViolationCheck(
        "every_pair_present",
        "each pair of sign-up films, smaller movie_id first, has recommendations, and no other pair has",
        """
        WITH expected AS (
            SELECT a.movie_id AS movie_a, b.movie_id AS movie_b
            FROM signup_movies a JOIN signup_movies b ON a.movie_id < b.movie_id
        ),
        found AS (SELECT DISTINCT movie_a, movie_b FROM pair_recommendations)
        SELECT count(*) FROM expected e FULL JOIN found f ON e.movie_a = f.movie_a AND e.movie_b = f.movie_b
        WHERE e.movie_a IS NULL OR f.movie_a IS NULL
        """,
    ),
    ViolationCheck(
        "ranks_contiguous",
        "the ranks of every pair are 1, 2, ... without gap or repetition",
        """
        SELECT count(*) FROM (
            SELECT rank, row_number() OVER (PARTITION BY movie_a, movie_b ORDER BY rank) AS expected
            FROM pair_recommendations
        ) WHERE rank <> expected
        """,
    ),
    ViolationCheck(
        "lists_within_length",
        "no pair has more recommendations than per_pair",
        """
        SELECT count(*) FROM pair_recommendations
        WHERE rank > (SELECT CAST(parameters ->> 'per_pair' AS INTEGER) FROM release)
        """,
    ),
    ViolationCheck(
        "inputs_never_recommended",
        "no pair is recommended one of its own films",
        "SELECT count(*) FROM pair_recommendations WHERE movie_id = movie_a OR movie_id = movie_b",
    ),
    ViolationCheck(
        "no_film_twice",
        "no pair is recommended a film twice",
        """
        SELECT coalesce(sum(n - 1), 0) FROM (
            SELECT count(*) AS n FROM pair_recommendations GROUP BY movie_a, movie_b, movie_id HAVING n > 1
        )
        """,
    ),
    ViolationCheck(
        "known_films_only",
        "every recommended film is in movies",
        "SELECT count(*) FROM pair_recommendations p ANTI JOIN movies m ON p.movie_id = m.movie_id",
    ),
    ViolationCheck(
        "order_follows_votes",
        "within a pair, scores never rise with the rank, and equal scores are in order of likes, then movie_id",
        """
        SELECT count(*) FROM (
            SELECT p.score, m.likes, p.movie_id,
                lag(p.score) OVER list AS score_before, lag(m.likes) OVER list AS likes_before,
                lag(p.movie_id) OVER list AS movie_before
            FROM pair_recommendations p JOIN movies m ON p.movie_id = m.movie_id
            WINDOW list AS (PARTITION BY p.movie_a, p.movie_b ORDER BY p.rank)
        )
        WHERE score > score_before OR score = score_before AND
            (likes > likes_before OR likes = likes_before AND movie_id < movie_before)
        """,
    ),
    ViolationCheck(
        "votes_within_neighbours",
        "votes are between 0 and max_neighbours",
        """
        SELECT count(*) FROM pair_recommendations
        WHERE votes < 0 OR votes > (SELECT CAST(parameters ->> 'max_neighbours' AS INTEGER) FROM release)
        """,
    ),
    ViolationCheck(
        "likes_follow_ratings",
        "the likes of every film are the ratings of it that reach like_threshold",
        """
        SELECT count(*) FROM movies LEFT JOIN (
            SELECT movie_id, count(*) AS counted FROM ratings
            WHERE rating >= (SELECT CAST(parameters ->> 'like_threshold' AS FLOAT) FROM release) GROUP BY movie_id
        ) USING (movie_id)
        WHERE likes <> coalesce(counted, 0)
        """,
    ),
    ViolationCheck(
        "vectors_as_marked",
        "has_vector is true for the films of genome and no others",
        "SELECT count(*) FROM movies FULL JOIN genome USING (movie_id) "
        "WHERE has_vector IS DISTINCT FROM (genome.relevance IS NOT NULL)",
    ),
)
"""Rules that every row, list or table of a release meets."""


def ratings_as_fingerprinted(staged: Staged) -> CheckResult:
    """The ratings are those the release names by their fingerprint, row for row: none lost, none changed."""
    query = sql("month_fingerprints").replace("raw.ratings", "ratings")
    span = {"first": FIRST_MONTH, "after": LAST_MONTH}
    months = staged.con.execute(f"SELECT month, ratings, fingerprint FROM ({query}) ORDER BY month", span).fetchall()
    found = fingerprint_of_months([(month, mark) for month, _, mark in months])
    named = staged.row["ratings_fingerprint"]
    return staged.judge(
        "ratings_as_fingerprinted",
        float(found != named),
        f"the ratings have the fingerprint {found}; the release names {named}",
        error=0,
        details={"months": {f"{month:%Y-%m}": count for month, count, _ in months}},
    )


def pack_as_manifest(staged: Staged) -> CheckResult:
    """The serving pack belongs to this release, and its files are those its manifest names, byte for byte."""
    folder = staged.home.pack_folder(staged.release)
    try:
        manifest = read_manifest(folder)
        wrong = damaged_files(folder, manifest)
        if manifest["release"] != staged.release:
            wrong.append(f"belongs to {manifest['release']}")
    except (PackError, OSError) as error:
        wrong = [str(error)]
    found = f"not as written: {', '.join(wrong)}" if wrong else "as written"
    return staged.judge("pack_as_manifest", len(wrong), f"files of the serving pack: {found}", error=0)


def published_schema(table: str) -> Callable[[Staged], CheckResult]:
    """The check of one published table against its model."""
    name = f"published_{table}_schema"

    def check(staged: Staged) -> CheckResult:
        if table == "ratings":  # row by row they are the checked ones: ratings_as_fingerprinted
            return check_columns(staged.con, table, PUBLISHED_MODELS[table], ASSET, name=name)
        # Uniqueness of their rows follows from ranks_contiguous and user_lists_in_order.
        unique = table not in {"pair_recommendations", "user_recommendations"}
        return check_schema(staged.con, table, PUBLISHED_MODELS[table], ASSET, name=name, unique=unique)

    check.__name__ = name
    check.__doc__ = f"The table {table} is as the published contract says."
    return check


@dataclass(frozen=True)
class ReleaseCheck:
    """A check of a staged release as it is announced: its name, what must hold, and whether it can block."""

    name: str
    description: str
    gates: bool = True


SCHEMA_CHECKS = tuple(published_schema(table) for table in PUBLISHED_MODELS)
SINGLE_CHECKS: tuple[Callable[[Staged], CheckResult], ...] = (
    ratings_as_fingerprinted,
    pack_as_manifest,
    parameters_as_asked,
    *LIST_CHECKS,
    *USER_CHECKS,
    *FILM_CHECKS,
)
COMPARISONS: dict[Callable[[Staged], list[CheckResult]], tuple[ReleaseCheck, ...]] = {
    overlaps: (
        ReleaseCheck("overlap_jaccard", "lists overlap with those of the live release"),
        ReleaseCheck("overlap_rbo", "lists overlap with those of the live release, first places counting most"),
        ReleaseCheck("pairs_changed", "share of pairs whose list changes; for information", gates=False),
    ),
    drift: (
        ReleaseCheck("drift_ratings", "stars are given as in the live release"),
        ReleaseCheck("drift_likes_per_user", "users like about as many films as in the live release"),
        ReleaseCheck("drift_film_popularity", "likes spread over the films as in the live release"),
    ),
    users_variety: (
        ReleaseCheck("users_coverage", "users' lists reach more than a handful of the liked films", gates=False),
        ReleaseCheck("users_popular_share", "users' lists are more than the most liked films", gates=False),
        ReleaseCheck("users_most_frequent_film", "no film is in nearly every user's list", gates=False),
    ),
    quality: (
        ReleaseCheck(AHEAD_OF_BASELINES, "held-out users are served better than by any baseline", gates=False),
        ReleaseCheck(NO_FALL, "held-out users are served about as well as by the live parameters"),
    ),
}


def _announce(check: Callable[[Staged], CheckResult], gates: bool = True) -> ReleaseCheck:
    return ReleaseCheck(check.__name__, " ".join((check.__doc__ or "").split()), gates)


RELEASE_CHECKS: tuple[ReleaseCheck, ...] = (
    *(_announce(check) for check in SCHEMA_CHECKS),
    *(ReleaseCheck(check.name, check.description) for check in VIOLATION_CHECKS),
    *(_announce(check) for check in SINGLE_CHECKS),
    *(_announce(check, gates=False) for check in LIST_WARNINGS),
    *(announced for group in COMPARISONS.values() for announced in group),
)
"""All checks of a staged release, in the order of their results."""

REQUIRED_CHECKS = REQUIRED_TABLE_CHECKS | {check.name for check in RELEASE_CHECKS if check.gates}
"""Names of the checks without whose recorded result nothing goes live: of its tables and of itself."""


def audit_release(
    con: duckdb.DuckDBPyConnection,
    home: Home,
    settings: CheckSettings,
    tables: Sequence[CheckResult] = (),
    by_default: Collection[str] = (),
    against: str | None = None,
) -> list[CheckResult]:
    """Run all release checks on an open release file.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Read-only connection to the file.
    home : Home
        Holds its serving pack and the live release.
    settings : CheckSettings
    tables : sequence of CheckResult
        Of the tables it was made from; they become part of its record.
    by_default : collection of str
        Parameters whose values nobody has set: neither the run nor the home.
    against : str, optional
        The release to compare with, empty for none; default: the live one. If its file is gone, nothing is compared.

    Returns
    -------
    list of CheckResult
        Those of the tables, then one per check in the order of `RELEASE_CHECKS`. If a table lacks columns, the checks
        that need them are left out, and their missing results block.
    """
    checks: tuple[Callable[[Staged], CheckResult], ...] = (*VIOLATION_CHECKS, *SINGLE_CHECKS, *LIST_WARNINGS)
    with open_staged(con, home, settings, by_default, against) as staged:
        schemas = [result for check in SCHEMA_CHECKS for result in timed(partial(check, staged))]
        if any("dtypes" in found.details and found.details.get("shape") is None for found in schemas):
            return [*tables, *schemas]
        results = [result for check in checks for result in timed(partial(check, staged))]
        gone = bool(against) and staged.live is None
        compared = [result for compare in COMPARISONS for result in timed(partial(compare, staged)) if not gone]
    return [*tables, *schemas, *results, *compared]
