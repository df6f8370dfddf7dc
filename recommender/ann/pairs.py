"""Recommendations for all pairs of sign-up films from the neighbours the index finds (engine ``annoy``).

Belongs here: the order of work of that engine.
Does not belong here: the index (`bound`), the exact engine (`neighbours`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.ann.bound import BoundIndex
from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel
from recommender.neighbours.scores import ExactScores, class_score, exact_scores, film_scores
from recommender.neighbours.user_groups import everybody
from recommender.pairs import PairRecommendations, as_rows, first_indices, no_answers, signup_films
from recommender.voting.pair_vote import Votes, booth, make_votes, rank_pair
from recommender.voting.ranking import first_places


class IndexPairSearch:
    """The search of all pairs of sign-up films from the neighbours that the index finds (engine ``annoy``).

    Prepared once for any number of shards; used by one thread at a time.

    Parameters
    ----------
    threads : int, optional
        The result does not depend on it.
    """

    def __init__(self, bound: BoundIndex, *, threads: int | None = None) -> None:
        neighbourhood = bound.neighbourhood
        signup = signup_films(neighbourhood)
        scores = film_scores(neighbourhood, signup)
        self._scores, self._threads = scores, threads
        self._shared = _Shared(
            bound,
            signup,
            exact_scores(everybody(neighbourhood), scores),
            make_votes(neighbourhood, neighbourhood.companions.shares, threads),
        )
        rows = neighbourhood.catalogue.vector_rows[signup]
        self._points = neighbourhood.catalogue.vectors[rows].astype(np.float64) @ bound.index.directions

    def pairs(self, first_movies: ArrayLike | None = None) -> Iterator[PairRecommendations]:
        """Recommend films for pairs: `exact.PairSearch.pairs`, one chunk per first film.

        A pair for which the index finds fewer users than asked for is answered from those.
        """
        bound, signup, points = self._shared.bound, self._shared.signup, self._points
        rows = bound.neighbourhood.catalogue.vector_rows[signup]
        similarities = self._scores.similarities
        for first in first_indices(bound.neighbourhood, signup, first_movies):
            seconds = np.arange(first + 1, len(signup))
            if len(seconds) == 0:
                continue
            both = similarities[[first]][:, rows]
            squares = both[0, first] + 2 * both[0, seconds] + similarities[seconds, rows[seconds]]
            lengths = np.sqrt(np.maximum(squares, np.finfo(float).tiny))[:, None]
            profiles = (points[first] + points[seconds]) / lengths - bound.index.offset
            yield _one_first_film(self._shared, int(first), seconds, profiles, self._threads)


class _Shared(NamedTuple):
    """What all pairs have in common."""

    bound: BoundIndex
    signup: NDArray[np.int32]
    exact: ExactScores
    votes: Votes


def _one_first_film(
    shared: _Shared, first: int, seconds: NDArray[np.int64], profiles: NDArray[np.float64], threads: int | None
) -> PairRecommendations:
    """All pairs of one first film with the films after it."""
    neighbourhood, signup = shared.bound.neighbourhood, shared.signup
    parameters = neighbourhood.parameters
    asked = max(parameters.max_neighbours, parameters.annoy_candidates)
    answers = no_answers(len(seconds), parameters.per_pair)

    def answer(task: int) -> None:
        own_booth = booth(shared.votes)
        for n in range(task, len(seconds), 8):
            films = signup[[first, seconds[n]]]
            users = shared.bound.near(profiles[n], asked, films)
            answers.summary[n] = _rank_and_vote(
                users,
                first,
                seconds[n],
                films,
                shared.exact,
                shared.votes,
                own_booth,
                answers.films[n],
                answers.votes[n],
                answers.scores[n],
            )

    run_parallel(answer, range(8), threads)
    return as_rows(neighbourhood, np.full(len(seconds), signup[first], dtype=np.int32), signup[seconds], answers)


@kernel
def _rank_and_vote(  # type: ignore[no-untyped-def]
    users, first, second, left_out, exact, votes, booth, out_films, out_votes, out_scores
):
    """Score candidates exactly, order them, let them vote."""
    scores = np.empty(len(users))
    for n in range(len(users)):
        scores[n] = class_score(users[n], first, second, exact)
    ranked = users[first_places(scores, users, votes.data.most)]
    return rank_pair(ranked, first, second, left_out, votes, booth, out_films, out_votes, out_scores)
