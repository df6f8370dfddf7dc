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
from recommender.kernels.dot import dot
from recommender.kernels.jit import kernel
from recommender.kernels.simd import DOUBLES

MOST_REASONS = 5
"""Films named for a recommendation at most; with more, the last entry stands for all others together."""

MOST_TAGS = 3

NOBODY = -1
"""A column that stands for no film: there are fewer reasons."""

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
    totals = scores * (SCORE_ONE * SHARE_ONE) / neighbourhood.factors[films]
    weight = neighbourhood.parameters.companion_weight / len(named)
    rows, named_rows = catalogue.vector_rows[films], catalogue.vector_rows[named]
    parts: NDArray[np.float64] = _list_parts(catalogue.vectors, rows, named_rows, totals, companions, weight)
    return parts


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
    columns = np.full((len(films), MOST_REASONS), NOBODY, dtype=np.int64)
    units = np.zeros(columns.shape, dtype=np.int64)
    _largest(parts, columns, units)
    tags = np.full((len(films), MOST_TAGS), -1, dtype=np.int64)
    rows, named_rows = neighbourhood.catalogue.vector_rows[films], neighbourhood.catalogue.vector_rows[named]
    _common_tags(neighbourhood.catalogue.vectors, means, rows, named_rows, columns, units, tags)
    places = [*named.tolist(), -1]
    return Reasons(
        [
            [(places[column], share / UNITS) for column, share in zip(*entries, strict=True) if share]
            for entries in zip(columns.tolist(), units.tolist(), strict=True)
        ],
        [[tag for tag in row if tag >= 0] for row in tags.tolist()],
    )


@kernel
def _list_parts(vectors, rows, named_rows, totals, companions, weight):  # type: ignore[no-untyped-def]
    """What the companions of each named film add, and its part of what neighbours add; float64, (films, named)."""
    parts, lanes = np.zeros((len(rows), len(named_rows))), np.zeros(DOUBLES)
    with_vector = 0
    for n in range(len(named_rows)):
        if named_rows[n] < 0:
            continue
        with_vector += 1
        profile = vectors[named_rows[n]].astype(np.float64)
        for k in range(len(rows)):
            if rows[k] >= 0:
                parts[k, n] = dot(vectors, rows[k], profile, lanes)
    for k in range(len(rows)):
        products, from_companions = 0.0, 0.0
        for n in range(len(named_rows)):
            products += parts[k, n]
            from_companions += companions[k, n] * weight
        from_neighbours = max(totals[k] - from_companions, 0.0)
        for n in range(len(named_rows)):
            share = 0.0
            if products > 0.0:
                share = parts[k, n] / products
            elif named_rows[n] >= 0:  # a film without a vector is near nothing: neighbours speak for all alike
                share = 1.0 / with_vector
            parts[k, n] = companions[k, n] * weight + from_neighbours * share
    return parts


@kernel
def _largest(parts, columns, units):  # type: ignore[no-untyped-def]
    """Fill in the columns of the largest parts of each row, then the last one for all others, and their shares.

    Shares are in 1 / `UNITS` and add up to it: rounded down, then up where the most was cut off. A row without parts
    stays as it is.
    """
    exact = np.zeros(MOST_REASONS)
    for row in range(len(parts)):
        total, count = 0.0, 0
        for column in range(parts.shape[1]):
            if parts[row, column] > 0:
                total += parts[row, column]
                count += 1
        if count == 0:
            continue
        entries = min(count, MOST_REASONS)
        given, left = 0, np.float64(UNITS)
        for entry in range(entries):
            if entry == MOST_REASONS - 1 and count > MOST_REASONS:
                columns[row, entry], exact[entry] = parts.shape[1], left  # all others
            else:
                best = NOBODY
                for column in range(parts.shape[1]):
                    part = parts[row, column]
                    if part > 0 and (best < 0 or part > parts[row, best]) and not _among(columns[row], column):
                        best = column
                columns[row, entry], exact[entry] = best, parts[row, best] / total * UNITS
            left -= exact[entry]
            units[row, entry] = np.int64(max(exact[entry], 0.0))
            given += units[row, entry]
        while given < UNITS:
            most = 0
            for entry in range(entries):
                if exact[entry] - units[row, entry] > exact[most] - units[row, most]:
                    most = entry
            units[row, most] += 1
            given += 1


@kernel
def _among(values, wanted):  # type: ignore[no-untyped-def]
    for value in values:  # noqa: SIM110  (compiled: no generator)
        if value == wanted:
            return True
    return False


@kernel
def _common_tags(vectors, means, rows, named_rows, columns, units, tags):  # type: ignore[no-untyped-def]
    """Fill in tags in which a film and those named for it exceed the mean, by the product of both excesses."""
    width = vectors.shape[1]
    most = tags.shape[1]
    profile, values = np.zeros(width, dtype=np.float32), np.zeros(most, dtype=np.float32)
    for k in range(len(rows)):
        if rows[k] < 0:
            continue
        profile[:] = 0.0
        for entry in range(columns.shape[1]):
            column = columns[k, entry]
            if column < 0 or column >= len(named_rows) or named_rows[column] < 0:
                continue
            share, vector = np.float32(units[k, entry] / UNITS), vectors[named_rows[column]]
            for tag in range(width):
                profile[tag] += share * (vector[tag] - means[tag])
        values[:] = 0.0
        vector = vectors[rows[k]]
        for tag in range(width):
            profile[tag] = max(profile[tag], np.float32(0.0)) * (vector[tag] - means[tag])
        for tag in range(width):
            value = profile[tag]
            if value <= values[most - 1]:
                continue
            place = most - 1
            while place > 0 and values[place - 1] < value:
                values[place], tags[k, place] = values[place - 1], tags[k, place - 1]
                place -= 1
            values[place], tags[k, place] = value, tag
