"""The lists of pairs, from few scores: what `score.rank_films` finds, for half a million pairs.

Belongs here: bounds that say which films need a score. Does not belong here: the score itself (`score`), sums over bits
(`ballots`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.model_data import Neighbourhood
from recommender.data.weights import SHARE_ONE, THOUSAND
from recommender.kernels.jit import kernel
from recommender.kernels.simd import bits_set, lowest_bit
from recommender.kernels.threads import run_parallel
from recommender.voting.ballots import (
    LEVELS,
    MOST_LEVELS,
    Ballots,
    Sums,
    add_up,
    at_least,
    make_ballots,
    make_sums,
    sum_of,
)
from recommender.voting.score import VOTE, Electorate, electorate, film_score, insert, rank_films

BALLOTS_BUDGET = 160_000_000
"""Bytes of ballots at most: enough for 300,000 users."""

SURE = 1.0 + 1e-9
"""Factor by which ceilings in floating point are raised, so that rounding never makes one too low."""

LISTED = 64
"""Companions of a film whose scores are always computed; all others have a ceiling."""


class Listed(NamedTuple):
    """Companions with the highest P(f|a) M(f) of each sign-up film a: those above a ceiling that all others keep to.

    Attributes
    ----------
    shares : int32 array, shape (n, films in the catalogue)
        P(f|a).
    indptr : int64 array, shape (n + 1,)
    films : int32 array
        Companions of film n: ``films[indptr[n]:indptr[n + 1]]``, by P M descending; at most `LISTED`.
    ceilings : int64 array, shape (n,)
        P M of the film's companions is above it exactly for those listed.
    """

    shares: NDArray[np.int32]
    indptr: NDArray[np.int64]
    films: NDArray[np.int32]
    ceilings: NDArray[np.int64]


def listed(shares: NDArray[np.int32], factors: NDArray[np.int64], threads: int | None = None) -> Listed:
    """List the companions that a pair's list probably comes from.

    Parameters
    ----------
    shares : int32 array, shape (n, films in the catalogue)
        P(f|a) of the films that pairs are made of; no column if companions do not count.
    factors : int64 array, shape (films in the catalogue,)
    threads : int, optional
    """
    chosen: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)] * len(shares)
    ceilings = np.zeros(len(shares), dtype=np.int64)

    def choose(row: int) -> None:
        with_share = np.flatnonzero(shares[row])
        keys = shares[row][with_share] * factors[with_share]
        if len(keys) > LISTED:
            ceilings[row] = -np.partition(-keys, LISTED)[LISTED]
        some = np.flatnonzero(keys > ceilings[row])
        some = some[np.argsort(-keys[some], kind="stable")]  # the most promising first: they soon rule out the others
        chosen[row] = with_share[some].astype(np.int32)

    run_parallel(choose, range(len(shares)), threads)
    indptr = np.concatenate(([0], np.cumsum([len(films) for films in chosen]))).astype(np.int64)
    films = np.concatenate([*chosen, np.zeros(0, dtype=np.int32)])
    return Listed(shares, indptr, films, ceilings)


class Votes(NamedTuple):
    """What all pairs have in common: who votes with what weight, companions, and likes as bits."""

    data: Electorate
    companions: Listed
    ballots: Ballots


def make_votes(
    neighbourhood: Neighbourhood,
    shares: NDArray[np.int32],
    threads: int | None = None,
    memory_budget: int = BALLOTS_BUDGET,
) -> Votes:
    """Prepare the votes of pairs of some films.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    shares : int32 array, shape (n, films in the catalogue)
        P(f|a) of the films that pairs are made of; no column if companions do not count.
    threads : int, optional
    memory_budget : int
        Bytes of ballots at most.
    """
    films = len(neighbourhood.catalogue.movie_ids)
    return Votes(
        electorate(neighbourhood),
        listed(shares, neighbourhood.factors, threads),
        make_ballots(neighbourhood.likes, films, memory_budget, threads),
    )


class Booth(NamedTuple):
    """What one thread counts votes with; see `booth`."""

    levels: NDArray[np.int64]
    weights: NDArray[np.int64]
    own: Sums
    shared: Sums
    counters: NDArray[np.int64]
    touched: NDArray[np.int32]


def booth(votes: Votes) -> Booth:
    """Return working space for one thread."""
    voters, films = max(votes.data.start, 1), len(votes.data.factors)
    return Booth(
        np.zeros(voters, dtype=np.int64),
        np.zeros(voters, dtype=np.int64),
        make_sums(votes.ballots.own.shape[1], voters),
        make_sums(votes.ballots.shared.shape[1], voters),
        np.zeros(films, dtype=np.int64),
        np.zeros(films + 1, dtype=np.int32),
    )


class _Pair(NamedTuple):
    """A pair and its voters: their weight, the weight of those too light for a level, and planes in use."""

    a: int
    b: int
    left_out: NDArray[np.int32]
    voters: NDArray[np.int64]
    total: np.int64
    light: np.int64
    depth: int


@kernel
def rank_pair(ranked, a, b, left_out, votes, booth, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    """Rank films for the pair (a, b) of films of `votes.companions`: what `rank_films` finds, from few films.

    Scored are the companions listed for a or b and the films with a vote, but for those whose ceiling is below the last
    place. Films neither listed nor voted for have a ceiling in common; should the last place not be above it, or should
    too few films have a vote, all films are scored.

    Returns
    -------
    (int, int, int)
        Films kept, neighbours used, and films with a vote (or fewer, but enough).
    """
    data, companions = votes.data, votes.companions
    voters = ranked[: min(data.start, len(ranked))]
    if len(voters) > 0 and votes.ballots.own.shape[1] > 0:
        pair = _count_levels(voters, a, b, left_out, votes, booth)
        kept = _rank_companions(pair, votes, booth, out_films, out_votes, out_scores)
        kept, found = _rank_voted(pair, kept, votes, booth, out_films, out_votes, out_scores)
        if found >= len(out_films):
            return kept, len(voters), found
    shares = np.zeros(len(data.factors), dtype=np.int64)
    if companions.shares.shape[1] > 0:
        shares = (companions.shares[a].astype(np.int64) + companions.shares[b]) // 2
    counters, touched = booth.counters, booth.touched
    return rank_films(
        ranked, len(out_films), left_out, shares, data, counters, touched, out_films, out_votes, out_scores
    )


@kernel
def _count_levels(voters, a, b, left_out, votes, booth):  # type: ignore[no-untyped-def]
    """Add up the voters' levels, of which `LEVELS` make an average weight, into the planes of `booth`."""
    data, ballots = votes.data, votes.ballots
    total, light = np.int64(0), np.int64(0)
    for n in range(len(voters)):
        booth.weights[n] = data.weights[voters[n]]
        total += booth.weights[n]
    per_weight = LEVELS * len(voters) / total
    for n in range(len(voters)):
        booth.levels[n] = min(np.int64(np.ceil(booth.weights[n] * per_weight)), MOST_LEVELS)
    depth = add_up(voters, booth.levels, ballots.own, booth.own)
    for n in range(len(voters)):
        if booth.weights[n] * per_weight < 1.0:
            light += booth.weights[n]
            booth.levels[n] = 0
    add_up(voters, booth.levels, ballots.shared, booth.shared)
    return _Pair(a, b, left_out, voters, total, light, depth)


