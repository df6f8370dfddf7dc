"""How good lists of recommendations are: accuracy per case, variety over all cases, and how sure one can be.

Belongs here: measures of ranked lists, and bootstrap intervals. Does not belong here: who recommended (`baselines`,
`live`) or which cases are asked (`splits`).

A *case* is one list made for one held-out user; `relevant` says which places of the list hold a film the user likes,
`wanted` how many such films there are. Places that are empty, because fewer films were found, count as misses.
"""

import functools

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


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


def bootstrap_intervals(
    values: Floats, users: NDArray[np.integer], *, draws: int, seed: int, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Percentile bootstrap intervals of means over cases, resampling users with all their cases.

    Cases of one user are alike, so drawing cases would make the intervals too narrow (Field & Welsh 2007).

    Parameters
    ----------
    values : float64 array, shape (cases, measures)
    users : integer array, shape (cases,)
        Whose case it is.
    draws, seed : int
    level : float
        Probability that the interval should cover.

    Returns
    -------
    (low, high)
        float64 arrays, shape (measures,); NaN if there are no cases.
    """
    names, of_user = np.unique(users, return_inverse=True)
    if len(names) == 0:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, of_user, values)
    counts = np.bincount(of_user).astype(np.float64)
    weights = _bootstrap_weights(len(names), draws, seed)
    means = (weights @ sums) / (weights @ counts)[:, None]
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    return low, high


@functools.lru_cache(maxsize=4)
def _bootstrap_weights(users: int, draws: int, seed: int) -> Floats:
    """How often each user is drawn; kept, because an evaluation asks for the same draws again and again."""
    weights = np.random.default_rng(seed).multinomial(users, np.full(users, 1.0 / users), size=draws)
    return weights.astype(np.float64)
