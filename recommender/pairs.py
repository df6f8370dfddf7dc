"""Pairs of sign-up films: which there are, and the shape in which every engine answers them.

Belongs here: the order of pairs, shards of them, and the rows handed to callers.
Does not belong here: how neighbours are found (`neighbours`, `ann`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.data.catalogue import positions_of, signup_positions
from recommender.data.model_data import Neighbourhood
from recommender.data.weights import SCORE_ONE


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
    score : float64 array, shape (rows,)
        Its score, a whole number of millionths.
    votes : int32 array, shape (rows,)
        Neighbours who like it.
    pair_a, pair_b : int32 arrays, shape (pairs,)
        Every pair that was asked for, also those without a row, sorted.
    neighbours_used : int32 array, shape (pairs,)
        Neighbours that voted.
    films_found : int32 array, shape (pairs,)
        Films in the list. Below per_pair only if neighbours_used is max_neighbours or everybody.
    """

    movie_a: NDArray[np.int32]
    movie_b: NDArray[np.int32]
    rank: NDArray[np.int16]
    movie_id: NDArray[np.int32]
    score: NDArray[np.float64]
    votes: NDArray[np.int32]
    pair_a: NDArray[np.int32]
    pair_b: NDArray[np.int32]
    neighbours_used: NDArray[np.int32]
    films_found: NDArray[np.int32]


@dataclass(frozen=True)
class Settled:
    """Winners of some pairs; rows are pairs in the order (first film, second film).

    Attributes
    ----------
    films, votes : int32 arrays, shape (pairs, per_pair)
        Catalogue positions and votes, best first.
    scores : int64 array, shape (pairs, per_pair)
        In millionths.
    summary : int32 array, shape (pairs, 3)
        Films kept, neighbours used, films with a vote.
    """

    films: NDArray[np.int32]
    votes: NDArray[np.int32]
    scores: NDArray[np.int64]
    summary: NDArray[np.int32]


def no_answers(pairs: int, per_pair: int) -> Settled:
    """Return answers still to be filled in; zeros."""
    shape = (pairs, per_pair)
    return Settled(
        np.zeros(shape, dtype=np.int32),
        np.zeros(shape, dtype=np.int32),
        np.zeros(shape, dtype=np.int64),
        np.zeros((pairs, 3), dtype=np.int32),
    )


def joined(chunks: Iterable[PairRecommendations]) -> PairRecommendations:
    """Put chunks one after the other, as one.

    Parameters
    ----------
    chunks : iterable of PairRecommendations
        In order, as a search yields them.

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
    return PairRecommendations(
        none, none, none.astype(np.int16), none, none.astype(np.float64), none, none, none, none, none
    )


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


def second_films(firsts: NDArray[np.int64], films: int) -> NDArray[np.bool_]:
    """Mask of the second films of each first one, those after it; bool, shape (first films, films)."""
    return np.arange(films) > firsts[:, None]


def as_rows(
    neighbourhood: Neighbourhood,
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    settled: Settled,
) -> PairRecommendations:
    """Turn one row per pair into one row per recommendation.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    first, second : int32 arrays, shape (pairs,)
        Catalogue positions of the pairs, sorted by movie_id.
    settled : Settled
        In the same order.

    Returns
    -------
    PairRecommendations
    """
    ids = neighbourhood.catalogue.movie_ids
    per_pair = settled.films.shape[1]
    lengths = settled.summary[:, 0]
    kept = np.arange(per_pair) < lengths[:, None]
    pair_a, pair_b = ids[first], ids[second]
    return PairRecommendations(
        np.repeat(pair_a, lengths),
        np.repeat(pair_b, lengths),
        np.broadcast_to(np.arange(1, per_pair + 1, dtype=np.int16), kept.shape)[kept],
        ids[settled.films[kept]],
        settled.scores[kept] / SCORE_ONE,
        settled.votes[kept],
        pair_a,
        pair_b,
        settled.summary[:, 1].copy(),
        lengths.copy(),
    )
