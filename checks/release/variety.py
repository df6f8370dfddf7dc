"""Checks of how varied the lists of a staged release are, over the whole table of pairs.

Belongs here: shares of lists and places. Does not belong here: how good lists are (`checks.release.quality`).
"""

from checks.release.staged import Staged
from warehouse.queries import one_row
from warehouse.tables.check_results import CheckResult

MOST_FREQUENT = 10
"""Films whose share of all places is measured."""


def catalogue_coverage(staged: Staged) -> CheckResult:
    """Recommendations reach more than a handful of the films people like."""
    recommended, liked = one_row(
        staged.con,
        "SELECT (SELECT count(DISTINCT movie_id) FROM pair_recommendations), count(*) FROM movies WHERE likes > 0",
    )
    return staged.judge(
        "catalogue_coverage",
        recommended / liked if liked else 0.0,
        f"{recommended:,} of {liked:,} liked films are recommended to some pair",
        warn=staged.settings.coverage_warn,
        error=staged.settings.coverage_error,
        want="at least",
    )


def popular_share(staged: Staged) -> CheckResult:
    """Lists are more than the most liked films over and over."""
    places, popular = one_row(
        staged.con,
        """
        SELECT count(*), count(top.movie_id) FROM pair_recommendations p LEFT JOIN (
            SELECT movie_id FROM movies ORDER BY likes DESC, movie_id LIMIT ?
        ) AS top USING (movie_id)
        """,
        [staged.parameters.per_pair],
    )
    return staged.judge(
        "popular_share",
        popular / places if places else 1.0,
        f"{popular:,} of {places:,} places in the lists go to the {staged.parameters.per_pair} most liked films",
        warn=staged.settings.popular_share_warn,
        error=staged.settings.popular_share_error,
    )


def most_frequent_film(staged: Staged) -> CheckResult:
    """No film is in nearly every list."""
    title, lists, pairs = one_row(
        staged.con,
        """
        WITH counted AS (SELECT movie_id, count(*) AS lists FROM pair_recommendations GROUP BY movie_id)
        SELECT any_value(title), coalesce(max(lists), 0),
            (SELECT count(*) FROM pair_recommendations WHERE rank = 1)
        FROM counted JOIN movies USING (movie_id)
        WHERE movie_id = (SELECT movie_id FROM counted ORDER BY lists DESC, movie_id LIMIT 1)
        """,
    )
    return staged.judge(
        "most_frequent_film",
        lists / pairs if pairs else 1.0,
        f"{title} is in {lists:,} of {pairs:,} lists",
        warn=staged.settings.most_frequent_film_warn,
    )


def frequent_films_share(staged: Staged) -> CheckResult:
    """The ten most frequent films leave room for others."""
    films, share = one_row(
        staged.con,
        """
        SELECT count(*), coalesce(sum(places) FILTER (place <= ?) / sum(places), 1.0) FROM (
            SELECT count(*) AS places, row_number() OVER (ORDER BY count(*) DESC, movie_id) AS place
            FROM pair_recommendations GROUP BY movie_id
        )
        """,
        [MOST_FREQUENT],
    )
    return staged.judge(
        "frequent_films_share",
        float(share),
        f"the {MOST_FREQUENT} most frequent of {films:,} recommended films take {share:.1%} of all places",
        warn=staged.settings.frequent_films_share_warn,
    )


def signup_films_unrecommended(staged: Staged) -> CheckResult:
    """Most of the films a new user can choose are recommended to somebody."""
    never, films = one_row(
        staged.con,
        """
        SELECT count(*) FILTER (movie_id NOT IN (SELECT movie_id FROM pair_recommendations)), count(*)
        FROM signup_movies
        """,
    )
    return staged.judge(
        "signup_films_unrecommended",
        never / films if films else 1.0,
        f"{never:,} of {films:,} sign-up films are never recommended",
        warn=staged.settings.signup_films_unrecommended_warn,
    )


VARIETY_CHECKS = (catalogue_coverage, popular_share)
VARIETY_WARNINGS = (most_frequent_film, frequent_films_share, signup_films_unrecommended)
"""In the order they run; the second ones never block."""
