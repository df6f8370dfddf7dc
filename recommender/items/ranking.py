"""Lists from an item model: for one profile of any length, or for all users; and what each liked film contributes.

Belongs here: sums of weights, what may be recommended, the order. Does not belong here: the weights (`model`).

Order: score descending, then the model's order of films (most liked first as of the retrain, ties by movie_id). A score
is never negative. Films with score 0, among them all outside the item set, follow in that order: a list is as long as
it is asked to be, whatever is left out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.likes import Likes
from recommender.data.rated import Rated
from recommender.items.model import ItemModel
from recommender.kernels.jit import kernel
from recommender.kernels.threads import even_ranges, run_parallel


class Ranked(NamedTuple):
    """A list.

    Attributes
    ----------
    films : int32 array, shape (k,)
        Catalogue positions, best first.
    scores : int32 or int64 array, shape (k,)
        In units of 1 / `SCORE_ONE`, descending.
    left : int
        Films that could have been in the list, before it was cut.
    """

    films: NDArray[np.int32]
    scores: NDArray[np.integer]
    left: int


def rank_profile(
    model: ItemModel,
    liked: NDArray[np.integer],
    count: int,
    *,
    allowed: NDArray[np.bool_] | None = None,
    seen: NDArray[np.integer] | None = None,
    skip: int = 0,
) -> Ranked:
    """Rank films for somebody who likes some films, each counting the same.

    Parameters
    ----------
    model : ItemModel
    liked : integer array, shape (likes,)
        Distinct catalogue positions; those outside the item set add nothing.
    count : int
        Films to return; fewer if fewer are left.
    allowed : bool array, shape (films,), optional
        Which films may be recommended; default: all.
    seen : integer array, optional
        Catalogue positions that are left out.
    skip : int
        Places before the first one that is returned.
    """
    blocked = np.zeros(len(model.films), dtype=np.uint8) if allowed is None else (~allowed).view(np.uint8)
    if seen is not None:
        blocked[seen] = 1
    scores = np.zeros(len(model.weights), dtype=np.int32)
    rows = model.ranks[np.asarray(liked, dtype=np.int32)]
    _add_rows(model.weights, rows, scores)
    films, best = np.full(skip + count, -1, dtype=np.int32), np.zeros(skip + count, dtype=np.int32)
    kept, left = _keep_best(model.films, scores, blocked, films, best)
    return Ranked(films[skip:kept], best[skip:kept], int(left))


def score_parts(model: ItemModel, liked: NDArray[np.integer], films: NDArray[np.integer]) -> NDArray[np.int64]:
    """What each liked film contributes to the score of some films.

    Parameters
    ----------
    model : ItemModel
    liked : integer array, shape (likes,)
        Catalogue positions.
    films : integer array, shape (k,)
        Catalogue positions.

    Returns
    -------
    int64 array, shape (k, likes)
        In units of 1 / `SCORE_ONE`. A row adds up to the film's score, or, where that is 0, to at most 0. A part can be
        negative.
    """
    parts = np.zeros((len(films), len(liked)), dtype=np.int64)
    rows, columns = np.asarray(liked, dtype=np.int32), np.asarray(films, dtype=np.int32)
    _look_up(model.weights, model.ranks, rows, columns, parts)
    return parts


@kernel
def _look_up(weights, ranks, liked, films, parts):  # type: ignore[no-untyped-def]
    """Fill in the weights between films of the item set; others are left as they are."""
    size = len(weights)
    for column in range(len(liked)):
        row = ranks[liked[column]]
        if row < size:
            for place in range(len(films)):
                if ranks[films[place]] < size:
                    parts[place, column] = weights[row, ranks[films[place]]]


def rank_users(
    model: ItemModel,
    likes: Likes,
    rated: Rated,
    users: NDArray[np.integer],
    count: int,
    threads: int | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rank films for users by all they like, without what they have rated: `rank_profile` of many.

    Parameters
    ----------
    model : ItemModel
    likes : Likes
    rated : Rated
        Of these users at least.
    users : integer array, shape (n,)
        User indices of `likes`.
    count : int
    threads : int, optional
        The result does not depend on it.

    Returns
    -------
    int32 array, shape (n, count), and int32 array of that shape
        Catalogue positions, best first, and scores in units of 1 / `SCORE_ONE`; -1 and 0 where no film is left.
    """
    ids = likes.user_ids[users]
    rows = np.searchsorted(rated.user_ids, ids)
    if len(ids) and (rows.max() >= len(rated.user_ids) or (rated.user_ids[rows] != ids).any()):
        raise ValueError("a user likes films without having rated any: likes and ratings are of different releases")
    films = np.full((len(users), count), -1, dtype=np.int32)
    scores = np.zeros((len(users), count), dtype=np.int32)

    def rank(bounds: tuple[int, int]) -> None:
        part = slice(*bounds)
        _rank_users(
            model.films, model.ranks, model.weights,
            likes.indptr, likes.films, users[part], rated.indptr, rated.films, rows[part],
            films[part], scores[part],
        )  # fmt: skip

    run_parallel(rank, even_ranges(len(users), 64), threads)
    return films, scores


@kernel
def _add_rows(weights, rows, scores):  # type: ignore[no-untyped-def]
    """Add rows of the weights to the scores; rows beyond the item set are left out."""
    for row in rows:
        if row < len(weights):
            for film in range(len(scores)):
                scores[film] += weights[row, film]


@kernel
def _keep_best(films, scores, blocked, out_films, out_scores):  # type: ignore[no-untyped-def]
    """Fill a list; return how many films it has and how many could have been in it."""
    wanted, kept, left = len(out_films), 0, 0
    for rank in range(len(films)):
        if blocked[films[rank]]:
            continue
        left += 1
        if rank >= len(scores) or scores[rank] <= 0:
            continue
        score = scores[rank]
        if kept == wanted:
            if wanted == 0 or score <= out_scores[kept - 1]:  # ranks ascend: an equal score comes later
                continue
        else:
            kept += 1
        at = kept - 1
        while at > 0 and out_scores[at - 1] < score:
            out_scores[at], out_films[at] = out_scores[at - 1], out_films[at - 1]
            at -= 1
        out_scores[at], out_films[at] = score, films[rank]
    for rank in range(len(films)):
        if kept == wanted:
            break
        if not blocked[films[rank]] and (rank >= len(scores) or scores[rank] <= 0):
            out_films[kept] = films[rank]
            kept += 1
    return kept, left


@kernel
def _rank_users(  # type: ignore[no-untyped-def]
    films, ranks, weights, indptr, liked, users, rated_indptr, rated, rated_rows, out_films, out_scores
):
    scores = np.zeros(len(weights), dtype=np.int32)
    blocked = np.zeros(len(films), dtype=np.uint8)
    for n in range(len(users)):
        scores[:] = 0
        _add_rows(weights, ranks[liked[indptr[users[n]] : indptr[users[n] + 1]]], scores)
        seen = rated[rated_indptr[rated_rows[n]] : rated_indptr[rated_rows[n] + 1]]
        for film in seen:
            blocked[film] = 1
        _keep_best(films, scores, blocked, out_films[n], out_scores[n])
        for film in seen:
            blocked[film] = 0
