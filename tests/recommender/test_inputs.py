"""Catalogue, likes and user vectors: the order everything else relies on, and what is refused."""

import numpy as np
import pytest

from recommender.data.catalogue import make_catalogue, positions_of, signup_positions, weighted_vectors
from recommender.data.encoder import encode_profile, iter_user_vectors, user_norms, user_vectors
from recommender.data.likes import Likes, likes_from_pairs, some_users
from recommender.warm_up import warm_up, warm_up_serving
from recommender.weightings import WEIGHTINGS
from tests.brute_force import weighted
from tests.recommender.worlds import random_world


def test_catalogue_order_is_likes_then_movie_id() -> None:
    catalogue = make_catalogue([9, 4, 7, 2], [3, 5, 3, 0], [7, 2], [[1.0], [2.0]])
    assert catalogue.movie_ids.tolist() == [4, 7, 9, 2]
    assert catalogue.like_counts.tolist() == [5, 3, 3, 0]
    assert catalogue.vector_rows.tolist() == [-1, 0, -1, 1]


def test_signup_films_have_a_vector_and_a_like() -> None:
    catalogue = make_catalogue([1, 2, 3, 4, 5], [2, 9, 2, 0, 2], [5, 3, 1, 4], np.ones((4, 2)))
    assert catalogue.movie_ids[signup_positions(catalogue, 2)].tolist() == [1, 3]
    assert catalogue.movie_ids[signup_positions(catalogue, 100)].tolist() == [1, 3, 5]


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_vectors_must_be_finite_and_not_negative(bad: float) -> None:
    vectors = np.ones((3, 2))
    vectors[1, 1] = bad
    with pytest.raises(ValueError, match="first is row 1"):
        make_catalogue([1, 2, 3], [1, 1, 1], [1, 2, 3], vectors)


def test_a_catalogue_names_each_film_once() -> None:
    with pytest.raises(ValueError, match="movie_id 2 occurs twice"):
        make_catalogue([1, 2, 2], [1, 1, 1], [1], np.ones((1, 2)))
    with pytest.raises(ValueError, match="two vectors"):
        make_catalogue([1, 2], [1, 1], [1, 1], np.ones((2, 2)))
    with pytest.raises(ValueError, match="movie_id 8"):
        make_catalogue([1, 2], [1, 1], [8], np.ones((1, 2)))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weighting_as_documented(weighting: str) -> None:
    world = random_world(1, levels=9)
    vectors = np.array(list(world.vectors.values()), dtype=np.float32)
    expected = weighted(world.vectors, weighting)
    for row, film in zip(weighted_vectors(vectors, weighting), world.vectors, strict=True):
        np.testing.assert_allclose(row, [expected[film].get(tag, 0.0) for tag in range(6)], rtol=1e-6)


@pytest.mark.parametrize("spread", [1, 10**8])
def test_likes_become_sorted_positions(spread: int) -> None:
    catalogue = make_catalogue(np.array([5, 1, 3]) * spread, [1, 2, 3], [], np.zeros((0, 2)))
    likes = likes_from_pairs([4, 4, 7], np.array([5, 3, 1]) * spread, catalogue)
    assert likes.user_ids.tolist() == [4, 7]
    assert likes.indptr.tolist() == [0, 2, 3]
    assert likes.films.tolist() == [0, 2, 1]


@pytest.mark.parametrize("spread", [1, 10**6])
def test_any_likes_are_found_again_by_id(spread: int) -> None:
    rng = np.random.default_rng(spread)
    movies = rng.permutation(900)[:300].astype(np.int32) * spread
    catalogue = make_catalogue(movies, rng.integers(0, 9, 300), movies[:200], rng.random((200, 3)))
    liked = {int(user): set(rng.choice(movies, rng.integers(1, 40)).tolist()) for user in rng.permutation(500)[:90]}
    rows = np.array([(user, movie) for user in sorted(liked) for movie in liked[user]])
    likes = likes_from_pairs(rows[:, 0], rows[:, 1], catalogue, threads=3)
    assert likes.user_ids.tolist() == sorted(liked)

    def films_of(user: int, of: Likes) -> list[int]:
        return of.films[of.indptr[user] : of.indptr[user + 1]].tolist()

    for user, films in enumerate(map(liked.__getitem__, sorted(liked))):
        assert films_of(user, likes) == sorted(catalogue.movie_ids.tolist().index(film) for film in films)
    few = np.array([0, 7, 89])
    some = some_users(likes, few)
    assert some.user_ids.tolist() == likes.user_ids[few].tolist()
    assert [films_of(n, some) for n in range(3)] == [films_of(user, likes) for user in few]
    np.testing.assert_array_equal(positions_of(catalogue.movie_ids, catalogue.movie_ids), np.arange(300))
    for movie, row in zip(movies[:200], catalogue.vectors, strict=True):
        (at,) = positions_of(catalogue.movie_ids, movie)
        np.testing.assert_array_equal(catalogue.vectors[catalogue.vector_rows[at]], row)


@pytest.mark.parametrize(
    ("users", "movies", "reason"),
    [
        ([2, 1], [1, 1], "sorted by user_id"),
        ([1, 2], [1, 9], "movie_id 9"),
        ([1, 2, 2], [1, 3, 3], "user_id 2 likes the same film twice"),
        ([1], [1, 1], "equally long"),
    ],
)
def test_likes_that_are_refused(users: list[int], movies: list[int], reason: str) -> None:
    catalogue = make_catalogue([1, 3], [1, 1], [], np.zeros((0, 2)))
    with pytest.raises(ValueError, match=reason):
        likes_from_pairs(users, movies, catalogue)


def test_user_vectors_are_unit_sums_and_norms_belong_to_them() -> None:
    world = random_world(2, users=300, with_vector=20, films=90)
    neighbourhood, brute = world.neighbourhood(), world.brute()
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    vectors, norms = user_vectors(likes, catalogue, threads=3), user_norms(likes, catalogue, threads=3)
    for user, vector, norm, count, with_vector in zip(
        likes.user_ids.tolist(), vectors, norms.norms, norms.likes, norms.likes_with_vector, strict=True
    ):
        total = np.array([float(brute.sums[user].get(tag, 0)) for tag in range(6)])
        np.testing.assert_allclose(norm, np.sqrt((total**2).sum()), rtol=1e-14)
        np.testing.assert_allclose(vector, total / norm if norm else total, rtol=1e-6)
        assert count == len(world.likes[user])
        assert with_vector == sum(film in world.vectors for film in world.likes[user])
    assert (norms.norms == 0).any()
    assert likes.user_ids[norms.eligible(3)].tolist() == brute.users
    blocks = [block for _, _, block in iter_user_vectors(likes, catalogue, block=37, threads=2)]
    np.testing.assert_array_equal(np.concatenate(blocks), vectors)


def test_a_profile_is_encoded_as_a_user_is() -> None:
    neighbourhood = random_world(3).neighbourhood()
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    vectors = user_vectors(likes, catalogue)
    for user in range(20):
        films = likes.films[likes.indptr[user] : likes.indptr[user + 1]]
        vector, norm = encode_profile(catalogue, films[::-1])
        np.testing.assert_array_equal(vector, vectors[user])
        assert norm == neighbourhood.norms[user]


def test_warming_up_twice_does_no_harm() -> None:
    for _ in range(2):
        warm_up()
        warm_up_serving()
