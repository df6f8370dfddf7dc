"""How good the lists of existing users are: the latest of what each user likes is held out.

Belongs here: the split by each user's own time, the methods that are compared, their measurements. Does not belong
here: lists for two named films (`evaluate`), measures (`metrics`).

Of each user the latest fifth of the likes is held out, and everything rated after the first of these is hidden. A
method sees the rest of all users, ranks films that the user has not rated, and the films held out should come first.
Users are halved by a hash of the user_id: one half is for choosing parameters, the other is asked about here.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.encoder import iter_user_vectors
from recommender.data.model_data import Neighbourhood
from recommender.data.rated import Rated, make_rated
from recommender.evaluation.evaluate import CURRENT, SEED, Measurement, Training, accuracy_of
from recommender.evaluation.metrics import ndcg, recall
from recommender.evaluation.splits import LIKED, LONG_NAME, Ratings, Split, scattered
from recommender.items.model import ItemModel, make_item_model
from recommender.items.ranking import rank_users
from recommender.parameters import PRESETS, ModelParameters, make_parameters

PLACES = 20
"""Length of the lists that are measured."""

USERS = 5000
"""Users asked about at most."""

EASE = (100.0, 200.0, 500.0)
"""Regularizations at which plain EASE is compared."""

METRICS = ("ndcg@10", "recall@20")

Lists = NDArray[np.int32]
"""Catalogue positions, best first, shape (users, PLACES); -1 where a list is shorter."""

Method = Callable[[Training, Rated, NDArray[np.int64]], Lists]
"""Ranks films for users, given by index, from what the split shows."""


def latest_likes_split(ratings: Ratings) -> Split:
    """Hold out the latest fifth of each user's likes, rounded down, and hide what was rated after the first of them."""
    order = np.lexsort((ratings.movie_ids, ratings.rated_at, ratings.user_ids))
    users = ratings.user_ids[order]
    starts = np.flatnonzero(np.diff(users, prepend=users[:1] - 1))
    owner = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(users))))
    liked = ratings.stars[order] >= LIKED
    likes = np.add.reduceat(liked.astype(np.int64), starts) if len(starts) else np.zeros(0, dtype=np.int64)
    so_far: NDArray[np.int64] = (
        np.cumsum(liked) - np.concatenate(([0], np.cumsum(likes)))[owner]
    )  # likes of the user up to this row
    late = so_far > (likes - likes // 5)[owner]
    seen, asked = np.zeros(len(users), dtype=bool), np.zeros(len(users), dtype=bool)
    seen[order], asked[order] = ~late, late & liked
    return Split(LONG_NAME, seen, asked)


def by_items(parameters: ModelParameters) -> Method:
    """Rank by the item model of these parameters, made of likes as `LIKED` has them."""

    def answer(training: Training, rated: Rated, users: NDArray[np.int64]) -> Lists:
        likes, catalogue = training.likes()
        model = make_item_model(likes, catalogue, parameters)
        return rank_users(model, likes, rated, users, PLACES)[0]

    return answer


def most_popular(training: Training, rated: Rated, users: NDArray[np.int64]) -> Lists:
    """Recommend the most liked films to everybody, those rated left out."""
    likes, catalogue = training.likes()
    nothing = ItemModel(np.arange(len(catalogue.movie_ids), dtype=np.int32), np.zeros((0, 0), dtype=np.int32))
    return rank_users(nothing, likes, rated, users, PLACES)[0]


def votes(parameters: ModelParameters, training: Training, rated: Rated, users: NDArray[np.int64]) -> Lists:
    """Let the users with the nearest tag vectors vote, as for pairs in the preset `book`: each like is one vote."""
    data = training.neighbourhood(parameters)
    vectors = np.concatenate([block for _, _, block in iter_user_vectors(data.likes, data.catalogue)])
    lists = np.full((len(users), PLACES), -1, dtype=np.int32)
    for row, user in enumerate(users):
        near = _nearest(data, vectors, int(user))
        films = np.concatenate([data.likes.films[data.likes.indptr[n] : data.likes.indptr[n + 1]] for n in near])
        counts = np.bincount(films, minlength=len(data.catalogue.movie_ids))
        counts[rated.of(int(data.likes.user_ids[user]))] = 0
        voted = np.flatnonzero(counts)
        best = voted[np.argsort(-counts[voted], kind="stable")][:PLACES]
        lists[row, : len(best)] = best
    return lists


def _nearest(data: Neighbourhood, vectors: NDArray[np.float32], user: int) -> NDArray[np.int64]:
    """Indices of the users nearest to one by cosine, the user left out."""
    scores = np.where(data.eligible, vectors @ vectors[user], -1.0)
    scores[user] = -1.0
    return np.argsort(-scores, kind="stable")[: data.neighbours]


def methods_of(parameters: ModelParameters, against: Mapping[str, ModelParameters] | None = None) -> dict[str, Method]:
    """Name what is compared: the parameters in question first, then `against`, then baselines."""

    def items(**settings: object) -> Method:
        return by_items(make_parameters(settings={**parameters.model_dump(), **settings}))

    book = make_parameters(settings={**parameters.model_dump(), **PRESETS["book"], "max_neighbours": 90})
    plain = {"popularity_exponent": 0.0}
    return {
        CURRENT: by_items(parameters),
        **{name: by_items(other) for name, other in (against or {}).items()},
        "votes": partial(votes, book),
        "most_popular": most_popular,
        "rp3beta": items(user_method="rp3beta", **plain),
        **{f"ease_{value:g}": items(user_method="ease", user_regularization=value, **plain) for value in EASE},
    }


def evaluate_users(
    ratings: Ratings,
    catalogue: Catalogue,
    parameters: ModelParameters,
    *,
    methods: Mapping[str, Method] | None = None,
    most: int = USERS,
    half: int = 1,
    seed: int = SEED,
) -> list[Measurement]:
    """Measure lists of existing users beside baselines.

    Parameters
    ----------
    ratings : Ratings
        All of them: also what a user does not like is not recommended.
    catalogue : Catalogue
        All films, with raw vectors.
    parameters : ModelParameters
    methods : mapping, optional
        Default: `methods_of` the parameters.
    most : int
        Users asked about at most.
    half : int
        1: users for the report; 0: those for choosing parameters.
    seed : int

    Returns
    -------
    list of Measurement
        None if no user likes five films.
    """
    split = latest_likes_split(ratings)
    training = Training(ratings, split, catalogue)
    likes, films = training.likes()
    asked = np.unique(ratings.user_ids[split.asked])
    asked = asked[scattered(asked, seed) % np.uint64(2) == half]
    asked = np.sort(asked[np.argsort(scattered(asked, seed + 1), kind="stable")][:most])
    if len(asked) == 0:
        return []
    positions = np.full(int(films.movie_ids.max()) + 1, -1, dtype=np.int32)
    positions[films.movie_ids] = np.arange(len(films.movie_ids))
    rated = make_rated(ratings.user_ids[split.seen], positions[ratings.movie_ids[split.seen]])
    held = make_rated(ratings.user_ids[split.asked], positions[ratings.movie_ids[split.asked]])
    users = np.searchsorted(likes.user_ids, asked)
    wanted = np.array([len(held.of(int(user))) for user in asked])
    values = {}
    for name, method in (methods or methods_of(parameters)).items():
        lists = method(training, rated, users)
        relevant = np.array([np.isin(found, held.of(int(user))) for user, found in zip(asked, lists, strict=True)])
        values[name] = np.column_stack([ndcg(relevant, wanted, 10), recall(relevant, wanted, PLACES)])
    return accuracy_of(LONG_NAME, "all", values, asked, seed, METRICS)
