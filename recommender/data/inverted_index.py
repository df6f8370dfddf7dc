"""Who likes a film: the likes turned round.

Belongs here: the turned lists. Does not belong here: what follows from them (`annoy_index`, `baselines`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.likes import Likes
from recommender.kernels.jit import kernel


@dataclass(frozen=True)
class Fans:
    """Users who like each film.

    Attributes
    ----------
    indptr : int64 array, shape (films + 1,)
    users : int32 array
        User indices, ascending within a film: ``users[indptr[f]:indptr[f + 1]]`` like the film at position f.
    """

    indptr: NDArray[np.int64]
    users: NDArray[np.int32]

    def of(self, film: int) -> NDArray[np.int32]:
        """User indices of those who like the film at a catalogue position."""
        return self.users[self.indptr[film] : self.indptr[film + 1]]


def make_fans(likes: Likes, films: int, users: NDArray[np.int64]) -> Fans:
    """Turn likes round.

    Parameters
    ----------
    likes : Likes
    films : int
        Films in the catalogue.
    users : int64 array
        User indices to include, ascending.

    Returns
    -------
    Fans
    """
    return Fans(*_turned(likes.indptr, likes.films, users, films))


@kernel
def _turned(indptr, films, users, catalogue_size):  # type: ignore[no-untyped-def]
    fan_indptr = np.zeros(catalogue_size + 1, dtype=np.int64)
    for user in users:
        for k in range(indptr[user], indptr[user + 1]):
            fan_indptr[films[k] + 1] += 1
    fan_indptr = np.cumsum(fan_indptr)
    fans = np.empty(fan_indptr[catalogue_size], dtype=np.int32)
    filled = fan_indptr.copy()
    for user in users:
        for k in range(indptr[user], indptr[user + 1]):
            fans[filled[films[k]]] = user
            filled[films[k]] += 1
    return fan_indptr, fans
