"""Small worlds for the tests: ratings and vectors as plain data, and the same as the recommender's arrays."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recommender.data.catalogue import make_catalogue, weighted_catalogue
from recommender.data.likes import likes_from_pairs
from recommender.data.model_data import Neighbourhood, make_neighbourhood
from recommender.neighbours.exact import PairRecommendations
from recommender.parameters import make_parameters
from tests.brute_force import BruteForce, Ranked


@dataclass
class World:
    """Liked films by user, film vectors by film, and parameter settings that differ from the defaults."""

    likes: dict[int, list[int]]
    vectors: dict[int, list[float]]
    settings: dict[str, Any] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """All parameters by name."""
        return make_parameters("default", self.settings).model_dump()

    def brute(self) -> BruteForce:
        """The rules as plain loops, on this world."""
        ratings = [(user, film, 5.0, 0) for user, films in self.likes.items() for film in films]
        return BruteForce(ratings, self.vectors, self.parameters())

    def neighbourhood(self) -> Neighbourhood:
        """This world as the recommender's arrays."""
        parameters = make_parameters("default", self.settings)
        counts = Counter(film for films in self.likes.values() for film in films)
        films = sorted({*counts, *self.vectors}, key=lambda film: film * 7919 % 10007)  # any order will do
        tags = len(next(iter(self.vectors.values()), [0.0]))
        vectors = np.array(list(self.vectors.values()), dtype=np.float32).reshape(len(self.vectors), tags)
        catalogue = make_catalogue(films, [counts[film] for film in films], list(self.vectors), vectors)
        catalogue = weighted_catalogue(catalogue, parameters)
        rows = [(user, film) for user in sorted(self.likes) for film in self.likes[user]]
        pairs = np.array(rows, dtype=np.int64).reshape(-1, 2)
        return make_neighbourhood(likes_from_pairs(pairs[:, 0], pairs[:, 1], catalogue), catalogue, parameters)


def random_world(
    seed: int,
    users: int = 80,
    films: int = 60,
    with_vector: int = 45,
    tags: int = 6,
    most_likes: int = 12,
    levels: int = 4,
    **settings: Any,
) -> World:
    """Draw a world; few tags and few levels of relevance make many users alike and many films parallel."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(films * 3)[:films] + 1
    popularity = 1.0 / (1.0 + np.arange(films))
    likes = {}
    for user in rng.permutation(users * 2)[:users] + 1:
        count = min(int(rng.integers(1, most_likes + 1)), films)
        likes[int(user)] = [int(f) for f in rng.choice(ids, count, replace=False, p=popularity / popularity.sum())]
    owners = rng.choice(ids, with_vector, replace=False)
    vectors = {int(f): [float(x) for x in rng.integers(0, levels, tags) / (levels - 1)] for f in owners}
    return World(likes, vectors, {"top_movies": 20, **settings})


def by_pair(result: PairRecommendations) -> dict[tuple[int, int], Ranked]:
    """The engine's answer in the brute force's shape; every pair asked for has an entry."""
    table: dict[tuple[int, int], Ranked] = {
        (a, b): [] for a, b in zip(result.pair_a.tolist(), result.pair_b.tolist(), strict=True)
    }
    columns = (result.movie_a, result.movie_b, result.rank, result.movie_id, result.votes, result.score)
    for a, b, rank, movie, votes, score in zip(*(column.tolist() for column in columns), strict=True):
        table[a, b].append((movie, votes, score))
        assert rank == len(table[a, b])
    return table
