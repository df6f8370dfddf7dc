"""The numbers the score is made of, against exact arithmetic and plain loops."""

from fractions import Fraction

import numpy as np
import pytest

from recommender.data.companions import companion_shares
from recommender.data.model_data import Neighbourhood
from recommender.data.weights import FACTOR_ONE, SHARE_ONE, WEIGHT_ONE, popularity_factors, voter_weights
from tests.brute_force import integer_power
from tests.recommender.worlds import random_world


@pytest.mark.parametrize("exponent", [0.0, 0.15, 0.5, 0.75, 1.0])
def test_weights_are_the_nearest_integers(exponent: float) -> None:
    likes = np.array([1, 2, 3, 4, 5, 99, 100, 3, 12_345])
    expected = [integer_power(int(number), exponent, WEIGHT_ONE) for number in likes]
    assert voter_weights(likes, exponent).tolist() == expected


@pytest.mark.parametrize("exponent", [0.0, 0.15, 0.5])
def test_factors_are_the_nearest_integers(exponent: float) -> None:
    likes = np.array([610, 300, 7, 1])
    expected = [integer_power(Fraction(int(number), 610), exponent, FACTOR_ONE) for number in likes]
    assert popularity_factors(likes, 610, exponent).tolist() == expected
    assert popularity_factors(np.array([0, 1]), 610, exponent).tolist() == expected[-1:] * 2


def test_the_largest_numbers_stay_below_two_to_the_63() -> None:
    users = 1 << 24
    factor = int(popularity_factors(np.array([1]), users, 0.5)[0])
    most = SHARE_ONE + 10 * SHARE_ONE
    assert most * factor < 2**63
    assert 10_000 * WEIGHT_ONE * SHARE_ONE < 2**63
    assert voter_weights(np.array([10**6]), 1.0)[0] >= 1


def test_companions_are_shares_of_weight_rounded_down() -> None:
    world = random_world(41, users=120)
    neighbourhood, brute = world.neighbourhood(), world.brute()
    ids = neighbourhood.catalogue.movie_ids.tolist()
    films = np.arange(0, len(ids), 3, dtype=np.int32)
    found = neighbourhood.shares_of(films)
    for row, film in enumerate(films):
        assert {ids[f]: int(found[row, f]) for f in np.flatnonzero(found[row])} == brute.companions(ids[film])


def test_a_share_is_exact_where_products_are_large() -> None:
    """A million fans of the greatest weight: the sum times 10^8 is beyond 64 bits."""
    world = random_world(42, users=50, voter_exponent=0.0).neighbourhood()
    heavy = np.full(len(world.weights), (1 << 47) // len(world.weights) - 1, dtype=np.int64)
    equal = companion_shares(world.likes, world.fans, world.weights, np.arange(5, dtype=np.int32))
    np.testing.assert_array_equal(companion_shares(world.likes, world.fans, heavy, np.arange(5, dtype=np.int32)), equal)
    with pytest.raises(ValueError, match="more than"):
        companion_shares(world.likes, world.fans, heavy * 2, np.arange(5, dtype=np.int32))


def test_kept_companions_are_those_made_on_demand() -> None:
    world = random_world(43, users=150).neighbourhood()
    arguments = (world.likes, world.catalogue, world.norms, world.eligible, world.parameters)
    kept = Neighbourhood(*arguments, kept=world.companions)
    films = np.array([7, 0, 55, 3], dtype=np.int32)  # sign-up films and others
    np.testing.assert_array_equal(kept.shares_of(films), world.shares_of(films))
    none = Neighbourhood(*arguments, kept=type(world.companions)(films[:0], world.companions.shares[:0]))
    np.testing.assert_array_equal(none.shares_of(films), world.shares_of(films))
