"""Checks of the recommended lists of a staged release: full, and the same when computed another way.

Belongs here: what can be said of one release alone and needs its serving pack. Does not belong here: rules every row
meets (`checks.release.suite`), how varied lists are (`checks.release.variety`) or the difference to the live release
(`checks.release.comparison`).
"""

import random
from dataclasses import replace

import numpy as np

from checks.release.staged import Staged
from recommender.data.model_data import Neighbourhood
from recommender.lists import ProfileError, recommend_list
from warehouse.releases.pack import PackError
from warehouse.tables.check_results import CheckResult

SHORT_LISTS_ASKED = 20
"""Short lists whose reason is looked into."""

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


LIST_CHECKS = (full_lists, recomputed_pairs)
"""In the order they run."""
