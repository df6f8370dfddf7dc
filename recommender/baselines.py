"""What any recommender must beat: the most popular films, and films often liked together with the two.

Belongs here: simple methods that answer the same cases from the same likes. Does not belong here: the model itself.
Both return films as catalogue positions, best first, ties by smaller position (more likes, then smaller movie_id).
"""

import numpy as np
from numpy.typing import NDArray

from recommender.catalogue import Catalogue
from recommender.compiled import kernel, run_parallel
from recommender.likes import Likes

FILMS_AT_ONCE = 64
"""Films whose companions are counted in one pass over the likes: 64 x 58,000 counters are 15 MB."""


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

    def answer(cases: NDArray[np.int64]) -> None:
        films = np.unique(pairs[cases])
        row_of_film = np.full(len(catalogue.movie_ids), -1, dtype=np.int64)
        row_of_film[films] = np.arange(len(films))
        together = np.zeros((len(films), len(catalogue.movie_ids)), dtype=np.int32)
        _count_together(likes.indptr, likes.films, row_of_film, together)
        for case in cases:
            lists[case] = _likeliest(together[row_of_film[pairs[case]]], pairs[case], count)

    run_parallel(answer, np.array_split(order, -(-len(order) * 2 // FILMS_AT_ONCE)) if len(order) else [], threads)
    return lists


def _likeliest(together: NDArray[np.int32], pair: NDArray[np.integer], count: int) -> NDArray[np.int32]:
    """Best films of one pair; `together`, shape (2, films), counts who likes each film with a and with b."""
    alone = together[[0, 1], pair]  # a film is liked together with itself by everybody who likes it
    scores = (together / np.maximum(alone, 1)[:, None]).sum(axis=0)
    scores[pair] = 0.0
    films = np.flatnonzero(scores > 0.0)
    if len(films) > count:  # keep all ties of the last place for the sort
        films = films[scores[films] >= np.partition(scores[films], -count)[-count]]
    best = films[np.lexsort((films, -scores[films]))][:count]
    filled: NDArray[np.int32] = np.full(count, -1, dtype=np.int32)
    filled[: len(best)] = best
    return filled


@kernel
def _count_together(indptr, films, row_of_film, together):  # type: ignore[no-untyped-def]
    """For each wanted film (those with a row), count how many users like it and each other film."""
    for user in range(len(indptr) - 1):
        for k in range(indptr[user], indptr[user + 1]):
            row = row_of_film[films[k]]
            if row >= 0:
                for other in range(indptr[user], indptr[user + 1]):
                    together[row, films[other]] += 1
