"""Who likes what, as compressed rows of catalogue positions.

Belongs here: the Likes structure and how it is built and checked.
Does not belong here: what a like is (the warehouse decides by threshold), vectors, scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.data.catalogue import Catalogue, positions_of
from recommender.data.csr import picked
from recommender.kernels.jit import kernel
from recommender.kernels.threads import even_ranges, run_parallel


def row_of(user_ids: NDArray[np.int32], user_id: int) -> int | None:
    """Index of a user among ascending user_ids, None for one who is not there."""
    row = int(np.searchsorted(user_ids, np.int32(user_id)))  # of its type: else the whole array is converted
    return row if row < len(user_ids) and user_ids[row] == user_id else None


@dataclass(frozen=True)
class Likes:
    """Liked films of every user (compressed sparse rows).

    Attributes
    ----------
    user_ids : int32 array, shape (users,)
        Strictly ascending; the index into this array is a *user index*, so smaller index means smaller user_id.
    indptr : int64 array, shape (users + 1,)
        User u's films are ``films[indptr[u]:indptr[u + 1]]``.
    films : int32 array, shape (likes,)
        Catalogue positions, strictly ascending within a user.
    """

    user_ids: NDArray[np.int32]
    indptr: NDArray[np.int64]
    films: NDArray[np.int32]


def likes_from_pairs(
    user_ids: ArrayLike, movie_ids: ArrayLike, catalogue: Catalogue, threads: int | None = None
) -> Likes:
    """Build Likes from (user, film) rows.

    Parameters
    ----------
    user_ids : array of int, shape (likes,)
        Ascending (sort by user); films of one user in any order.
    movie_ids : array of int, shape (likes,)
    catalogue : Catalogue
        Gives each film its position.
    threads : int, optional
        Default: one per core.

    Returns
    -------
    Likes

    Raises
    ------
    ValueError
        If lengths differ, users are not ascending, a film is unknown, or a user likes a film twice.
    """
    users = np.ascontiguousarray(user_ids)
    movies = np.ascontiguousarray(movie_ids)
    if users.shape != movies.shape or users.ndim != 1:
        raise ValueError(f"user_ids {users.shape} and movie_ids {movies.shape} must be equally long lists")
    steps = users[1:] != users[:-1]
    if (users[1:] < users[:-1]).any():
        raise ValueError("likes must be sorted by user_id; add ORDER BY user_id to the query")
    starts = np.flatnonzero(np.concatenate(([len(users) > 0], steps)))
    indptr = np.append(starts, len(users)).astype(np.int64)
    films = film_positions(movies, catalogue)

    def sort_rows(bounds: tuple[int, int]) -> int:
        return int(_sort_rows(indptr, films, *bounds))

    repeated = max(run_parallel(sort_rows, even_ranges(len(starts), 64), threads), default=-1)
    if repeated >= 0:
        raise ValueError(f"user_id {users[starts[repeated]]} likes the same film twice; keep the latest rating only")
    return Likes(users[starts].astype(np.int32), indptr, films)


def film_positions(movies: NDArray[np.integer], catalogue: Catalogue) -> NDArray[np.int32]:
    """Positions of millions of movie ids, through a table over the distinct ones."""
    if len(movies) == 0:
        return np.zeros(0, dtype=np.int32)
    lowest, highest = int(movies.min()), int(movies.max())
    if highest - lowest > 50_000_000:  # ids too far apart for a table: sort instead
        distinct, inverse = np.unique(movies, return_inverse=True)
        return positions_of(catalogue.movie_ids, distinct)[inverse]
    known = (catalogue.movie_ids >= lowest) & (catalogue.movie_ids <= highest)
    table = np.full(highest - lowest + 1, -1, dtype=np.int32)
    table[catalogue.movie_ids[known] - lowest] = np.flatnonzero(known)
    found = table[movies - lowest]
    if found.min() < 0:
        unknown = movies[found < 0]
        raise ValueError(f"{len(unknown)} likes are of films not in the catalogue, the first is movie_id {unknown[0]}")
    return found


@kernel
def _sort_rows(indptr, films, low, high):  # type: ignore[no-untyped-def]
    """Sort the films of users low..high in place; return the last user with a repeated film, or -1."""
    repeated = -1
    for user in range(low, high):
        row = films[indptr[user] : indptr[user + 1]]
        row.sort()
        for k in range(1, len(row)):
            if row[k] == row[k - 1]:
                repeated = user
    return repeated


def some_users(likes: Likes, users: NDArray[np.integer]) -> Likes:
    """Keep only some users, given by ascending user indices."""
    return Likes(likes.user_ids[users], *picked(likes.indptr, likes.films, users))
