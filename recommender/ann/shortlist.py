"""Shortlist: which of many users deserve an exact score, by estimated scores.

Belongs here: users' coordinates in few bytes, and the choice by them.
Does not belong here: exact scores (`lists`), which decide among those chosen.

With a bonus for liking a film of the list, a user who likes all of it mostly outranks every user who does not, near as
those may be by cosine, and an index of cosines need not know that user. So everybody who likes a film of the list is
looked at: tens of thousands of users, with the cosine estimated from their principal components.
"""

import numpy as np
from numpy.typing import NDArray

from recommender.kernels.jit import kernel

STEP = 2.0**-14
"""Coordinates are kept as multiples of this, in 16 bits."""

LOOKED_AT = 4
"""How many times as many fans as are wanted have their cosine estimated: those who get most in bonuses."""

WIDTH = 32
"""Coordinates are padded to a multiple of this: sums over them then fill whole vector registers."""

BINS = 4096
"""Bins in which estimates are counted to find where the best ones begin."""


def coarse(coordinates: NDArray[np.floating]) -> NDArray[np.int16]:
    """Round coordinates to 16 bits.

    Parameters
    ----------
    coordinates : float array, shape (..., components)
        Of differences of unit vectors: no row is longer than 2.

    Returns
    -------
    int16 array, shape (..., components rounded up to a multiple of WIDTH)
        Multiples of `STEP`; zeros are added.
    """
    components = coordinates.shape[-1]
    rounded = np.zeros((*coordinates.shape[:-1], -(-components // WIDTH) * WIDTH), dtype=np.int16)
    rounded[..., :components] = np.clip(np.rint(coordinates / STEP), -32767, 32767)
    return rounded


@kernel
def shortlist(  # type: ignore[no-untyped-def]
    near, films, bonuses, fan_indptr, fans, item_of_user, points, point, length, wanted
):
    """Choose users by estimated score among those who are near and those who get most in bonuses.

    The cosine of unit vectors is 1 minus half their squared distance, which is about that of their coordinates.

    Parameters
    ----------
    near : int64 array
        User indices to choose from besides the fans, distinct.
    films : int32 array, shape (n,)
        Catalogue positions.
    bonuses : float64 array, shape (n,)
        What liking each film adds to a score.
    fan_indptr, fans : arrays
        As in `Fans`.
    item_of_user : int32 array, shape (users,)
        Row of `points` of each user; -1 for users who have none, who are not chosen.
    points : int16 array, shape (items, width)
        Coordinates as `coarse` makes them.
    point : int16 array, shape (width,)
        Those of the profile.
    length : float
        Norm of the profile's vector sum: what the cosine is multiplied by.
    wanted : int

    Returns
    -------
    int64 array
        User indices, distinct; `wanted` of them and those with the estimate of the last, or fewer if there are fewer.
    """
    bonus_of = np.zeros(len(item_of_user), dtype=np.float32)
    touched = 0
    for n in range(len(films)):
        bonus = np.float32(bonuses[n])
        if bonus > 0.0:
            touched += fan_indptr[films[n] + 1] - fan_indptr[films[n]]
            for k in range(fan_indptr[films[n]], fan_indptr[films[n] + 1]):
                bonus_of[fans[k]] += bonus
    users = np.empty(touched + len(near), dtype=np.int64)
    scores = np.empty(touched + len(near), dtype=np.float32)
    count = 0
    for user in near:
        users[count], scores[count] = user, bonus_of[user]
        bonus_of[user] = 0.0  # met
        count += item_of_user[user] >= 0
    met = count
    for n in range(len(films)):
        for k in range(fan_indptr[films[n]], fan_indptr[films[n] + 1]):
            user = fans[k]
            users[count], scores[count] = user, bonus_of[user]
            count += bonus_of[user] > 0.0 and item_of_user[user] >= 0
            bonus_of[user] = 0.0
    if count - met > LOOKED_AT * wanted:  # few of those who get less could catch up by cosine, and they are many
        enough = _least(scores[met:count], LOOKED_AT * wanted)
        kept = met
        for n in range(met, count):
            users[kept], scores[kept] = users[n], scores[n]
            kept += scores[n] >= enough
        count = kept
    scale = 0.5 * STEP * STEP
    for n in range(count):
        own = points[item_of_user[users[n]]]
        distance = np.int32(0)  # no difference is longer than 2: below 2^31, and in 32 bits the loop is vectorized
        for k in range(len(point)):
            difference = np.int32(own[k] - point[k])
            distance = np.int32(distance + np.int32(difference * difference))
        scores[n] += length * (1.0 - distance * scale)
    users, scores = users[:count], scores[:count]
    if count <= wanted:
        return users
    return users[scores >= _least(scores, wanted)]


@kernel
def _least(numbers, wanted):  # type: ignore[no-untyped-def]
    """A number that at least `wanted` of the numbers reach, and few more: they are counted in bins."""
    low, high = numbers.min(), numbers.max()
    if low == high:
        return low
    scale = np.float32((BINS - 1) / (high - low))
    counts = np.zeros(BINS, dtype=np.int64)
    for number in numbers:
        counts[int((number - low) * scale)] += 1
    reaching, place = 0, BINS
    while reaching < wanted:
        place -= 1
        reaching += counts[place]
    least = high
    for number in numbers:  # the least one in that bin, so that rounding of the bin's edge leaves nobody out
        if int((number - low) * scale) >= place and number < least:
            least = number
    return least
