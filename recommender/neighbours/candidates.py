"""Who might be among the first neighbours of each pair: a scan of all users that looks at few of them.

Belongs here: 16-bit scores in tiles, bounds on them, thresholds, and the candidate lists they leave.
Does not belong here: exact scores, ties and votes, which settle what the candidates come to (`scores`, `select`).

A user's score for a pair is the sum of two film scores, so everything follows from one number per user and film. Each
is rounded to a whole number of *steps* (16 bits); a sum of two is then off by at most one step and a little, so

- a user whose sum is `SLACK` steps or more above another's is certainly before it, and
- whoever is more than `SLACK` - 1 steps below the n-th largest sum is certainly not among the first n.

A tile holds the scores of a block of `LANES` similar users; 64 of them are added and compared at once. The largest
score of each film in a block bounds all sums in it, and only blocks whose bound reaches the pair's threshold are looked
at.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.csr import transposed
from recommender.kernels.jit import kernel
from recommender.kernels.simd import FLOATS, LANES, bits_set, bounds_reaching, lowest_bit, sum_rows, sums_reaching
from recommender.kernels.threads import run_parallel, thread_count
from recommender.neighbours.scores import FilmScores, class_score, exact_scores
from recommender.neighbours.user_groups import UserClasses
from recommender.voting.ranking import first_places

SLACK = 3
"""Steps between two sums from which on their order is certain.

