"""From likes to users: vector sums, norms and who can be anybody's neighbour (rules 1 and 2).

Belongs here: the encoder, the one piece of code that turns a list of films into a vector, for users and for profiles.
Does not belong here: comparing vectors (`neighbours`, `ann`, `lists`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.likes import Likes
from recommender.kernels.jit import kernel
from recommender.kernels.threads import even_ranges, run_parallel

BLOCK = 122_880
"""Users encoded at a time: a row group of DuckDB, to which whole ones are appended in three quarters of the time."""


@dataclass(frozen=True)
class UserNorms:
    """What is known of every user besides the direction of the vector; aligned with `Likes.user_ids`.

    Attributes
    ----------
    norms : float64 array, shape (users,)
        L2 norm of the sum of liked film vectors, 0 where no liked film has one.
    likes : int32 array, shape (users,)
        Films liked.
    likes_with_vector : int32 array, shape (users,)
        Films liked that have a vector.
    """

    norms: NDArray[np.float64]
    likes: NDArray[np.int32]
    likes_with_vector: NDArray[np.int32]

    def eligible(self, min_likes: int) -> NDArray[np.bool_]:
        """Mask of users who can be neighbours: non-zero vector and at least `min_likes` likes (rule 2)."""
        mask: NDArray[np.bool_] = (self.norms > 0) & (self.likes >= min_likes)
        return mask


def user_norms(likes: Likes, catalogue: Catalogue, threads: int | None = None) -> UserNorms:
    """Encode every user and keep only the norms; never holds a users x tags array.

    Parameters
    ----------
    likes : Likes
    catalogue : Catalogue
    threads : int, optional
        Default: one per core. The result does not depend on it.

    Returns
    -------
    UserNorms
    """
    users = len(likes.user_ids)
    norms = np.zeros(users)
    with_vector = np.zeros(users, dtype=np.int32)
    nothing = np.zeros((0, 0), dtype=np.float32)

    def encode(bounds: tuple[int, int]) -> None:
        _encode(
            likes.indptr, likes.films, catalogue.vector_rows, catalogue.vectors, *bounds, norms, with_vector, nothing
        )

    run_parallel(encode, even_ranges(users, 64), threads)
    return UserNorms(norms, np.diff(likes.indptr).astype(np.int32), with_vector)


def likes_with_vector(likes: Likes, catalogue: Catalogue) -> NDArray[np.int32]:
    """Count each user's liked films that have a vector; int32, shape (users,)."""
    counted = np.concatenate(([0], np.cumsum(catalogue.vector_rows[likes.films] >= 0)))
    counts: NDArray[np.int32] = (counted[likes.indptr[1:]] - counted[likes.indptr[:-1]]).astype(np.int32)
    return counts


def iter_user_vectors(
    likes: Likes, catalogue: Catalogue, block: int = BLOCK, threads: int | None = None
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Encode all users, a block at a time, so that the whole users x tags array need not exist.

    Parameters
    ----------
    likes : Likes
    catalogue : Catalogue
    block : int
        Users per block.
    threads : int, optional
        Default: one per core. The result does not depend on it.

    Yields
    ------
    (low, high, vectors)
        User indices low..high and their unit vectors, float32, shape (high - low, tags); a row of zeros for a user
        none of whose films has a vector. Each block is a new array.
    """
    users = len(likes.user_ids)
    norms = np.zeros(users)
    with_vector = np.zeros(users, dtype=np.int32)
    for low in range(0, users, block):
        high = min(low + block, users)
        vectors = np.empty((high - low, catalogue.vectors.shape[1]), dtype=np.float32)

        def encode(bounds: tuple[int, int], low: int = low, vectors: NDArray[np.float32] = vectors) -> None:
            start, stop = bounds
            _encode(
                likes.indptr,
                likes.films,
                catalogue.vector_rows,
                catalogue.vectors,
                low + start,
                low + stop,
                norms,
                with_vector,
                vectors[start:stop],
            )

        run_parallel(encode, even_ranges(high - low, 16), threads)
        yield low, high, vectors


def user_vectors(likes: Likes, catalogue: Catalogue, threads: int | None = None) -> NDArray[np.float32]:
    """Sum each user's liked film vectors and scale to unit length.

    Parameters
    ----------
    likes : Likes
    catalogue : Catalogue
    threads : int, optional
        Default: one per core. The result does not depend on it.

    Returns
    -------
    float32 array, shape (users, tags)
        Unit rows; a row of zeros for a user none of whose films has a vector.
    """
    vectors = np.empty((len(likes.user_ids), catalogue.vectors.shape[1]), dtype=np.float32)
    for low, high, block in iter_user_vectors(likes, catalogue, threads=threads):
        vectors[low:high] = block
    return vectors


def encode_profile(catalogue: Catalogue, positions: NDArray[np.int32]) -> tuple[NDArray[np.float32], float]:
    """Encode a list of films just as a user who likes exactly these (rule 4).

    Parameters
    ----------
    catalogue : Catalogue
    positions : int32 array, shape (films in the profile,)
        Catalogue positions; those without a vector contribute nothing.

    Returns
    -------
    (float32 array of shape (tags,), float)
        The unit vector and the norm of the sum; zeros and 0.0 if no film has a vector.
    """
    films = np.sort(np.asarray(positions, dtype=np.int32))
    indptr = np.array([0, len(films)], dtype=np.int64)
    norms, with_vector = np.zeros(1), np.zeros(1, dtype=np.int32)
    vector = np.zeros((1, catalogue.vectors.shape[1]), dtype=np.float32)
    _encode(indptr, films, catalogue.vector_rows, catalogue.vectors, 0, 1, norms, with_vector, vector)
    return vector[0], float(norms[0])


@kernel
def _encode(indptr, films, vector_rows, vectors, low, high, norms, with_vector, out):  # type: ignore[no-untyped-def]
    """Encode users low..high: norms and counts in place, unit vectors into `out` unless that has no rows.

    Sums run in float64 in the order of the films, one user at a time: nothing depends on how users are split up. Four
    films are added in one pass over the sum, which then goes through the processor's cache a quarter as often.
    """
    tags = vectors.shape[1]
    total = np.zeros(tags)
    longest = 0
    for user in range(low, high):
        longest = max(longest, indptr[user + 1] - indptr[user])
    rows = np.empty(longest, dtype=np.int64)
    for user in range(low, high):
        count = 0
        for k in range(indptr[user], indptr[user + 1]):
            row = vector_rows[films[k]]
            if row >= 0:
                rows[count] = row
                count += 1
        total[:] = 0.0
        k = 0
        while k + 4 <= count:
            a, b, c, d = vectors[rows[k]], vectors[rows[k + 1]], vectors[rows[k + 2]], vectors[rows[k + 3]]
            for tag in range(tags):
                total[tag] = (((total[tag] + a[tag]) + b[tag]) + c[tag]) + d[tag]
            k += 4
        while k < count:
            last = vectors[rows[k]]
            for tag in range(tags):
                total[tag] += last[tag]
            k += 1
        square = 0.0
        for tag in range(tags):
            square += total[tag] * total[tag]
        norm = np.sqrt(square)
        norms[user] = norm
        with_vector[user] = count
        if out.shape[0] > 0:
            scale = 1.0 / norm if norm > 0.0 else 0.0
            for tag in range(tags):
                out[user - low, tag] = total[tag] * scale
