"""Recommendations for all pairs of sign-up films from their true nearest users (rules 4 to 6).

Belongs here: the exact search over all pairs and the shape of its answer.
Does not belong here: a single profile (`live`), approximate search (`annoy_index`), the vote rules (`ranking`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.catalogue import positions_of, signup_positions
from recommender.compiled import kernel, run_parallel, thread_count
from recommender.neighbourhood import Neighbourhood
from recommender.ranking import count_votes, nearest_users

MEMORY_BUDGET = 1_500_000_000
"""Bytes the search may hold at a time besides its input, unless the caller says otherwise."""


@dataclass(frozen=True)
class PairRecommendations:
    """Recommended films of some pairs, and how each pair came by them.

    Attributes
    ----------
    movie_a, movie_b : int32 arrays, shape (rows,)
        The pair, movie_a < movie_b. Rows are sorted by (movie_a, movie_b, rank).
    rank : int16 array, shape (rows,)
        From 1.
    movie_id : int32 array, shape (rows,)
        The recommended film.
    votes : int32 array, shape (rows,)
        Neighbours who like it.
    pair_a, pair_b : int32 arrays, shape (pairs,)
        Every pair that was asked for, also those without a row, sorted.
    neighbours_used : int32 array, shape (pairs,)
        Neighbours that voted.
    films_found : int32 array, shape (pairs,)
        Films with a vote, the pair left out. Below per_pair only if neighbours_used is max_neighbours or everybody.
    """

    movie_a: NDArray[np.int32]
    movie_b: NDArray[np.int32]
    rank: NDArray[np.int16]
    movie_id: NDArray[np.int32]
    votes: NDArray[np.int32]
    pair_a: NDArray[np.int32]
    pair_b: NDArray[np.int32]
    neighbours_used: NDArray[np.int32]
    films_found: NDArray[np.int32]


def joined(chunks: Iterable[PairRecommendations]) -> PairRecommendations:
    """Put chunks one after the other, as one.

    Parameters
    ----------
    chunks : iterable of PairRecommendations
        In order, as `recommend_pairs` yields them.

    Returns
    -------
    PairRecommendations
        With arrays of length zero if there are no chunks.
    """
    listed = list(chunks) or [_no_pairs()]
    return PairRecommendations(
        *(np.concatenate([getattr(chunk, field.name) for chunk in listed]) for field in fields(PairRecommendations))
    )


def _no_pairs() -> PairRecommendations:
    none = np.zeros(0, dtype=np.int32)
    return PairRecommendations(none, none, none.astype(np.int16), none, none, none, none, none, none)


def recommend_pairs(
    neighbourhood: Neighbourhood,
    first_movies: ArrayLike | None = None,
    *,
    threads: int | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Iterator[PairRecommendations]:
    """Recommend films for all pairs of sign-up films, exactly.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    first_movies : array of int, optional
        movie_ids of sign-up films: only pairs whose smaller movie_id is among them (a shard). Default: all pairs.
    threads : int, optional
        Default: one per core. The result does not depend on it.
    memory_budget : int
        Bytes to stay within, roughly. The result does not depend on it.

    Yields
    ------
    PairRecommendations
        Chunks in order; concatenated (`joined`) they are sorted by (movie_a, movie_b, rank).

    Raises
    ------
    ValueError
        If a film of `first_movies` is not a sign-up film.
    """
    signup = signup_films(neighbourhood)
    scores = [film_scores(neighbourhood, int(film)) for film in signup]
    for first in first_indices(neighbourhood, signup, first_movies):
        yield _one_first_film(neighbourhood, signup, first, scores, thread_count(threads))


def signup_films(neighbourhood: Neighbourhood) -> NDArray[np.int32]:
    """Return the catalogue positions of the sign-up films by ascending movie_id; int32, shape (<= top_movies,)."""
    positions = signup_positions(neighbourhood.catalogue, neighbourhood.parameters.top_movies)
    return positions[np.argsort(neighbourhood.catalogue.movie_ids[positions])]


def first_indices(
    neighbourhood: Neighbourhood, signup: NDArray[np.int32], first_movies: ArrayLike | None
) -> NDArray[np.int64]:
    """Turn a shard's movie_ids into ascending indices of `signup`; None means all."""
    if first_movies is None:
        return np.arange(len(signup))
    wanted = np.unique(positions_of(neighbourhood.catalogue.movie_ids, first_movies))
    known = np.isin(wanted, signup)
    if not known.all():
        stranger = neighbourhood.catalogue.movie_ids[wanted[~known][0]]
        raise ValueError(f"movie_id {stranger} is not a sign-up film, so no pair begins with it")
    return np.flatnonzero(np.isin(signup, wanted))


