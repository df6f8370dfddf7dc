"""Whether the clients were divided as they should have been: the sample ratio, checked at every look.

Belongs here: the sequential test. Does not belong here: dividing the clients (`warehouse.releases.exposure`).

Clients are placed by a hash, so each meets the challenger with the probability that was set, and nothing else. If the
counts say otherwise, some clients are missing on one side (answers that failed, a log that was lost), and those who are
left cannot be compared. The test is that of Lindon & Malek ("Anytime-valid inference for multinomial count data",
NeurIPS 2022) for two variants: the Bayes factor of a beta mixture around the share against the share. Under the share
it is a martingale that begins at 1, so it ever exceeds 1 / ALPHA with a probability of at most ALPHA (Ville's
inequality).
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from recommender.experiments.ratios import Floats

ALPHA = 0.001
"""Probability of an alarm, ever, though nothing is wrong. An alarm ends an experiment, so it is rare."""

CONCENTRATION = 1000.0
"""Clients that the mixture is worth: it expects shares that differ from the one set by some 3% of it (one half) or 10%
(one tenth). Larger differences are found too."""

_lgamma = np.frompyfunc(math.lgamma, 1, 1)


def evidence(challenger: ArrayLike, champion: ArrayLike, share: float) -> Floats:
    """Logarithm of the Bayes factor against the share.

    Parameters
    ----------
    challenger, champion : array
        Clients who met each.
    share : float
        Of the challenger, between 0 and 1.

    Returns
    -------
    float64 array
        0 without clients; grows with the evidence that they were not divided as they should have been.
    """
    met, others = np.asarray(challenger, dtype=np.float64), np.asarray(champion, dtype=np.float64)
    a, b = CONCENTRATION * share, CONCENTRATION * (1.0 - share)
    mixture = _log_beta(a + met, b + others) - _log_beta(a, b)
    return np.asarray(mixture - met * math.log(share) - others * math.log1p(-share), dtype=np.float64)


def is_violated(challenger: ArrayLike, champion: ArrayLike, share: float, alpha: float = ALPHA) -> np.ndarray:
    """Whether the counts say that clients are missing on one side; bool array of their shape."""
    return np.asarray(evidence(challenger, champion, share) >= -math.log(alpha))


def _log_beta(a: ArrayLike, b: ArrayLike) -> Floats:
    a, b = np.asarray(a), np.asarray(b)
    return np.asarray(_lgamma(a) + _lgamma(b) - _lgamma(a + b), dtype=np.float64)
