"""Checks of the recommended lists of a staged release: full, the same when computed another way, and varied.

Belongs here: what can be said of the lists of one release alone. Does not belong here: rules every row meets
(`checks.release.suite`), the difference to the live release (`checks.release.comparison`), how good lists are
(`checks.release.quality`).
"""

import random
from dataclasses import replace

import numpy as np

from checks.release.staged import Staged
from recommender.data.model_data import Neighbourhood
from recommender.lists import ProfileError, recommend_list
from warehouse.compute.packs import PackError
from warehouse.queries import one_row
from warehouse.tables.check_results import CheckResult

SHORT_LISTS_ASKED = 20
"""Short lists whose reason is looked into."""

MOST_FREQUENT = 10
"""Films whose share of all places is measured."""

UNUSABLE = (PackError, ProfileError, ValueError, IndexError, OSError)
"""What a damaged pack raises when it is asked."""

Films = list[tuple[int, float, int]]
"""A list: (movie_id, score, votes) by rank."""


def full_lists(staged: Staged) -> CheckResult:
    """Every pair has `per_pair` films; or fewer, because all neighbours it may have like no more."""
    wanted, most = staged.parameters.per_pair, staged.parameters.max_neighbours
    short = staged.con.execute(
        "FROM (SELECT movie_a, movie_b, max(rank) AS films FROM pair_recommendations GROUP BY ALL) "
        "WHERE films < ? ORDER BY hash(movie_a, movie_b), 1, 2",
        [wanted],
    ).fetchall()
    unexplained = 0
    try:
        for a, b, films in short[:SHORT_LISTS_ASKED] if staged.parameters.engine == "exact" else []:
            found = recommend_list(staged.pack, [a, b])
            allowed = min(most, int(staged.pack.eligible.sum()))
            unexplained += len(found.movie_ids) != films or len(found.neighbour_ids) < allowed
    except UNUSABLE as error:
        return staged.judge("full_lists", len(short), f"short lists could not be looked into: {error}", error=0)
    asked = min(len(short), SHORT_LISTS_ASKED)
    reason = (
        f"; of {asked} looked into, {asked - unexplained} because their {most} neighbours like no more" if short else ""
    )
    return staged.judge(
        "full_lists",
        unexplained,
        f"{len(short):,} pairs have fewer than {wanted} films{reason}",
        error=0,
        details={"short_lists": len(short), "looked_into": asked, "unexplained": unexplained},
    )


def _sample(staged: Staged) -> list[tuple[int, int]]:
    """Random pairs of sign-up films, smaller movie_id first; the same ones for the same release."""
    films = [row[0] for row in staged.con.execute("SELECT movie_id FROM signup_movies ORDER BY position").fetchall()]
    if len(films) < 2:
        return []
    generator = random.Random(staged.release)
    pairs = {tuple(sorted(generator.sample(films, 2))) for _ in range(staged.settings.recomputed_pairs)}
    return sorted((pair[0], pair[1]) for pair in pairs)


def _published(staged: Staged, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Films]:
    found: dict[tuple[int, int], Films] = {pair: [] for pair in pairs}
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    rows = staged.con.execute(
        "SELECT movie_a, movie_b, movie_id, score, votes FROM pair_recommendations "
        "SEMI JOIN (SELECT unnest(?::INTEGER[]) AS movie_a, unnest(?::INTEGER[]) AS movie_b) USING (movie_a, movie_b) "
        "ORDER BY movie_a, movie_b, rank",
        [a, b],
    ).fetchall()
    for first, second, *film in rows:
        found[first, second].append(tuple(film))
    return found


def _recomputed(neighbourhood: Neighbourhood, pair: tuple[int, int]) -> Films:
    found = recommend_list(neighbourhood, pair, threads=None)
    return list(zip(found.movie_ids.tolist(), found.scores.tolist(), found.votes.tolist(), strict=True))


def recomputed_pairs(staged: Staged) -> CheckResult:
    """A random sample of pairs comes out the same when answered one by one from the serving pack."""
    published = _published(staged, _sample(staged))
    exact = staged.parameters.engine == "exact"
    try:
        # from the likes alone: companions kept in the pack could be as wrong as a table made with them
        neighbourhood = replace(staged.pack, kept=None)
        again = {pair: _recomputed(neighbourhood, pair) for pair in published}
    except UNUSABLE as error:
        return staged.judge("recomputed_pairs", float("nan"), f"the serving pack cannot answer: {error}", error=0)
    different = [pair for pair in published if published[pair] != again[pair]]
    if exact:
        example = f", for instance {different[0]}" if different else ""
        return staged.judge(
            "recomputed_pairs",
            len(different),
            f"{len(different)} of {len(published)} random pairs come out otherwise from the serving pack{example}",
            error=0,
        )
    shares = [_overlap(published[pair], again[pair]) for pair in published]
    mean = float(np.mean(shares)) if shares else 1.0
    return staged.judge(
        "recomputed_pairs",
        mean,
        f"{len(published)} random pairs have {mean:.1%} of the exact answer's films; the index finds the rest no more",
        error=staged.settings.recomputed_agreement_annoy,
        want="at least",
    )


def _overlap(found: Films, expected: Films) -> float:
    """Share of the expected films that are in the list."""
    films = {film for film, *_ in found}
    return sum(film in films for film, *_ in expected) / max(len(expected), 1)


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


LIST_CHECKS = (full_lists, recomputed_pairs, catalogue_coverage, popular_share)
LIST_WARNINGS = (most_frequent_film, frequent_films_share, signup_films_unrecommended)
"""In the order they run; the second ones never block."""
