"""Dot products of vectors, always added up in the same order. Belongs here: that one kernel."""

from recommender.kernels.jit import kernel
from recommender.kernels.simd import DOUBLES, dot_lanes


@kernel
def dot(vectors, row, profile, lanes):  # type: ignore[no-untyped-def]
    """Dot product in float64, always in the same order; `lanes` (float64, `DOUBLES`) is room for its partial sums."""
    tags = len(profile)
    whole = tags // DOUBLES * DOUBLES
    dot_lanes(vectors, row * tags, profile, whole, lanes)
    total = 0.0
    for lane in range(DOUBLES):
        total += lanes[lane]
    for tag in range(whole, tags):
        total += vectors[row, tag] * profile[tag]
    return total
