"""Users prepared for searching: equal ones merged, similar ones next to each other.

Belongs here: which users are interchangeable for every score, and the order in which the search keeps them.
Does not belong here: scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.csr import picked
from recommender.data.likes import some_users
from recommender.data.model_data import Neighbourhood
from recommender.data.projection import principal_components, project
from recommender.kernels.jit import kernel
from recommender.kernels.threads import even_ranges, run_parallel

ORDERING_COMPONENTS = 16
"""Principal components by which users are laid out; more separate them hardly better, fewer do worse."""

ORDERING_SAMPLE = 4096
"""Users from which these components are found."""


@dataclass(frozen=True)
class UserClasses:
    """Eligible users, merged where their scores are equal for every profile.

    Attributes
    ----------
    indptr : int64 array, shape (classes + 1,)
    rows : int32 array
        Class c likes the films with vector rows ``rows[indptr[c]:indptr[c + 1]]``; films without vector do not matter.
    norms : float64 array, shape (classes,)
    member_indptr : int64 array, shape (classes + 1,)
    members : int64 array, shape (eligible users,)
        User indices of class c, ascending: ``members[member_indptr[c]:member_indptr[c + 1]]``.
    """

    indptr: NDArray[np.int64]
    rows: NDArray[np.int32]
    norms: NDArray[np.float64]
    member_indptr: NDArray[np.int64]
    members: NDArray[np.int64]


def user_classes(
    neighbourhood: Neighbourhood, signup: NDArray[np.int32], block: int, threads: int | None = None
) -> UserClasses:
    """Merge equal users and lay the classes out so that each run of `block` classes holds similar ones.

    Users are equal if they like films with the same vectors, as often; with a bonus also the same sign-up films.

    Parameters
    ----------
    signup : int32 array
        Catalogue positions of the sign-up films.
    block : int
        Classes per block.
    """
    catalogue, users = neighbourhood.catalogue, np.flatnonzero(neighbourhood.eligible)
    labels = _film_labels(catalogue, signup if neighbourhood.parameters.liked_bonus > 0 else signup[:0])
    kept = some_users(neighbourhood.likes, users)
    rows = catalogue.vector_rows[kept.films]
    hashes = np.zeros(len(users), dtype=np.uint64)

    def hash_rows(bounds: tuple[int, int]) -> None:
        _hash_rows(kept.indptr, rows, labels, *bounds, hashes)

    run_parallel(hash_rows, even_ranges(len(users), 16), threads)
    order = np.argsort(hashes, kind="stable")
    leaders, class_of = _equal_users(order, hashes, kept.indptr, rows, labels)
    indptr, class_rows = picked(kept.indptr, rows, leaders)
    norms = neighbourhood.norms[users[leaders]]
    layout = _similar_order(_features(neighbourhood, users, indptr, class_rows, norms, threads), block)
    indptr, class_rows = picked(indptr, class_rows, layout)
    place = np.empty(len(layout), dtype=np.int64)
    place[layout] = np.arange(len(layout))
    new_class = place[class_of]
    member_indptr = np.concatenate(([0], np.cumsum(np.bincount(new_class, minlength=len(layout)))))
    members = users[np.argsort(new_class, kind="stable")]
    return UserClasses(indptr, class_rows, norms[layout], member_indptr.astype(np.int64), members)


def separate_users(neighbourhood: Neighbourhood) -> UserClasses:
    """Leave eligible users as they are, each in a class of its own: for few pairs, merging and ordering cost more than
    they save, and change nothing else.
    """
    return _as_they_are(neighbourhood, np.flatnonzero(neighbourhood.eligible))


def everybody(neighbourhood: Neighbourhood) -> UserClasses:
    """All users, eligible or not, each in a class of its own: class and user index are the same."""
    return _as_they_are(neighbourhood, np.arange(len(neighbourhood.eligible)))


def _as_they_are(neighbourhood: Neighbourhood, users: NDArray[np.int64]) -> UserClasses:
    likes = neighbourhood.likes
    indptr, rows = picked(likes.indptr, neighbourhood.catalogue.vector_rows[likes.films], users)
    return UserClasses(indptr, rows, neighbourhood.norms[users], np.arange(len(users) + 1), users)


def _film_labels(catalogue: Catalogue, distinct: NDArray[np.int32]) -> NDArray[np.int64]:
    """Label vector rows such that equal vectors share a label, except for the films in `distinct`."""
    known: dict[bytes, int] = {}
    labels = np.array([known.setdefault(row.tobytes(), len(known)) for row in catalogue.vectors], dtype=np.int64)
    own = catalogue.vector_rows[distinct]
    labels[own] = len(labels) + own
    return labels


def _features(
    neighbourhood: Neighbourhood,
    users: NDArray[np.int64],
    indptr: NDArray[np.int64],
    rows: NDArray[np.int32],
    norms: NDArray[np.float64],
    threads: int | None,
) -> NDArray[np.float32]:
    """Coordinates of the classes by which to lay them out."""
    directions, _ = principal_components(
        neighbourhood.likes, neighbourhood.catalogue, users, ORDERING_COMPONENTS, ORDERING_SAMPLE, centred=True
    )
    return project(indptr, rows, norms, neighbourhood.catalogue.vectors @ directions, threads)


@kernel
def _hash_rows(indptr, rows, labels, low, high, hashes):  # type: ignore[no-untyped-def]
    """Hash each user's labels regardless of their order: a sum of scrambled labels (splitmix64, Steele 2014)."""
    for user in range(low, high):
        total = np.uint64(0)
        for k in range(indptr[user], indptr[user + 1]):
            if rows[k] >= 0:
                x = np.uint64(labels[rows[k]]) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
                x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                total += x ^ (x >> np.uint64(31))
        hashes[user] = total


