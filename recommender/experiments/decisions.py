"""What may be said about an experiment at a look.

Belongs here: the words, and what each needs. Does not belong here: acting on them (`warehouse.experiments`).
"""

from typing import Literal

import numpy as np

from recommender.experiments.comparison import Comparison
from recommender.experiments.ratios import Moments
from recommender.experiments.sample_ratio import is_violated

TOO_EARLY, BETTER, WORSE = "too early", "better", "worse"
NO_DIFFERENCE, VIOLATED = "no difference that matters", "violated"
Decision = Literal["too early", "better", "worse", "no difference that matters", "violated"]

ENOUGH_CLIENTS = 100
"""Clients that each variant needs before anything is said: the interval is one of large numbers."""

ENOUGH_OUTCOMES = 30
"""Outcomes that each variant needs, for the same reason: of rare outcomes it takes more clients."""


def decide(champion: Moments, challenger: Moments, found: Comparison, share: float) -> np.ndarray:
    """Say what can be said, about any number of looks.

    `violated` comes first: clients that were not divided by chance cannot be compared. Then, with enough clients and
    outcomes on both sides: the whole interval within the margin is `no difference that matters`, also if it excludes 0;
    else the challenger is `better` or `worse` if it excludes 0. Everything else is `too early`.

    Parameters
    ----------
    champion, challenger : Moments
    found : Comparison
        Of these.
    share : float
        Of the clients who were to meet the challenger.

    Returns
    -------
    array of str
        A `Decision` for each look.
    """
    few = np.zeros(np.shape(found.difference), dtype=bool)
    for side in (champion, challenger):
        few |= (side.clients < ENOUGH_CLIENTS) | (side.outcomes < ENOUGH_OUTCOMES)
    conditions = [
        is_violated(challenger.clients, champion.clients, share),
        few,
        (found.low > -found.margin) & (found.high < found.margin),
        found.low > 0,
        found.high < 0,
    ]
    return np.select(conditions, [VIOLATED, TOO_EARLY, NO_DIFFERENCE, BETTER, WORSE], TOO_EARLY)
