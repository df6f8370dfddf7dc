"""Compiling ahead of time, so that it can be timed apart and no user waits for it.

Belongs here: running every kernel once on a toy. Does not belong here: anything a result depends on.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.ann.bound import bind
from recommender.ann.build import build_index
from recommender.ann.index import open_index
from recommender.ann.pairs import IndexPairSearch
from recommender.data.catalogue import Catalogue, make_catalogue
from recommender.data.likes import Likes, likes_from_pairs
from recommender.data.model_data import Neighbourhood, make_neighbourhood
from recommender.evaluation.baselines import BASELINES
from recommender.items.model import ItemModel, make_item_model
from recommender.items.ranking import rank_profile, score_parts
from recommender.items.similar import SimilarFilms
from recommender.lists import recommend_list
from recommender.neighbours.exact import PairSearch, joined, recommend_some
from recommender.parameters import make_parameters
from recommender.reasons import explain, list_parts


def warm_up() -> None:
    """Compile what runs use, or load it from disk if that was done before; checks ask releases as a server does."""
    neighbourhood = _toy()
    joined(PairSearch(neighbourhood).pairs())
    pairs = np.array([[0, 1], [0, 2]], dtype=np.int32)
    recommend_some(neighbourhood, pairs, 3)
    for baseline in BASELINES.values():
        baseline(neighbourhood.likes, neighbourhood.catalogue, pairs, 3)
    recommend_list(neighbourhood, neighbourhood.signup_movies()[:2])
    with tempfile.TemporaryDirectory() as folder:
        build_index(Path(folder) / "users.ann", neighbourhood)
        index = bind(open_index(Path(folder) / "users.ann"), neighbourhood)
        joined(IndexPairSearch(index).pairs())
        recommend_list(neighbourhood, neighbourhood.signup_movies()[:2], index=index)
    warm_up_serving()


def warm_up_serving() -> None:
    """Compile what answering live questions uses, for read-only memory maps (other code than for arrays in memory)."""
    toy = _toy()
    likes, catalogue = toy.likes, toy.catalogue
    mapped = Neighbourhood(
        Likes(_read_only(likes.user_ids), _read_only(likes.indptr), _read_only(likes.films)),
        Catalogue(
            _read_only(catalogue.movie_ids),
            _read_only(catalogue.like_counts),
            _read_only(catalogue.vectors),
            _read_only(catalogue.vector_rows),
        ),
        _read_only(toy.norms),
        _read_only(toy.eligible),
        toy.parameters,
    )
    recommend_list(mapped, mapped.signup_movies()[:2])
    SimilarFilms(mapped).rank(0, 3)
    items = make_item_model(toy.likes, toy.catalogue, toy.parameters)
    mapped_items = ItemModel(_read_only(items.films), _read_only(items.weights))
    rank_profile(mapped_items, np.array([0, 1], dtype=np.int32), 3)
    named, films = np.arange(2, dtype=np.int32), np.arange(2, 5, dtype=np.int32)
    parts = list_parts(mapped, named, films, np.ones(3), np.zeros((3, 2), dtype=np.int32))
    for each in (parts, score_parts(mapped_items, named, films)):
        explain(mapped, catalogue.vectors.mean(axis=0), named, films, each)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users.ann"
        build_index(path, toy)
        recommend_list(mapped, mapped.signup_movies()[:2], index=bind(open_index(path), mapped))


def _toy() -> Neighbourhood:
    users, films = np.divmod(np.arange(400), 8)
    films = (films * (users + 3)) % 11
    rows = np.unique(np.column_stack((users, films)), axis=0)
    counts = np.bincount(rows[:, 1], minlength=11)
    vectors = (np.arange(44).reshape(11, 4) * 7 % 5 + 1) / 5
    parameters = make_parameters("default", {"min_likes": 1})
    catalogue = make_catalogue(np.arange(11), counts, np.arange(11), vectors)
    return make_neighbourhood(likes_from_pairs(rows[:, 0], rows[:, 1], catalogue), catalogue, parameters)


def _read_only(array: NDArray) -> NDArray:
    view = array.view()
    view.flags.writeable = False
    return view
