"""Likes as bits, and sums of voters' weights over them that are never too low: they tell which films need counting.

Belongs here: ballots, and bounds on the weight of the voters of every film. Does not belong here: the score (`score`).

Ninety voters have some 25,000 likes at full size; adding them up one by one took four fifths of the search for pairs.
Here a voter's weight is rounded up to *levels*, a small integer, and the levels of sixty-four films are added by a
handful of instructions: *plane* p holds bit p of all sums, and adding a row of bits is a ripple of AND and XOR through
the planes (bit-sliced counters, Knuth, The Art of Computer Programming, 7.1.3).

The most liked films have a bit of their own. All others share bits, with films about as popular as they are: their sums
mostly tell that none of them can be recommended. Films that a bound does not rule out are counted exactly.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.likes import Likes
from recommender.kernels.jit import kernel
from recommender.kernels.threads import even_ranges, run_parallel

WORDS = 48
"""64-bit words per user at most: 384 bytes. With a third of them shared, 2,048 films have a bit of their own."""

SHARED = 3
"""One word in so many is for films that share bits."""

LEVELS = 4
"""Levels of an average voter. Voters below one level are left out where bits are shared, and accounted for together."""

MOST_LEVELS = 255
"""Levels of any voter, at most."""


class Ballots(NamedTuple):
    """Likes as bits, in a form kernels take as one argument.

    Attributes
    ----------
    own : uint64 array, shape (users, own words)
        Bit k of word w: the user likes the film at catalogue position 64 w + k.
    shared : uint64 array, shape (users, shared words)
        A bit: the user likes one of the films that share it.
    first : int64 array, shape (64 * shared words + 1,)
        Positions ``first[n]`` to ``first[n + 1]`` share bit n.
    """

    own: NDArray[np.uint64]
    shared: NDArray[np.uint64]
    first: NDArray[np.int64]


def make_ballots(likes: Likes, films: int, memory_budget: int, threads: int | None = None) -> Ballots:
    """Write likes as bits.

    Parameters
    ----------
    likes : Likes
    films : int
        Films in the catalogue.
    memory_budget : int
        Bytes at most; the fewer, the more films share bits. No result depends on it.
    threads : int, optional
    """
    users = len(likes.user_ids)
    words = min(WORDS, memory_budget // (8 * max(users, 1)))
    shared = words // SHARED
    own = min(words - shared, -(-films // 64))
    if own * 64 >= films:
        shared = 0
    elif shared == 0:
        own = 0  # no bit for most films: bits cannot tell anything
    steps = np.linspace(0.0, 1.0, shared * 64 + 1)
    # as many bits for each doubling of the position: films that share one are about as popular
    first = np.round(own * 64 * (films / max(own * 64, 1)) ** steps).astype(np.int64)
    ballots = Ballots(np.zeros((users, own), dtype=np.uint64), np.zeros((users, shared), dtype=np.uint64), first)
    places = np.arange(films, dtype=np.int32)
    places[own * 64 :] = own * 64 - 1 + np.searchsorted(first, places[own * 64 :], side="right")

    def fill(bounds: tuple[int, int]) -> None:
        _fill(likes.indptr, likes.films, *bounds, places, ballots)

    if own:
        run_parallel(fill, even_ranges(users, 16), threads)
    return ballots


@kernel
def _fill(indptr, films, low, high, places, ballots):  # type: ignore[no-untyped-def]
    own = ballots.own.shape[1]
    for user in range(low, high):
        for k in range(indptr[user], indptr[user + 1]):
            word, bit = places[films[k]] // 64, np.uint64(1) << np.uint64(places[films[k]] % 64)
            if word < own:
                ballots.own[user, word] |= bit
            else:
                ballots.shared[user, word - own] |= bit


class Sums(NamedTuple):
    """Working space of `add_up`: one word of all arrays belongs to 64 films.

    Attributes
    ----------
    planes : uint64 array, shape (depth, words)
        Bit p of the sums in plane p.
    rows : uint64 array, shape (voters, words)
        The voters' rows of bits.
    carries : uint64 array, shape (4, words)
    picked : int64 array, shape (voters,)
    """

    planes: NDArray[np.uint64]
    rows: NDArray[np.uint64]
    carries: NDArray[np.uint64]
    picked: NDArray[np.int64]


def make_sums(words: int, voters: int) -> Sums:
    """Return room for the levels of so many voters: together less than ``(LEVELS + 1) * voters``."""
    depth = max((LEVELS + 1) * voters, MOST_LEVELS).bit_length() + 3
    return Sums(
        np.zeros((depth, words), dtype=np.uint64),
        np.zeros((voters, words), dtype=np.uint64),
        np.zeros((4, words), dtype=np.uint64),
        np.zeros(voters, dtype=np.int64),
    )


@kernel
def add_up(voters, levels, bits, sums):  # type: ignore[no-untyped-def]
    """Add up the levels of the voters who like a film, for all films.

    Parameters
    ----------
    voters : int64 array
        User indices.
    levels : int64 array, as long as `voters` at least
        Of each voter, at most `MOST_LEVELS`; who has none is left out.
    bits : uint64 array, shape (users, words)
    sums : Sums
        Whatever its planes held before is gone; ``rows[n]`` becomes the row of voter n.

    Returns
    -------
    int
        Planes in use.
    """
    sums.planes[:] = 0
    most, bound, picked = 0, 0, sums.picked
    for n in range(len(voters)):
        most = max(most, levels[n])
        row, copy = bits[voters[n]], sums.rows[n]
        for w in range(len(copy)):  # side by side they stay in the cache
            copy[w] = row[w]
    p = 0
    while most >> p:
        count = 0
        for n in range(len(voters)):
            picked[count] = n
            count += levels[n] >> p & 1
        bound = _add_rows(picked, count, p, bound, sums)
        p += 1
    depth = 0
    while bound >> depth:
        depth += 1
    return depth


@kernel
def _add_rows(picked, count, p, bound, sums):  # type: ignore[no-untyped-def]
    """Add 2^p for each of the voters picked; what is returned bounds the sums, as `bound` did before."""
    planes, bits = sums.planes, sums.rows
    ones, twos, fours, more = sums.carries[0], sums.carries[1], sums.carries[2], sums.carries[3]
    added = 0
    while added + 7 <= count:  # seven rows make three before they touch the planes
        some = picked[added : added + 7]
        _sum_and_carry(bits[some[0]], bits[some[1]], bits[some[2]], ones, twos)
        _add_two(ones, bits[some[3]], bits[some[4]], fours)
        _add_two(ones, bits[some[5]], bits[some[6]], more)
        _add_two(twos, fours, more, fours)
        _add_one(planes[p], ones)
        _add_two(planes[p + 1], ones, twos, twos)
        _add_two(planes[p + 2], twos, fours, fours)
        added += 7
        bound += 7 << p
        _carry_on(planes, fours, p + 3, bound)
    while added < count:
        ones[:] = bits[picked[added]]
        added += 1
        bound += 1 << p
        _carry_on(planes, ones, p, bound)
    return bound


# Each loop has few arrays, or the compiler would not use vector instructions: it checks that none overlap.


@kernel
def _sum_and_carry(x, y, z, ones, twos):  # type: ignore[no-untyped-def]
    for w in range(len(ones)):
        both, either = x[w] & y[w], x[w] ^ y[w]
        ones[w], twos[w] = either ^ z[w], both | (either & z[w])


@kernel
def _add_one(plane, carry):  # type: ignore[no-untyped-def]
    for w in range(len(carry)):
        both = plane[w] & carry[w]
        plane[w] ^= carry[w]
        carry[w] = both


@kernel
def _add_two(plane, x, y, carry):  # type: ignore[no-untyped-def]
    for w in range(len(carry)):
        both, either = x[w] & y[w], x[w] ^ y[w]
        carry[w] = both | (either & plane[w])
        plane[w] ^= either


@kernel
def _carry_on(planes, carry, plane, bound):  # type: ignore[no-untyped-def]
    while bound >> plane:
        _add_one(planes[plane], carry)
        plane += 1


@kernel
def at_least(planes, depth, word, least):  # type: ignore[no-untyped-def]
    """Mask of the films of a word whose sums are `least` or more; uint64."""
    if least >> depth:
        return np.uint64(0)
    more, equal = np.uint64(0), ~np.uint64(0)
    for p in range(depth - 1, -1, -1):
        bits = planes[p, word]
        if least >> p & 1:
            equal &= bits
        else:
            more |= equal & bits
            equal &= ~bits
    return more | equal


@kernel
def sum_of(planes, depth, film):  # type: ignore[no-untyped-def]
    """Sum of one film that has a bit of its own."""
    word, bit = film // 64, np.uint64(film % 64)
    total = np.int64(0)
    for p in range(depth):
        total |= np.int64(planes[p, word] >> bit & np.uint64(1)) << p
    return total
