"""Who likes a film: the likes turned round, to propose neighbours whom a bonus brings near.

Belongs here: the turned lists and the proposals from them. Does not belong here: proposals by cosine (`annoy_index`)
or scores (`live`), which decide among all proposals.

With a bonus for liking a film of the list, a user who likes all of them mostly outranks every user who does not, near
as those may be by cosine, and an index of cosines need not know that user. Among users who like the same films of the
list, those whose vectors are the shortest sums come first: what the list is made of is more of what they like.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.compiled import kernel
from recommender.likes import Likes


@dataclass(frozen=True)
class Fans:
    """Eligible users who like each film.

    Attributes
    ----------
    indptr : int64 array, shape (films + 1,)
    users : int32 array
        ``users[indptr[f]:indptr[f + 1]]`` like the film at position f; as places in `order`, ascending.
    order : int64 array, shape (eligible users,)
        User indices by ascending norm, ties by smaller index.
    """

    indptr: NDArray[np.int64]
    users: NDArray[np.int32]
    order: NDArray[np.int64]

    def of(self, film: int) -> NDArray[np.int64]:
        """User indices of those who like the film at a catalogue position."""
        return self.order[self.users[self.indptr[film] : self.indptr[film + 1]]]

    def proposals(self, films: NDArray[np.integer], bonuses: NDArray[np.float64], wanted: int) -> NDArray[np.int64]:
        """Propose users by what they get in bonuses for a list of films, ties by smaller norm.

        Parameters
        ----------
        films : integer array, shape (n,)
            Catalogue positions, distinct.
        bonuses : float64 array, shape (n,)
            What liking each film adds to a score.
        wanted : int

        Returns
        -------
        int64 array, shape (<= wanted,)
            User indices who like at least one of the films, distinct, in no particular order.
        """
        return self.order[_most_bonus(self.indptr, self.users, films, bonuses, len(self.order), wanted)]


def make_fans(likes: Likes, films: int, norms: NDArray[np.float64], eligible: NDArray[np.bool_]) -> Fans:
    """Turn likes round.

    Parameters
    ----------
    likes : Likes
    films : int
        Films in the catalogue.
    norms : float64 array, shape (users,)
    eligible : bool array, shape (users,)

    Returns
    -------
    Fans
    """
    users = np.flatnonzero(eligible)
    order = users[np.argsort(norms[users], kind="stable")]
    indptr = np.zeros(films + 1, dtype=np.int64)
    _count(likes.indptr, likes.films, order, indptr)
    indptr = np.cumsum(indptr)
    fans = np.empty(indptr[-1], dtype=np.int32)
    _fill(likes.indptr, likes.films, order, indptr[:-1].copy(), fans)
    return Fans(indptr, fans, order)


@kernel
def _count(indptr, films, order, counts):  # type: ignore[no-untyped-def]
    for user in order:
        for k in range(indptr[user], indptr[user + 1]):
            counts[films[k] + 1] += 1


@kernel
def _fill(indptr, films, order, at, fans):  # type: ignore[no-untyped-def]
    for place in range(len(order)):
        user = order[place]
        for k in range(indptr[user], indptr[user + 1]):
            fans[at[films[k]]] = place
            at[films[k]] += 1


@kernel
def _most_bonus(indptr, fans, films, bonuses, users, wanted):  # type: ignore[no-untyped-def]
    """Places of the users with the largest sums of bonuses, ties by smaller place."""
    sums = np.zeros(users)
    touched = np.empty(users, dtype=np.int64)
    count = 0
    for n in range(len(films)):
        for k in range(indptr[films[n]], indptr[films[n] + 1]):
            place = fans[k]
            if bonuses[n] > 0.0:
                if sums[place] == 0.0:
                    touched[count] = place
                    count += 1
                sums[place] += bonuses[n]
    touched = np.sort(touched[:count])
    if count <= wanted:
        return touched
    reached = sums[touched]
    least = np.partition(reached, count - wanted)[count - wanted]
    ahead = 0
    for n in range(count):
        ahead += reached[n] > least
    chosen = np.empty(wanted, dtype=np.int64)
    kept, equal = 0, wanted - ahead
    for n in range(count):  # touched is ascending: the first users with just `least` have the smallest norms
        if reached[n] > least:
            chosen[kept] = touched[n]
            kept += 1
        elif reached[n] == least and equal > 0:
            chosen[kept] = touched[n]
            kept += 1
            equal -= 1
    return chosen
