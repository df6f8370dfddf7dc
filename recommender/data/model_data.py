"""Everything the engines need, in one immutable bundle, from memory or memory-mapped.

Belongs here: the bundle and how it is put together.
Does not belong here: searching it (`neighbours`, `ann`, `lists`), files and their names (the caller loads arrays).
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, signup_positions
from recommender.data.companions import Companions, companion_shares
from recommender.data.encoder import user_norms
from recommender.data.inverted_index import Fans, make_fans
from recommender.data.likes import Likes
from recommender.data.weights import popularity_factors, voter_weights
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
    kept : Companions, optional
        Of the sign-up films, made earlier from the same likes and parameters; a pack has them.
    """

    likes: Likes
    catalogue: Catalogue
    norms: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    parameters: ModelParameters
    kept: Companions | None = None

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

    @functools.cached_property
    def weights(self) -> NDArray[np.int64]:
        """What each user's vote weighs (rule 6); int64, shape (users,)."""
        return voter_weights(np.diff(self.likes.indptr), self.parameters.voter_exponent)

    @functools.cached_property
    def factors(self) -> NDArray[np.int64]:
        """What each film's score is multiplied by for its popularity (rule 6); int64, shape (films,)."""
        users, exponent = len(self.likes.user_ids), self.parameters.popularity_exponent
        return popularity_factors(self.catalogue.like_counts, users, exponent)

    @functools.cached_property
    def fans(self) -> Fans:
        """Inverted index of the likes of all users."""
        return make_fans(self.likes, len(self.catalogue.movie_ids))

    @functools.cached_property
    def companions(self) -> Companions:
        """Companions of the sign-up films, by ascending movie_id; without a column if they do not count."""
        if self.kept is not None:
            return self.kept
        films = signup_positions(self.catalogue, self.parameters.top_movies)
        films = films[np.argsort(self.catalogue.movie_ids[films])]
        return Companions(films, self.shares_of(films))

    def shares_of(self, films: NDArray[np.int32], threads: int | None = None) -> NDArray[np.int32]:
        """P(f | a) for some films a, given by position: kept rows, and others made now.

        Returns
        -------
        int32 array, shape (films, films in the catalogue)
            Without a column if companions do not count (`companion_weight` 0).
        """
        if self.parameters.companion_weight == 0.0:
            return np.zeros((len(films), 0), dtype=np.int32)
        if self.kept is None:
            return companion_shares(self.likes, self.fans, self.weights, films, threads)
        order = np.argsort(self.kept.films)
        at = np.searchsorted(self.kept.films, films, sorter=order)
        rows = np.append(order, -1)[at]
        known = (rows >= 0) & (self.kept.films[rows] == films) if len(order) else np.zeros(len(films), dtype=bool)
        shares = np.empty((len(films), self.kept.shares.shape[1]), dtype=np.int32)
        shares[known] = self.kept.shares[rows[known]]
        if not known.all():
            shares[~known] = companion_shares(self.likes, self.fans, self.weights, films[~known], threads)
        return shares

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
