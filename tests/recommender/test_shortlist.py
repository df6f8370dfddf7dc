"""Who is chosen by estimated score, against plain loops."""

import numpy as np
import pytest

from recommender.ann.shortlist import LOOKED_AT, STEP, WIDTH, coarse, shortlist
from recommender.data.inverted_index import make_fans
from recommender.data.likes import Likes


def test_coordinates_are_rounded_to_steps_and_padded() -> None:
    numbers = np.array([[0.0, 1.0, -0.5, 1.99], [STEP / 3, STEP, -1.99, 0.1]], dtype=np.float32)
    found = coarse(numbers)
    assert found.dtype == np.int16
    assert found.shape == (2, WIDTH)
    np.testing.assert_allclose(found[:, :4] * STEP, numbers, atol=STEP / 2)
    assert not found[:, 4:].any()


@pytest.mark.parametrize("components", [3, 32, 64])
@pytest.mark.parametrize("wanted", [1, 5, 30, 400])
def test_the_shortlist_has_the_nearest(components: int, wanted: int) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        users, films = 300, 20
        liked = rng.random((users, films)) < 0.15
        indptr = np.concatenate(([0], np.cumsum(liked.sum(axis=1))))
        likes = Likes(np.arange(users, dtype=np.int32), indptr, np.nonzero(liked)[1].astype(np.int32))
        eligible = np.flatnonzero(rng.random(users) < 0.9)
        fans = make_fans(likes, films)
        items = np.full(users, -1, dtype=np.int32)
        known = rng.permutation(eligible)[: len(eligible) - 10]
        items[known] = np.arange(len(known))
        vectors = rng.normal(size=(len(known), components))
        vectors /= np.linalg.norm(vectors, axis=1)[:, None]
        profile = vectors[0] + 0.1
        near = np.sort(rng.choice(known, 25, replace=False))
        asked, bonuses = np.array([2, 11, 7], dtype=np.int32), np.array([0.5, 0.0, 0.25])
        found = shortlist(
            near, asked, bonuses, fans.indptr, fans.users, items, coarse(vectors), coarse(profile), 1.5, wanted
        ).tolist()

        extra = {int(user): float(liked[user, asked] @ bonuses) for user in known}
        enthusiasts = sorted((extra[u] for u in extra if extra[u] > 0 and u not in near), reverse=True)
        least = enthusiasts[LOOKED_AT * wanted - 1] if len(enthusiasts) > LOOKED_AT * wanted else 0.0
        scores = {
            user: bonus + 1.5 * (1.0 - ((vectors[items[user]] - profile) ** 2).sum() / 2.0)
            for user, bonus in extra.items()
            if user in near or (bonus > 0 and bonus >= least)
        }
        assert len(found) == len(set(found))
        assert set(found) <= set(scores)
        ranked = sorted(scores.values(), reverse=True)
        cut = ranked[min(wanted, len(ranked)) - 1]
        rounding = 1e-3
        assert {user for user, score in scores.items() if score > cut + rounding} <= set(found)
        assert all(scores[user] >= cut - rounding for user in found)
        assert min(wanted, len(scores)) <= len(found) <= wanted + 5
