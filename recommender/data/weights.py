"""The numbers of rule 6 as integers: what a voter weighs, and what a film's popularity divides its score by.

Belongs here: fixed-point weights and factors. Does not belong here: the score made of them (`voting.score`).

Powers are computed in decimal arithmetic with forty digits, not in floating point, whose last bit differs between
machines; then they are rounded to integers. Sums of integers are the same in any order.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
from numpy.typing import NDArray

WEIGHT_ONE = 1 << 20
"""Weight of a user with one like."""

SHARE_ONE = 100_000_000
"""A share of 1: V and P are counted in units of 10^-8, rounded down."""

FACTOR_ONE = 1_000_000
"""The factor of a film that all users like."""

SCORE_ONE = 1_000_000
"""A score of 1: scores are counted in units of 10^-6, rounded down."""

THOUSAND = 1000
"""`companion_weight` is counted in thousandths."""

_EXACT = Context(prec=40, rounding=ROUND_HALF_EVEN)

DOUBT = 1e-4
"""Distance from the middle between two integers within which a double does not say which one is nearer."""


def _powers(numbers: NDArray[np.integer], exponent: float, one: int, divisor: int = 1) -> NDArray[np.int64]:
    """Round ``one * (number / divisor) ** -exponent`` to integers of at least 1, for numbers >= 1.

    Up to 2^32 double precision is wrong by 10^-5 at most. Only where that may decide the rounding, 40 digits do.
    """
    distinct, at = np.unique(np.maximum(numbers, 1), return_inverse=True)
    powers = one * (divisor / distinct) ** exponent
    found = np.rint(powers).astype(np.int64)
    power = Decimal(repr(float(exponent)))
    for place in np.flatnonzero(np.abs(powers - np.floor(powers) - 0.5) < DOUBT):
        exact = _EXACT.multiply(_EXACT.power(_EXACT.divide(divisor, int(distinct[place])), power), one)
        found[place] = int(exact.to_integral_value())
    return np.maximum(found, 1)[at]


def voter_weights(likes: NDArray[np.integer], exponent: float) -> NDArray[np.int64]:
    """Weigh users: likes^-exponent, as integers of which `WEIGHT_ONE` is 1.

    Parameters
    ----------
    likes : integer array, shape (users,)
        Films each user likes.
    exponent : float
        `voter_exponent`.

    Returns
    -------
    int64 array, shape (users,)
        From 1 to `WEIGHT_ONE`.
    """
    return _powers(likes, exponent, WEIGHT_ONE)


def popularity_factors(like_counts: NDArray[np.integer], users: int, exponent: float) -> NDArray[np.int64]:
    """What to multiply a film's score by: (share of users who like it)^-exponent, of which `FACTOR_ONE` is 1.

    Parameters
    ----------
    like_counts : integer array, shape (films,)
    users : int
        Users who like anything.
    exponent : float
        `popularity_exponent`, at most 0.5: with up to 16 million users no factor then exceeds 2^32.

    Returns
    -------
    int64 array, shape (films,)
        At least `FACTOR_ONE`; a film nobody likes has the factor of a film one user likes.
    """
    return _powers(like_counts, exponent, FACTOR_ONE, max(users, 1))
