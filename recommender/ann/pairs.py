"""Recommendations for all pairs of sign-up films from the neighbours the index finds (engine ``annoy``).

Belongs here: the order of work of that engine.
Does not belong here: the index (`bound`), the exact engine (`neighbours`).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.ann.bound import BoundIndex
from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel
from recommender.neighbours.scores import FilmScores, film_scores
from recommender.pairs import PairRecommendations, as_rows, first_indices, signup_films
from recommender.voting.ranking import count_votes, first_places


def recommend_pairs_by_index(
    bound: BoundIndex, first_movies: ArrayLike | None = None, *, threads: int | None = None
) -> Iterator[PairRecommendations]:
    """Recommend films for all pairs of sign-up films from the neighbours the index finds (engine ``annoy``).

    Parameters
    ----------
    bound : BoundIndex
    first_movies : array of int, optional
        movie_ids of sign-up films: only pairs whose smaller movie_id is among them (a shard). Default: all pairs.
    threads : int, optional
        The result does not depend on it.

    Yields
    ------
    PairRecommendations
        As `exact.recommend_pairs`, one chunk per first film. A pair for which the index finds fewer users than asked
        for is answered from those.

    Raises
    ------
    ValueError
        If a film of `first_movies` is not a sign-up film.
    """
    neighbourhood = bound.neighbourhood
    signup = signup_films(neighbourhood)
    scores = film_scores(neighbourhood, signup)
    rows = neighbourhood.catalogue.vector_rows[signup]
    points = neighbourhood.catalogue.vectors[rows].astype(np.float64) @ bound.index.directions
    for first in first_indices(neighbourhood, signup, first_movies):
        seconds = np.arange(first + 1, len(signup))
        if len(seconds) == 0:
            continue
        both = scores.similarities[[first]][:, rows]
        squares = both[0, first] + 2 * both[0, seconds] + scores.similarities[seconds, rows[seconds]]
        lengths = np.sqrt(np.maximum(squares, np.finfo(float).tiny))[:, None]
        profiles = (points[first] + points[seconds]) / lengths - bound.index.offset
        yield _one_first_film(bound, signup, scores, int(first), seconds, profiles, threads)


def _one_first_film(
    bound: BoundIndex,
    signup: NDArray[np.int32],
    scores: FilmScores,
    first: int,
    seconds: NDArray[np.int64],
    profiles: NDArray[np.float64],
    threads: int | None,
) -> PairRecommendations:
    """All pairs of one first film with the films after it."""
    neighbourhood, parameters = bound.neighbourhood, bound.neighbourhood.parameters
    asked = max(parameters.max_neighbours, parameters.annoy_candidates)
    films = np.zeros((len(seconds), parameters.per_pair), dtype=np.int32)
    votes, summary = np.zeros_like(films), np.zeros((len(seconds), 2), dtype=np.int32)

    def answer(task: int) -> None:
        counters = np.zeros(len(neighbourhood.catalogue.movie_ids), dtype=np.int32)
        reached = np.zeros(parameters.max_neighbours + 2, dtype=np.int64)
        for n in range(task, len(seconds), 8):
            summary[n] = _rank_and_vote(
                bound.near(profiles[n], asked, signup[[first, seconds[n]]]),
                first,
                seconds[n],
                signup,
                neighbourhood.likes.indptr,
                neighbourhood.likes.films,
                neighbourhood.catalogue.vector_rows,
                neighbourhood.norms,
                scores.similarities,
                scores.bonuses,
                (neighbourhood.neighbours, parameters.neighbour_step, parameters.max_neighbours),
                counters,
                reached,
                films[n],
                votes[n],
            )

    run_parallel(answer, range(8), threads)
    return as_rows(
        neighbourhood, np.full(len(seconds), signup[first], dtype=np.int32), signup[seconds], films, votes, summary
    )


@kernel
def _rank_and_vote(  # type: ignore[no-untyped-def]
    users,
    first,
    second,
    signup,
    indptr,
    films,
    vector_rows,
    norms,
    similarities,
    bonuses,
    rules,
    counters,
    reached,
    out_films,
    out_votes,
):
    """Score candidates exactly, order them, let them vote."""
    start, step, most = rules
    scores = np.empty(len(users))
    for n in range(len(users)):
        total, extra = 0.0, 0.0
        for k in range(indptr[users[n]], indptr[users[n] + 1]):
            row = vector_rows[films[k]]
            if row >= 0:
                total += similarities[first, row] + similarities[second, row]
            if films[k] == signup[first]:
                extra += bonuses[first]
            elif films[k] == signup[second]:
                extra += bonuses[second]
        scores[n] = total / norms[users[n]] + extra
    ranked = users[first_places(scores, users, most)]
    left_out = np.array([signup[first], signup[second]], dtype=np.int32)
    return count_votes(ranked, start, step, most, indptr, films, left_out, counters, reached, out_films, out_votes)
