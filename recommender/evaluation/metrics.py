"""How good lists of recommendations are: accuracy per case, variety over all cases, and how sure one can be.

Belongs here: measures of ranked lists, and bootstrap intervals. Does not belong here: who recommended (`baselines`,
`recommender.neighbours.exact`) or which cases are asked (`splits`).

A *case* is one list made for one held-out user; `relevant` says which places of the list hold a film the user likes,
`wanted` how many such films there are. Places that are empty, because fewer films were found, count as misses.

A new metric is a new line of `ACCURACY` or `VARIETY`.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

PLACES = 10
"""Length of the lists that are measured."""


@dataclass(frozen=True)
class Answers:
    """The lists of one method, with what metrics need to know of the cases and the films.

    Attributes
    ----------
    lists : int32 array, shape (cases, PLACES)
        Film positions, best first, -1 for an empty place.
    relevant : bool array, shape (cases, PLACES)
    wanted : integer array, shape (cases,)
        At least 1.
    shares : float64 array, shape (films,)
        Share of the users seen who like each film.
    """

    lists: NDArray[np.int32]
    relevant: Flags
    wanted: NDArray[np.integer]
    shares: Floats


def hit_rate(relevant: Flags, k: int) -> Floats:
    """1 for each case with at least one relevant film in the first k places, else 0; float64, shape (cases,)."""
    return np.asarray(relevant[:, :k].any(axis=1), dtype=np.float64)


def precision(relevant: Flags, k: int) -> Floats:
    """Share of the first k places that hold a relevant film; float64, shape (cases,)."""
    share: Floats = relevant[:, :k].sum(axis=1) / k
    return share


def recall(relevant: Flags, wanted: NDArray[np.integer], k: int) -> Floats:
    """Share of the wanted films that are in the first k places; float64, shape (cases,)."""
    share: Floats = relevant[:, :k].sum(axis=1) / wanted
    return share


def ndcg(relevant: Flags, wanted: NDArray[np.integer], k: int) -> Floats:
    """Discounted gain of the first k places over that of the best possible list (Järvelin & Kekäläinen 2002).

    Parameters
    ----------
    relevant : bool array, shape (cases, places)
    wanted : integer array, shape (cases,)
        At least 1.
    k : int

    Returns
    -------
    float64 array, shape (cases,)
        On [0, 1]. A film at place i, from 1, gains 1 / log2(i + 1); the best list begins with min(wanted, k) hits.
    """
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.concatenate(([0.0], np.cumsum(gains)))[np.minimum(wanted, k)]
    places = min(k, relevant.shape[1])
    normalised: Floats = (relevant[:, :places] * gains[:places]).sum(axis=1) / best
    return normalised


def novelty(lists: NDArray[np.integer], shares: Floats, k: int) -> Floats:
    """Mean self-information of the films in the first k places, in bits: how surprising it is that someone likes them.

    Parameters
    ----------
    lists : integer array, shape (cases, places)
        Film positions, -1 for an empty place.
    shares : float64 array, shape (films,)
        Share of the users who like each film.
    k : int

    Returns
    -------
    float64 array, shape (cases,)
        Mean of -log2(share); 0 for an empty list (Vargas & Castells 2011).
    """
    first = lists[:, :k]
    filled = first >= 0
    bits = np.where(filled, -np.log2(np.maximum(shares[np.maximum(first, 0)], np.finfo(float).tiny)), 0.0)
    mean: Floats = bits.sum(axis=1) / np.maximum(filled.sum(axis=1), 1)
    return mean


def times_recommended(lists: NDArray[np.integer], films: int, k: int) -> NDArray[np.int64]:
    """How often each film is in the first k places; int64, shape (films,)."""
    first = lists[:, :k]
    return np.bincount(first[first >= 0], minlength=films)


def gini(times: NDArray[np.integer]) -> float:
    """Inequality of how often films are recommended: 0 all equally often, towards 1 always the same few.

    Parameters
    ----------
    times : integer array, shape (films,)
        Films that could be recommended, those that never are included.

    Returns
    -------
    float
        The Gini coefficient; 0 if nothing is recommended.
    """
    ascending = np.sort(times).astype(np.float64)
    films, total = len(ascending), ascending.sum()
    if total == 0:
        return 0.0
    return float(((2.0 * np.arange(1, films + 1) - films - 1.0) * ascending).sum() / (films * total))


def bootstrap_means(values: Floats, users: NDArray[np.integer], *, draws: int, seed: int) -> Floats:
    """Means over cases in bootstrap samples of the users, each with all their cases.

    Cases of one user are alike, so drawing cases would make intervals too narrow (Field & Welsh 2007).

    Parameters
    ----------
    values : float64 array, shape (cases, measures)
    users : integer array, shape (cases,)
        Whose case it is.
    draws, seed : int

    Returns
    -------
    float64 array, shape (draws, measures)
        NaN if there are no cases.
    """
    names, of_user = np.unique(users, return_inverse=True)
    if len(names) == 0:
        return np.full((draws, values.shape[1]), np.nan)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, of_user, values)
    weights = _bootstrap_weights(len(names), draws, seed).astype(np.float64)
    means: Floats = (weights @ sums) / (weights @ np.bincount(of_user).astype(np.float64))[:, None]
    return means


def interval(means: Floats) -> tuple[Floats, Floats]:
    """95% percentile interval of `bootstrap_means`: (low, high), float64 arrays of shape (measures,)."""
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


@functools.lru_cache(maxsize=4)
def _bootstrap_weights(users: int, draws: int, seed: int) -> NDArray[np.int16]:
    """How often each user is drawn; kept, because an evaluation asks for the same draws again and again."""
    weights = np.random.default_rng(seed).multinomial(users, np.full(users, 1.0 / users), size=draws)
    return weights.astype(np.int16)


def _coverage(answers: Answers) -> float:
    """Share of the films anybody likes that are in a list."""
    times = times_recommended(answers.lists, len(answers.shares), PLACES)
    return float((times > 0).sum() / max((answers.shares > 0).sum(), 1))


def _gini(answers: Answers) -> float:
    """Gini coefficient over the films anybody likes."""
    return gini(times_recommended(answers.lists, len(answers.shares), PLACES)[answers.shares > 0])


ACCURACY: Mapping[str, Callable[[Answers], Floats]] = {
    "hit_rate@3": lambda answers: hit_rate(answers.relevant, 3),
    "hit_rate@10": lambda answers: hit_rate(answers.relevant, 10),
    "precision@10": lambda answers: precision(answers.relevant, 10),
    "recall@10": lambda answers: recall(answers.relevant, answers.wanted, 10),
    "ndcg@10": lambda answers: ndcg(answers.relevant, answers.wanted, 10),
}
"""Metrics with a value per case, higher is better: measured on slices too, and as paired differences of methods."""

VARIETY: Mapping[str, Callable[[Answers], Floats | float]] = {
    "novelty@10": lambda answers: novelty(answers.lists, answers.shares, 10),
    "coverage@10": _coverage,
    "gini@10": _gini,
}
"""Metrics of how varied lists are, with a value per case, or one for all lists of a split together."""

HEADLINE = ("hit_rate@3", "ndcg@10")
"""Metrics that people look at first."""
