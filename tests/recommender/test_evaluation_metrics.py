"""Measures against numbers worked out by hand, and against their definitions in plain loops."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.evaluation.metrics import (
    bootstrap_means,
    gini,
    hit_rate,
    interval,
    ndcg,
    novelty,
    precision,
    recall,
    times_recommended,
)

RELEVANT = np.array([[True, False, True, False], [False, False, False, True], [False, False, False, False]])
WANTED = np.array([2, 5, 1])


def test_accuracy_by_hand() -> None:
    assert hit_rate(RELEVANT, 3).tolist() == [1.0, 0.0, 0.0]
    assert hit_rate(RELEVANT, 4).tolist() == [1.0, 1.0, 0.0]
    assert precision(RELEVANT, 4).tolist() == [0.5, 0.25, 0.0]
    assert recall(RELEVANT, WANTED, 4).tolist() == [1.0, 0.2, 0.0]
    # 1/log2(2) + 1/log2(4) over 1/log2(2) + 1/log2(3); 1/log2(5) over the best four of five
    best = [1.0, 1 / math.log2(3), 0.5, 1 / math.log2(5)]
    np.testing.assert_allclose(ndcg(RELEVANT, WANTED, 4), [1.5 / sum(best[:2]), best[3] / sum(best), 0.0])


def test_a_list_shorter_than_k_has_misses_in_its_empty_places() -> None:
    short = np.array([[True]])
    assert precision(short, 10).tolist() == [0.1]
    assert ndcg(short, np.array([1]), 10).tolist() == [1.0]


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.integers(1, 40), st.integers(1, 10))
def test_ndcg_as_defined(flags: list[bool], besides: int, k: int) -> None:
    wanted = max(sum(flags), besides)
    gained = sum(1 / math.log2(place + 1) for place, hit in enumerate(flags[:k], start=1) if hit)
    best = sum(1 / math.log2(place + 1) for place in range(1, min(wanted, k) + 1))
    found = ndcg(np.array([flags]), np.array([wanted]), k)[0]
    assert found == pytest.approx(gained / best)
    assert 0.0 <= found <= 1.0 + 1e-12


def test_variety_by_hand() -> None:
    lists = np.array([[0, 1], [0, -1], [-1, -1]])
    np.testing.assert_allclose(novelty(lists, np.array([0.5, 0.25, 1.0]), 2), [1.5, 1.0, 0.0])
    assert times_recommended(lists, 4, 2).tolist() == [2, 1, 0, 0]
    assert times_recommended(lists, 4, 1).tolist() == [2, 0, 0, 0]


def test_gini_by_hand() -> None:
    assert gini(np.array([3, 3, 3])) == pytest.approx(0.0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.zeros(5, dtype=int)) == 0.0


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12))
def test_gini_is_half_the_relative_mean_difference(times: list[int]) -> None:
    differences = sum(abs(a - b) for a, b in itertools.product(times, times))
    expected = differences / (2 * len(times) * sum(times)) if sum(times) else 0.0
    assert gini(np.array(times)) == pytest.approx(expected)


def test_intervals_resample_users_not_cases() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 25)
    values = np.repeat(rng.random(40), 25)[:, None]  # all cases of a user alike: 40 facts, not 1,000
    low, high = interval(bootstrap_means(values, users, draws=2000, seed=1))
    expected = 1.96 * values[::25].std() / math.sqrt(40)
    assert (high - low)[0] / 2 == pytest.approx(expected, rel=0.15)
    alone, _ = interval(bootstrap_means(values, np.arange(1000), draws=2000, seed=1))
    assert values.mean() - alone[0] < expected / 3


def test_intervals_in_plain_loops() -> None:
    users, values = np.array([4, 4, 9, 2]), np.array([[1.0], [0.0], [0.5], [0.25]])
    names = sorted(set(users.tolist()))
    weights = np.random.default_rng(3).multinomial(3, np.full(3, 1 / 3), size=200)
    means = []
    for row in weights:
        drawn = Counter(dict(zip(names, row.tolist(), strict=True)))
        means.append(
            sum(drawn[u] * v for u, (v,) in zip(users.tolist(), values.tolist(), strict=True))
            / sum(drawn[u] for u in users.tolist())
        )
    low, high = interval(bootstrap_means(values, users, draws=200, seed=3))
    np.testing.assert_allclose([low[0], high[0]], np.quantile(means, [0.025, 0.975]))


def test_no_cases_no_interval() -> None:
    low, high = interval(bootstrap_means(np.zeros((0, 2)), np.zeros(0, dtype=int), draws=10, seed=0))
    assert np.isnan(low).all()
    assert np.isnan(high).all()
