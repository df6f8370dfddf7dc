"""The exact engine against the brute force, in every situation that could tell them apart."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.neighbours.exact import PairRecommendations, PairSearch, joined
from recommender.voting import ballots, pair_vote
from tests.recommender.worlds import World, by_pair, random_world


def assert_same_as_brute_force(world: World, **how: Any) -> PairRecommendations:
    result = joined(PairSearch(world.neighbourhood(), **how).pairs())
    brute = world.brute()
    expected = {pair: brute.recommend_with_count(pair) for pair in brute.all_pairs()}
    assert by_pair(result) == {pair: ranked for pair, (ranked, _) in expected.items()}
    assert result.neighbours_used.tolist() == [count for _, count in expected.values()]
    return result


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"min_likes": 1, "neighbours": 10, "per_pair": 3},
        {"liked_bonus": 0.25},
        {"weighting": "idf"},
        {"weighting": "tfidf"},
        {"weighting": "tfidf", "liked_bonus": 1.0, "neighbours": 5},
        {"voter_exponent": 0.0, "companion_weight": 0.0, "popularity_exponent": 0.0},
        {"voter_exponent": 1.0, "companion_weight": 0.0, "popularity_exponent": 0.5},
        {"voter_exponent": 0.25, "companion_weight": 10.0, "popularity_exponent": 0.0, "per_pair": 30},
        {"neighbours": 1, "neighbour_step": 1, "max_neighbours": 7, "per_pair": 12},
        {"neighbours": 3, "neighbour_step": 4, "max_neighbours": 90, "per_pair": 200, "liked_bonus": 2.0},
    ],
    ids=str,
)
def test_random_worlds(seed: int, changed: dict[str, Any]) -> None:
    assert_same_as_brute_force(random_world(seed, **changed))


@pytest.mark.parametrize("kept", [0, 1, 3, 10])
@pytest.mark.parametrize("settings", [{}, {"companion_weight": 0.5, "neighbours": 3}, {"popularity_exponent": 0.5}])
def test_few_listed_companions_change_nothing(
    kept: int, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few companions listed, ceilings decide, and often not: then all films are scored."""
    monkeypatch.setattr(pair_vote, "LISTED", kept)
    for seed in range(3):
        assert_same_as_brute_force(random_world(seed, users=200, films=150, with_vector=100, **settings))


@pytest.mark.parametrize("words", [0, 1, 3, 4, 6, 9])
@pytest.mark.parametrize(
    "settings", [{}, {"voter_exponent": 1.0, "popularity_exponent": 0.5}, {"companion_weight": 0.0}]
)
def test_films_that_share_bits_of_ballots_change_nothing(
    words: int, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ballots, "WORDS", words)
    for seed in range(3):
        assert_same_as_brute_force(random_world(seed, users=200, films=400, with_vector=120, top_movies=20, **settings))


