"""Release checks: what a staged file must satisfy before anybody may read it.

Belongs here: checks that look at the published file alone, through SQL, so that they hold for what consumers get and
not for what the pipeline believes it wrote. Each is a row of `RELEASE_CHECKS`: a name, a query for the number of
violations, and what the number means. Does not belong here: checks of the working tables (`checks.tables`) and the
decision what a failure leads to (`warehouse.releases`).
"""

from dataclasses import dataclass
from typing import Literal

import duckdb

from warehouse.check_results import CheckResult

ASSET = "published/staged_release"


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
    severity : {'error', 'warn'}
    """

    name: str
    description: str
    query: str
    severity: Literal["error", "warn"] = "error"


RELEASE_CHECKS: tuple[ViolationCheck, ...] = (
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
        "within a pair, votes never rise with the rank, and equal votes are in order of likes, then movie_id",
        """
        SELECT count(*) FROM (
            SELECT p.votes, m.likes, p.movie_id,
                lag(p.votes) OVER list AS votes_before, lag(m.likes) OVER list AS likes_before,
                lag(p.movie_id) OVER list AS movie_before
            FROM pair_recommendations p JOIN movies m ON p.movie_id = m.movie_id
            WINDOW list AS (PARTITION BY p.movie_a, p.movie_b ORDER BY p.rank)
        )
        WHERE votes > votes_before OR votes = votes_before AND
            (likes > likes_before OR likes = likes_before AND movie_id < movie_before)
        """,
    ),
    ViolationCheck(
        "votes_within_neighbours",
        "votes are between 1 and max_neighbours",
        """
        SELECT count(*) FROM pair_recommendations
        WHERE votes < 1 OR votes > (SELECT CAST(parameters ->> 'max_neighbours' AS INTEGER) FROM release)
        """,
    ),
)
"""Checks of every release, cheap enough to run each time."""

REQUIRED_CHECKS = frozenset(check.name for check in RELEASE_CHECKS if check.severity == "error")
"""Names of the release checks without whose recorded pass nothing goes live."""


def audit_release(con: duckdb.DuckDBPyConnection) -> list[CheckResult]:
    """Run all release checks on an open release file.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Read-only connection to the file.

    Returns
    -------
    list of CheckResult
        One per check, in the order of `RELEASE_CHECKS`.
    """
    results = []
    for check in RELEASE_CHECKS:
        row = con.execute(check.query).fetchone()
        violations = int(row[0]) if row is not None else 0
        found = "holds" if violations == 0 else f"{violations:,} violations"
        results.append(
            CheckResult(
                check_name=check.name,
                asset=ASSET,
                passed=violations == 0,
                severity=check.severity,
                value=float(violations),
                threshold=0.0,
                description=f"{check.description}: {found}",
            )
        )
    return results
