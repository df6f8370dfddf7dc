"""Companions: what else the users who like a film like, P(f | a) of rule 6.

Belongs here: the shares, for any films. Does not belong here: the score made of them (`voting.score`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.inverted_index import Fans
from recommender.data.likes import Likes
from recommender.data.weights import SHARE_ONE
from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel


@dataclass(frozen=True)
class Companions:
    """P(f | a) for some films a and all films f.

    Attributes
    ----------
    films : int32 array, shape (n,)
        Catalogue positions of the films a, ascending.
    shares : int32 array, shape (n, films in the catalogue)
        Share of the weight of all users who like a that likes f too, in units of 1 / `SHARE_ONE`, rounded down.
    """

    films: NDArray[np.int32]
    shares: NDArray[np.int32]


def companion_shares(
    likes: Likes,
    fans: Fans,
    weights: NDArray[np.int64],
    films: NDArray[np.int32],
    threads: int | None = None,
) -> NDArray[np.int32]:
    """Compute P(f | a) from all users who like a, whether they can be neighbours or not.

    Conditional probability between items (Deshpande & Karypis 2004), with weighted users.

    Parameters
    ----------
    likes : Likes
    fans : Fans
        Of all users.
    weights : int64 array, shape (users,)
        `voter_weights`. The weights of all users together stay below 2^47.
    films : int32 array, shape (n,)
        Catalogue positions of the films a.
    threads : int, optional
        The result does not depend on it.

    Returns
    -------
    int32 array, shape (n, films in the catalogue)
        Zero where nobody likes a.
    """
    catalogue_size = len(fans.indptr) - 1
    shares = np.zeros((len(films), catalogue_size), dtype=np.int32)
    if len(weights) * int(weights.max(initial=0)) >= 1 << 47:
        raise ValueError(f"{len(weights)} users are more than weights of 20 bits are made for")

    # half the bytes to read save a third of the time; a catalogue of more films is read as it is
    liked = likes.films.astype(np.uint16) if len(films) >= 10 and catalogue_size <= 1 << 16 else likes.films

    def count(row: int) -> None:
        _count_companions(likes.indptr, liked, fans.of(films[row]), weights, SHARE_ONE, shares[row])

    run_parallel(count, range(len(films)), threads)
    return shares


@kernel
def _count_companions(indptr, films, users, weights, one, shares):  # type: ignore[no-untyped-def]
    together = np.zeros(len(shares), dtype=np.int64)
    total = np.int64(0)
    for user in users:
        weight = weights[user]
        total += weight
        for k in range(indptr[user], indptr[user + 1]):
            together[films[k]] += weight
    if total == 0:
        return
    for film in range(len(shares)):
        if together[film] > 0:
            shares[film] = share_of(together[film], total, one)


@kernel
def share_of(weight, total, one):  # type: ignore[no-untyped-def]
    """Share of a weight in a total, rounded down, in units of 1 / `one`, which is 10^8."""
    # in two steps of 10^4, so that nothing exceeds 2^63
    high = weight * 10_000
    rest = high % total
    return high // total * 10_000 + rest * 10_000 // total
