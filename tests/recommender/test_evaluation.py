"""The evaluation: nothing of the users asked about is seen, the answers are the engine's, and it repeats exactly."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, make_catalogue
from recommender.evaluation.baselines import item_item, most_popular
from recommender.evaluation.evaluate import (
    CURRENT,
    PLACES,
    Training,
    by_model,
    cases_of,
    evaluate,
    methods_of,
    value_of,
)
from recommender.evaluation.splits import LIKED, Ratings, Split, folds, later_split, validation_splits
from recommender.evaluation.splits import test_split as held_out_users
from recommender.evaluation.sweep import AROUND, GRID, Trial, best_trial, sweep
from recommender.lists import recommend_list
from recommender.neighbours.exact import joined, recommend_pairs, recommend_some
from recommender.parameters import make_parameters
from tests.recommender.worlds import by_pair, random_world

PARAMETERS = make_parameters(settings={"top_movies": 40, "min_likes": 2})


def small_data(seed: int = 1, users: int = 120, films: int = 60) -> tuple[Ratings, Catalogue]:
    """Ratings with a few likes per user, and film vectors."""
    rng = np.random.default_rng(seed)
    popularity = 1 / (3.0 + np.arange(films))
    rows = []
    for user in range(1, users + 1):
        for movie in np.sort(rng.choice(films, rng.integers(3, 25), replace=False, p=popularity / popularity.sum())):
            rows.append((user, movie + 1, float(rng.integers(5, 11)) / 2, 1000 * user + int(rng.integers(5000))))
    table = np.array(rows)
    ratings = Ratings(
        table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2].astype(np.float32),
        table[:, 3].astype(np.int64),
    )  # fmt: skip
    ids = np.arange(1, films + 1)
    return ratings, make_catalogue(ids, np.zeros(films), ids[:50], rng.random((50, 8)))


def all_splits(ratings: Ratings) -> list[Split]:
    return [held_out_users(ratings, 5), later_split(ratings), *validation_splits(ratings, 5)]


def with_other_likes(ratings: Ratings, rows: np.ndarray) -> Ratings:
    """The same with other films and stars in some rows; users stay."""
    movies, stars = ratings.movie_ids.copy(), ratings.stars.copy()
    for user in np.unique(ratings.user_ids[rows]):
        own = rows & (ratings.user_ids == user)
        movies[own] = np.arange(60, 60 - own.sum(), -1)
        stars[own] = 5.0
    return replace(ratings, movie_ids=movies, stars=stars)


@pytest.mark.parametrize("number", range(6))
def test_users_asked_about_influence_nothing_the_model_sees(number: int) -> None:
    ratings, films = small_data()
    split = all_splits(ratings)[number]
    assert split.asked.any()
    assert not (split.seen & split.asked).any()
    other = with_other_likes(ratings, split.asked)
    assert (other.movie_ids != ratings.movie_ids).any()
    cases = cases_of(ratings, split, Training(ratings, split, films), PARAMETERS, most=200, most_per_user=4, seed=5)
    assert len(cases.pairs) > 20
    before, after = Training(ratings, split, films), Training(other, split, films)
    np.testing.assert_array_equal(before.likes()[1].movie_ids, after.likes()[1].movie_ids)  # the order by like counts
    np.testing.assert_array_equal(before.likes()[1].like_counts, after.likes()[1].like_counts)
    assert not np.isin(before.likes()[0].user_ids, ratings.user_ids[split.asked]).any()
    for method in methods_of(PARAMETERS).values():
        np.testing.assert_array_equal(method(before, cases), method(after, cases))


def test_a_leak_would_be_noticed() -> None:
    """The same test, on a split that shows the users it asks about, must fail."""
    ratings, films = small_data()
    honest = held_out_users(ratings, 5)
    leaking = replace(honest, seen=np.ones_like(honest.seen))
    other = with_other_likes(ratings, honest.asked)
    cases = cases_of(ratings, honest, Training(ratings, honest, films), PARAMETERS, most=200, most_per_user=4, seed=5)
    answer = by_model(PARAMETERS)
    before, after = (answer(Training(some, leaking, films), cases) for some in (ratings, other))
    assert (before != after).any()


def test_test_users_are_in_no_validation_split() -> None:
    ratings, _ = small_data()
    test = held_out_users(ratings, 5).asked
    splits = validation_splits(ratings, 5)
    for split in splits:
        assert not (test & (split.seen | split.asked)).any()
    np.testing.assert_array_equal(np.sum([split.asked for split in splits], axis=0), ~test)


def test_fold_of_a_user_does_not_depend_on_others() -> None:
    ids = np.arange(1, 50_001)
    every = folds(ids, 7)
    np.testing.assert_array_equal(folds(ids[::13], 7), every[::13])
    assert np.bincount(every) / len(ids) == pytest.approx([0.2] * 5, abs=0.01)
    assert (folds(ids, 8) != every).any()


def test_later_users_come_after_all_that_is_seen() -> None:
    ratings, _ = small_data()
    split = later_split(ratings)
    date = ratings.rated_at[split.seen].max()
    for user in np.unique(ratings.user_ids[split.asked]):
        assert ratings.rated_at[ratings.user_ids == user].min() > date
    assert 15 <= len(np.unique(ratings.user_ids[split.asked])) <= 25  # a fifth of 120 users


def test_cases_are_pairs_of_liked_signup_films_and_the_rest_is_wanted() -> None:
    ratings, films = small_data()
    split = held_out_users(ratings, 5)
    training = Training(ratings, split, films)
    cases = cases_of(ratings, split, training, PARAMETERS, most=500, most_per_user=3, seed=5)
    seen = Counter(ratings.movie_ids[split.seen & (ratings.stars >= LIKED)].tolist())
    with_vector = sorted((movie for movie in seen if movie <= 50), key=lambda movie: (-seen[movie], movie))
    signup = set(with_vector[:40])
    drawn = set()
    for user, (a, b), wanted in zip(cases.user_ids.tolist(), cases.pairs.tolist(), cases.wanted, strict=True):
        liked = set(ratings.movie_ids[(ratings.user_ids == user) & (ratings.stars >= LIKED)].tolist())
        assert a < b
        assert {a, b} <= liked & signup
        assert wanted.tolist() == sorted(liked - {a, b})
        assert wanted.size
        drawn.add((user, a, b))
    assert len(drawn) == len(cases.pairs)
    assert max(Counter(cases.user_ids.tolist()).values()) == 3


def test_pairs_of_a_user_do_not_depend_on_who_else_is_asked() -> None:
    ratings, films = small_data()
    split = held_out_users(ratings, 5)
    training = Training(ratings, split, films)
    every = cases_of(ratings, split, training, PARAMETERS, most=500, most_per_user=3, seed=5)
    few = cases_of(ratings, split, training, PARAMETERS, most=12, most_per_user=1, seed=5)
    assert len(few.pairs) == 12
    assert set(few.user_ids.tolist()) < set(every.user_ids.tolist())


@pytest.mark.parametrize(
    "changed",
    [{}, {"liked_bonus": 0.0, "neighbours": 3}, {"weighting": "idf", "liked_bonus": 1.5, "neighbours": 60}],
    ids=str,
)
def test_some_pairs_are_answered_as_in_the_table_and_live(changed: dict[str, object]) -> None:
    neighbourhood = random_world(41, users=250, films=80, with_vector=70, per_pair=PLACES, **changed).neighbourhood()
    expected = by_pair(joined(recommend_pairs(neighbourhood)))
    pairs = np.array(list(expected)[::7])
    at = np.searchsorted(np.sort(neighbourhood.catalogue.movie_ids), pairs)
    positions = np.argsort(neighbourhood.catalogue.movie_ids)[at]
    for memory_budget in (1, 10**8):
        found = recommend_some(neighbourhood, positions, PLACES, memory_budget=memory_budget)
        for pair, row in zip(pairs.tolist(), found.tolist(), strict=True):
            assert [movie for movie in row if movie >= 0] == [movie for movie, _ in expected[pair[0], pair[1]]]
            assert [movie for movie in row if movie >= 0] == recommend_list(neighbourhood, pair).movie_ids.tolist()


def test_baselines_in_plain_loops() -> None:
    world = random_world(42, users=90, films=50).neighbourhood()
    likes, catalogue = world.likes, world.catalogue
    liked = [set(likes.films[a:b].tolist()) for a, b in zip(likes.indptr[:-1], likes.indptr[1:], strict=True)]
    pairs = np.array([[0, 1], [3, 30], [12, 5], [0, 1]])
    popular = most_popular(catalogue, pairs, 7).tolist()
    together = item_item(likes, catalogue, pairs, 7, threads=2).tolist()
    for n, (a, b) in enumerate(pairs.tolist()):
        assert popular[n] == [film for film in range(20) if film not in (a, b)][:7]
        scores = {}
        for film in range(len(catalogue.movie_ids)):
            score = sum(
                sum(film in films for films in liked if of in films) / max(sum(of in films for films in liked), 1)
                for of in (a, b)
            )
            if score > 0 and film not in (a, b):
                scores[film] = score
        assert together[n] == sorted(scores, key=lambda film: (-scores[film], film))[:7]


def test_evaluation_repeats_exactly_and_compares_on_the_same_cases() -> None:
    ratings, films = small_data()
    found = evaluate(ratings, films, PARAMETERS, most=100, seed=5)
    assert found == evaluate(ratings, films, PARAMETERS, most=100, seed=5)
    keys = [(row.split, row.slice, row.method, row.metric) for row in found]
    assert len(keys) == len(set(keys)) == 2 * 4 * (3 * 5 + 3)
    assert len({row.cases for row in found if row.slice == "all" and row.split == "held-out users"}) == 1
    for row in found:
        if row.ci_low is not None and row.ci_high is not None:
            assert row.ci_low <= row.value <= row.ci_high
        if row.ahead is not None and row.slice == "all":
            ours = value_of(found, row.split, CURRENT, row.metric)
            assert row.ahead == pytest.approx(ours - row.value)


def test_too_few_users_are_not_measured() -> None:
    ratings, films = small_data(users=1)
    assert evaluate(ratings, films, PARAMETERS) == []
    nobody = Ratings(*(np.zeros(0, dtype=kind) for kind in (np.int32, np.int32, np.float32, np.int64)))
    assert evaluate(nobody, films, PARAMETERS) == []


def test_sweep_tries_the_grid_and_chooses_by_its_criterion() -> None:
    ratings, films = small_data()
    trials = sweep(
        ratings, films, PARAMETERS, most=40, grid={"neighbours": (5, 20), "liked_bonus": (0.0, 0.5)},
        around={"min_likes": (1, 3)}, seed=5,
    )  # fmt: skip
    assert [trial.method for trial in trials[:3]] == ["most_popular", "item_item", "book"]
    assert len(trials) == 3 + 4 + 2
    assert len({trial.cases for trial in trials}) == 1
    assert best_trial(trials).settings


def trial(ndcg: float, hits: float, neighbours: int) -> Trial:
    scores = {"ndcg@10": ndcg, "hit_rate@3": hits}
    return Trial("x", {"neighbours": neighbours}, scores, scores, scores, 1, 1)


def test_criterion() -> None:
    clear = [trial(0.40, 0.9, 5), trial(0.42, 0.7, 90)]
    assert best_trial(clear).settings["neighbours"] == 90  # NDCG first
    close = [trial(0.420, 0.70, 30), trial(0.4185, 0.72, 25), trial(0.4185, 0.72, 60)]
    assert best_trial(close).settings["neighbours"] == 25  # then hits, then the fewest neighbours
    baseline = replace(trial(0.9, 0.9, 1), settings={})
    assert best_trial([baseline, *clear]).settings["neighbours"] == 90  # baselines are not chosen


def test_defaults_are_within_what_the_sweep_tries() -> None:
    defaults = make_parameters().model_dump()
    for key, values in GRID.items():
        assert defaults[key] in {*values, *AROUND.get(key, ())}
