"""Votes counted with one bit per film, so that sixty-four films are added up by a handful of instructions.

Belongs here: likes as bits, and the count of many neighbours' votes over them.
Does not belong here: the rules of the vote, which `ranking.count_votes` states film by film; this gives the same
winners or says that it cannot tell.

Counts are kept in *planes*: plane p holds bit p of the counts of all films, and adding a user is a ripple of AND and
XOR through the planes (bit-sliced counters, Knuth, The Art of Computer Programming, 7.1.3). The most liked films have
a bit of their own. All others share some bits, whose counts are upper bounds: mostly they tell that none of those films
can win.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.likes import Likes
from recommender.kernels.jit import kernel
from recommender.kernels.simd import bits_set, lowest_bit
from recommender.kernels.threads import even_ranges, run_parallel

MOST_WORDS = 64
"""64-bit words per user at most: 512 bytes."""

SHARED = 4
"""One word in so many is for films that share bits."""


@dataclass(frozen=True)
class Ballots:
    """Likes as bits.

    Attributes
    ----------
    bits : uint64 array, shape (users, words)
        Bit f of a row, from the lowest bit of its first word: the user likes the film at catalogue position f; behind
        the first `own` words: the user likes one of the films that share this bit.
    own : int
        Words of films that have a bit of their own.
    """

    bits: NDArray[np.uint64]
    own: int


def make_ballots(likes: Likes, films: int, memory_budget: int, threads: int | None = None) -> Ballots:
    """Write likes as bits.

    Parameters
    ----------
    likes : Likes
    films : int
        Films in the catalogue.
    memory_budget : int
        Bytes at most; the fewer, the more films share bits. The winners do not depend on it.
    threads : int, optional

    Returns
    -------
    Ballots
    """
    users = len(likes.user_ids)
    enough = -(-films * SHARED // (64 * (SHARED - 1))) + 1
    words = min(MOST_WORDS, enough, memory_budget // (8 * max(users, 1)))
    own = words - -(-words // SHARED)
    bits = np.zeros((users, words if own else 0), dtype=np.uint64)

    def fill(bounds: tuple[int, int]) -> None:
        _fill(likes.indptr, likes.films, *bounds, bits, own)

    if own:
        run_parallel(fill, even_ranges(users, 16), threads)
    return Ballots(bits, own)


@kernel
def _fill(indptr, films, low, high, bits, own):  # type: ignore[no-untyped-def]
    shared = (bits.shape[1] - own) * 64
    for user in range(low, high):
        for k in range(indptr[user], indptr[user + 1]):
            place = films[k]
            if place >= own * 64:
                place = own * 64 + place % shared
            bits[user, place // 64] |= np.uint64(1) << np.uint64(place % 64)


@kernel
def winners_by_bits(users, bits, own, left_out, planes, out_films, out_votes):  # type: ignore[no-untyped-def]
    """Find the films most users like, ties by smaller position, if bits can tell.

    Parameters
    ----------
    users : integer array
        User indices, in any order.
    bits : uint64 array, shape (users, words)
    own : int
    left_out : int32 array
        Catalogue positions that are not recommended.
    planes : uint64 array, shape (>= 3 + bits needed for len(users), words)
        Working space.
    out_films, out_votes : int32 arrays, shape (wanted,)
        Filled if the answer is True.

    Returns
    -------
    bool
        False if fewer than `wanted` films have a bit of their own and a vote, or a film that shares its bit might win.
    """
    if own == 0 or len(users) == 0 or len(out_films) == 0:
        return False
    depth = _add_up(users, bits, planes)
    for film in left_out:
        if film < own * 64:
            for p in range(depth):
                planes[p, film // 64] &= ~(np.uint64(1) << np.uint64(film % 64))
    more, equal, rest = planes[depth], planes[depth + 1], planes[depth + 2]
    votes = _split(planes, depth, 0, own, len(out_films), more, equal, rest)
    if votes == 0 or _exceeds(planes, depth, own, votes, rest):
        return False
    kept = 0
    for word in range(own):
        mask = more[word]
        while mask != np.uint64(0):
            bit = lowest_bit(mask)
            mask &= mask - np.uint64(1)
            count = np.int32(0)
            for p in range(depth):
                count |= np.int32((planes[p, word] >> np.uint64(bit)) & np.uint64(1)) << p
            at = kept
            kept += 1
            while at > 0 and out_votes[at - 1] < count:  # insertion sort; positions come ascending, so it is stable
                out_votes[at], out_films[at] = out_votes[at - 1], out_films[at - 1]
                at -= 1
            out_votes[at], out_films[at] = count, np.int32(word * 64 + bit)
    word = 0
    while kept < len(out_films):
        mask = equal[word]
        while mask != np.uint64(0) and kept < len(out_films):
            out_votes[kept], out_films[kept] = votes, np.int32(word * 64 + lowest_bit(mask))
            mask &= mask - np.uint64(1)
            kept += 1
        word += 1
    return True


@kernel
def _add_up(users, bits, planes):  # type: ignore[no-untyped-def]
    """Add the users' rows of bits into planes; return how many planes the counts fill."""
    words = bits.shape[1]
    depth = 0
    while len(users) >> depth:
        depth += 1
    planes[:depth] = 0
    carry = planes[depth]
    added = 0
    while added + 3 <= len(users):  # three rows make a sum and a carry before they touch the planes
        x, y, z = bits[users[added]], bits[users[added + 1]], bits[users[added + 2]]
        for w in range(words):
            both, either = x[w] & y[w], x[w] ^ y[w]
            ones, twos = either ^ z[w], both | (either & z[w])
            over = planes[0, w] & ones
            planes[0, w] ^= ones
            both, either = twos & over, twos ^ over
            carry[w] = both | (either & planes[1, w])
            planes[1, w] ^= either
        added += 3
        _carry_on(planes, carry, 2, added)
    for user in users[added:]:
        row = bits[user]
        for w in range(words):
            carry[w] = planes[0, w] & row[w]
            planes[0, w] ^= row[w]
        added += 1
        _carry_on(planes, carry, 1, added)
    return depth


