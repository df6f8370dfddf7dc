"""Recommendations for all pairs of sign-up films from their true nearest users (rules 4 to 6).

Belongs here: the order of work of the exact engine, and how it keeps to a memory budget.
Does not belong here: the steps themselves (`user_groups`, `candidates`, `select`), a single profile (`lists`).

The idea: for a pair (a, b), |a + b| cos(u, a + b) = S[u, a] + S[u, b], where S[u, f], the sum of the similarities of f
to u's films over u's norm, is one number per user and sign-up film. S is made once, in 16 bits, in tiles of similar
users; a scan of sums of two columns leaves a few candidates per pair, and only those are scored exactly.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.data.model_data import Neighbourhood
from recommender.kernels.simd import LANES
from recommender.kernels.threads import thread_count
from recommender.neighbours.candidates import Tiles, capacity, fill_tiles, in_steps, no_candidates, padded, scan
from recommender.neighbours.scores import exact_scores, film_scores
from recommender.neighbours.select import settle
from recommender.neighbours.user_groups import UserClasses, separate_users, user_classes
from recommender.pairs import (
    PairRecommendations,
    Settled,
    as_rows,
    first_indices,
    joined,
    no_answers,
    second_films,
    signup_films,
)
from recommender.voting.pair_vote import make_votes

__all__ = ["MEMORY_BUDGET", "PairRecommendations", "PairSearch", "joined", "recommend_some"]

MEMORY_BUDGET = 1_250_000_000
"""Bytes of tiles, candidates and answers the search holds at a time, unless the caller says otherwise."""


class PairSearch:
    """The exact search of all pairs of sign-up films, prepared once for any number of shards; for one thread at a time.

    Parameters
    ----------
    threads : int, optional
        Default: one per core. The result does not depend on it.
    memory_budget : int
        Bytes of tiles, candidates and answers to hold at a time. The result does not depend on it.
    """

    def __init__(
        self, neighbourhood: Neighbourhood, *, threads: int | None = None, memory_budget: int = MEMORY_BUDGET
    ) -> None:
        self._signup = signup_films(neighbourhood)
        classes = user_classes(neighbourhood, self._signup, LANES, threads)
        shares = neighbourhood.companions.shares
        self._search = _Search(neighbourhood, self._signup, classes, shares, threads, memory_budget)

    def pairs(self, first_movies: ArrayLike | None = None) -> Iterator[PairRecommendations]:
        """Recommend films for pairs.

        Parameters
        ----------
        first_movies : array of int, optional
            movie_ids of sign-up films: only pairs whose smaller movie_id is among them (a shard). Default: all pairs.

        Yields
        ------
        PairRecommendations
            Chunks in order; concatenated (`joined`) they are sorted by (movie_a, movie_b, rank).

        Raises
        ------
        ValueError
            If a film of `first_movies` is not a sign-up film.
        """
        neighbourhood, signup = self._search.neighbourhood, self._signup
        firsts = first_indices(neighbourhood, signup, first_movies)
        asked = second_films(firsts, len(signup))
        for group in self._search.groups(asked, neighbourhood.neighbours):
            answers = self._search.answers(firsts[group], asked[group])
            pairs = np.argwhere(asked[group])
            first, second = signup[firsts[group][pairs[:, 0]]], signup[pairs[:, 1]]
            yield as_rows(neighbourhood, first, second, answers)


def recommend_some(
    neighbourhood: Neighbourhood,
    pairs: NDArray[np.integer],
    count: int,
    *,
    threads: int | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> NDArray[np.int32]:
    """Recommend films for some pairs of any films, exactly.

    Parameters
    ----------
    pairs : integer array, shape (pairs, 2)
        Catalogue positions of films with a vector, two different ones in each row; rows may repeat.
    count : int
        Films wanted, in place of `per_pair`: it also decides whether the neighbours found suffice.
    memory_budget : int
        As for `PairSearch`.

    Returns
    -------
    int32 array, shape (pairs, count)
        movie_ids, best first, -1 where fewer are found.
    """
    parameters = neighbourhood.parameters.model_copy(update={"per_pair": count})
    films, at = np.unique(pairs, return_inverse=True)
    asked = np.zeros((len(films), len(films)), dtype=bool)
    low, high = at.reshape(-1, 2).min(axis=1), at.reshape(-1, 2).max(axis=1)
    asked[low, high] = True
    neighbourhood = replace(neighbourhood, parameters=parameters)
    films = films.astype(np.int32)
    shares = neighbourhood.shares_of(films, threads)
    search = _Search(neighbourhood, films, separate_users(neighbourhood), shares, threads, memory_budget)
    row_of_pair = np.zeros(asked.shape, dtype=np.int64)
    lists = np.full((int(asked.sum()), count), -1, dtype=np.int32)
    done = 0
    for group in search.groups(asked, neighbourhood.neighbours):
        answers = search.answers(group, asked[group])
        kept = np.arange(count) < answers.summary[:, :1]
        rows = lists[done : done + len(kept)]
        rows[kept] = neighbourhood.catalogue.movie_ids[answers.films[kept]]
        here = np.zeros_like(asked)
        here[group] = asked[group]
        row_of_pair[here] = np.arange(done, done + len(kept))
        done += len(kept)
    return lists[row_of_pair[low, high]]


class _Search:
    """What all groups of pairs of some films share: users, film scores and, if they fit the budget, the tiles."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        films: NDArray[np.int32],
        classes: UserClasses,
        shares: NDArray[np.int32],
        threads: int | None,
        memory_budget: int,
    ) -> None:
        self.neighbourhood = neighbourhood
        self.threads = thread_count(threads)
        self.budget = memory_budget
        self.films = films
        self.scores = film_scores(neighbourhood, self.films)
        self.classes = classes
        self.votes = make_votes(neighbourhood, shares, self.threads, memory_budget // 8)
        memory_budget -= self.votes.ballots.own.nbytes + self.votes.ballots.shared.nbytes
        self.steps = in_steps(self.scores)
        self.blocks = -(-len(self.classes.norms) // LANES)
        block_bytes = len(self.films) * LANES * 2 + padded(len(self.films)) * 4
        self.blocks_at_once = max(1, min(self.blocks, int(0.8 * memory_budget) // max(block_bytes, 1)))
        self.tile_bytes = self.blocks_at_once * block_bytes
        self.all_tiles: Tiles | None = None

    def tiles(self) -> Iterator[Tiles]:
        """Scores of all users, as much at a time as the budget allows; made once if everything fits."""
        if self.all_tiles is not None:
            yield self.all_tiles
            return
        for block in range(0, self.blocks, self.blocks_at_once):
            high = min((block + self.blocks_at_once) * LANES, len(self.classes.norms))
            tiles = fill_tiles(self.classes, self.scores, self.steps, block * LANES, high, self.threads)
            if self.blocks_at_once == self.blocks:
                self.all_tiles = tiles
            yield tiles

    def groups(self, asked: NDArray[np.bool_], wanted: int) -> Iterator[NDArray[np.int64]]:
        """Cut first films into runs whose pairs fit what the tiles leave of the budget.

        Parameters
        ----------
        asked : bool array, shape (first films, films)
            The pairs asked for.
        wanted : int
            Neighbours looked for.

        Yields
        ------
        int64 array
            Indices of first films (rows of `asked`), in order; at least one.
        """
        pair_bytes = 6 * capacity(wanted) + 40 + 40 * self.neighbourhood.parameters.per_pair
        most = max(1, (self.budget - self.tile_bytes) // pair_bytes)
        group: list[int] = []
        pairs = 0
        for first, count in enumerate(asked.sum(axis=1).tolist()):
            if count and group and pairs + count > most:
                yield np.array(group)
                group, pairs = [], 0
            if count:
                group.append(first)
                pairs += count
        if group:
            yield np.array(group)

    def answers(self, firsts: NDArray[np.int64], asked: NDArray[np.bool_]) -> Settled:
        """Settle pairs of some first films, then again those whose list has to grow.

        Parameters
        ----------
        firsts : int64 array, shape (first films,)
            Indices of `films`.
        asked : bool array, shape (first films, films)
            The pairs asked for.
        """
        parameters = self.neighbourhood.parameters
        rows = np.cumsum(asked.ravel()).reshape(asked.shape) - 1
        answers = no_answers(int(asked.sum()), parameters.per_pair)
        self._settle(firsts, asked, self.neighbourhood.neighbours, rows, answers)
        most = min(parameters.max_neighbours, int(self.neighbourhood.eligible.sum()))
        used, found = answers.summary[:, 1], answers.summary[:, 2]
        growing = np.zeros_like(asked)
        growing[asked] = (found < parameters.per_pair) & (used < most)
        for group in self.groups(growing, most):
            self._settle(firsts[group], growing[group], most, rows[group], answers)
        return answers

    def _settle(
        self,
        firsts: NDArray[np.int64],
        asked: NDArray[np.bool_],
        wanted: int,
        rows: NDArray[np.int64],
        answers: Settled,
    ) -> None:
        """Find the first `wanted` neighbours of the pairs asked for, and let them vote."""
        candidates = no_candidates(asked, wanted)
        for tiles in self.tiles():
            scan(tiles, self.classes, self.scores, firsts, wanted, candidates, self.threads)
        exact = exact_scores(self.classes, self.scores)
        settle(
            candidates,
            exact,
            self.votes,
            self.films,
            firsts,
            wanted,
            rows,
            answers,
            self.threads,
        )
