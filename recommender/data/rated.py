"""Which films every user has rated, liked or not: what is never recommended to them.

Belongs here: the compressed rows and how they are built. Does not belong here: likes (`likes`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.likes import row_of
from recommender.kernels.jit import kernel

WIDEST = 50_000_000
"""Widest range of user_ids that are counted through a table; beyond it they are sorted."""


@dataclass(frozen=True)
class Rated:
    """Rated films of every user (compressed sparse rows). Arrays may be read-only memory maps.

    Attributes
    ----------
    user_ids : int32 array, shape (users,)
        Strictly ascending: all users who rated anything.
    indptr : int64 array, shape (users + 1,)
    films : int32 array, shape (ratings,)
        Catalogue positions, ascending within a user.
    """

    user_ids: NDArray[np.int32]
    indptr: NDArray[np.int64]
    films: NDArray[np.int32]

    def of(self, user_id: int) -> NDArray[np.int32]:
        """Positions of the films that a user rated; none for a user who is not known."""
        row = row_of(self.user_ids, user_id)
        return self.films[:0] if row is None else self.films[self.indptr[row] : self.indptr[row + 1]]


def make_rated(user_ids: NDArray[np.integer], films: NDArray[np.int32]) -> Rated:
    """Bring rows (user, film) of any order into rows by user.

    Parameters
    ----------
    user_ids : integer array, shape (ratings,)
    films : int32 array, shape (ratings,)
        Catalogue positions, at most once per user.
    """
    if len(user_ids) == 0:
        return Rated(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    lowest = int(user_ids.min())
    if int(user_ids.max()) - lowest > WIDEST:
        users, row_of_rating = np.unique(user_ids, return_inverse=True)
        row_of_rating = row_of_rating.astype(np.int32)
    else:
        counts = np.bincount(user_ids - lowest)
        users = np.flatnonzero(counts) + lowest
        rows = np.cumsum(counts > 0, dtype=np.int32) - 1
        row_of_rating = rows[user_ids - lowest]
    indptr, sorted_films = _by_row(row_of_rating, films, len(users))
    return Rated(users.astype(np.int32), indptr, sorted_films)


@kernel
def _by_row(rows, films, count):  # type: ignore[no-untyped-def]
    """Counting sort by row, then each row ascending."""
    indptr = np.zeros(count + 1, dtype=np.int64)
    for row in rows:
        indptr[row + 1] += 1
    indptr = np.cumsum(indptr)
    filled = indptr[:-1].copy()
    found = np.empty(len(films), dtype=np.int32)
    for k in range(len(rows)):
        found[filled[rows[k]]] = films[k]
        filled[rows[k]] += 1
    for row in range(count):
        found[indptr[row] : indptr[row + 1]].sort()
    return indptr, found