@pytest.mark.parametrize(("users", "films", "tags"), [(1, 3, 2), (5, 8, 3), (64, 30, 5), (65, 30, 5), (700, 120, 40)])
def test_sizes(users: int, films: int, tags: int) -> None:
    assert_same_as_brute_force(
        random_world(7, users=users, films=films, with_vector=films - 1, tags=tags, min_likes=1, levels=6)
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("memory_budget", [1, 40_000, 10**9])
def test_neither_threads_nor_memory_change_the_answer(threads: int, memory_budget: int) -> None:
    world = random_world(3, users=400, films=90, with_vector=80, min_likes=1)
    assert_same_as_brute_force(world, threads=threads, memory_budget=memory_budget)


@pytest.mark.parametrize("bonus", [0.0, 0.5])
def test_many_identical_users_rank_by_user_id(bonus: float) -> None:
    world = random_world(5, users=40, min_likes=1, neighbours=6, per_pair=4, liked_bonus=bonus)
    films = sorted(world.vectors)
    for n in range(600):
        world.likes[1000 + n] = [films[n % 3], films[3]] if n % 2 else [films[4]]
    assert_same_as_brute_force(world)


@pytest.mark.parametrize(("users", "most"), [(30, 90), (420, 90), (420, 14), (20, 8)])
def test_without_a_number_it_follows_from_the_number_of_users(users: int, most: int) -> None:
    world = random_world(12, users=users, min_likes=1, neighbours=0, max_neighbours=most, per_pair=3)
    result = assert_same_as_brute_force(world)
    assert result.neighbours_used.max() == min(max(10, round(1.5 * len(world.brute().users) ** 0.5)), most)


def test_users_with_parallel_vectors_rank_by_user_id() -> None:
    # (3, 6, 7) x k with awkward k: equal cosines on paper, but not in floating point
    vectors = {
        film: [3.0 * k, 6.0 * k, 7.0 * k] for film, k in zip(range(1, 9), [1, 3, 5, 7, 11, 13, 17, 19], strict=True)
    }
    vectors |= {20: [1.0, 0.0, 2.0], 21: [0.0, 5.0, 1.0]}
    rng = np.random.default_rng(0)
    likes = {}
    for user in range(1, 301):
        likes[user] = [int(film) for film in rng.choice(np.arange(1, 9), rng.integers(1, 6), replace=False)]
        likes[user].append(30 + user % 50)  # has no vector, so that the votes tell who was asked
    likes[500] = [20, 21, 1]
    assert_same_as_brute_force(World(likes, vectors, {"min_likes": 1, "neighbours": 5, "per_pair": 6}))


def test_more_ties_than_any_buffer_holds() -> None:
    rng = np.random.default_rng(1)
    vectors = {film: [1.0, 2.0, 0.0] for film in range(1, 13)} | {13: [1.0, 2.0, 1.0], 14: [1.0, 2.0, 0.5]}
    vectors = {film: [x * film for x in vector] for film, vector in vectors.items()}
    likes = {u: [int(f) for f in rng.choice(np.arange(1, 15), 3, replace=False)] + [100 + u] for u in range(900)}
    assert_same_as_brute_force(World(likes, vectors, {"neighbours": 4, "per_pair": 3}))


def test_users_who_like_nothing_with_a_vector_are_nobodys_neighbours() -> None:
    world = random_world(8, users=30, with_vector=30)
    bare = [film for film in {f for films in world.likes.values() for f in films} if film not in world.vectors]
    world.likes |= {5000 + n: bare for n in range(50)}
    assert_same_as_brute_force(world)


def test_films_whose_vector_is_zero() -> None:
    world = random_world(9, min_likes=1)
    for film in sorted(world.vectors)[:12]:
        world.vectors[film] = [0.0] * 6
    assert_same_as_brute_force(world)


def test_fewer_users_than_neighbours() -> None:
    result = assert_same_as_brute_force(random_world(2, users=9, min_likes=1))
    assert (result.neighbours_used <= 9).all()


def test_short_lists_are_explained_by_the_neighbours_used() -> None:
    world = random_world(4, neighbours=2, neighbour_step=3, max_neighbours=11, per_pair=30, companion_weight=0.0)
    result = assert_same_as_brute_force(world)
    short = result.films_found < 30
    assert short.any()
    assert (result.neighbours_used[short] == 11).all()


def test_nobody_to_ask() -> None:
    result = assert_same_as_brute_force(random_world(4, min_likes=500, companion_weight=0.0))
    assert len(result.pair_a) > 0
    assert len(result.movie_id) == 0
    result = assert_same_as_brute_force(random_world(4, min_likes=500))  # companions are known without a neighbour
    assert len(result.movie_id) > 0
    assert not result.votes.any()


def test_no_films_at_all() -> None:
    assert len(joined(PairSearch(World({}, {}).neighbourhood()).pairs()).pair_a) == 0


@settings(max_examples=60)
@given(st.data())
def test_any_small_world(data: st.DataObject) -> None:
    films = data.draw(st.integers(2, 9))
    level = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    vectors = data.draw(
        st.dictionaries(st.integers(1, films), st.lists(level, min_size=3, max_size=3), min_size=1, max_size=films)
    )
    liked = st.lists(st.integers(1, films), min_size=1, max_size=films, unique=True)
    likes = data.draw(st.dictionaries(st.integers(1, 99), liked, min_size=1, max_size=40))
    first = data.draw(st.integers(1, 6))
    world = World(
        likes,
        vectors,
        {
            "neighbours": first,
            "max_neighbours": first + data.draw(st.integers(0, 9)),
            "neighbour_step": data.draw(st.integers(1, 4)),
            "per_pair": data.draw(st.integers(1, 8)),
            "min_likes": data.draw(st.integers(1, 3)),
            "top_movies": data.draw(st.integers(2, 9)),
            "liked_bonus": data.draw(st.sampled_from([0.0, 0.0, 0.5])),
            "weighting": data.draw(st.sampled_from(["none", "idf"])),
            "voter_exponent": data.draw(st.sampled_from([0.0, 0.5, 0.75])),
            "companion_weight": data.draw(st.sampled_from([0.0, 0.5, 2.0])),
            "popularity_exponent": data.draw(st.sampled_from([0.0, 0.15, 0.5])),
        },
    )
    assert_same_as_brute_force(world, memory_budget=data.draw(st.sampled_from([1, 10**9])))


@pytest.mark.parametrize("shards", [2, 7])
def test_shards_make_up_the_whole(shards: int) -> None:
    neighbourhood = random_world(6, users=200).neighbourhood()
    whole = joined(PairSearch(neighbourhood).pairs())
    films = np.sort(neighbourhood.signup_movies())
    parts = [joined(PairSearch(neighbourhood).pairs(films[shard::shards])) for shard in range(shards)]
    both = joined(parts)
    order = np.lexsort((both.rank, both.movie_b, both.movie_a))
    pair_order = np.lexsort((both.pair_b, both.pair_a))
    for name in (f.name for f in fields(PairRecommendations)):
        sorted_parts = getattr(both, name)[pair_order if len(getattr(both, name)) == len(pair_order) else order]
        np.testing.assert_array_equal(sorted_parts, getattr(whole, name), err_msg=name)


def test_a_shard_names_sign_up_films_only() -> None:
    neighbourhood = random_world(6).neighbourhood()
    with pytest.raises(ValueError, match="not a sign-up film"):
        list(PairSearch(neighbourhood).pairs([int(neighbourhood.catalogue.movie_ids[-1])]))


def test_arrays_of_another_release_are_refused() -> None:
    neighbourhood = random_world(6).neighbourhood()
    with pytest.raises(ValueError, match="another release"):
        replace(neighbourhood, norms=neighbourhood.norms[:-1])