def _one_first_film(
    neighbourhood: Neighbourhood, signup: NDArray[np.int32], first: int, scores: list[NDArray[np.float64]], threads: int
) -> PairRecommendations:
    """All pairs of one first film with the films after it; the straightforward way."""
    catalogue, likes, parameters = neighbourhood.catalogue, neighbourhood.likes, neighbourhood.parameters
    seconds = signup[first + 1 :]
    films = np.zeros((len(seconds), parameters.per_pair), dtype=np.int32)
    votes = np.zeros_like(films)
    summary = np.zeros((len(seconds), 2), dtype=np.int32)

    def pair(second: int) -> None:
        total = scores[first] + scores[first + 1 + second]
        ranked = nearest_users(total, neighbourhood.eligible, parameters.max_neighbours)
        summary[second] = count_votes(
            ranked,
            parameters.neighbours,
            parameters.neighbour_step,
            parameters.max_neighbours,
            likes.indptr,
            likes.films,
            np.array([signup[first], seconds[second]], dtype=np.int32),
            np.zeros(len(catalogue.movie_ids), dtype=np.int32),
            np.zeros(parameters.max_neighbours + 2, dtype=np.int64),
            films[second],
            votes[second],
        )

    run_parallel(pair, range(len(seconds)), threads)
    return as_rows(neighbourhood, np.full(len(seconds), signup[first]), seconds, films, votes, summary)


def as_rows(
    neighbourhood: Neighbourhood,
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    films: NDArray[np.int32],
    votes: NDArray[np.int32],
    summary: NDArray[np.int32],
) -> PairRecommendations:
    """Turn one row per pair into one row per recommendation.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    first, second : int32 arrays, shape (pairs,)
        Catalogue positions of the pairs, sorted by movie_id.
    films, votes : int32 arrays, shape (pairs, per_pair)
        Catalogue positions and votes, best first.
    summary : int32 array, shape (pairs, 2)
        Films found and neighbours used.

    Returns
    -------
    PairRecommendations
    """
    ids = neighbourhood.catalogue.movie_ids
    per_pair = films.shape[1]
    lengths = np.minimum(summary[:, 0], per_pair)
    kept = np.arange(per_pair) < lengths[:, None]
    pair_a, pair_b = ids[first], ids[second]
    return PairRecommendations(
        np.repeat(pair_a, lengths),
        np.repeat(pair_b, lengths),
        np.broadcast_to(np.arange(1, per_pair + 1, dtype=np.int16), kept.shape)[kept],
        ids[films[kept]],
        votes[kept],
        pair_a,
        pair_b,
        summary[:, 1].copy(),
        summary[:, 0].copy(),
    )


def film_scores(neighbourhood: Neighbourhood, film: int) -> NDArray[np.float64]:
    """Score of every user for one film: |v| (cos(user, v) + bonus if the user likes it); float64, shape (users,)."""
    catalogue, likes = neighbourhood.catalogue, neighbourhood.likes
    vectors = catalogue.vectors.astype(np.float64)
    own = vectors[catalogue.vector_rows[film]]
    return _sum_over_likes(
        likes.indptr,
        likes.films,
        catalogue.vector_rows,
        vectors @ own,
        neighbourhood.norms,
        film,
        neighbourhood.parameters.liked_bonus * np.sqrt(own @ own),
    )


@kernel
def _sum_over_likes(indptr, films, vector_rows, products, norms, film, bonus):  # type: ignore[no-untyped-def]
    """Per user: sum of the liked films' products over the norm, plus the bonus if the film itself is liked."""
    scores = np.zeros(len(norms))
    for user in range(len(norms)):
        total, extra = 0.0, 0.0
        for k in range(indptr[user], indptr[user + 1]):
            row = vector_rows[films[k]]
            if row >= 0:
                total += products[row]
            if films[k] == film:
                extra = bonus
        if norms[user] > 0.0:
            scores[user] = total / norms[user] + extra
    return scores
