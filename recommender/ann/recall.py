"""How good an index is: recall@k.

Belongs here: the measure and the true neighbours it compares with. Does not belong here: the index (`index`, `bound`).
"""

import numpy as np
from numpy.typing import NDArray

from recommender.ann.bound import BoundIndex
from recommender.data.encoder import encode_profile
from recommender.data.projection import project
from recommender.kernels.threads import run_parallel
from recommender.lists import candidate_scores, film_bonuses, reranked
from recommender.pairs import signup_films
from recommender.voting.ranking import first_places, nearest_users

RECALL_AT = 10
"""Neighbours over which recall is measured."""

RECALL_PROFILES = 100
"""Pairs of sign-up films with which recall is measured."""


def measure_recall(
    bound: BoundIndex,
    at: int = RECALL_AT,
    profiles: int = RECALL_PROFILES,
    seed: int = 0,
    threads: int | None = None,
) -> float:
    """Measure recall@k: the share of the true k nearest users that the index, re-ranked, finds.

    Parameters
    ----------
    at : int
        k.
    profiles : int
        Random pairs of sign-up films to ask.
    seed : int
        Decides which; the same pairs for the same sign-up films.
    threads : int, optional
        The result does not depend on it.

    Returns
    -------
    float
        1.0 if there is nothing to find.
    """
    neighbourhood = bound.neighbourhood
    signup = signup_films(neighbourhood)
    if len(signup) < 2 or not neighbourhood.eligible.any():
        return 1.0
    generator = np.random.default_rng(seed)
    pairs = [np.sort(generator.choice(signup, 2, replace=False)) for _ in range(profiles)]
    truth = _true_neighbours(bound, pairs, at, threads)

    def found(number: int) -> float:
        return float(np.isin(truth[number], reranked(neighbourhood, pairs[number], bound, at)).mean())

    return float(np.mean(run_parallel(found, range(profiles), threads)))


def _true_neighbours(
    bound: BoundIndex, profiles: list[NDArray[np.int32]], wanted: int, threads: int | None
) -> list[NDArray[np.int64]]:
    """First users of many profiles at once: scored in single precision, the best of them re-ranked exactly."""
    neighbourhood = bound.neighbourhood
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    rows = catalogue.vector_rows[likes.films]
    truth: list[NDArray[np.int64]] = []
    for low in range(0, len(profiles), 32):
        some = profiles[low : low + 32]
        encoded = [encode_profile(catalogue, films) for films in some]
        vectors = np.stack([vector * np.float32(norm) for vector, norm in encoded])
        scores = project(likes.indptr, rows, neighbourhood.norms, catalogue.vectors @ vectors.T, threads)

        def first(number: int, some=some, scores=scores) -> NDArray[np.int64]:  # type: ignore[no-untyped-def]
            films, own = some[number], np.ascontiguousarray(scores[:, number])
            if bound.fans is not None:
                for film, bonus in zip(films, film_bonuses(neighbourhood, films), strict=True):
                    own[bound.fans.of(film)] += bonus
            chosen = nearest_users(own, neighbourhood.eligible, 5 * wanted)
            return chosen[first_places(candidate_scores(neighbourhood, films, chosen), chosen, wanted)]

        truth += run_parallel(first, range(len(some)), threads)
    return truth
