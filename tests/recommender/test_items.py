"""Item model and similar films against plain loops, and the same numbers whatever the threads and the way of asking."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from recommender.data.model_data import Neighbourhood
from recommender.data.rated import Rated, make_rated
from recommender.items.model import ItemModel, make_item_model
from recommender.items.ranking import rank_profile, rank_users, score_parts
from recommender.items.similar import SimilarFilms
from tests.brute_force import integer_power
from tests.recommender.worlds import World, random_world

SETTINGS: dict[str, Any] = {"user_regularization": 20.0, "user_films": 60}


@pytest.fixture(scope="module")
def world() -> World:
    return random_world(5, users=200, films=120, with_vector=90, most_likes=25, **SETTINGS)


@pytest.fixture(scope="module")
def neighbourhood(world: World) -> Neighbourhood:
    return world.neighbourhood()


@pytest.fixture(scope="module", params=["ease", "rp3beta"])
def items(request: pytest.FixtureRequest, neighbourhood: Neighbourhood) -> ItemModel:
    parameters = neighbourhood.parameters.model_copy(update={"user_method": request.param})
    one = make_item_model(neighbourhood.likes, neighbourhood.catalogue, parameters, threads=1)
    several = make_item_model(neighbourhood.likes, neighbourhood.catalogue, parameters, threads=3)
    assert np.array_equal(one.weights, several.weights)
    return one


def rated_too(world: World, neighbourhood: Neighbourhood) -> Rated:
    """The likes, and two more films that each user rated lower, in any order of rows."""
    likes, films = neighbourhood.likes, neighbourhood.catalogue.movie_ids
    rows = {
        (user, int(film))
        for n, user in enumerate(likes.user_ids.tolist())
        for film in [*likes.films[likes.indptr[n] : likes.indptr[n + 1]], n % len(films), n * 7 % len(films)]
    }
    shuffled = np.random.default_rng(1).permutation(np.array(sorted(rows), dtype=np.int32))
    return make_rated(shuffled[:, 0], shuffled[:, 1].copy())


def test_weights_solve_the_regression_that_ease_is(world: World, neighbourhood: Neighbourhood) -> None:
    """Column f of EASE minimises |x_f - X b|^2 + lambda |b|^2 with b_f = 0: solved here film by film, in fractions of
    the score, without the closed form."""
    items = make_item_model(neighbourhood.likes, neighbourhood.catalogue, neighbourhood.parameters)
    size = len(items.weights)
    ids = [int(neighbourhood.catalogue.movie_ids[film]) for film in items.films[:size]]
    assert ids == sorted(ids, key=lambda film: (-world.brute().total_likes[film], film))
    x = np.array([[film in films for film in ids] for films in world.likes.values()], dtype=float)
    for f in range(0, size, 7):
        others = [g for g in range(size) if g != f]
        gram = x[:, others].T @ x[:, others] + 20.0 * np.eye(size - 1)
        factor = (x[:, f].sum() / len(x)) ** -0.15
        expected = np.linalg.solve(gram, x[:, others].T @ x[:, f]) * factor * 10**6
        assert np.abs(items.weights[others, f] - expected).max() < 2.0
        assert items.weights[f, f] == 0


def test_lists_are_sums_of_weights_in_order(world: World, neighbourhood: Neighbourhood, items: ItemModel) -> None:
    likes, rated = neighbourhood.likes, rated_too(world, neighbourhood)
    users = np.arange(len(likes.user_ids))
    films, scores = rank_users(items, likes, rated, users, 15, threads=1)
    again = rank_users(items, likes, rated, users, 15, threads=3)
    assert np.array_equal(films, again[0])
    assert np.array_equal(scores, again[1])
    for n in users:
        liked = [int(film) for film in likes.films[likes.indptr[n] : likes.indptr[n + 1]]]
        seen = {int(film) for film in rated.of(int(likes.user_ids[n]))}
        assert set(liked) <= seen
        expected = [(-score, film) for film, score in enumerate(plain_scores(items, liked)) if film not in seen]
        assert [(-s, f) for f, s in zip(films[n].tolist(), scores[n].tolist(), strict=True)] == sorted(expected)[:15]


def plain_scores(items: ItemModel, liked: list[int]) -> list[int]:
    """Scores of all films by position; here the order of the model is that of the catalogue."""
    size = len(items.weights)
    return [
        max(0, sum(int(items.weights[a, f]) for a in liked if a < size)) if f < size else 0
        for f in range(len(items.films))
    ]


def test_a_filter_acts_before_the_cut_and_pages_join(neighbourhood: Neighbourhood, items: ItemModel) -> None:
    liked, seen = np.array([3, 0, 90]), np.array([3, 0, 90, 7])
    allowed = np.arange(len(items.films)) % 3 == 1
    whole = rank_profile(items, liked, 1000, seen=seen)
    filtered = rank_profile(items, liked, 10, seen=seen, allowed=allowed)
    assert whole.left == len(items.films) - 4
    assert filtered.left == sum(allowed) - 1
    assert filtered.films.tolist() == [film for film in whole.films.tolist() if allowed[film]][:10]
    pages = [rank_profile(items, liked, 9, seen=seen, skip=skip).films.tolist() for skip in range(0, 120, 9)]
    assert [film for page in pages for film in page] == whole.films.tolist()
    assert rank_profile(items, liked, 1000).left == len(items.films)


def test_parts_add_up_to_the_score(neighbourhood: Neighbourhood, items: ItemModel) -> None:
    liked = neighbourhood.likes.films[neighbourhood.likes.indptr[4] : neighbourhood.likes.indptr[5]]
    found = rank_profile(items, liked, len(items.films))
    parts = score_parts(items, liked, found.films)
    assert parts.shape == (len(items.films), len(liked))
    assert np.array_equal(np.maximum(parts.sum(axis=1), 0), found.scores)
    assert parts.any()


@pytest.mark.parametrize("settings", [{}, {"companion_weight": 0.0}, {"voter_exponent": 0.0}])
def test_similar_films_follow_the_formula(settings: dict[str, Any]) -> None:
    world = random_world(8, users=90, films=70, with_vector=40, most_likes=15, **settings)
    neighbourhood = world.neighbourhood()
    similar = SimilarFilms(neighbourhood)
    with_list = similar.with_list()
    films, scores = similar.lists(with_list, 12, threads=1)
    again = similar.lists(with_list, 12, threads=3)
    assert np.array_equal(films, again[0])
    assert np.array_equal(scores, again[1])
    ids = neighbourhood.catalogue.movie_ids.tolist()
    brute = world.brute()
    listed = {ids[film]: row for row, film in enumerate(with_list)}
    assert set(listed) == {film for film in ids if film in world.vectors or brute.total_likes[film] >= 5}
    for at, film in enumerate(ids):
        if film in listed:
            row, expected = listed[film], plain_similar(brute, film)[:12]
            found = [(ids[f], s) for f, s in zip(films[row].tolist(), scores[row].tolist(), strict=True) if f >= 0]
            assert found == expected
            page = similar.rank(at, 5, skip=4)
            assert [ids[f] for f in page.films] == [f for f, _ in expected[4:9]]
    odd = np.array([film % 2 == 1 for film in ids])
    filtered = similar.rank(0, 5, allowed=odd)
    assert [ids[f] for f in filtered.films] == [f for f, _ in plain_similar(brute, ids[0]) if f % 2][:5]
    assert filtered.left == sum(brute.total_likes[f] > 0 and f % 2 and f != ids[0] for f in ids)


def test_similar_films_among_more_than_fit_on_the_shortlist() -> None:
    world = random_world(9, users=300, films=3000, with_vector=1500, most_likes=400)
    neighbourhood = world.neighbourhood()
    ids, brute, similar = neighbourhood.catalogue.movie_ids.tolist(), world.brute(), SimilarFilms(neighbourhood)
    for at in (0, 1, 40, 700, 2400):
        found = similar.rank(at, 300)
        listed = zip([ids[film] for film in found.films], found.scores.tolist(), strict=True)
        assert list(listed) == plain_similar(brute, ids[at])


def plain_similar(brute: Any, film: int) -> list[tuple[int, int]]:
    """(film, score in millionths), best first, from the formula in whole numbers."""
    users, fans = len(brute.liked), brute.total_likes[film]
    together = brute.companions(film)
    scores = {}
    for other, likes in brute.total_likes.items():
        if other != film:
            share = (fans * together.get(other, 0) + 5 * (likes * 10**8 // users)) // (fans + 5)
            scores[other] = share * root_factor(likes + 10, users) // 10**8

    def ranked() -> list[int]:
        return sorted(scores, key=lambda other: (-scores[other], -brute.total_likes[other], other))

    scores = {other: scores[other] * (200 + cosine(brute.vectors, film, other)) // 1000 for other in ranked()[:256]}
    return [(other, scores[other]) for other in ranked() if scores[other] > 0]


def root_factor(likes: int, users: int) -> int:
    return integer_power(Fraction(likes, users), 0.5, 10**6)


def cosine(vectors: Any, film: int, other: int) -> int:
    """In thousandths; tags are few here, so that no rounding decides."""
    a, b = vectors.get(film, {}), vectors.get(other, {})
    lengths = (sum(x * x for x in a.values()) * sum(x * x for x in b.values())) ** 0.5
    if lengths == 0:
        return 0
    return int(1000 * sum(x * b.get(tag, 0.0) for tag, x in a.items()) / lengths + 0.5)


def test_rated_rows_of_users_far_apart() -> None:
    found = make_rated(np.array([2_000_000_000, 7, 7, 2_000_000_000]), np.array([5, 9, 2, 1], dtype=np.int32))
    assert found.user_ids.tolist() == [7, 2_000_000_000]
    assert found.of(7).tolist() == [2, 9]
    assert found.of(2_000_000_000).tolist() == [1, 5]
    assert found.of(8).tolist() == []
