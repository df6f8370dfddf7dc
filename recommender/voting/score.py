"""The score of films for a list (rule 6), and the lists it makes.

Belongs here: the one implementation of the score, and the list of films it makes. Does not belong here: who the
neighbours are (`ranking`, `neighbours`), weights and shares (`data.weights`, `data.companions`), how pairs get by with
scoring few films (`pair_vote`).

All numbers are integers, so that the order of films is the same on every machine, for any number of threads and any
order of sums. For a list of n films a, neighbours N and a film f:

- V = floor(10^8 x sum of w(u) over neighbours who like f / sum of w(u) over all neighbours)
- P = floor(sum of P(f|a) over the list / n)
- T = V + floor(c x P / 1000), where c is `companion_weight` in thousandths
- score = floor(T x M(f) / 10^8) in millionths, where M is the popularity factor in millionths

T is at most 11 x 10^8 and M at most 2^32: products stay below 2^63.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.model_data import Neighbourhood
from recommender.data.weights import SHARE_ONE, THOUSAND
from recommender.kernels.jit import kernel

VOTE = 1 << 44
"""Counters hold the votes of a film in units of this, and below it the weight of those who vote for it."""


class Electorate(NamedTuple):
    """What votes are counted from, in a form kernels take as one argument.

    Attributes
    ----------
    indptr, films : arrays
        As in `Likes`.
    weights : int64 array, shape (users,)
    factors : int64 array, shape (films,)
        Popularity factors M.
    companion_weight : int
        In thousandths.
    start, step, most : int
        Neighbours to begin with, to add at a time, and at most.
    """

    indptr: NDArray[np.int64]
    films: NDArray[np.int32]
    weights: NDArray[np.int64]
    factors: NDArray[np.int64]
    companion_weight: int
    start: int
    step: int
    most: int


def electorate(neighbourhood: Neighbourhood) -> Electorate:
    """Bundle what a neighbourhood's votes are counted from."""
    parameters, likes = neighbourhood.parameters, neighbourhood.likes
    return Electorate(
        likes.indptr,
        likes.films,
        neighbourhood.weights,
        neighbourhood.factors,
        round(parameters.companion_weight * THOUSAND),
        neighbourhood.neighbours,
        parameters.neighbour_step,
        parameters.max_neighbours,
    )


@kernel
def count_votes(ranked, per_pair, left_out, data, counters, touched):  # type: ignore[no-untyped-def]
    """Let neighbours vote, more of them while fewer than `per_pair` films have a vote (rule 5).

    Parameters
    ----------
    ranked : integer array
        User indices, nearest first.
    per_pair : int
    left_out : int32 array
        Distinct catalogue positions that are not recommended; their counters are zero afterwards.
    data : Electorate
    counters : int64 array, shape (films in the catalogue,)
        All zero; afterwards votes x `VOTE` + weight. The caller sets those of `touched` to zero again.
    touched : int32 array, shape (films in the catalogue + 1,)
        Filled with the films that have a vote.

    Returns
    -------
    (int, int, int, int)
        How many films of `touched` count, films with a vote but for the list, neighbours used, and their weight.
    """
    available = min(len(ranked), data.most)
    used, target = 0, min(data.start, available)
    count, found, total = 0, 0, np.int64(0)
    while True:
        for n in range(used, target):
            user = ranked[n]
            weight = data.weights[user]
            total += weight
            vote = weight + VOTE
            for k in range(data.indptr[user], data.indptr[user + 1]):
                film = data.films[k]
                before = counters[film]
                counters[film] = before + vote
                touched[count] = film
                count += before == 0
        used = target
        found = count
        for film in left_out:
            found -= counters[film] > 0
        if found >= per_pair or used >= available:
            break
        target = min(used + data.step, available)
    for film in left_out:
        counters[film] = 0
    return count, found, used, total


@kernel
def film_score(counter, total, share, film, data):  # type: ignore[no-untyped-def]
    """Score of a film in millionths: from its counter, the neighbours' weight and P (`share`)."""
    votes = np.int64(0)
    if counter > 0:
        votes = (counter & (VOTE - 1)) * SHARE_ONE // total
    return (votes + data.companion_weight * share // THOUSAND) * data.factors[film] // SHARE_ONE


@kernel
def insert(film, score, counter, kept, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    """Put a film in its place, by score descending, then position ascending; return how many films are kept."""
    if score <= 0:
        return kept
    if kept == len(out_films):
        last = kept - 1
        if last < 0 or score < out_scores[last] or (score == out_scores[last] and film > out_films[last]):
            return kept
    else:
        kept += 1
    at = kept - 1
    while at > 0 and (out_scores[at - 1] < score or (out_scores[at - 1] == score and out_films[at - 1] > film)):
        out_scores[at], out_films[at], out_votes[at] = out_scores[at - 1], out_films[at - 1], out_votes[at - 1]
        at -= 1
    out_scores[at], out_films[at], out_votes[at] = score, film, counter // VOTE
    return kept


@kernel
def rank_films(ranked, enough, left_out, shares, data, counters, touched, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    """Score all films for a list of any length, and keep the best.

    Parameters
    ----------
    ranked : integer array
        User indices, nearest first.
    enough : int
        Films with a vote from which on no more neighbours are asked.
    left_out : int32 array
        The list: distinct catalogue positions.
    shares : int64 array, shape (films in the catalogue,)
        P of each film.
    data : Electorate
    counters, touched
        As for `count_votes`; counters are all zero again afterwards.
    out_films, out_votes : int32 arrays, shape (wanted,)
    out_scores : int64 array, shape (wanted,)
        Filled best first; scores in millionths.

    Returns
    -------
    (int, int, int)
        Films kept, neighbours used, films with a vote.
    """
    count, found, used, total = count_votes(ranked, enough, left_out, data, counters, touched)
    kept = _keep_best(shares, total, left_out, data, counters, out_films, out_votes, out_scores)
    for n in range(count):
        counters[touched[n]] = 0
    return kept, used, found


@kernel
def _keep_best(shares, total, left_out, data, counters, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    kept = 0
    for film in range(len(shares)):
        if counters[film] == 0 and shares[film] == 0:
            continue
        score = film_score(counters[film], total, shares[film], film, data)
        if kept == len(out_films) and score <= out_scores[kept - 1]:  # positions ascend: an equal score comes later
            continue
        if (left_out == film).any():
            continue
        kept = insert(film, score, counters[film], kept, out_films, out_votes, out_scores)
    return kept
