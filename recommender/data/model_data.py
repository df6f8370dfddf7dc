"""Everything the engines need, in one immutable bundle, from memory or memory-mapped.

Belongs here: the bundle and how it is put together.
Does not belong here: searching it (`neighbours`, `ann`, `lists`), files and their names (the caller loads arrays).
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, signup_positions
from recommender.data.encoder import user_norms
from recommender.data.likes import Likes
from recommender.parameters import ModelParameters


@dataclass(frozen=True)
class Neighbourhood:
    """The users a profile can be compared with, and the films they can vote for.

    All arrays may be read-only memory maps (``np.load(path, mmap_mode="r")``).

    Attributes
    ----------
    likes : Likes
    catalogue : Catalogue
        With vectors already weighted (`weighted_catalogue`).
    norms : float64 array, shape (users,)
        Norms of the users' vector sums, from `user_norms` on these likes and this catalogue.
    eligible : bool array, shape (users,)
        Who can be a neighbour (`UserNorms.eligible`).
    parameters : ModelParameters
    """

    likes: Likes
    catalogue: Catalogue
    norms: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    parameters: ModelParameters

    def __post_init__(self) -> None:
        users, films = len(self.likes.user_ids), len(self.catalogue.movie_ids)
        if self.norms.shape != (users,) or self.eligible.shape != (users,) or self.likes.indptr.shape != (users + 1,):
            raise ValueError(
                f"norms {self.norms.shape}, eligible {self.eligible.shape} and indptr {self.likes.indptr.shape} "
                f"do not fit {users} users: they are of another release"
            )
        if self.catalogue.vector_rows.shape != (films,) or self.catalogue.like_counts.shape != (films,):
            raise ValueError(f"vector_rows or like_counts do not fit {films} films: they are of another release")

    @functools.cached_property
    def neighbours(self) -> int:
        """Nearest users whose likes vote (rule 5)."""
        return self.parameters.neighbours_among(int(self.eligible.sum()))

    def signup_movies(self) -> NDArray[np.int32]:
        """Return movie_ids of the sign-up films, most liked first (rule 3); int32, shape (<= top_movies,)."""
        movies: NDArray[np.int32] = self.catalogue.movie_ids[
            signup_positions(self.catalogue, self.parameters.top_movies)
        ]
        return movies


def make_neighbourhood(
    likes: Likes, catalogue: Catalogue, parameters: ModelParameters, threads: int | None = None
) -> Neighbourhood:
    """Encode the users and bundle the result.

    Parameters
    ----------
    likes : Likes
    catalogue : Catalogue
        With vectors already weighted (`weighted_catalogue`).
    parameters : ModelParameters
    threads : int, optional
        Default: one per core. The result does not depend on it.

    Returns
    -------
    Neighbourhood
    """
    norms = user_norms(likes, catalogue, threads)
    return Neighbourhood(likes, catalogue, norms.norms, norms.eligible(parameters.min_likes), parameters)
