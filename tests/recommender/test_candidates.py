"""What the scan of 16-bit scores leaves, against all scores in double precision: nobody who may be among the first is
lost, and what is kept is what its lists say.
"""

from typing import Any

import numpy as np
import pytest

from recommender.kernels.simd import LANES
from recommender.neighbours.candidates import (
    NEVER,
    SLACK,
    capacity,
    fill_tiles,
    in_steps,
    largest_sum,
    no_candidates,
    scan,
    sort_out,
    steps_per_score,
)
from recommender.neighbours.scores import film_scores
from recommender.neighbours.user_groups import separate_users
from tests.recommender.worlds import random_world


def plain_scores(neighbourhood: Any, films: np.ndarray) -> np.ndarray:
    """Score of every eligible user for every film, by the definition: shape (users, films)."""
    catalogue, likes, bonus = neighbourhood.catalogue, neighbourhood.likes, neighbourhood.parameters.liked_bonus
    vectors = catalogue.vectors.astype(np.float64)
    rows = []
    for user in np.flatnonzero(neighbourhood.eligible):
        liked = likes.films[likes.indptr[user] : likes.indptr[user + 1]]
        total = vectors[catalogue.vector_rows[liked][catalogue.vector_rows[liked] >= 0]].sum(axis=0)
        own = vectors[catalogue.vector_rows[films]]
        cosine = own @ total / np.linalg.norm(total)
        rows.append(cosine + np.isin(films, liked) * bonus * np.linalg.norm(own, axis=1))
    return np.array(rows)


@pytest.mark.parametrize("bonus", [0.0, 0.7])
@pytest.mark.parametrize("users", [40, 64, 65, 700])
def test_tiles_and_candidates(users: int, bonus: float) -> None:
    world = random_world(11, users=users, films=70, with_vector=66, tags=9, levels=7, min_likes=1, liked_bonus=bonus)
    neighbourhood = world.neighbourhood()
    films = np.flatnonzero(neighbourhood.catalogue.vector_rows >= 0)[:37].astype(np.int32)
    scores, classes = film_scores(neighbourhood, films), separate_users(neighbourhood)
    exact = plain_scores(neighbourhood, films) * steps_per_score(scores)
    count, wanted, half = len(exact), 6, len(exact) // (2 * LANES) * LANES
    steps = in_steps(scores)
    asked = np.triu(np.random.default_rng(1).random((len(films), len(films))) < 0.8, 1)
    firsts = np.flatnonzero(asked.any(axis=1))
    candidates = no_candidates(asked[firsts], wanted)
    for low, high in ((0, half), (half, count)):  # as when not all tiles fit the budget
        if low == high:
            continue
        tiles = fill_tiles(classes, scores, steps, low, high, threads=2)
        found = tiles.scores.transpose(0, 2, 1).reshape(-1, len(films))
        assert np.abs(found[: high - low] - exact[low:high]).max() < (SLACK - 1 + 0.4) / 4
        assert not found[high - low :].any()
        np.testing.assert_array_equal(tiles.bounds[:, : len(films)], tiles.scores.max(axis=2))
        assert not tiles.bounds[:, len(films) :].any()
        scan(tiles, classes, scores, firsts, wanted, candidates, threads=2)

    assert (candidates.slots >= 0).sum() == asked.sum()
    for i, a in enumerate(firsts):
        for b in range(len(films)):
            slot = candidates.slots[i, b]
            if not asked[a, b]:
                assert (slot, candidates.thresholds[i, b]) == (-1, NEVER)
                continue
            sums = exact[:, a] + exact[:, b]
            kept = candidates.classes[slot, : candidates.filled[slot]].tolist()
            assert len(set(kept)) == len(kept) <= capacity(wanted)
            cut = np.sort(sums)[::-1][min(wanted, count) - 1]
            assert set(np.flatnonzero(sums >= cut)) <= set(kept) or len(kept) >= wanted
            np.testing.assert_allclose(candidates.sums[slot, : len(kept)], sums[kept], atol=(SLACK - 0.6) / 2)
            # whoever is certainly before the wanted-th is there, whatever ties do
            assert set(np.flatnonzero(sums > cut + SLACK)) <= set(kept)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("wanted", "count"), [(1, 1), (3, 20), (20, 60), (20, 8)])
def test_lists_are_sorted_out_as_a_sort_would(seed: int, wanted: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    sums = rng.choice(rng.integers(0, 65_535, 25), capacity(wanted)).astype(np.uint16)
    classes = rng.permutation(len(sums)).astype(np.int32)
    count = min(count, len(sums))
    before = dict(zip(classes[:count].tolist(), sums[:count].tolist(), strict=True))
    ranked = sorted(before.values(), reverse=True)
    nth = ranked[wanted - 1] if count >= wanted else 0
    assert largest_sum(sums.copy(), count, wanted) == nth
    filled = np.array([0, count], dtype=np.int32)
    least = sort_out(sums, classes, count, wanted, filled, 1)
    assert least == max(nth - (SLACK - 1), 0)
    kept = dict(zip(classes[: filled[1]].tolist(), sums[: filled[1]].tolist(), strict=True))
    assert kept == {known: number for known, number in before.items() if number >= least}