@kernel
def _carry_on(planes, carry, plane, added):  # type: ignore[no-untyped-def]
    """Add the carry from one plane on, as far as counts of so many users reach."""
    while added >> plane:
        for w in range(len(carry)):
            both = planes[plane, w] & carry[w]
            planes[plane, w] ^= carry[w]
            carry[w] = both
        plane += 1


@kernel
def _split(planes, depth, low, high, wanted, more, equal, rest):  # type: ignore[no-untyped-def]
    """Find the `wanted`-th largest count of words low..high, and mark the films with more votes and with as many.

    Returns
    -------
    int
        0 if fewer films have a vote.
    """
    for w in range(low, high):
        more[w] = 0
        equal[w] = ~np.uint64(0)
    votes = 0
    for p in range(depth - 1, -1, -1):
        reaching = 0
        for w in range(low, high):
            rest[w] = equal[w] & planes[p, w]
            reaching += bits_set(more[w] | rest[w])
        if reaching >= wanted:
            votes |= 1 << p
            for w in range(low, high):
                equal[w] = rest[w]
        else:
            for w in range(low, high):
                more[w] |= rest[w]
                equal[w] &= ~planes[p, w]
    return votes


@kernel
def _exceeds(planes, depth, low, votes, equal):  # type: ignore[no-untyped-def]
    """Whether any count from word `low` on is above `votes`."""
    for w in range(low, planes.shape[1]):
        equal[w] = ~np.uint64(0)
    for p in range(depth - 1, -1, -1):
        over = np.uint64(0)
        if votes >> p & 1:
            for w in range(low, planes.shape[1]):
                equal[w] &= planes[p, w]
        else:
            for w in range(low, planes.shape[1]):
                over |= equal[w] & planes[p, w]
                equal[w] &= ~planes[p, w]
            if over != np.uint64(0):
                return True
    return False
