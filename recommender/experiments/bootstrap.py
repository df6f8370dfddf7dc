"""The difference of an experiment that has ended, with a bootstrap over its clients.

Belongs here: drawing clients, each with all their answers. Does not belong here: looking while it runs (`comparison`):
this interval is for one look.
"""

from typing import NamedTuple

import numpy as np

from recommender.experiments.ratios import Floats

DRAWS = 2000

AT_ONCE = 4_000_000
"""Counts that are drawn together, 32 MB of them."""


class Kinds(NamedTuple):
    """Clients of one variant by what they did.

    Attributes
    ----------
    outcomes, answers : float64 array, shape (kinds,)
        Of each client of a kind.
    clients : int64 array, shape (kinds,)
        How many of that kind there are.
    """

    outcomes: Floats
    answers: Floats
    clients: np.ndarray


def bootstrap_difference(
    champion: Kinds, challenger: Kinds, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """95% percentile interval of challenger minus champion, outcomes per answer (Field & Welsh 2007, clusters drawn).

    Drawing clients with replacement and counting those of a kind is one multinomial draw over the kinds, so the cost
    grows with the kinds, not with the clients.

    Returns
    -------
    (float, float) or None
        None if one of the two has no client.
    """
    if not champion.clients.sum() or not challenger.clients.sum():
        return None
    random = np.random.default_rng(seed)
    theirs, ours = (_drawn_ratios(kinds, draws, random) for kinds in (champion, challenger))
    low, high = np.quantile(ours - theirs, [0.025, 0.975])
    return float(low), float(high)


def _drawn_ratios(kinds: Kinds, draws: int, random: np.random.Generator) -> Floats:
    clients = int(kinds.clients.sum())
    size = max(1, AT_ONCE // len(kinds.clients))
    ratios = []
    for begin in range(0, draws, size):
        times = random.multinomial(clients, kinds.clients / clients, size=min(size, draws - begin)).astype(np.float64)
        ratios.append((times @ kinds.outcomes) / (times @ kinds.answers))
    return np.concatenate(ratios)
