"""SIMD intrinsics against numpy, at every offset kind they are used with and at the ends of what the types hold."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from recommender.kernels import simd
from recommender.kernels.simd import DOUBLES, FLOATS, LANES


def called(name: str) -> Callable[..., Any]:
    """A compiled function that does nothing but call an intrinsic, which Python cannot."""
    operation = getattr(simd, name)

    def call(*arguments):  # type: ignore[no-untyped-def]
        return operation(*arguments)

    return numba.njit(call)


def mask_of(lanes: np.ndarray) -> int:
    return sum(1 << int(lane) for lane in np.flatnonzero(lanes))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_sums_reaching(rng: np.random.Generator) -> None:
    reaching = called("sums_reaching")
    left, right = (rng.integers(0, 32_768, (3, LANES)).astype(np.uint16) for _ in range(2))
    for left_at, right_at in ((0, 0), (LANES, 5), (2 * LANES, LANES)):
        sums = left.ravel()[left_at : left_at + LANES].astype(int) + right.ravel()[right_at : right_at + LANES]
        for least in (0, 1, *map(int, sums[:4]), int(sums[0]) + 1, int(sums.max()), int(sums.max()) + 1, 65_535):
            assert reaching(left, left_at, right, right_at, np.uint16(least)) == mask_of(sums >= least)
    with pytest.raises(numba.TypingError):
        reaching(left.astype(np.int16), 0, right, 0, np.uint16(0))


def test_bounds_reaching(rng: np.random.Generator) -> None:
    reaching = called("bounds_reaching")
    left = rng.integers(0, 32_768, (3, LANES)).astype(np.uint16)
    for number in (0, 1, 12_345, 32_767):
        for left_at, least_at in ((0, 0), (LANES, 3), (2 * LANES, LANES)):
            sums = left.ravel()[left_at : left_at + LANES].astype(int) + number
            least = np.full((2, LANES), 65_535, dtype=np.uint16)
            least.ravel()[least_at : least_at + LANES] = sums + rng.integers(-1, 2, LANES).clip(-sums, 1)
            expected = mask_of(sums >= least.ravel()[least_at : least_at + LANES])
            assert reaching(left, left_at, np.uint16(number), least, least_at) == expected


def test_bits(rng: np.random.Generator) -> None:
    bits_set, lowest_bit = called("bits_set"), called("lowest_bit")
    for mask in (1, 1 << 63, 2**64 - 1, *map(int, rng.integers(1, 2**63, 50))):
        assert bits_set(np.uint64(mask)) == mask.bit_count()
        assert lowest_bit(np.uint64(mask)) == (mask & -mask).bit_length() - 1
    assert bits_set(np.uint64(0)) == 0


def test_sum_rows_adds_in_order(rng: np.random.Generator) -> None:
    sum_rows = called("sum_rows")
    table = rng.normal(size=(2, 9, FLOATS)).astype(np.float32)
    rows = rng.integers(0, 9, 20).astype(np.int32)
    total = np.full(FLOATS, np.nan, dtype=np.float32)
    for group, low, high in ((0, 0, 20), (1, 3, 17), (0, 4, 5), (1, 6, 6)):
        expected = np.zeros(FLOATS, dtype=np.float32)
        for row in rows[low:high]:
            expected += table[group, row]
        sum_rows(table, group * 9 * FLOATS, rows, low, high, total)
        np.testing.assert_array_equal(total, expected)


def test_dot_lanes_adds_in_order(rng: np.random.Generator) -> None:
    dot_lanes = called("dot_lanes")
    left, right = rng.normal(size=(3, 5 * DOUBLES + 4)).astype(np.float32), rng.normal(size=5 * DOUBLES)
    total = np.full(DOUBLES, np.nan)
    for row, whole in ((0, 5 * DOUBLES), (2, DOUBLES), (1, 0)):
        expected = np.zeros(DOUBLES)
        for k in range(0, whole, DOUBLES):
            expected += left[row, k : k + DOUBLES].astype(np.float64) * right[k : k + DOUBLES]
        dot_lanes(left, row * left.shape[1], right, whole, total)
        np.testing.assert_array_equal(total, expected)
