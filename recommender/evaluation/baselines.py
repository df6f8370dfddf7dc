"""What any recommender must beat: the most popular films, and films often liked together with the two.

Belongs here: simple methods that answer the same cases from the same likes. Does not belong here: the model itself.
Both return films as catalogue positions, best first, ties by smaller position (more likes, then smaller movie_id).
"""

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.inverted_index import make_fans
from recommender.data.likes import Likes
from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel

COUNTERS = 75_000_000
"""Counters held at a time, 300 MB: those of 1,290 films of 58,000."""


def most_popular(catalogue: Catalogue, pairs: NDArray[np.integer], count: int) -> NDArray[np.int32]:
    """Recommend the most liked films to everybody, the pair left out.

    Parameters
    ----------
    catalogue : Catalogue
    pairs : integer array, shape (cases, 2)
        Catalogue positions.
    count : int

    Returns
    -------
    int32 array, shape (cases, count)
        Catalogue positions, -1 where there are no more films anybody likes.
    """
    liked = np.flatnonzero(catalogue.like_counts[: count + 2] > 0)
    lists = np.full((len(pairs), count), -1, dtype=np.int32)
    for case, pair in enumerate(pairs):
        films = liked[~np.isin(liked, pair)][:count]
        lists[case, : len(films)] = films
    return lists


def item_item(
    likes: Likes, catalogue: Catalogue, pairs: NDArray[np.integer], count: int, threads: int | None = None
) -> NDArray[np.int32]:
    """Recommend by conditional probability: P(likes f | likes a) + P(likes f | likes b), from all users.

    The item-based method of Deshpande & Karypis (2004), without damping of popular films.

    Parameters
    ----------
    likes : Likes
    catalogue : Catalogue
        Of these likes.
    pairs : integer array, shape (cases, 2)
        Catalogue positions; films nobody likes contribute nothing.
    count : int
    threads : int, optional

    Returns
    -------
    int32 array, shape (cases, count)
        Catalogue positions, -1 where no more films are liked together with one of the two.
    """
    lists = np.full((len(pairs), count), -1, dtype=np.int32)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    # Films somebody likes come first; the others are liked together with nothing.
    width = max(int((catalogue.like_counts > 0).sum()), int(pairs.max(initial=-1)) + 1)
    at_once = max(2, COUNTERS // max(width, 1))
    groups = 1 if len(np.unique(pairs)) <= at_once else -(-2 * len(pairs) // at_once)
    fans = make_fans(likes, len(catalogue.movie_ids))
    for cases in np.array_split(order, groups):
        films = np.unique(pairs[cases])
        row_of_film = np.full(len(catalogue.movie_ids), -1, dtype=np.int64)
        row_of_film[films] = np.arange(len(films))
        together = np.zeros((len(films), width), dtype=np.int32)

        def count_one(row: int, films=films, together=together) -> None:  # type: ignore[no-untyped-def]
            _count_together(likes.indptr, likes.films, fans.of(films[row]), together[row])

        run_parallel(count_one, range(len(films)), threads)

        def answer(case: int, row_of_film=row_of_film, together=together) -> None:  # type: ignore[no-untyped-def]
            a, b = pairs[case]
            _likeliest(together[row_of_film[a]], together[row_of_film[b]], a, b, lists[case])

        run_parallel(answer, cases, threads)
    return lists


@kernel
def _likeliest(with_a, with_b, a, b, best):  # type: ignore[no-untyped-def]
    """Fill `best` with the films of one pair; `with_a` and `with_b` count who likes each film together with a and b."""
    # A film is liked together with itself by everybody who likes it.
    fans_of_a, fans_of_b = max(with_a[a], 1), max(with_b[b], 1)
    scores = np.zeros(len(best))
    filled = 0
    for film in range(len(with_a)):
        if film in (a, b):
            continue
        score = with_a[film] / fans_of_a + with_b[film] / fans_of_b
        if score <= 0.0 or (filled == len(best) and score <= scores[filled - 1]):
            continue
        place = min(filled, len(best) - 1)
        filled = place + 1
        while place > 0 and scores[place - 1] < score:
            scores[place], best[place] = scores[place - 1], best[place - 1]
            place -= 1
        scores[place], best[place] = score, film


@kernel
def _count_together(indptr, films, users, together):  # type: ignore[no-untyped-def]
    """Count how many of some users like each film."""
    for user in users:
        for k in range(indptr[user], indptr[user + 1]):
            together[films[k]] += 1
