"""A metric per answer: the ratio of two sums, with the clients as the independent units.

Belongs here: the sums that everything else follows from, the ratio and its variance. Does not belong here: comparing
two variants (`comparison`), or what counts as an outcome (`warehouse.experiments`).

A client asks several times, and its answers are alike. The client was drawn, not the answer, so the variance is that of
clients' sums: a ratio of two means over clients, linearised (the delta method; Deng, Knoblich & Lu 2018, "Applying the
Delta Method in Metric Analytics", section 3).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Moments(NamedTuple):
    """Sums over the clients of one variant: all that a ratio and its variance need.

    All are float64 arrays of one shape, with one entry per look at one experiment; of a single look, of shape ().

    Attributes
    ----------
    clients : float64 array
    outcomes, answers : float64 array
        Sums over the clients of what they did, and of how often they were answered.
    outcomes_squared, product, answers_squared : float64 array
        Sums over the clients of the squares, and of the product.
    """

    clients: Floats
    outcomes: Floats
    answers: Floats
    outcomes_squared: Floats
    product: Floats
    answers_squared: Floats


class Ratio(NamedTuple):
    """Outcomes per answer and the variance of that estimate, float64 arrays of the shape of the moments."""

    value: Floats
    variance: Floats


def moments(outcomes: ArrayLike, answers: ArrayLike, clients: ArrayLike) -> Moments:
    """Sum over clients, along the last axis.

    Parameters
    ----------
    outcomes, answers : array, shape (..., kinds)
        Of a client of each kind; clients with the same two numbers are one kind.
    clients : array, shape (..., kinds)
        How many clients of the kind there are; 1 where kinds are clients.

    Returns
    -------
    Moments
        Of shape (...).
    """
    did, asked, times = (np.asarray(values, dtype=np.float64) for values in (outcomes, answers, clients))
    sums = (1.0, did, asked, did * did, did * asked, asked * asked)
    return Moments(*((times * values).sum(axis=-1) for values in sums))


def ratio(sums: Moments) -> Ratio:
    """Outcomes per answer, and the variance of the estimate between clients.

    Parameters
    ----------
    sums : Moments

    Returns
    -------
    Ratio
        NaN where no client was answered; an infinite variance where only one was.
    """
    clients, answers = sums.clients, np.asarray(sums.answers)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = sums.outcomes / answers
        residuals = sums.outcomes_squared - 2.0 * value * sums.product + value**2 * sums.answers_squared
        spread = np.where(clients > 1, clients / (clients - 1.0), np.inf)
        # Equal clients have no variance; rounding may leave a little less than nothing.
        variance = np.where(clients > 1, spread * np.maximum(residuals, 0.0) / answers**2, np.inf)
    return Ratio(np.where(answers > 0, value, np.nan), np.where(answers > 0, variance, np.nan))