@kernel
def _sorted_labels(user, indptr, rows, labels):  # type: ignore[no-untyped-def]
    row = rows[indptr[user] : indptr[user + 1]]
    return np.sort(labels[row[row >= 0]])


@kernel
def _equal_users(order, hashes, indptr, rows, labels):  # type: ignore[no-untyped-def]
    """Split users, ordered by hash, into classes; equality is checked, the hash only says where to look."""
    leaders = np.empty(len(order), dtype=np.int64)
    class_of = np.empty(len(order), dtype=np.int64)
    classes, run = 0, -1
    for n in range(len(order)):
        user = order[n]
        if n > 0 and hashes[user] == hashes[order[n - 1]]:
            own = _sorted_labels(user, indptr, rows, labels)
            theirs = _sorted_labels(leaders[run], indptr, rows, labels)
            if len(own) == len(theirs) and (own == theirs).all():
                class_of[user] = run
                continue
        else:
            run = classes
        leaders[classes] = user
        class_of[user] = classes
        classes += 1
    return leaders[:classes].copy(), class_of


@kernel
def _similar_order(features, block):  # type: ignore[no-untyped-def]
    """Order points so that runs of `block` are close together: split at the median of the widest dimension, again
    and again (k-d tree, Bentley 1975), always at a multiple of `block`.

    Returns
    -------
    int64 array, shape (points,)
        Points in their new order.
    """
    points, dimensions = features.shape
    order = np.arange(points)
    stack = [(0, points)]
    while len(stack) > 0:
        low, high = stack.pop()
        if high - low <= block:
            continue
        widest, most = 0, -1.0
        for d in range(dimensions):
            total, square = 0.0, 0.0
            for n in range(low, high):
                x = features[order[n], d]
                total += x
                square += x * x
            spread = square - total * total / (high - low)
            if spread > most:
                widest, most = d, spread
        keys = np.empty(high - low, dtype=np.float32)
        for n in range(low, high):
            keys[n - low] = features[order[n], widest]
        order[low:high] = order[low:high][np.argsort(keys)]
        middle = low + ((high - low) // block + 1) // 2 * block
        stack.append((low, middle))
        stack.append((middle, high))
    return order
