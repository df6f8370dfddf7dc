"""Users proposed for liking the films themselves: who they are, and that the index is blind without them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.annoy_index import build_index, measure_recall, open_index
from recommender.fans import make_fans
from recommender.live import film_bonuses, recommend_list
from recommender.neighbourhood import Neighbourhood
from tests.recommender.worlds import random_world


def expected_proposals(world: Neighbourhood, films: list[int], bonuses: list[float], wanted: int) -> set[int]:
    """The same in plain loops: largest bonus first, then smallest norm, then smallest index."""
    ranked = []
    for user in np.flatnonzero(world.eligible):
        liked = set(world.likes.films[world.likes.indptr[user] : world.likes.indptr[user + 1]].tolist())
        total = sum(bonus for film, bonus in zip(films, bonuses, strict=True) if film in liked)
        if total > 0:
            ranked.append((-total, world.norms[user], int(user)))
    return {user for _, _, user in sorted(ranked)[:wanted]}


@pytest.mark.parametrize("wanted", [1, 7, 40, 1000])
def test_proposals_are_the_users_with_the_largest_bonus(wanted: int) -> None:
    world = random_world(31, users=300, liked_bonus=0.5, min_likes=2).neighbourhood()
    fans = make_fans(world.likes, len(world.catalogue.movie_ids), world.norms, world.eligible)
    for films in ([0, 1], [2, 9, 17], [5]):
        bonuses = [0.5, 0.25, 1.0][: len(films)]
        found = fans.proposals(np.array(films), np.array(bonuses), wanted)
        assert set(found.tolist()) == expected_proposals(world, films, bonuses, wanted)
        assert len(set(found.tolist())) == len(found)


def test_fans_of_a_film_are_the_eligible_users_who_like_it() -> None:
    world = random_world(32, users=200, min_likes=4).neighbourhood()
    fans = make_fans(world.likes, len(world.catalogue.movie_ids), world.norms, world.eligible)
    users = np.repeat(np.arange(len(world.likes.user_ids)), np.diff(world.likes.indptr))
    for film in (0, 3, 20):
        expected = users[(world.likes.films == film) & world.eligible[users]]
        assert sorted(fans.of(film).tolist()) == expected.tolist()


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
    bound = open_index(tmp_path / "users.ann").bound_to(neighbourhood)
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