Rounding to the nearest step is off by half a step, single precision by less than 0.08 (of numbers none of which is
negative, k are summed with a relative error below k 2^-24): two sums are each within 1.16 steps of the truth. What is
left, 0.6 steps or some 1e-5 of the largest score, is room for chains of tied scores.
"""

STEPS = 32767
"""No film score is more than this many steps, so that the sum of two stays below 2^16 - 1."""

NEVER = 65535
"""A threshold no sum reaches: the pair is not asked for."""

FILMS_AT_ONCE = FLOATS
"""Films whose similarities to all films are read together while tiles are filled: these then fit the L2 cache."""

LIKES_AT_ONCE = 32
"""Likes summed in single precision before the sum is added up in double: its error stays below 0.07 steps."""


_NOTHING = np.zeros(LANES, dtype=np.uint16)


def steps_per_score(scores: FilmScores) -> float:
    """Steps in a score of 1."""
    return (STEPS - 1) / scores.largest if scores.largest > 0 else 0.0


def in_steps(scores: FilmScores) -> NDArray[np.float32]:
    """Similarities in steps, grouped for filling tiles.

    Returns
    -------
    float32 array, shape (groups, films_with_vector, FILMS_AT_ONCE)
        Zeros for films beyond the last.
    """
    films, rows = scores.similarities.shape
    groups = -(-films // FILMS_AT_ONCE)
    grouped = np.zeros((groups, rows, FILMS_AT_ONCE), dtype=np.float32)
    for group in range(groups):
        some = scores.similarities[group * FILMS_AT_ONCE : (group + 1) * FILMS_AT_ONCE]
        grouped[group, :, : len(some)] = (some * steps_per_score(scores)).T
    return grouped


@dataclass(frozen=True)
class Tiles:
    """Scores in steps of consecutive blocks of classes.

    Attributes
    ----------
    first_class : int
        Class in the first lane of the first block.
    scores : uint16 array, shape (blocks, signup films, LANES)
        Zero in lanes behind the last class.
    bounds : uint16 array, shape (blocks, padded films)
        Largest score of each film in the block; zero for padding.
    """

    first_class: int
    scores: NDArray[np.uint16]
    bounds: NDArray[np.uint16]


@dataclass(frozen=True)
class Candidates:
    """Classes that may be among the first neighbours, per pair; pairs are (index of a first film, second film).

    Attributes
    ----------
    slots : int32 array, shape (first films, padded films)
        Row of the pair in the arrays below, -1 for pairs not asked for.
    thresholds : uint16 array, shape (first films, padded films)
        Sums below it are certainly not among the first; `NEVER` for pairs not asked for.
    filled : int32 array, shape (pairs,)
    sums : uint16 array, shape (pairs, capacity)
        In steps; only the first `filled` of a row mean anything.
    classes : int32 array, shape (pairs, capacity)
    """

    slots: NDArray[np.int32]
    thresholds: NDArray[np.uint16]
    filled: NDArray[np.int32]
    sums: NDArray[np.uint16]
    classes: NDArray[np.int32]


def padded(number: int) -> int:
    """Round up to whole vectors of lanes."""
    return -(-number // LANES) * LANES


def capacity(wanted: int) -> int:
    """Candidates kept per pair while the first `wanted` are looked for: room to collect before sorting out."""
    return padded(2 * wanted + 24)


def no_candidates(asked: NDArray[np.bool_], wanted: int) -> Candidates:
    """Begin a search.

    Parameters
    ----------
    asked : bool array, shape (first films, films)
        The pairs asked for.
    wanted : int
        Neighbours looked for.
    """
    wide = np.zeros((len(asked), padded(asked.shape[1])), dtype=bool)
    wide[:, : asked.shape[1]] = asked
    pairs = int(wide.sum())
    slots = np.full(wide.shape, -1, dtype=np.int32)
    slots[wide] = np.arange(pairs, dtype=np.int32)
    return Candidates(
        slots,
        np.where(wide, 0, NEVER).astype(np.uint16),
        np.zeros(pairs, dtype=np.int32),
        np.empty((pairs, capacity(wanted)), dtype=np.uint16),
        np.empty((pairs, capacity(wanted)), dtype=np.int32),
    )


def fill_tiles(
    classes: UserClasses,
    scores: FilmScores,
    steps: NDArray[np.float32],
    low: int,
    high: int,
    threads: int | None = None,
) -> Tiles:
    """Score classes low..high for all sign-up films.

    Parameters
    ----------
    steps : float32 array
        ``in_steps(scores)``, made once.
    low, high : int
        `low` is a multiple of `LANES`.
    """
    films = len(scores.bonuses)
    blocks = -(-(high - low) // LANES)
    tiles = Tiles(
        low,
        np.zeros((blocks, films, LANES), dtype=np.uint16),
        np.zeros((blocks, padded(films)), dtype=np.uint16),
    )
    bonuses = scores.bonuses * steps_per_score(scores)
    likers = _likers(classes, scores, low, high)

    def fill(bounds: tuple[int, int]) -> None:
        _fill_tiles(
            classes.indptr,
            classes.rows,
            classes.norms,
            low,
            high,
            *bounds,
            steps,
            bonuses,
            *likers,
            tiles.scores,
            tiles.bounds,
        )

    share = -(-blocks // (4 * thread_count(threads)))
    run_parallel(fill, [(n, min(n + share, blocks)) for n in range(0, blocks, max(share, 1))], threads)
    return tiles


@kernel
def _fill_tiles(  # type: ignore[no-untyped-def]
    indptr, rows, norms, first_class, last_class, low, high, steps, bonuses, liker_indptr, likers, tiles, bounds
):
    """Fill blocks low..high; the films' groups are the outer loop, so that one group stays in the cache."""
    films, group_size = tiles.shape[1], steps.shape[1] * FILMS_AT_ONCE
    part = np.zeros(FILMS_AT_ONCE, dtype=np.float32)
    total = np.zeros(FILMS_AT_ONCE)
    with_bonus = len(likers) > 0
    extra = np.zeros((LANES, FILMS_AT_ONCE))
    cursors = np.zeros(FILMS_AT_ONCE, dtype=np.int64)
    for group in range(steps.shape[0]):
        film = group * FILMS_AT_ONCE
        width = min(FILMS_AT_ONCE, films - film)
        if with_bonus:
            for f in range(width):
                own = likers[liker_indptr[film + f] : liker_indptr[film + f + 1]]
                cursors[f] = liker_indptr[film + f] + np.searchsorted(own, first_class + low * LANES)
        for block in range(low, high):
            start = first_class + block * LANES
            if with_bonus:
                extra[:] = 0.0
                for f in range(width):
                    while cursors[f] < liker_indptr[film + f + 1] and likers[cursors[f]] < start + LANES:
                        extra[likers[cursors[f]] - start, f] = bonuses[film + f]
                        cursors[f] += 1
            for c in range(start, min(start + LANES, last_class)):
                total[:] = 0.0
                for k in range(indptr[c], indptr[c + 1], LIKES_AT_ONCE):
                    sum_rows(steps, group * group_size, rows, k, min(k + LIKES_AT_ONCE, indptr[c + 1]), part)
                    for f in range(FILMS_AT_ONCE):
                        total[f] += part[f]
                scale = 1.0 / norms[c]
                for f in range(width):
                    tiles[block, film + f, c - start] = np.uint16(total[f] * scale + extra[c - start, f] + 0.5)
            for f in range(film, film + width):
                bounds[block, f] = tiles[block, f].max()


