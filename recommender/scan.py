"""Who might be among the first neighbours of each pair: a scan of all users that looks at few of them.

Belongs here: 16-bit scores in tiles, bounds on them, thresholds, and the candidate lists they leave.
Does not belong here: exact scores, ties and votes, which settle what the candidates come to (`pair_scores`, `settle`).

A user's score for a pair is the sum of two film scores, so everything follows from one number per user and film. Each
is rounded to a whole number of *steps* (16 bits); a sum of two is then off by at most one step and a little, so

- a user whose sum is `SLACK` steps or more above another's is certainly before it, and
- whoever is more than `SLACK` - 1 steps below the n-th largest sum is certainly not among the first n.

A tile holds the scores of a block of `LANES` similar users; 64 of them are added and compared at once. The largest
score of each film in a block bounds all sums in it, and only blocks whose bound reaches the pair's threshold are looked
at.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.compiled import kernel, run_parallel, thread_count
from recommender.lanes import LANES, bounds_reaching, lowest_bit, sums_reaching
from recommender.pair_scores import FilmScores, class_score, exact_scores
from recommender.ranking import first_places
from recommender.user_classes import UserClasses

SLACK = 3
"""Steps between two sums from which on their order is certain.

Rounding to the nearest step is off by half a step, single precision of the film similarities by less than 0.01: two
sums are each within 1.02 steps of the truth. What is left, 0.9 steps or some 1e-5 of the largest score, is room for
chains of tied scores.
"""

STEPS = 32767
"""No film score is more than this many steps, so that the sum of two stays below 2^16 - 1."""

NEVER = 65535
"""A threshold no sum reaches: the pair is not asked for."""

FILMS_AT_ONCE = 32
"""Films whose similarities to all films are read together while tiles are filled: these then fit the L2 cache."""

SEED_BLOCKS = 4
"""Blocks with the best bounds from which a pair's first threshold is taken."""


def steps_per_score(scores: FilmScores) -> float:
    """Steps in a score of 1."""
    return (STEPS - 1) / scores.largest if scores.largest > 0 else 0.0


