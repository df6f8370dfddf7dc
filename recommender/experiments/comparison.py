"""Challenger minus champion, with an interval that holds at every look.

Belongs here: the difference and its confidence sequence. Does not belong here: what follows from it (`decisions`).

An ordinary 95% interval is right one time, at a size that was fixed before. Looked at daily, it excludes the truth
sooner or later. A confidence sequence contains the truth at all looks together with 95% probability, however often one
looks and for whatever reason one stops. This one is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha,
Kennedy & Ramdas ("Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52,
2024, theorem 2.2): the normal mixture of Robbins (1970) with the estimated variance, in the terms of the mixture
sequential test of Johari, Koomen, Pekelis & Walsh (2022, "Always Valid Inference"): with the variance V of the estimate
and the variance T of the mixture the radius is sqrt(V (V + T) / T * log((V + T) / (V a^2))). It is asymptotic: both
variants need clients and outcomes enough for their sums to be near normal (`decisions.ENOUGH_CLIENTS`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recommender.experiments.ratios import Floats, Moments, ratio

ALPHA = 0.05
"""Probability with which an interval of all the looks may miss the difference."""

SCALE = 3.0
"""Standard deviation of the mixture, in margins. A wrong scale costs clients, not validity: with three margins a
difference of one margin takes a sixth more clients than with the best scale for it, one of six margins a tenth more.
With one margin the latter would take twice as many."""


class Comparison(NamedTuple):
    """Two variants side by side; float64 arrays of the shape of their moments.

    Attributes
    ----------
    champion, challenger : float64 array
        Outcomes per answer.
    difference, low, high : float64 array
        Challenger minus champion, and its confidence sequence; NaN, -inf and inf where nothing can be said.
    margin : float64 array
        The largest difference that does not matter, in outcomes per answer.
    """

    champion: Floats
    challenger: Floats
    difference: Floats
    low: Floats
    high: Floats
    margin: Floats


def radius(variance: ArrayLike, scale: ArrayLike, alpha: float = ALPHA) -> Floats:
    """Half of the width of the confidence sequence.

    Parameters
    ----------
    variance : float64 array
        Of the estimated difference, at this look.
    scale : float64 array
        Standard deviation of the mixture. The sequence is valid with any, and narrow for differences of this size.
    alpha : float

    Returns
    -------
    float64 array
        Infinite where the variance is, or where the scale is 0.
    """
    v, t = np.asarray(variance, dtype=np.float64), np.asarray(scale, dtype=np.float64) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.sqrt(v * (v + t) / t * (np.log((v + t) / v) - 2.0 * np.log(alpha)))
    return np.where((t > 0) & np.isfinite(v), np.where(v > 0, found, 0.0), np.inf)


def compare(champion: Moments, challenger: Moments, margin: float, alpha: float = ALPHA) -> Comparison:
    """Compare two variants.

    Parameters
    ----------
    champion, challenger : Moments
    margin : float
        The largest difference that does not matter, as a share of the champion's outcomes per answer.
    alpha : float

    Returns
    -------
    Comparison
    """
    theirs, ours = ratio(champion), ratio(challenger)
    difference = ours.value - theirs.value
    absolute = margin * theirs.value
    half = radius(ours.variance + theirs.variance, SCALE * absolute, alpha)
    known = np.isfinite(difference) & np.isfinite(half)
    low, high = np.where(known, difference - half, -np.inf), np.where(known, difference + half, np.inf)
    return Comparison(theirs.value, ours.value, difference, low, high, absolute)
