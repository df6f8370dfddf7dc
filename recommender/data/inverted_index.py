"""Inverted index of the likes, film to users.

Belongs here: the index. Does not belong here: what follows from it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.csr import transposed
from recommender.data.likes import Likes


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


def make_fans(likes: Likes, films: int) -> Fans:
    """List the users who like each film of a catalogue of so many films."""
    return Fans(*transposed(likes.indptr, likes.films, films))
