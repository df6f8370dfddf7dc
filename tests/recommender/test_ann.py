"""The Annoy index: reproducible, honest about what it misses, complete about users it does not know."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from recommender.ann.bound import BoundIndex, bind, unknown_users
from recommender.ann.build import build_index
from recommender.ann.index import IndexFileError, open_index
from recommender.ann.pairs import IndexPairSearch
from recommender.ann.recall import measure_recall
from recommender.data.model_data import Neighbourhood
from recommender.lists import recommend_list
from recommender.neighbours.exact import PairSearch, joined
from tests.recommender.worlds import World, by_pair, random_world


def large_world(**settings: object) -> World:
    return random_world(21, users=2500, films=300, with_vector=250, tags=40, most_likes=25, levels=9, **settings)


def built(folder: Path, neighbourhood: Neighbourhood) -> BoundIndex:
    build_index(folder / "users.ann", neighbourhood)
    return bind(open_index(folder / "users.ann"), neighbourhood)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_same_input_same_files_for_any_number_of_threads(tmp_path: Path) -> None:
    neighbourhood = large_world(annoy_components=16).neighbourhood()
    found = []
    for threads in (1, 4):
        folder = tmp_path / str(threads)
        folder.mkdir()
        build_index(folder / "users.ann", neighbourhood, threads)
        found.append(hashes(folder))
    assert found[0] == found[1]
    assert set(found[0]) == {"users.ann", "projection.npy", "offset.npy", "user_ids.npy", "points.npy"}


def test_recall_is_measured_and_grows_with_the_search(tmp_path: Path) -> None:
    bound = built(tmp_path, large_world(annoy_trees=5, annoy_components=8, annoy_candidates=90).neighbourhood())
    recalls = []
    for candidates in (15, 90, 2500):
        parameters = bound.neighbourhood.parameters.model_copy(
            update={"annoy_candidates": candidates, "annoy_search_k": 1}
        )
        asked = replace(bound, neighbourhood=replace(bound.neighbourhood, parameters=parameters))
        recalls.append(measure_recall(asked, profiles=60))
        assert recalls[-1] == measure_recall(asked, profiles=60, threads=3)
    assert recalls == sorted(recalls)
    assert recalls[0] < 1.0
    assert recalls[-1] == 1.0


def test_default_index_finds_nearly_all_neighbours(tmp_path: Path) -> None:
    facts = build_index(tmp_path / "users.ann", large_world().neighbourhood())
    assert facts["recall"] >= 0.95
    assert facts["items"] == large_world().neighbourhood().eligible.sum()
    assert (facts["dimensions"], facts["trees"], facts["seed"]) == (40, 12, 42)


def test_an_index_that_looks_everywhere_gives_the_exact_table(tmp_path: Path) -> None:
    for bonus in (0.0, 0.4):
        world = random_world(22, users=150, min_likes=1, liked_bonus=bonus, neighbours=7, per_pair=6)
        neighbourhood = world.neighbourhood()
        bound = built(tmp_path, neighbourhood)
        table = joined(PairSearch(neighbourhood).pairs())
        by_index = joined(IndexPairSearch(bound).pairs())
        assert by_pair(by_index) == by_pair(table)
        np.testing.assert_array_equal(by_index.neighbours_used, table.neighbours_used)
        for pair in list(by_pair(table))[::29]:
            live = recommend_list(neighbourhood, pair, index=bound)
            assert live.movie_ids.tolist() == [movie for movie, *_ in by_pair(table)[pair]]


def test_shards_of_the_index_engine(tmp_path: Path) -> None:
    bound = built(tmp_path, random_world(23).neighbourhood())
    whole = by_pair(joined(IndexPairSearch(bound).pairs()))
    films = np.sort(bound.neighbourhood.signup_movies())
    parts = [by_pair(joined(IndexPairSearch(bound, threads=n + 1).pairs(films[n::3]))) for n in range(3)]
    assert parts[0] | parts[1] | parts[2] == whole


def test_new_users_are_found_and_gone_ones_are_not(tmp_path: Path) -> None:
    world = random_world(24, users=400, min_likes=2)
    older = World({u: films for u, films in world.likes.items() if u % 3}, world.vectors, world.settings)
    newer = World({u: films for u, films in world.likes.items() if u % 5}, world.vectors, world.settings)
    build_index(tmp_path / "users.ann", older.neighbourhood())
    neighbourhood = newer.neighbourhood()
    index = open_index(tmp_path / "users.ann")
    bound = bind(index, neighbourhood)
    ids = neighbourhood.likes.user_ids
    np.testing.assert_array_equal(bound.unknown, np.flatnonzero(neighbourhood.eligible & ~np.isin(ids, index.user_ids)))
    np.testing.assert_array_equal(bound.unknown, unknown_users(index.user_ids, neighbourhood))
    assert len(bound.unknown)
    assert by_pair(joined(IndexPairSearch(bound).pairs())) == by_pair(joined(PairSearch(neighbourhood).pairs()))


def test_nobody_to_index(tmp_path: Path) -> None:
    neighbourhood = random_world(25, min_likes=500).neighbourhood()
    assert build_index(tmp_path / "users.ann", neighbourhood)["items"] == 0
    bound = bind(open_index(tmp_path / "users.ann"), neighbourhood)
    films = neighbourhood.signup_movies()[:2]
    found, exact = recommend_list(neighbourhood, films, index=bound), recommend_list(neighbourhood, films)
    assert found.movie_ids.tolist() == exact.movie_ids.tolist()  # nobody votes: what fans of the two films like decides
    assert not found.votes.any()


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    neighbourhood = random_world(26).neighbourhood()
    build_index(tmp_path / "users.ann", neighbourhood)
    with pytest.raises(IndexFileError, match="retrain"):
        bind(open_index(tmp_path / "users.ann"), random_world(26, tags=5).neighbourhood())
    np.save(tmp_path / "user_ids.npy", np.arange(3, dtype=np.int32))
    with pytest.raises(IndexFileError, match="3"):
        open_index(tmp_path / "users.ann")
    (tmp_path / "offset.npy").unlink()
    with pytest.raises(IndexFileError, match="cannot be opened"):
        open_index(tmp_path / "users.ann")
