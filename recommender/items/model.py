"""The item model: what liking one film adds to the score of another, for the most liked films.

Belongs here: the two models (EASE, RP3beta) and their fixed-point form. Does not belong here: lists made with it
(`ranking`), files (the warehouse keeps them).

A model is a square table of integers in units of 1 / `SCORE_ONE`. A user's scores are sums of its rows, exact in any
order and for any number of threads. It is made once, by a retrain, from the likes as they were then, and kept: the last
bits of an inverse differ between machines, sums of the kept integers do not.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recommender.data.catalogue import Catalogue
from recommender.data.inverted_index import make_fans
from recommender.data.likes import Likes
from recommender.data.weights import FACTOR_ONE, SCORE_ONE, popularity_factors
from recommender.errors import MarqueeError
from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel
from recommender.parameters import ModelParameters

LEAST_LIKES = 5
"""Likes a film needs to be in the item set: with fewer, what else its users like is chance."""

RP3_EXPONENT = 0.6
RP3_POPULARITY = 0.1
"""Of the walk's probabilities, and of the popularity that divides them: best on the sample."""


class ItemModelError(MarqueeError):
    """The item model cannot be made with these parameters; the message names the parameter."""


@dataclass(frozen=True)
class ItemModel:
    """Weights between the films of the item set, and the order of all films.

    Arrays may be read-only memory maps.

    Attributes
    ----------
    films : int32 array, shape (films,)
        Catalogue positions of all films, most liked first as of the retrain; the first n are the item set. Equal scores
        are in this order.
    weights : int32 array, shape (n, n)
        Row a, column f: what liking ``films[a]`` adds to the score of ``films[f]``, in units of 1 / `SCORE_ONE`.
    """

    films: NDArray[np.int32]
    weights: NDArray[np.int32]

    @functools.cached_property
    def ranks(self) -> NDArray[np.int32]:
        """Rank of each catalogue position in `films`; int32, shape (films,)."""
        ranks = np.empty(len(self.films), dtype=np.int32)
        ranks[self.films] = np.arange(len(self.films), dtype=np.int32)
        return ranks


def make_item_model(
    likes: Likes, catalogue: Catalogue, parameters: ModelParameters, threads: int | None = None
) -> ItemModel:
    """Make the item model of the `user_films` most liked films that have `LEAST_LIKES` likes.

    The score of a film is divided by (share of users who like it)^`popularity_exponent`, as that of a pair is.

    Raises
    ------
    ItemModelError
        If weights are too large for 32 bits.
    """
    size = min(parameters.user_films, int((catalogue.like_counts >= LEAST_LIKES).sum()))
    if parameters.user_method == "ease":
        together = count_together(
            likes, np.ones(len(likes.user_ids), dtype=np.int32), len(catalogue.movie_ids), size, threads
        )
        weights = ease_weights(together, parameters.user_regularization)
    else:
        weights = _rp3beta_weights(likes, catalogue, size, threads)
    weights *= popularity_factors(catalogue.like_counts[:size], len(likes.user_ids), parameters.popularity_exponent)
    weights *= SCORE_ONE / FACTOR_ONE
    np.rint(weights, out=weights)
    if np.abs(weights).sum(axis=0).max(initial=0.0) >= 1 << 31:  # no sum of rows may exceed 32 bits
        raise ItemModelError(
            f"the item model has weights beyond 32 bits with user_regularization={parameters.user_regularization:g}; "
            "set a larger one"
        )
    return ItemModel(np.arange(len(catalogue.movie_ids), dtype=np.int32), weights.astype(np.int32))


def ease_weights(together: NDArray[np.int32], regularization: float) -> NDArray[np.float64]:
    """EASE (Steck 2019): B = I - P diag(1 / diag P), where P is the inverse of the co-likes plus the regularization.

    Parameters
    ----------
    together : int32 array, shape (n, n)
        How many users like both films; on the diagonal, how many like the film.
    regularization : float
        Added to the diagonal.

    Returns
    -------
    float64 array, shape (n, n)
        Zero on the diagonal. One thread makes the inverse: with several its last bits depend on how many they are.
    """
    weights: NDArray[np.float64] = together.astype(np.float64)
    weights[np.diag_indices_from(weights)] += regularization
    with threadpool_limits(1, user_api="blas"):
        weights = np.linalg.inv(weights).astype(np.float64, copy=False)
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0.0)
    return weights


def _rp3beta_weights(likes: Likes, catalogue: Catalogue, size: int, threads: int | None) -> NDArray[np.float64]:
    """RP3beta (Paudel et al. 2017): a walk from film to user to film, over a power of the film's popularity."""
    one = 1 << 10
    voters = np.rint(one * np.maximum(np.diff(likes.indptr), 1) ** -RP3_EXPONENT).astype(np.int32)
    weights = count_together(likes, np.maximum(voters, 1), len(catalogue.movie_ids), size, threads) / float(one)
    counts = catalogue.like_counts[:size].astype(np.float64)
    weights /= (counts**RP3_EXPONENT)[:, None]
    weights /= counts**RP3_POPULARITY
    np.fill_diagonal(weights, 0.0)
    return weights


def count_together(
    likes: Likes, weights: NDArray[np.int32], films: int, size: int, threads: int | None = None
) -> NDArray[np.int32]:
    """Add up, for each two of the first films, what the users weigh who like both.

    Parameters
    ----------
    likes : Likes
    weights : int32 array, shape (users,)
        All together below 2^31.
    films, size : int
        Films in the catalogue, and how many of them are counted.

    Returns
    -------
    int32 array, shape (size, size)
    """
    together = np.zeros((size, size), dtype=np.int32)
    fans = make_fans(likes, films)

    def add_one(film: int) -> None:
        add_together(likes.indptr, likes.films, fans.of(film), weights, together[film])

    run_parallel(add_one, range(size), threads)
    return together


@kernel
def add_together(indptr, films, users, weights, together):  # type: ignore[no-untyped-def]
    """Add up, for each film, what those of some users weigh who like it; only the first films may be counted."""
    for user in users:
        for k in range(indptr[user], indptr[user + 1]):
            if films[k] >= len(together):
                break
            together[films[k]] += weights[user]