@kernel
def _rank_companions(pair, votes, booth, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    """Put the companions listed for either film in their places; return how many films are kept."""
    data, companions, own = votes.data, votes.companions, 64 * votes.ballots.own.shape[1]
    per_level = SHARE_ONE / (LEVELS * len(pair.voters)) * SURE
    kept, needed = 0, 0.0
    if companions.shares.shape[1] == 0:
        return kept
    for side in (pair.a, pair.b):
        for k in range(companions.indptr[side], companions.indptr[side + 1]):
            film = companions.films[k]
            if film == pair.left_out[0] or film == pair.left_out[1]:
                continue
            if side == pair.b and _is_listed(film, pair.a, companions, data):
                continue
            share = _share(film, pair.a, pair.b, companions)
            if film < own:
                most = sum_of(booth.own.planes, pair.depth, film) * per_level + data.companion_weight * share / THOUSAND
                if most * data.factors[film] * SURE < needed:
                    continue
            counter = _counted(film, pair.voters, votes.data, booth)
            score = film_score(counter, pair.total, share, film, data)
            kept = insert(film, score, counter, kept, out_films, out_votes, out_scores)
            needed = _needed(kept, out_scores)
    return kept


@kernel
def _rank_voted(pair, kept, votes, booth, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    """Put the other films that voters like in their places.

    Returns
    -------
    (int, int)
        Films kept, and films with a vote (or fewer, but enough); 0 if a film without a vote might have a place.
    """
    data, companions, ballots = votes.data, votes.companions, votes.ballots
    ceiling, found = 0.0, 0
    if companions.shares.shape[1] > 0:
        rest = np.float64(companions.ceilings[pair.a]) + np.float64(companions.ceilings[pair.b])
        ceiling = data.companion_weight / THOUSAND * rest / 2 * SURE
    needed = _needed(kept, out_scores)
    levels = LEVELS * len(pair.voters) / SHARE_ONE / SURE
    for word in range(ballots.own.shape[1]):
        if found < len(out_films):
            found += _voted_for(booth.own.planes, pair.depth, word, pair.left_out)
        least = np.int64(
            np.ceil((needed - ceiling) * levels / data.factors[min(64 * word + 63, len(data.factors) - 1)])
        )
        mask = at_least(booth.own.planes, pair.depth, word, max(least, 1))
        while mask != np.uint64(0):
            film = np.int32(word * 64 + lowest_bit(mask))
            mask &= mask - np.uint64(1)
            counter = _counted(film, pair.voters, votes.data, booth)
            kept = _rank_film(film, counter, pair, kept, votes, out_films, out_votes, out_scores)
            needed = _needed(kept, out_scores)
    if ceiling > 0.0 and needed <= ceiling:
        return kept, 0
    light = pair.light * (LEVELS * len(pair.voters)) / pair.total * SURE
    for word in range(ballots.shared.shape[1]):
        last = ballots.first[64 * word + 64] - 1
        least = np.int64(np.ceil((needed - ceiling) * levels / data.factors[last] - light))
        mask = at_least(booth.shared.planes, pair.depth, word, max(least, 1))
        if least < 1:
            mask = ~np.uint64(0)
        while mask != np.uint64(0):
            kept = _rank_sharers(
                64 * word + lowest_bit(mask), pair, kept, votes, booth, out_films, out_votes, out_scores
            )
            mask &= mask - np.uint64(1)
        needed = _needed(kept, out_scores)
    return kept, found


@kernel
def _rank_sharers(bit, pair, kept, votes, booth, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    """Put the films that share a bit in their places; return how many films are kept."""
    data, counters = votes.data, booth.counters
    low, high = votes.ballots.first[bit], votes.ballots.first[bit + 1]
    for user in pair.voters:
        row = data.films[data.indptr[user] : data.indptr[user + 1]]
        at = np.searchsorted(row, low)
        while at < len(row) and row[at] < high:
            counters[row[at]] += data.weights[user] + VOTE
            at += 1
    for film in range(low, high):
        counter = counters[film]
        counters[film] = 0
        if counter > 0:
            kept = _rank_film(film, counter, pair, kept, votes, out_films, out_votes, out_scores)
    return kept


@kernel
def _rank_film(film, counter, pair, kept, votes, out_films, out_votes, out_scores):  # type: ignore[no-untyped-def]
    """Insert a film that voters like and that is not among the companions, which were inserted before."""
    data, companions = votes.data, votes.companions
    if film == pair.left_out[0] or film == pair.left_out[1]:
        return kept
    share = np.int64(0)
    if companions.shares.shape[1] > 0:
        if _is_listed(film, pair.a, companions, data) or _is_listed(film, pair.b, companions, data):
            return kept
        share = _share(film, pair.a, pair.b, companions)
    score = film_score(counter, pair.total, share, film, data)
    return insert(film, score, counter, kept, out_films, out_votes, out_scores)


@kernel
def _needed(kept, out_scores):  # type: ignore[no-untyped-def]
    """What a film needs for a place, in units of T M: the score of the last place, or nothing while there is room."""
    wanted = len(out_scores)
    return np.float64(out_scores[wanted - 1]) * SHARE_ONE if kept == wanted else 0.0


@kernel
def _voted_for(planes, depth, word, left_out):  # type: ignore[no-untyped-def]
    """Films of a word with a vote, but for those left out."""
    mask = at_least(planes, depth, word, 1)
    for film in left_out:
        if film // 64 == word:
            mask &= ~(np.uint64(1) << np.uint64(film % 64))
    return bits_set(mask)


@kernel
def _counted(film, voters, data, booth):  # type: ignore[no-untyped-def]
    """Votes x `VOTE` + weight of the voters who like a film."""
    counter, rows, weights = np.int64(0), booth.own.rows, booth.weights
    if film < 64 * rows.shape[1]:
        word, bit = film // 64, np.uint64(film % 64)
        for n in range(len(voters)):
            counter += np.int64(rows[n, word] >> bit & np.uint64(1)) * (weights[n] + VOTE)
        return counter
    for user in voters:
        row = data.films[data.indptr[user] : data.indptr[user + 1]]
        at = np.searchsorted(row, film)
        if at < len(row) and row[at] == film:
            counter += data.weights[user] + VOTE
    return counter


@kernel
def _is_listed(film, a, companions, data):  # type: ignore[no-untyped-def]
    return np.int64(companions.shares[a, film]) * data.factors[film] > companions.ceilings[a]


@kernel
def _share(film, a, b, companions):  # type: ignore[no-untyped-def]
    return (np.int64(companions.shares[a, film]) + np.int64(companions.shares[b, film])) // 2
