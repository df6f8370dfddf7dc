"""Sums over bits, against numpy."""

import numpy as np
import pytest

from recommender.voting.ballots import add_up, at_least, make_ballots, make_sums, sum_of
from tests.recommender.worlds import random_world


@pytest.mark.parametrize("voters", [1, 2, 7, 8, 50, 90])
@pytest.mark.parametrize("most", [1, 4, 30])
def test_sums_of_levels(voters: int, most: int) -> None:
    rng = np.random.default_rng(voters * most)
    bits = rng.integers(0, 2**63, (200, 3), dtype=np.uint64) & rng.integers(0, 2**63, (200, 3), dtype=np.uint64)
    users = rng.choice(200, voters, replace=False)
    levels = np.minimum(rng.integers(0, most + 1, voters), 5 * voters)
    sums = make_sums(3, voters * max(most // 5, 1) + 1)
    sums.planes[:] = 7  # left over from another pair
    depth = add_up(users, levels, bits, sums)
    films = np.arange(192)
    liked = bits[users][:, films // 64] >> (films % 64).astype(np.uint64) & np.uint64(1)
    expected = (liked.astype(np.int64) * levels[:, None]).sum(axis=0)
    assert [sum_of(sums.planes, depth, film) for film in films] == expected.tolist()
    for least in (1, int(expected.max()), int(expected.max()) + 1, int(np.median(expected)), 10**6):
        for word in range(3):
            mask = sum(1 << k for k in range(64) if expected[64 * word + k] >= least)
            assert at_least(sums.planes, depth, word, least) == mask


def test_each_film_has_one_bit_and_shares_it_with_films_about_as_popular() -> None:
    world = random_world(3, users=100, films=5_000)
    likes = world.neighbourhood().likes
    made = make_ballots(likes, 5_000, memory_budget=100 * 8 * 40)
    own, shared = 64 * made.own.shape[1], 64 * made.shared.shape[1]
    assert 0 < own < 5_000
    assert made.own.nbytes + made.shared.nbytes <= 100 * 8 * 40
    assert made.first[0] == own
    assert made.first[-1] == 5_000
    assert (np.diff(made.first) >= 0).all()
    assert len(made.first) == shared + 1
    for user in range(100):
        films = likes.films[likes.indptr[user] : likes.indptr[user + 1]]
        kept = np.unpackbits(made.own[user].view(np.uint8), bitorder="little")
        assert np.flatnonzero(kept).tolist() == films[films < own].tolist()
        kept = np.unpackbits(made.shared[user].view(np.uint8), bitorder="little")
        expected = {bit for bit in range(shared) if ((films >= made.first[bit]) & (films < made.first[bit + 1])).any()}
        assert set(np.flatnonzero(kept)) == expected


def test_no_memory_no_ballots() -> None:
    likes = random_world(3, users=100).neighbourhood().likes
    assert make_ballots(likes, 120, memory_budget=100).own.shape == (100, 0)
