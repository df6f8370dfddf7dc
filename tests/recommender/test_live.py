"""Any list of films, answered live: the same as the table for pairs, the same as the brute force for all lists."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue
from recommender.data.likes import Likes
from recommender.data.model_data import Neighbourhood
from recommender.lists import (
    ListRecommendations,
    ProfileError,
    candidate_scores,
    profile_positions,
    profile_scores,
    recommend_list,
)
from recommender.neighbours.exact import PairSearch, joined
from tests.brute_force import Ranked
from tests.recommender.worlds import by_pair, random_world


def ranked(answer: ListRecommendations) -> Ranked:
    """An answer in the brute force's shape."""
    return list(zip(answer.movie_ids.tolist(), answer.votes.tolist(), answer.scores.tolist(), strict=True))


CHANGES: list[dict[str, Any]] = [
    {},
    {"liked_bonus": 0.5},
    {"weighting": "idf", "min_likes": 1},
    {"neighbours": 2, "neighbour_step": 3, "max_neighbours": 40, "per_pair": 25},
    {"voter_exponent": 0.0, "companion_weight": 0.0, "popularity_exponent": 0.0},
    {"voter_exponent": 1.0, "companion_weight": 0.375, "popularity_exponent": 0.5},
]


@pytest.mark.parametrize("changed", CHANGES, ids=str)
def test_two_films_are_answered_as_in_the_table(changed: dict[str, Any]) -> None:
    neighbourhood = random_world(11, users=300, **changed).neighbourhood()
    table = joined(PairSearch(neighbourhood).pairs())
    used = dict(zip(zip(table.pair_a.tolist(), table.pair_b.tolist(), strict=True), table.neighbours_used, strict=True))
    for (a, b), expected in by_pair(table).items():
        answer = recommend_list(neighbourhood, [b, a])
        assert ranked(answer) == expected
        assert len(answer.neighbour_ids) == used[a, b]


@pytest.mark.parametrize("changed", CHANGES, ids=str)
@pytest.mark.parametrize("length", [1, 3, 10])
def test_lists_of_any_length_follow_the_rules(changed: dict[str, Any], length: int) -> None:
    world = random_world(12, users=150, **changed)
    neighbourhood, brute = world.neighbourhood(), world.brute()
    films = sorted(set(brute.total_likes) | set(world.vectors))
    rng = np.random.default_rng(length)
    for _ in range(30):
        chosen = [int(film) for film in rng.choice(films, length, replace=False)]
        if not any(film in world.vectors for film in chosen):
            continue
        answer = recommend_list(neighbourhood, chosen)
        expected, used = brute.recommend_with_count(chosen)
        assert ranked(answer) == expected
        assert answer.neighbour_ids.tolist() == brute.nearest(chosen, used)


def test_threads_do_not_change_scores() -> None:
    neighbourhood = random_world(13, users=500).neighbourhood()
    films = profile_positions(neighbourhood.catalogue, neighbourhood.signup_movies()[:3])
    np.testing.assert_array_equal(profile_scores(neighbourhood, films, 1), profile_scores(neighbourhood, films, 3))


def test_scoring_some_users_gives_the_numbers_of_scoring_all() -> None:
    neighbourhood = random_world(13, users=500, liked_bonus=0.3).neighbourhood()
    films = profile_positions(neighbourhood.catalogue, neighbourhood.signup_movies()[:3])
    users = np.arange(3, 480, 7)
    everybody = profile_scores(neighbourhood, films)
    np.testing.assert_array_equal(candidate_scores(neighbourhood, films, users), everybody[users])


def test_memory_mapped_read_only_arrays_and_many_callers(tmp_path: Path) -> None:
    whole = random_world(14, users=200).neighbourhood()

    def mapped(name: str, array: np.ndarray[Any, Any]) -> Any:
        np.save(tmp_path / f"{name}.npy", array)
        return np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    likes = Likes(*(mapped(f"likes_{name}", array) for name, array in vars(whole.likes).items()))
    catalogue = Catalogue(*(mapped(f"catalogue_{name}", array) for name, array in vars(whole.catalogue).items()))
    norms, eligible = mapped("norms", whole.norms), mapped("eligible", whole.eligible)
    neighbourhood = Neighbourhood(likes, catalogue, norms, eligible, whole.parameters)
    films = whole.signup_movies()
    lists = [films[n : n + 3] for n in range(15)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda chosen: recommend_list(neighbourhood, chosen, threads=2), lists))
    for chosen, answer in zip(lists, answers, strict=True):
        expected = recommend_list(whole, chosen)
        np.testing.assert_array_equal(answer.movie_ids, expected.movie_ids)
        np.testing.assert_array_equal(answer.votes, expected.votes)


def test_a_shorter_answer_is_the_beginning_of_a_longer_one() -> None:
    neighbourhood = random_world(15).neighbourhood()
    films = neighbourhood.signup_movies()[:2]
    longer, shorter = (recommend_list(neighbourhood, films, count=n) for n in (10, 4))
    assert longer.movie_ids[:4].tolist() == shorter.movie_ids.tolist()


def test_lists_that_cannot_be_answered_say_why() -> None:
    world = random_world(16)
    neighbourhood = world.neighbourhood()
    without = [int(f) for f in neighbourhood.catalogue.movie_ids if int(f) not in world.vectors]
    for films, reason in [
        ([], "1 to 100 films"),
        (list(range(101)), "1 to 100 films"),
        ([999_999], "no film with movie_id 999999"),
        (without[:2], "has a vector"),
    ]:
        with pytest.raises(ProfileError, match=reason):
            recommend_list(neighbourhood, films)