def in_steps(scores: FilmScores) -> NDArray[np.float32]:
    """Similarities in steps, grouped for filling tiles.

    Parameters
    ----------
    scores : FilmScores

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


def padded(films: int) -> int:
    """Round a number of films up to whole vectors of lanes."""
    return -(-films // LANES) * LANES


def capacity(wanted: int) -> int:
    """Candidates kept per pair while the first `wanted` are looked for: room to collect before sorting out."""
    return 2 * wanted + 24


def no_candidates(asked: NDArray[np.bool_], wanted: int) -> Candidates:
    """Begin a search.

    Parameters
    ----------
    asked : bool array, shape (first films, films)
        The pairs asked for.
    wanted : int
        Neighbours looked for.

    Returns
    -------
    Candidates
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
    classes : UserClasses
    scores : FilmScores
    steps : float32 array
        ``in_steps(scores)``, made once.
    low, high : int
        `low` is a multiple of `LANES`.
    threads : int, optional

    Returns
    -------
    Tiles
    """
    films = len(scores.bonuses)
    blocks = -(-(high - low) // LANES)
    tiles = Tiles(
        low,
        np.zeros((blocks, films, LANES), dtype=np.uint16),
        np.zeros((blocks, padded(films)), dtype=np.uint16),
    )
    bonuses = scores.bonuses * steps_per_score(scores)

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
            scores.signup_of_row,
            tiles.scores,
            tiles.bounds,
        )

    share = -(-blocks // (4 * thread_count(threads)))
    run_parallel(fill, [(n, min(n + share, blocks)) for n in range(0, blocks, max(share, 1))], threads)
    return tiles


@kernel
def _fill_tiles(  # type: ignore[no-untyped-def]
    indptr, rows, norms, first_class, last_class, low, high, steps, bonuses, signup_of_row, tiles, bounds
):
    """Fill blocks low..high; the films' groups are the outer loop, so that one group stays in the cache."""
    films = tiles.shape[1]
    total = np.zeros(FILMS_AT_ONCE)
    with_bonus = bonuses.max() > 0.0
    for group in range(steps.shape[0]):
        film = group * FILMS_AT_ONCE
        width = min(FILMS_AT_ONCE, films - film)
        for block in range(low, high):
            start = first_class + block * LANES
            for c in range(start, min(start + LANES, last_class)):
                total[:] = 0.0
                for k in range(indptr[c], indptr[c + 1]):
                    row = rows[k]
                    for f in range(FILMS_AT_ONCE):
                        total[f] += steps[group, row, f]
                    if with_bonus:
                        own = signup_of_row[row] - film
                        if 0 <= own < width:
                            total[own] += bonuses[film + own] * norms[c]
                scale = 1.0 / norms[c]
                for f in range(width):
                    score = np.uint16(total[f] * scale + 0.5)
                    tiles[block, film + f, c - start] = score
                    bounds[block, film + f] = max(bounds[block, film + f], score)


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
    tiles : Tiles
    classes : UserClasses
    scores : FilmScores
    firsts : int64 array, shape (first films,)
        Sign-up films that the rows of `candidates.slots` stand for.
    wanted : int
        Neighbours looked for.
    candidates : Candidates
        Changed in place.
    threads : int, optional
        Each pair is handled by one thread, all its blocks in order: the result does not depend on their number.
    """
    by_film = np.zeros((tiles.scores.shape[1], padded(len(tiles.scores))), dtype=np.uint16)
    by_film[:, : len(tiles.scores)] = tiles.bounds.T[: tiles.scores.shape[1]]
    state = (candidates.slots, candidates.thresholds, candidates.filled, candidates.sums, candidates.classes)
    exact = exact_scores(classes, scores)
    tasks = 4 * thread_count(threads)

    def work(task: int) -> None:
        own = np.arange(task, len(firsts), tasks)
        _first_thresholds(tiles.scores, by_film, firsts, own, wanted, candidates.slots, candidates.thresholds)
        last = len(classes.norms) - tiles.first_class
        _scan(tiles.scores, tiles.bounds, tiles.first_class, last, firsts, own, wanted, *state, exact)

    run_parallel(work, range(tasks), threads)


@kernel
def _first_thresholds(tiles, by_film, firsts, own, wanted, slots, thresholds):  # type: ignore[no-untyped-def]
    """Raise thresholds to what the best looking blocks of each pair already guarantee."""
    films = tiles.shape[1]
    many = SEED_BLOCKS + wanted // 16
    best = np.zeros(many, dtype=np.int64)
    where = np.zeros(many, dtype=np.int64)
    sums = np.zeros(many * LANES, dtype=np.int64)
    if len(tiles) * LANES < wanted:
        return
    for i in own:
        a = firsts[i]
        for b in range(a + 1, films):
            if slots[i, b] < 0:
                continue
            used = _best_blocks(by_film, a, b, best, where)
            if used * LANES < wanted:
                continue
            for n in range(used):
                for lane in range(LANES):
                    sums[n * LANES + lane] = -np.int64(tiles[where[n], a, lane]) - np.int64(tiles[where[n], b, lane])
            reached = -np.partition(sums[: used * LANES], wanted - 1)[wanted - 1]
            thresholds[i, b] = max(np.int64(thresholds[i, b]), reached - (SLACK - 1))


@kernel
def _best_blocks(by_film, a, b, best, where):  # type: ignore[no-untyped-def]
    """Find the blocks with the largest bounds of a pair; return how many there are."""
    many, used = len(best), 0
    best[:] = 0
    width = by_film.shape[1]
    for start in range(0, width, LANES):
        least = best[many - 1] + 1
        if least > 65535:
            break
        mask = sums_reaching(by_film, a * width + start, by_film, b * width + start, np.uint16(least))
        while mask != np.uint64(0):
            block = start + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            bound = np.int64(by_film[a, block]) + np.int64(by_film[b, block])
            if bound <= best[many - 1]:
                continue
            used = min(used + 1, many)
            at = many - 1
            while at > 0 and best[at - 1] < bound:
                best[at] = best[at - 1]
                where[at] = where[at - 1]
                at -= 1
            best[at] = bound
            where[at] = block
    return used


@kernel
def _scan(  # type: ignore[no-untyped-def]
    tiles, bounds, first_class, lanes_in_use, firsts, own, wanted, slots, thresholds, filled, sums, classes, exact
):
    """Collect candidates: block by block, so that a block's scores stay in the cache for all pairs."""
    films, width = tiles.shape[1], thresholds.shape[1]
    for block in range(len(tiles)):
        here = block * films * LANES
        for i in own:
            a = firsts[i]
            bound = bounds[block, a]
            for start in range((a + 1) // LANES * LANES, width, LANES):
                promising = bounds_reaching(bounds, block * width + start, bound, thresholds, i * width + start)
                while promising != np.uint64(0):
                    b = start + lowest_bit(promising)
                    promising &= promising - np.uint64(1)
                    mask = sums_reaching(tiles, here + a * LANES, tiles, here + b * LANES, thresholds[i, b])
                    while mask != np.uint64(0):
                        lane = lowest_bit(mask)
                        mask &= mask - np.uint64(1)
                        c = block * LANES + lane
                        if c >= lanes_in_use:
                            break
                        slot = slots[i, b]
                        n = filled[slot]
                        sums[slot, n] = tiles[block, a, lane] + tiles[block, b, lane]
                        classes[slot, n] = first_class + c
                        filled[slot] = n + 1
                        if n + 1 == sums.shape[1]:
                            least = sort_out(sums[slot], classes[slot], n + 1, wanted, filled, slot)
                            thresholds[i, b] = max(np.int64(thresholds[i, b]), least)
                            if filled[slot] > sums.shape[1] - 8:
                                filled[slot] = _keep_first(sums[slot], classes[slot], filled[slot], wanted, a, b, exact)


@kernel
def sort_out(sums, classes, count, wanted, filled, slot):  # type: ignore[no-untyped-def]
    """Drop candidates that are certainly not among the first `wanted`; return the threshold that says so."""
    reached = -np.partition(-sums[:count].astype(np.int64), wanted - 1)[wanted - 1]
    least = max(reached - (SLACK - 1), 0)
    kept = 0
    for n in range(count):
        if sums[n] >= least:
            sums[kept] = sums[n]
            classes[kept] = classes[n]
            kept += 1
    filled[slot] = kept
    return least


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
