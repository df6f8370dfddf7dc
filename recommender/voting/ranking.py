"""The two decisions every engine shares: who counts as nearer, and which films win the vote (rules 5 and 6).

Belongs here: kernels on scores and on likes that order users and count votes.
Does not belong here: how scores come about, which users are worth scoring.
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


@kernel
def count_votes(  # type: ignore[no-untyped-def]
    ranked, start, step, most, indptr, films, left_out, counters, reached, out_films, out_votes
):
    """Let neighbours vote: more of them while too few films are found, then the winners.

    Counters are plain arrays that the caller allocates once, all zero, and finds all zero again afterwards. While
    counting, ``reached[v]`` counts the films with at least v votes, so the number of films found and the votes
    needed to win are known without looking at any film twice.

    Parameters
    ----------
    ranked : integer array
        User indices, nearest first.
    start, step, most : int
        Neighbours to begin with, to add at a time, and at most (`neighbours`, `neighbour_step`, `max_neighbours`).
    indptr, films : arrays
        As in `Likes`.
    left_out : int32 array
        Distinct catalogue positions that are not recommended.
    counters : int32 array, shape (films in the catalogue,)
    reached : int64 array, shape (> most + 1,)
    out_films, out_votes : int32 arrays, shape (per_pair,)
        Filled with catalogue positions and votes, best first.

    Returns
    -------
    (int, int)
        Films found (at most per_pair are in the output), neighbours used.
    """
    per_pair = len(out_films)
    available = min(len(ranked), most)
    used, target = 0, min(start, available)
    while True:
        for n in range(used, target):
            user = ranked[n]
            for k in range(indptr[user], indptr[user + 1]):
                votes = counters[films[k]] + 1
                counters[films[k]] = votes
                reached[votes] += 1
        used = target
        found = reached[1]
        for film in left_out:
            found -= counters[film] > 0
        if found >= per_pair or used >= available:
            break
        target = min(used + step, available)
    for film in left_out:
        for votes in range(1, counters[film] + 1):
            reached[votes] -= 1
        counters[film] = 0
    _winners(ranked[:used], indptr, films, counters, reached, out_films, out_votes)
    reached[: used + 2] = 0
    return found, used


@kernel
def _winners(users, indptr, films, counters, reached, out_films, out_votes):  # type: ignore[no-untyped-def]
    """Pick the films with most votes, ties by smaller position, and set all counters of these users' films to 0."""
    wanted = min(len(out_films), reached[1])
    needed = 1
    while reached[needed + 1] >= wanted and reached[needed] > 0 and wanted > 0:
        needed += 1
    kept = 0
    for user in users:
        for k in range(indptr[user], indptr[user + 1]):
            film = films[k]
            votes = counters[film]
            if votes == 0:
                continue
            counters[film] = 0
            if votes < needed or wanted == 0:
                continue
            if kept == wanted:
                last = kept - 1
                if votes < out_votes[last] or (votes == out_votes[last] and film > out_films[last]):
                    continue
            else:
                kept += 1
            at = kept - 1  # insertion into the sorted list: it is short and rarely entered
            while at > 0 and (out_votes[at - 1] < votes or (out_votes[at - 1] == votes and out_films[at - 1] > film)):
                out_votes[at] = out_votes[at - 1]
                out_films[at] = out_films[at - 1]
                at -= 1
            out_votes[at] = votes
            out_films[at] = film
