"""Votes counted by bits against votes counted film by film."""

from collections import Counter

import numpy as np
import pytest

from recommender.data.likes import Likes
from recommender.voting.ballots import make_ballots, winners_by_bits

FILMS = 700


def random_likes(seed: int, users: int) -> Likes:
    """Popular films first, as in the catalogue; some users like hundreds, some nothing."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, FILMS + 1) ** rng.choice([0.3, 1.0])
    lists = [
        np.sort(rng.choice(FILMS, rng.integers(0, rng.choice([5, 60, 300])), replace=False, p=weights / weights.sum()))
        for _ in range(users)
    ]
    indptr = np.concatenate(([0], np.cumsum([len(one) for one in lists])))
    return Likes(np.arange(users, dtype=np.int32), indptr, np.concatenate(lists).astype(np.int32))


@pytest.mark.parametrize("words", [0, 1, 2, 5, 16])
@pytest.mark.parametrize("wanted", [1, 3, 10, 100])
def test_bits_find_the_same_winners_or_say_that_they_cannot_tell(words: int, wanted: int) -> None:
    told = 0
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        likes = random_likes(seed, 150)
        ballots = make_ballots(likes, FILMS, words * 8 * 150)
        assert ballots.bits.shape[1] == (0 if words < 2 else words)
        users = rng.choice(150, rng.integers(1, 91), replace=False)
        left_out = rng.choice(20, 2, replace=False).astype(np.int32)
        films, votes = np.zeros(wanted, dtype=np.int32), np.zeros(wanted, dtype=np.int32)
        planes = np.ones((32, ballots.bits.shape[1]), dtype=np.uint64)  # what an earlier count left behind
        if winners_by_bits(users, ballots.bits, ballots.own, left_out, planes, films, votes):
            counted = Counter(film for u in users for film in likes.films[likes.indptr[u] : likes.indptr[u + 1]])
            expected = sorted((-n, film) for film, n in counted.items() if film not in left_out)[:wanted]
            assert list(zip((-votes).tolist(), films.tolist(), strict=True)) == expected
            told += 1
    if words == 16:  # every film has its own bit
        assert told >= 20
    if words == 0:
        assert told == 0
