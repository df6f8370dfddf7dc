"""Users who like the films themselves: who they are, and that the index is blind without them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from recommender.ann.bound import bind
from recommender.ann.build import build_index
from recommender.ann.index import open_index
from recommender.ann.recall import measure_recall
from recommender.data.inverted_index import make_fans
from recommender.data.model_data import Neighbourhood
from recommender.lists import film_bonuses, recommend_list
from tests.recommender.worlds import random_world


def test_fans_of_a_film_are_the_users_who_like_it() -> None:
    world = random_world(32, users=200, min_likes=4).neighbourhood()
    fans = make_fans(world.likes, len(world.catalogue.movie_ids))
    users = np.repeat(np.arange(len(world.likes.user_ids)), np.diff(world.likes.indptr))
    for film in (0, 3, 20):
        expected = users[world.likes.films == film]
        assert fans.of(film).tolist() == expected.tolist()


def test_films_without_a_vector_earn_nothing() -> None:
    world = random_world(33, liked_bonus=2.0).neighbourhood()
    bare = np.flatnonzero(world.catalogue.vector_rows < 0)[:1].astype(np.int32)
    assert film_bonuses(world, bare).tolist() == [0.0]


def test_index_with_a_bonus_finds_nearly_all_neighbours(tmp_path: Path) -> None:
    world = random_world(
        34, users=3000, films=300, with_vector=280, tags=40, most_likes=40, top_movies=200, levels=9, liked_bonus=0.5,
        annoy_candidates=60, neighbours=20, max_neighbours=30,
    )  # fmt: skip
    neighbourhood = world.neighbourhood()
    build_index(tmp_path / "users.ann", neighbourhood)
    bound = bind(open_index(tmp_path / "users.ann"), neighbourhood)
    assert measure_recall(bound, profiles=60) >= 0.95
    assert bound.fans is not None
    # The measure knows what the bonus does: it notices an index that proposes by cosine alone.
    blind = np.zeros(0, dtype=np.int32)
    empty = replace(bound.fans, users=blind, indptr=np.zeros_like(bound.fans.indptr))
    exact = [recommend_list(neighbourhood, pair).neighbour_ids for pair in pairs(neighbourhood)]
    cosine_only = replace(bound, fans=empty)
    missed = [
        np.isin(true, recommend_list(neighbourhood, pair, index=cosine_only).neighbour_ids, invert=True).mean()
        for true, pair in zip(exact, pairs(neighbourhood), strict=True)
    ]
    assert np.mean(missed) > 0.1


def pairs(neighbourhood: Neighbourhood) -> list[list[int]]:
    """A few pairs of sign-up films."""
    films = neighbourhood.signup_movies()
    return [[int(films[n]), int(films[n + 1])] for n in range(40, 120, 9)]
