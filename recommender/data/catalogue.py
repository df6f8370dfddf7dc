"""Films as arrays: ids, like counts and vectors in one fixed order, and what is chosen or derived from them alone.

Belongs here: the catalogue order, film vectors and their weighting, the choice of sign-up films.
Does not belong here: users and their likes (`likes`), anything that compares a user with a film.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.parameters import ModelParameters, Weighting
from recommender.weightings import WEIGHTINGS


@dataclass(frozen=True)
class Catalogue:
    """Every film, in *catalogue order*: like count descending, then movie_id ascending.

    With that order "votes descending, total likes descending, movie_id ascending" is (votes descending, position
    ascending), which is all the vote counting needs to know.

    Attributes
    ----------
    movie_ids : int32 array, shape (films,)
        Ids; the index into this array is a film's *position*.
    like_counts : int32 array, shape (films,)
        Users who like the film; zero is possible.
    vectors : float32 array, shape (films_with_vector, tags)
        Film vectors, weighted as the parameters say; every component finite and >= 0.
    vector_rows : int32 array, shape (films,)
        Row of the film in `vectors`, -1 if it has none.
    """

    movie_ids: NDArray[np.int32]
    like_counts: NDArray[np.int32]
    vectors: NDArray[np.float32]
    vector_rows: NDArray[np.int32]


def make_catalogue(
    movie_ids: ArrayLike, like_counts: ArrayLike, vector_movie_ids: ArrayLike, vectors: ArrayLike
) -> Catalogue:
    """Bring unordered arrays into catalogue order.

    Parameters
    ----------
    movie_ids : array of int, shape (films,)
        Distinct film ids in any order; every film that any user likes, and preferably all others too.
    like_counts : array of int, shape (films,)
        Likes of each film of `movie_ids`.
    vector_movie_ids : array of int, shape (films_with_vector,)
        Films that have a vector; each must be in `movie_ids`.
    vectors : array of float, shape (films_with_vector, tags)
        Their vectors, kept in this order as float32; components finite and >= 0.

    Returns
    -------
    Catalogue

    Raises
    ------
    ValueError
        If lengths differ, an id occurs twice or is unknown, or a vector component is negative or not finite.
    """
    ids = np.asarray(movie_ids, dtype=np.int32)
    counts = np.asarray(like_counts, dtype=np.int32)
    with_vector = np.asarray(vector_movie_ids, dtype=np.int32)
    matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    if ids.shape != counts.shape or ids.ndim != 1:
        raise ValueError(f"movie_ids {ids.shape} and like_counts {counts.shape} must be equally long lists")
    if matrix.ndim != 2 or with_vector.shape != matrix.shape[:1]:
        raise ValueError(f"vector_movie_ids {with_vector.shape} must name the rows of vectors {matrix.shape}")
    check_vectors(matrix)
    order = np.lexsort((ids, -counts.astype(np.int64)))
    ids, counts = ids[order], counts[order]
    rows = np.full(len(ids), -1, dtype=np.int32)
    rows[positions_of(ids, with_vector)] = np.arange(len(with_vector), dtype=np.int32)
    if (rows >= 0).sum() != len(with_vector):
        raise ValueError("a film has two vectors; keep one row per movie_id")
    return Catalogue(ids, counts, matrix, rows)


def check_vectors(vectors: NDArray[np.float32]) -> None:
    """Refuse vectors the model is not defined for.

    Every score is a sum of products of components. That none is negative is what makes rounding errors provably
    small, and NaN would spread to every user who likes the film.

    Parameters
    ----------
    vectors : float32 array, shape (films_with_vector, tags)

    Raises
    ------
    ValueError
        If a component is negative, infinite or NaN; the message names the first such row.
    """
    if vectors.size == 0 or (vectors.min() >= 0 and np.isfinite(vectors.max())):  # NaN fails the first comparison
        return
    bad = ~(np.isfinite(vectors) & (vectors >= 0)).all(axis=1)
    row = int(np.flatnonzero(bad)[0])
    raise ValueError(
        f"film vectors must be finite and >= 0: {int(bad.sum())} of {len(vectors)} rows are not, the first is row {row}"
    )


def positions_of(movie_ids: NDArray[np.int32], wanted: ArrayLike) -> NDArray[np.int32]:
    """Find films by id.

    Parameters
    ----------
    movie_ids : int32 array, shape (films,)
        Ids in catalogue order.
    wanted : array of int, any length
        Ids to find.

    Returns
    -------
    int32 array, as long as `wanted`
        Their positions.

    Raises
    ------
    ValueError
        If `movie_ids` has an id twice, or a wanted id is not in it.
    """
    ids = np.atleast_1d(np.asarray(wanted))
    order = np.argsort(movie_ids, kind="stable")
    ascending = movie_ids[order]
    if (ascending[1:] == ascending[:-1]).any():
        twice = ascending[1:][ascending[1:] == ascending[:-1]][0]
        raise ValueError(f"movie_id {twice} occurs twice in the catalogue")
    if len(ascending) == 0:
        if len(ids):
            raise ValueError(f"movie_id {ids[0]} is not in the catalogue, which is empty")
        return np.zeros(0, dtype=np.int32)
    at = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
    missing = ascending[at] != ids
    if missing.any():
        raise ValueError(
            f"{int(missing.sum())} films are not in the catalogue, the first is movie_id {ids[missing][0]}"
        )
    return order[at].astype(np.int32)


def signup_positions(catalogue: Catalogue, top_movies: int) -> NDArray[np.int32]:
    """Choose the sign-up films: the most liked ones that have a vector (rule 3).

    Parameters
    ----------
    catalogue : Catalogue
    top_movies : int
        How many; fewer are returned if fewer films have a vector and at least one like.

    Returns
    -------
    int32 array, shape (<= top_movies,)
        Catalogue positions, most liked first, ties by smaller movie_id.
    """
    suitable = (catalogue.vector_rows >= 0) & (catalogue.like_counts > 0)
    return np.flatnonzero(suitable)[:top_movies].astype(np.int32)


def weighted_vectors(vectors: NDArray[np.float32], weighting: Weighting) -> NDArray[np.float32]:
    """Weight the tags of all film vectors (`recommender.weightings`).

    Parameters
    ----------
    vectors : float32 array, shape (films_with_vector, tags)
        Relevances on [0, 1].
    weighting : Weighting

    Returns
    -------
    float32 array, shape (films_with_vector, tags)
        The input itself for ``none``; zeros stay zeros.

    Raises
    ------
    ValueError
        If a component is negative or not finite.
    """
    check_vectors(vectors)
    return np.asarray(WEIGHTINGS[weighting](vectors), dtype=np.float32)


def weighted_catalogue(catalogue: Catalogue, parameters: ModelParameters) -> Catalogue:
    """Return the catalogue with its vectors weighted as the parameters say; call it once, on raw vectors.

    Parameters
    ----------
    catalogue : Catalogue
        With vectors as they come from the genome.
    parameters : ModelParameters
        Its `weighting` counts.

    Returns
    -------
    Catalogue
    """
    return replace(catalogue, vectors=weighted_vectors(catalogue.vectors, parameters.weighting))
