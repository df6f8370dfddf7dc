"""The evaluation: nothing of the users asked about is seen, the answers are the engine's, and it repeats exactly."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, make_catalogue
from recommender.data.likes import Likes
from recommender.evaluation import baselines
from recommender.evaluation.baselines import BASELINES, ease, item_item, most_popular
from recommender.evaluation.evaluate import (
    CURRENT,
    Questions,
    Training,
    answers_of,
    by_model,
    evaluate,
    methods_of,
    questions,
    value_of,
)
from recommender.evaluation.metrics import ACCURACY, PLACES, VARIETY
from recommender.evaluation.splits import FOLDS, LIKED, Cases, Ratings, Split, folds, later_split, validation_splits
from recommender.evaluation.splits import test_splits as held_out_folds
from recommender.evaluation.sweep import AROUND, GRID, START, Trial, best_trial, sweep, with_settings
from recommender.lists import recommend_list
from recommender.neighbours.exact import PairSearch, joined, recommend_some
from recommender.parameters import BEFORE_SCORES, make_parameters, recorded_parameters
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


def held_out_users(ratings: Ratings, seed: int) -> Split:
    return held_out_folds(ratings, seed, 1)[0]


def all_splits(ratings: Ratings) -> list[Split]:
    return [*held_out_folds(ratings, 5, FOLDS), later_split(ratings), *validation_splits(ratings, 5)]


def asked(ratings: Ratings, split: Split, films: Catalogue, most: int = 200, most_per_user: int = 4) -> Questions:
    """The cases of one split."""
    (found,) = questions(ratings, films, PARAMETERS, [split], most=most, most_per_user=most_per_user, seed=5)
    return found


def with_other_likes(ratings: Ratings, rows: np.ndarray) -> Ratings:
    """The same with other films and stars in some rows; users stay."""
    movies, stars = ratings.movie_ids.copy(), ratings.stars.copy()
    for user in np.unique(ratings.user_ids[rows]):
        own = rows & (ratings.user_ids == user)
        movies[own] = np.arange(60, 60 - own.sum(), -1)
        stars[own] = 5.0
    return replace(ratings, movie_ids=movies, stars=stars)


@pytest.mark.parametrize("number", range(10))
def test_users_asked_about_influence_nothing_the_model_sees(number: int) -> None:
    ratings, films = small_data()
    split = all_splits(ratings)[number]
    assert split.asked.any()
    assert not (split.seen & split.asked).any()
    other = with_other_likes(ratings, split.asked)
    assert (other.movie_ids != ratings.movie_ids).any()
    cases = asked(ratings, split, films).cases
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
    cases = asked(ratings, honest, films).cases
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


def test_every_user_is_asked_about_in_one_fold_and_seen_in_the_others() -> None:
    ratings, _ = small_data()
    splits = held_out_folds(ratings, 5, FOLDS)
    assert len(splits) == FOLDS
    np.testing.assert_array_equal(np.sum([split.asked for split in splits], axis=0), 1)
    for split in splits:
        np.testing.assert_array_equal(split.seen, ~split.asked)


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
    cases: Cases = asked(ratings, split, films, most=500, most_per_user=3).cases
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
    every = asked(ratings, split, films, most=500, most_per_user=3).cases
    few = asked(ratings, split, films, most=12, most_per_user=1).cases
    assert len(few.pairs) == 12
    assert set(few.user_ids.tolist()) < set(every.user_ids.tolist())


@pytest.mark.parametrize(
    "changed",
    [{}, {"liked_bonus": 0.0, "neighbours": 3}, {"weighting": "idf", "liked_bonus": 1.5, "neighbours": 60}],
    ids=str,
)
def test_some_pairs_are_answered_as_in_the_table_and_live(changed: dict[str, object]) -> None:
    neighbourhood = random_world(41, users=250, films=80, with_vector=70, per_pair=PLACES, **changed).neighbourhood()
    expected = by_pair(joined(PairSearch(neighbourhood).pairs()))
    pairs = np.array(list(expected)[::7])
    at = np.searchsorted(np.sort(neighbourhood.catalogue.movie_ids), pairs)
    positions = np.argsort(neighbourhood.catalogue.movie_ids)[at]
    for memory_budget in (1, 10**8):
        found = recommend_some(neighbourhood, positions, PLACES, memory_budget=memory_budget)
        for pair, row in zip(pairs.tolist(), found.tolist(), strict=True):
            assert [movie for movie in row if movie >= 0] == [movie for movie, *_ in expected[pair[0], pair[1]]]
            assert [movie for movie in row if movie >= 0] == recommend_list(neighbourhood, pair).movie_ids.tolist()


def some_likes() -> tuple[Likes, Catalogue, list[set[int]]]:
    """A small world with films nobody likes, and likes as sets."""
    world = random_world(42, users=90, films=50).neighbourhood()
    likes = world.likes
    liked = [set(likes.films[a:b].tolist()) for a, b in zip(likes.indptr[:-1], likes.indptr[1:], strict=True)]
    return likes, world.catalogue, liked


PAIRS = np.array([[0, 1], [3, 30], [12, 5], [0, 1]])


def best(scores: dict[int, Fraction] | dict[int, float], pair: tuple[int, int], count: int) -> list[int]:
    found = [film for film in scores if scores[film] > 0 and film not in pair]
    return sorted(found, key=lambda film: (-scores[film], film))[:count]


def test_most_popular_in_plain_loops() -> None:
    likes, catalogue, _ = some_likes()
    popular = most_popular(likes, catalogue, PAIRS, 7).tolist()
    for n, (a, b) in enumerate(PAIRS.tolist()):
        assert popular[n] == [film for film in range(20) if film not in (a, b)][:7]


def test_item_item_in_exact_fractions() -> None:
    """Many films of a small world are tied: a rounded sum would order some of them otherwise."""
    likes, catalogue, liked = some_likes()
    together = item_item(likes, catalogue, PAIRS, 20, threads=2).tolist()
    for n, (a, b) in enumerate(PAIRS.tolist()):
        scores = {
            film: sum(
                Fraction(sum({film, of} <= films for films in liked), max(sum(of in films for films in liked), 1))
                for of in (a, b)
            )
            for film in range(len(catalogue.movie_ids))
        }
        expected = best(scores, (a, b), 20)
        assert [film for film in together[n] if film >= 0] == expected
        assert len({scores[film] for film in expected}) < len(expected) or len(expected) < 3


def test_weighted_item_item_and_rp3beta_in_plain_loops() -> None:
    likes, catalogue, liked = some_likes()
    cases = {
        "item_item_weighted": (0.5, lambda of, weights: sum(w for films, w in weights if of in films), 0.0),
        "rp3beta": (0.6, lambda of, weights: sum(of in films for films, _ in weights) ** 0.6, 0.1),
    }
    for name, (exponent, total, beta) in cases.items():
        found = BASELINES[name](likes, catalogue, PAIRS, 7).tolist()
        weights = [(films, len(films) ** -exponent) for films in liked]
        for n, (a, b) in enumerate(PAIRS.tolist()):
            scores = {
                film: sum(
                    sum(w for films, w in weights if {film, of} <= films) / max(total(of, weights), 1e-9)
                    for of in (a, b)
                )
                / max(int(catalogue.like_counts[film]), 1) ** beta
                for film in range(len(catalogue.movie_ids))
            }
            listed = [film for film in found[n] if film >= 0]
            assert len(listed) == len(best(scores, (a, b), 7))
            # weights are rounded to whole numbers: equal scores, not equal films
            np.testing.assert_allclose(
                [scores[film] for film in listed], [scores[film] for film in best(scores, (a, b), 7)], rtol=1e-5
            )


def test_ease_solves_its_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """Column j of B is the ridge regression of film j on all others (Steck 2019, equation 4)."""
    likes, catalogue, liked = some_likes()
    known = 30
    monkeypatch.setattr(baselines, "EASE_FILMS", known)
    lists = ease(likes, catalogue, PAIRS, 7, regularization=5.0)
    x = np.array([[float(film in films) for film in range(known)] for films in liked])
    weights = np.zeros((known, known))
    for film in range(known):
        others = [n for n in range(known) if n != film]
        a = x[:, others]
        weights[others, film] = np.linalg.solve(a.T @ a + 5.0 * np.eye(known - 1), a.T @ x[:, film])
    for n, pair in enumerate(PAIRS):
        scores = weights[pair[pair < known]].sum(axis=0)
        scores[pair[pair < known]] = -np.inf
        assert not np.isin(lists[n], pair).any()
        np.testing.assert_allclose(scores[lists[n]], np.sort(scores)[::-1][:7], atol=1e-8)


def test_evaluation_repeats_exactly_and_compares_on_the_same_cases() -> None:
    ratings, films = small_data()
    found = evaluate(ratings, films, PARAMETERS, most=100, seed=5)
    assert found == evaluate(ratings, films, PARAMETERS, most=100, seed=5)
    keys = [(row.split, row.slice, row.method, row.metric) for row in found]
    methods = methods_of(PARAMETERS)
    assert set(methods) == {CURRENT, *BASELINES, "book"}
    assert len(keys) == len(set(keys)) == 2 * len(methods) * (3 * len(ACCURACY) + len(VARIETY))
    assert len({row.cases for row in found if row.slice == "all" and row.split == "held-out users"}) == 1
    for row in found:
        if row.ci_low is not None and row.ci_high is not None:
            assert row.ci_low <= row.value <= row.ci_high
        if row.ahead is not None and row.slice == "all":
            ours = value_of(found, row.split, CURRENT, row.metric)
            assert row.ahead == pytest.approx(ours - row.value)


def test_folds_are_pooled_by_case() -> None:
    """All folds together are the mean over the cases of each fold alone; one fold is what a nightly run measures."""
    ratings, films = small_data()
    methods = {CURRENT: by_model(PARAMETERS)}
    together = evaluate(ratings, films, PARAMETERS, methods=methods, most=100, seed=5)
    total, count = 0.0, 0
    for split in held_out_folds(ratings, 5, FOLDS):
        alone = asked(ratings, split, films, most=100, most_per_user=12)
        values = np.column_stack(
            [
                measured(answers_of(alone, by_model(PARAMETERS)(alone.training, alone.cases)))
                for measured in ACCURACY.values()
            ]
        )
        total, count = total + values[:, list(ACCURACY).index("ndcg@10")].sum(), count + len(values)
    assert value_of(together, "held-out users", CURRENT, "ndcg@10") == pytest.approx(total / count)
    one = evaluate(ratings, films, PARAMETERS, methods=methods, folds=1, most=100, seed=5)
    assert one[0].cases < together[0].cases == count


def test_other_parameters_are_asked_the_same_cases() -> None:
    ratings, films = small_data()
    other = with_settings(PARAMETERS, {"neighbours": 3, "liked_bonus": 0.0})
    found = evaluate(
        ratings, films, PARAMETERS, methods=methods_of(PARAMETERS, {"other": other, "same": PARAMETERS}), most=100
    )
    rows = {row.method: row for row in found if (row.metric, row.slice) == ("ndcg@10", "all")}
    assert (rows["same"].ahead, rows["same"].ahead_low, rows["same"].ahead_high) == (0.0, 0.0, 0.0)
    alone = evaluate(ratings, films, other, methods={CURRENT: by_model(other)}, most=100)
    assert rows["other"].value in {row.value for row in alone if row.metric == "ndcg@10"}


def test_too_few_users_are_not_measured() -> None:
    ratings, films = small_data(users=1)
    assert evaluate(ratings, films, PARAMETERS) == []
    nobody = Ratings(*(np.zeros(0, dtype=kind) for kind in (np.int32, np.int32, np.float32, np.int64)))
    assert evaluate(nobody, films, PARAMETERS) == []


def test_sweep_tries_a_grid_over_several_data_sets_and_compares_with_its_start() -> None:
    sources = {"one": small_data(), "two": small_data(seed=2, users=60)}
    trials = sweep(
        sources, PARAMETERS, most=40, grid={"neighbours": (5, 0, 20), "liked_bonus": (0.0, 0.5)}, seed=5
    )  # fmt: skip
    assert [trial.method for trial in trials[: 2 + len(BASELINES)]] == [START, *BASELINES, "book"]
    assert len(trials) == 2 + len(BASELINES) + 6 - 1  # one combination is the start
    assert len({trial.cases for trial in trials}) == 1
    assert set(trials[0].ahead.values()) == {0.0}
    for trial in trials:
        for metric, score in trial.scores.items():
            assert score == pytest.approx(np.mean([trial.by_source[name][metric] for name in sources]))
            assert trial.ahead[metric] == pytest.approx(score - trials[0].scores[metric])
            assert trial.ahead_low[metric] <= trial.ahead[metric] <= trial.ahead_high[metric]


def test_sweep_without_a_grid_looks_around_the_best() -> None:
    ratings, films = small_data(users=60)
    seen: list[Trial] = []
    trials = sweep({"one": (ratings, films)}, PARAMETERS, most=5, seed=5, notify=seen.append)
    assert seen == trials
    assert any("min_likes" in (trial.settings or {}) for trial in trials)
    assert best_trial(trials).settings is not None


def trial(ndcg: float, hits: float, neighbours: int) -> Trial:
    scores = {"ndcg@10": ndcg, "hit_rate@3": hits}
    return Trial("x", {"neighbours": neighbours}, scores, scores, scores, scores, {}, 1)


def test_criterion() -> None:
    clear = [trial(0.40, 0.9, 5), trial(0.42, 0.7, 90)]
    assert best_trial(clear).settings == {"neighbours": 90}  # NDCG first
    close = [trial(0.420, 0.70, 30), trial(0.4185, 0.72, 25), trial(0.4185, 0.72, 60)]
    assert best_trial(close).settings == {"neighbours": 25}  # then hits, then the fewest neighbours
    baseline = replace(trial(0.9, 0.9, 1), settings=None)
    assert best_trial([baseline, *clear]).settings == {"neighbours": 90}  # baselines are not chosen


def test_releases_from_before_the_score_are_read_as_plain_votes() -> None:
    old = {k: v for k, v in make_parameters().model_dump().items() if k not in BEFORE_SCORES}
    assert recorded_parameters(old) == make_parameters(settings=BEFORE_SCORES)
    assert recorded_parameters(make_parameters().model_dump()) == make_parameters()


def test_defaults_are_within_what_the_sweep_tries() -> None:
    defaults = make_parameters().model_dump()
    for key, values in GRID.items():
        assert defaults[key] in {*values, *AROUND.get(key, ())}
