"""Why a film is on a list: how much each film named or liked contributes to its score, and which tags they share.

Belongs here: splitting scores, rounding the shares, choosing common tags. Does not belong here: the scores themselves
(`recommender.lists`, `recommender.items`), the shape of answers (`serving.answers`).

A score for a list of films has two parts (rule 6). What companions add is a sum over the films named, so it is split as
it is. What neighbours add is split in proportion to the products of the film's vector with theirs: neighbours are found
by the sum of these vectors. Both need nothing but the pack, so that a stored list has the reasons of a live one.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.model_data import Neighbourhood
from recommender.data.weights import SCORE_ONE, SHARE_ONE

MOST_REASONS = 5
"""Films named for a recommendation at most; with more, the last entry stands for all others together."""

MOST_TAGS = 3

UNITS = 1 << 20
"""Shares are multiples of 1 / UNITS, so that floating-point sums of them are exact: they add up to 1."""


class Reasons(NamedTuple):
    """Why the films of a list are on it.

    Attributes
    ----------
    because : list of list of (int, float)
        For each film: catalogue position of a film named or liked, and its share, largest first; -1 for all others.
    tags : list of list of int
        For each film: columns of the vectors.
    """

    because: list[list[tuple[int, float]]]
    tags: list[list[int]]


def list_parts(
    neighbourhood: Neighbourhood,
    named: NDArray[np.int32],
    films: NDArray[np.int32],
    scores: NDArray[np.float64],
    companions: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Split the scores of a list's films among the films named.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    named : int32 array, shape (n,)
        Catalogue positions.
    films : int32 array, shape (k,)
        Catalogue positions of the recommended films.
    scores : float64 array, shape (k,)
    companions : int32 array, shape (k, n)
        P(f | a), in units of 1 / SHARE_ONE.

    Returns
    -------
    float64 array, shape (k, n)
        Not negative; rows are in proportion to what each named film contributes.
    """
    catalogue = neighbourhood.catalogue
    from_companions = companions * (neighbourhood.parameters.companion_weight / len(named))
    totals = scores * (SCORE_ONE * SHARE_ONE) / neighbourhood.factors[films]
    from_neighbours = np.maximum(totals - from_companions.sum(axis=1), 0.0)
    rows, named_rows = catalogue.vector_rows[films], catalogue.vector_rows[named]
    products = (catalogue.vectors[np.maximum(rows, 0)] @ catalogue.vectors[np.maximum(named_rows, 0)].T).astype(float)
    products *= (rows >= 0)[:, None] & (named_rows >= 0)
    sums = products.sum(axis=1, keepdims=True)
    even = (named_rows >= 0) / max(1, int(np.count_nonzero(named_rows >= 0)))  # a film without a vector is near nothing
    shares = np.where(sums > 0, products / np.where(sums > 0, sums, 1.0), even)
    return from_companions + from_neighbours[:, None] * shares


def explain(
    neighbourhood: Neighbourhood, means: NDArray[np.float32], named: NDArray[np.int32], films: NDArray[np.int32],
    parts: NDArray[Any],
) -> Reasons:  # fmt: skip
    """Name the films that contribute most to each recommended one, and the tags it has in common with them.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    means : float32 array, shape (tags,)
        Mean of all film vectors: only tags above it, in both, count as common.
    named : int32 array, shape (n,)
        Catalogue positions.
    films : int32 array, shape (k,)
        Catalogue positions.
    parts : array, shape (k, n)
        What each named film contributes; negative parts speak against a film and are no reason for it.

    Returns
    -------
    Reasons
    """
    because = [_largest(row) for row in np.maximum(parts, 0)]
    weights = np.zeros(parts.shape, dtype=np.float32)
    for place, entries in enumerate(because):
        for column, share in entries:
            if column >= 0:
                weights[place, column] = share
    tags = _common_tags(neighbourhood, means, named, films, weights)
    ids = named.tolist()
    return Reasons([[(ids[at] if at >= 0 else -1, share) for at, share in entries] for entries in because], tags)


def _largest(parts: NDArray[Any]) -> list[tuple[int, float]]:
    """Columns of the largest parts with their shares, which add up to 1; column -1 for the rest; [] without parts."""
    total = parts.sum()
    if total <= 0:
        return []
    order = np.argsort(-parts, kind="stable")
    count = int(np.count_nonzero(parts))
    named = order[: MOST_REASONS if count <= MOST_REASONS else MOST_REASONS - 1].tolist()
    exact = [float(parts[at]) / float(total) * UNITS for at in named[:count]]
    columns = named[:count]
    if count > MOST_REASONS:
        columns, exact = [*columns, -1], [*exact, UNITS - sum(exact)]
    units = [int(share) for share in exact]
    for at in sorted(range(len(exact)), key=lambda at: units[at] - exact[at])[: UNITS - sum(units)]:
        units[at] += 1
    return [(column, share / UNITS) for column, share in zip(columns, units, strict=True) if share]


def _common_tags(
    neighbourhood: Neighbourhood,
    means: NDArray[np.float32],
    named: NDArray[np.int32],
    films: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> list[list[int]]:
    """Tags in which a film and those named for it exceed the mean film, by the product of both excesses."""
    catalogue = neighbourhood.catalogue
    if catalogue.vectors.size == 0:
        return [[] for _ in films]
    used = np.flatnonzero(weights.any(axis=0) & (catalogue.vector_rows[named] >= 0))
    profiles = weights[:, used] @ catalogue.vectors[catalogue.vector_rows[named[used]]]
    profiles -= weights[:, used].sum(axis=1, keepdims=True) * means
    rows = catalogue.vector_rows[films]
    common = np.maximum(catalogue.vectors[np.maximum(rows, 0)] - means, 0.0) * np.maximum(profiles, 0.0)
    common[rows < 0] = 0.0
    most = min(MOST_TAGS, common.shape[1])
    best = np.argpartition(-common, most - 1, axis=1)[:, :most]
    values = np.take_along_axis(common, best, axis=1)
    order = np.lexsort((best, -values), axis=1)
    best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
    return [
        [tag for tag, value in zip(*pair, strict=True) if value > 0]
        for pair in zip(best.tolist(), values.tolist(), strict=True)
    ]
