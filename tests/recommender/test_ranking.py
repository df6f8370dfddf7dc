"""The order of neighbours against sorting in plain Python: scores descending, ties by smaller user, ties in chains."""

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.voting.ranking import SAFE, TIE, first_places, nearest_users


def in_order(scored: dict[int, float]) -> list[int]:
    """All users in order; scores closer than a tie to the next are one chain."""
    by_score = sorted(scored, key=lambda user: -scored[user])
    chain, chains = 0, {}
    for n, user in enumerate(by_score):
        before = scored[by_score[n - 1]]
        chain += n > 0 and before - scored[user] > TIE * before
        chains[user] = chain
    return [user for _, tied in groupby(by_score, chains.__getitem__) for user in sorted(tied)]


LEVELS = st.sampled_from([0.0, 0.25, 1.0, 3.0])
ROUNDINGS = st.integers(-4, 4)  # of some 1e-16, as sums in another order have
APART = st.sampled_from([0.0, 2 * TIE, SAFE / 2, 2 * SAFE])
SCORES = st.builds(
    lambda level, rounding, apart: level * (1 + rounding * 2.0**-52) * (1 - apart), LEVELS, ROUNDINGS, APART
)


@given(st.dictionaries(st.integers(0, 10**6), SCORES, min_size=1, max_size=60), st.integers(1, 70))
def test_first_places_are_those_of_a_sort(scored: dict[int, float], wanted: int) -> None:
    users, scores = np.array(list(scored)), np.array(list(scored.values()))
    assert users[first_places(scores, users, wanted)].tolist() == in_order(scored)[:wanted]


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=80), st.integers(1, 90))
def test_nearest_users_are_the_first_of_those_who_may_be(users: list[tuple[float, bool]], wanted: int) -> None:
    scores, eligible = np.array([score for score, _ in users]), np.array([may for _, may in users])
    expected = in_order({user: score for user, (score, may) in enumerate(users) if may})
    assert nearest_users(scores, eligible, wanted).tolist() == expected[:wanted]


def test_a_long_chain_of_ties_is_one_tie() -> None:
    """Each score is tied with the next, the first and the last are not: the smallest user comes first all the same."""
    scores = 1.0 - np.arange(2_000) * (TIE / 2)
    users = np.arange(2_000)[::-1].copy()
    assert users[first_places(scores, users, 5)].tolist() == [0, 1, 2, 3, 4]
