"""The order of neighbours, which every engine shares: who counts as nearer (rule 5).

Belongs here: kernels that order users by score.
Does not belong here: how their scores come about, which users are worth scoring, the score of films (`score`).
"""

import numpy as np

from recommender.kernels.jit import kernel

TIE = 1e-12
"""Scores are tied if they differ by less than this, relatively.

Cosines of parallel vectors are equal on paper and differ by some 1e-16 in float64, depending on the order of sums.
Scores that differ on paper practically never come this close.
"""

SAFE = 1e-6
"""Scores this much (relatively) below another are behind it, however many ties lie between: room for 10^6 of them."""


@kernel
def first_places(scores, users, wanted):  # type: ignore[no-untyped-def]
    """Order users by score descending, ties by smaller user, and say where the first `wanted` are.

    Ties are chains: sorted by score, neighbours closer than `TIE` belong together.

    Parameters
    ----------
    scores : float64 array, shape (n,)
        Non-negative scores.
    users : integer array, shape (n,)
        Distinct user indices the scores belong to, in any order.
    wanted : int

    Returns
    -------
    int64 array, shape (min(wanted, n),)
        Indices into `users`.
    """
    order = np.argsort(-scores, kind="mergesort")
    start = 0
    while start < min(wanted, len(order)):
        stop = start + 1
        while stop < len(order) and scores[order[stop - 1]] - scores[order[stop]] <= TIE * scores[order[stop - 1]]:
            stop += 1
        if stop - start > 1:
            tied = order[start:stop].copy()
            order[start:stop] = tied[np.argsort(users[tied])]
        start = stop
    return order[:wanted].copy()


@kernel
def nearest_users(scores, eligible, wanted):  # type: ignore[no-untyped-def]
    """Find the first `wanted` eligible users by score, ties by smaller user.

    Parameters
    ----------
    scores : float64 array, shape (users,)
        Non-negative.
    eligible : bool array, shape (users,)
    wanted : int

    Returns
    -------
    int64 array, shape (min(wanted, eligible users),)
        User indices, nearest first.
    """
    users = np.flatnonzero(eligible)
    chosen = scores[users]
    if len(users) > wanted:
        cut = -np.partition(-chosen, wanted - 1)[wanted - 1]
        near = chosen >= cut * (1.0 - SAFE)
        users, chosen = users[near], chosen[near]
    return users[first_places(chosen, users, wanted)]