def _likers(
    classes: UserClasses, scores: FilmScores, low: int, high: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Classes low..high that like each sign-up film, ascending, as compressed rows; no rows where there is no bonus."""
    if not scores.bonuses.any():
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32)
    indptr = classes.indptr[low : high + 1]
    films = scores.signup_of_row[classes.rows[indptr[0] : indptr[-1]]]
    liker_indptr, likers = transposed(indptr - indptr[0], films, len(scores.bonuses))
    return liker_indptr, likers + np.int32(low)


def scan(
    tiles: Tiles,
    classes: UserClasses,
    scores: FilmScores,
    firsts: NDArray[np.int64],
    wanted: int,
    candidates: Candidates,
    threads: int | None = None,
) -> None:
    """Bring the candidates up to date with the users of some tiles.

    Parameters
    ----------
    firsts : int64 array, shape (first films,)
        Sign-up films that the rows of `candidates.slots` stand for.
    wanted : int
        Neighbours looked for.
    candidates : Candidates
        Changed in place.
    threads : int, optional
        Each pair is handled by one thread, all its blocks in order: the result does not depend on their number.
    """
    state = (candidates.slots, candidates.thresholds, candidates.filled, candidates.sums, candidates.classes)
    exact = exact_scores(classes, scores)
    tasks = 4 * thread_count(threads)

    def work(task: int) -> None:
        own = np.arange(task, len(firsts), tasks)
        last = len(classes.norms) - tiles.first_class
        _scan(tiles.scores, tiles.bounds, tiles.first_class, last, firsts, own, wanted, *state, exact)

    run_parallel(work, range(tasks), threads)


@kernel
def _scan(  # type: ignore[no-untyped-def]
    tiles, bounds, first_class, lanes_in_use, firsts, own, wanted, slots, thresholds, filled, sums, classes, exact
):
    """Collect candidates: for a vector of second films at a time, whose pairs' lists then stay in the cache, block by
    block, so that a block's scores do for all pairs.

    Blocks come in a scattered order: a pair soon has met users of every kind, its threshold is high early on.
    """
    films, width, capacity = tiles.shape[1], thresholds.shape[1], sums.shape[1]
    flat_tiles, flat_sums, flat_classes = tiles.reshape(-1), sums.reshape(-1), classes.reshape(-1)
    stride = _stride(len(tiles))
    for start in range(0, width, LANES):
        for n in range(len(tiles)):
            block = n * stride % len(tiles)
            here = block * films
            first = first_class + block * LANES
            in_use = ~np.uint64(0)
            if lanes_in_use - block * LANES < LANES:
                in_use = (np.uint64(1) << np.uint64(lanes_in_use - block * LANES)) - np.uint64(1)
            for i in own:
                a = firsts[i]
                if start < (a + 1) // LANES * LANES:
                    continue
                at_a = (here + a) * LANES
                promising = bounds_reaching(
                    bounds, block * width + start, bounds[block, a], thresholds, i * width + start
                )
                while promising != np.uint64(0):
                    b = start + lowest_bit(promising)
                    promising &= promising - np.uint64(1)
                    at_b = (here + b) * LANES
                    mask = sums_reaching(tiles, at_a, tiles, at_b, thresholds[i, b]) & in_use
                    if mask == np.uint64(0):
                        continue
                    slot = slots[i, b]
                    row = slot * capacity
                    place = filled[slot]
                    while mask != np.uint64(0):
                        lane = lowest_bit(mask)
                        mask &= mask - np.uint64(1)
                        flat_sums[row + place] = flat_tiles[at_a + lane] + flat_tiles[at_b + lane]
                        flat_classes[row + place] = first + lane
                        place += 1
                        if place == capacity:
                            filled[slot] = place
                            least = _make_room(sums[slot], classes[slot], wanted, filled, slot, a, b, exact)
                            thresholds[i, b] = max(np.int64(thresholds[i, b]), least)
                            place = filled[slot]
                    filled[slot] = place


@kernel
def _make_room(sums, classes, wanted, filled, slot, a, b, exact):  # type: ignore[no-untyped-def]
    """Sort out a full list, by exact scores if need be; return the pair's threshold."""
    least = sort_out(sums, classes, len(sums), wanted, filled, slot)
    if filled[slot] > len(sums) - 8:
        filled[slot] = _keep_first(sums, classes, filled[slot], wanted, a, b, exact)
    return least


@kernel
def _stride(blocks):  # type: ignore[no-untyped-def]
    """Step about 0.618 of the way that visits each of the blocks once (golden section: evenly scattered early on)."""
    stride = max(1, int(blocks * 0.6180339887))
    while math.gcd(stride, blocks) != 1:
        stride += 1
    return stride


@kernel
def sort_out(sums, classes, count, wanted, filled, slot):  # type: ignore[no-untyped-def]
    """Drop candidates that are certainly not among the first `wanted`; return the threshold that says so.

    Parameters
    ----------
    sums : uint16 array, shape (capacity,)
    classes : int32 array, shape (capacity,)
    count : int
        Candidates there are, more than `wanted`.
    wanted : int
    filled : int32 array
        ``filled[slot]`` becomes the number of candidates left.
    slot : int

    Returns
    -------
    int
    """
    least = max(largest_sum(sums, count, wanted) - (SLACK - 1), 0)
    kept = 0
    for n in range(count):  # without a branch, which would be mispredicted half of the time
        number = sums[n]
        sums[kept] = number
        classes[kept] = classes[n]
        kept += number >= least
    filled[slot] = kept
    return least


@kernel
def largest_sum(sums, count, wanted):  # type: ignore[no-untyped-def]
    """Find the `wanted`-th largest of the first `count` sums, 0 if there are fewer; those behind become zero.

    Parameters
    ----------
    sums : uint16 array, shape (capacity,)
    count, wanted : int

    Returns
    -------
    int
    """
    sums[count:] = 0
    low, high = 0, NEVER  # the sum looked for is in low..high-1: bisect, counting 64 at a time
    while high - low > 1:
        middle = (low + high) // 2
        reaching = 0
        for start in range(0, len(sums), LANES):
            reaching += bits_set(sums_reaching(sums, start, _NOTHING, 0, np.uint16(middle)))
        if reaching >= wanted:
            low = middle
        else:
            high = middle
    return low


@kernel
def _keep_first(sums, classes, count, wanted, a, b, exact):  # type: ignore[no-untyped-def]
    """Keep the first `wanted` candidates by exact score, ties by their smallest users; return how many.

    Needed only where more classes than a list holds are within `SLACK` of each other.
    """
    scores = np.empty(count)
    users = np.empty(count, dtype=np.int64)
    for n in range(count):
        scores[n] = class_score(classes[n], a, b, exact)
        users[n] = exact.members[exact.member_indptr[classes[n]]]
    places = first_places(scores, users, wanted)
    kept_sums, kept_classes = sums[places], classes[places]
    sums[: len(places)] = kept_sums
    classes[: len(places)] = kept_classes
    return len(places)
