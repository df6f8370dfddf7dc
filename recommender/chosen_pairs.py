"""Recommendations for some pairs of films, answered together: what an evaluation asks for.

Belongs here: scoring each film once for all pairs it is in. Does not belong here: all pairs (`exact`) or one list of
films (`live`), whose votes are used and whose answers these are; a test compares the three.

A user's score for a pair is the sum of the scores for its films, so some hundred films serve a thousand pairs.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recommender.compiled import kernel, run_parallel
from recommender.live import vote
from recommender.neighbourhood import Neighbourhood
from recommender.pair_scores import film_scores
from recommender.ranking import nearest_users

AT_ONCE = 8
"""Films scored in one pass over the likes: their similarities to a liked film fill one cache line."""

MEMORY_BUDGET = 200_000_000
"""Bytes of film scores held at a time: all of a small data set, 88 films of 283,000 users."""


def recommend_chosen(
    neighbourhood: Neighbourhood,
    pairs: NDArray[np.integer],
    count: int,
    *,
    threads: int | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> NDArray[np.int32]:
    """Recommend films for some pairs, exactly.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    pairs : integer array, shape (pairs, 2)
        Catalogue positions of films with a vector.
    count : int
        Films wanted; it also decides whether the neighbours found suffice.
    threads : int, optional
        Default: one per core. The result does not depend on it.
    memory_budget : int
        Bytes of scores to hold at a time. The result does not depend on it.

    Returns
    -------
    int32 array, shape (pairs, count)
        movie_ids, best first, -1 where fewer are found.
    """
    lists = np.full((len(pairs), count), -1, dtype=np.int32)
    for some in _groups(pairs, memory_budget // (16 * max(len(neighbourhood.likes.user_ids), 1))):
        films, at = np.unique(pairs[some], return_inverse=True)
        scores = cosine_scores(neighbourhood, films, threads)
        if neighbourhood.parameters.liked_bonus > 0.0:
            scores += neighbourhood.parameters.liked_bonus * liked_lengths(neighbourhood, films)
        lists[some] = vote_for_pairs(neighbourhood, pairs[some], scores, at.reshape(-1, 2), count, threads)
    return lists


def _groups(pairs: NDArray[np.integer], most: int) -> Iterator[NDArray[np.int64]]:
    """Groups of at most so many pairs (at least one), pairs that share their first film together."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    for low in range(0, len(order), max(most, 1)):
        yield order[low : low + max(most, 1)]


def cosine_scores(
    neighbourhood: Neighbourhood, films: NDArray[np.integer], threads: int | None = None
) -> NDArray[np.float64]:
    """Each user's cosine to each film times the length of the film's vector, without any bonus.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    films : integer array, shape (films,)
        Catalogue positions of films with a vector.
    threads : int, optional

    Returns
    -------
    float64 array, shape (films, users)
        Zero for users without a vector.
    """
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    similarities = film_scores(neighbourhood, films.astype(np.int32)).similarities
    with_vector = np.flatnonzero(catalogue.vector_rows >= 0)
    scores = np.zeros((len(films), len(likes.user_ids)))

    def add(low: int) -> None:
        some = similarities[low : low + AT_ONCE, catalogue.vector_rows[with_vector]]
        by_film = np.zeros((len(catalogue.movie_ids), AT_ONCE))
        by_film[with_vector, : len(some)] = some.T
        _add(likes.indptr, likes.films, by_film, neighbourhood.norms, scores[low : low + AT_ONCE])

    run_parallel(add, range(0, len(films), AT_ONCE), threads)
    return scores


def liked_lengths(neighbourhood: Neighbourhood, films: NDArray[np.integer]) -> NDArray[np.float64]:
    """Length of each film's vector where a user likes the film, else 0; float64, shape (films, users)."""
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    vectors = catalogue.vectors[catalogue.vector_rows[films]].astype(np.float64)
    row_of_film = np.full(len(catalogue.movie_ids), -1)
    row_of_film[films] = np.arange(len(films))
    lengths = np.zeros((len(films), len(likes.user_ids)))
    _mark(likes.indptr, likes.films, row_of_film, np.sqrt(np.einsum("ft,ft->f", vectors, vectors)), lengths)
    return lengths


def vote_for_pairs(
    neighbourhood: Neighbourhood,
    pairs: NDArray[np.integer],
    scores: NDArray[np.float64],
    at: NDArray[np.integer],
    count: int,
    threads: int | None = None,
) -> NDArray[np.int32]:
    """Let the nearest users of each pair vote.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    pairs : integer array, shape (pairs, 2)
        Catalogue positions.
    scores : float64 array, shape (films, users)
    at : integer array, shape (pairs, 2)
        Rows of `scores` of the films of each pair.
    count : int
    threads : int, optional

    Returns
    -------
    int32 array, shape (pairs, count)
        movie_ids, -1 where fewer films are found.
    """
    lists = np.full((len(pairs), count), -1, dtype=np.int32)
    most = neighbourhood.parameters.max_neighbours

    def ask(case: int) -> None:
        ranked = nearest_users(scores[at[case, 0]] + scores[at[case, 1]], neighbourhood.eligible, most)
        found = vote(neighbourhood, pairs[case].astype(np.int32), ranked, count).movie_ids
        lists[case, : len(found)] = found

    run_parallel(ask, range(len(pairs)), threads)
    return lists


@kernel
def _add(indptr, films, by_film, norms, scores):  # type: ignore[no-untyped-def]
    """Sum of the similarities of some films to what each user likes, over the user's norm; for `AT_ONCE` films."""
    total = np.zeros(AT_ONCE)
    for user in range(len(norms)):
        if norms[user] > 0.0:
            total[:] = 0.0
            for k in range(indptr[user], indptr[user + 1]):
                film = films[k]
                for n in range(AT_ONCE):
                    total[n] += by_film[film, n]
            for n in range(len(scores)):
                scores[n, user] = total[n] / norms[user]


@kernel
def _mark(indptr, films, row_of_film, values, marked):  # type: ignore[no-untyped-def]
    """Put a film's value where a user likes it."""
    for user in range(len(indptr) - 1):
        for k in range(indptr[user], indptr[user + 1]):
            row = row_of_film[films[k]]
            if row >= 0:
                marked[row, user] = values[row]
