"""Users in few dimensions: principal components, and users projected onto them straight from their likes.

Belongs here: what both the Annoy index and the ordering of users for the exact search need.
Does not belong here: what they do with it.
"""

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.encoder import user_vectors
from recommender.data.likes import Likes, some_users
from recommender.kernels.jit import kernel
from recommender.kernels.threads import even_ranges, run_parallel


def principal_components(
    likes: Likes, catalogue: Catalogue, users: NDArray[np.integer], components: int, sample: int, centred: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the directions in which users differ most (principal component analysis, Pearson 1901).

    Parameters
    ----------
    likes : Likes
    catalogue : Catalogue
    users : integer array, shape (users considered,)
        Ascending user indices with non-zero vectors.
    components : int
        How many; at most the number of tags is returned.
    sample : int
        Look at this many evenly spaced users at most. No randomness is involved.
    centred : bool
        Around the mean user, or around zero (the first component is then close to the mean user).

    Returns
    -------
    directions : float32 array, shape (tags, components)
        Orthonormal columns, most important first. The sign of each is fixed: its largest component is positive.
    mean : float32 array, shape (tags,)
        What to subtract before projecting; zeros if not centred.
    """
    step = max(1, -(-len(users) // sample))
    vectors = user_vectors(some_users(likes, users[::step]), catalogue)
    mean = vectors.mean(axis=0, dtype=np.float64) if centred and len(vectors) else np.zeros(vectors.shape[1])
    vectors -= mean.astype(np.float32)
    spread = (vectors.T @ vectors).astype(np.float64)
    _, directions = np.linalg.eigh(spread)
    directions = directions[:, ::-1][:, :components]
    largest = np.abs(directions).argmax(axis=0) if directions.size else np.zeros(0, dtype=int)
    signs = np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
    return np.ascontiguousarray(directions * signs, dtype=np.float32), mean.astype(np.float32)


def project(
    indptr: NDArray[np.int64],
    rows: NDArray[np.int32],
    norms: NDArray[np.float64],
    film_features: NDArray[np.float32],
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Project unit user vectors, as sums of projected films: the users' vectors themselves are never made.

    Parameters
    ----------
    indptr, rows : arrays
        User u likes the films with vector rows ``rows[indptr[u]:indptr[u + 1]]``; -1 is skipped.
    norms : float64 array, shape (users,)
        Norms of the users' vector sums.
    film_features : float32 array, shape (films_with_vector, components)
        Film vectors times directions.
    threads : int, optional
        Default: one per core.

    Returns
    -------
    float32 array, shape (users, components)
        Zeros for a user with norm 0.
    """
    features = np.zeros((len(norms), film_features.shape[1]), dtype=np.float32)

    def some(bounds: tuple[int, int]) -> None:
        _project(indptr, rows, norms, film_features, *bounds, features)

    run_parallel(some, even_ranges(len(norms), 32), threads)
    return features


@kernel
def _project(indptr, rows, norms, film_features, low, high, features):  # type: ignore[no-untyped-def]
    components = film_features.shape[1]
    total = np.zeros(components)
    for user in range(low, high):
        if norms[user] <= 0.0:
            continue
        total[:] = 0.0
        for k in range(indptr[user], indptr[user + 1]):
            row = rows[k]
            if row >= 0:
                for c in range(components):
                    total[c] += film_features[row, c]
        for c in range(components):
            features[user, c] = total[c] / norms[user]
