"""An index together with the likes as they are now: who is probably near a profile, without comparing everybody.

Belongs here: proposing neighbours, also those the index does not know. Does not belong here: exact scores and votes
(`lists`), which decide among those proposed: a neighbour can be missed, but is never ranked wrongly.

Where liking a film of the list earns a bonus, all who like one are considered besides, and a shortlist of all is
proposed (`shortlist`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.ann.index import IndexFileError, UserIndex
from recommender.ann.shortlist import coarse, shortlist
from recommender.data.encoder import encode_profile
from recommender.data.inverted_index import Fans
from recommender.data.model_data import Neighbourhood
from recommender.lists import film_bonuses


@dataclass(frozen=True)
class BoundIndex:
    """An index together with the likes it is asked about.

    Attributes
    ----------
    index : UserIndex
    neighbourhood : Neighbourhood
    users : int64 array, shape (items,)
        User index of each item, -1 for users who are gone or not eligible.
    items : int32 array, shape (users,)
        Item of each user, -1 for users who are unknown or not eligible.
    unknown : int64 array
        Eligible users the index does not know, ascending.
    fans : Fans or None
        Users who like each film, if there is a bonus for that: it can bring users near who are far by cosine.
    """

    index: UserIndex
    neighbourhood: Neighbourhood
    users: NDArray[np.int64]
    items: NDArray[np.int32]
    unknown: NDArray[np.int64]
    fans: Fans | None

    def candidates(
        self, profile: NDArray[np.float32], wanted: int, films: NDArray[np.int32] | None = None
    ) -> NDArray[np.int64]:
        """Propose neighbours.

        Parameters
        ----------
        profile : float32 array, shape (tags,)
            Unit vector.
        films : int32 array, optional
            Catalogue positions of the films the profile is made of: with a bonus, those who like one are considered.

        Returns
        -------
        int64 array, shape (about wanted + unknown users,)
            Eligible users, distinct, in no particular order.
        """
        return self.near(profile @ self.index.directions - self.index.offset, wanted, films)

    def near(
        self, coordinates: NDArray[np.floating], wanted: int, films: NDArray[np.int32] | None = None
    ) -> NDArray[np.int64]:
        """Propose neighbours of a point of the index's space; as `candidates`."""
        if len(self.users) == 0:
            return self.unknown
        parameters = self.neighbourhood.parameters
        # never less than Annoy's own default: fewer nodes than that may not even be one leaf per tree
        nodes = max(parameters.annoy_search_k, wanted * parameters.annoy_trees)
        items = self.index.annoy.get_nns_by_vector(coordinates, min(wanted, len(self.users)), nodes)
        users = self.users[np.array(items, dtype=np.int64)]
        users = users[users >= 0]
        if films is not None and self.fans is not None:
            users = shortlist(
                users,
                films,
                film_bonuses(self.neighbourhood, films),
                self.fans.indptr,
                self.fans.users,
                self.items,
                self.index.points,
                coarse(coordinates),
                encode_profile(self.neighbourhood.catalogue, films)[1],
                wanted,
            )
        return np.concatenate((users, self.unknown))


def bind(index: UserIndex, neighbourhood: Neighbourhood) -> BoundIndex:
    """Prepare an index for likes as they are now.

    Users who are gone or no longer eligible are skipped; eligible users the index does not know are always among
    the candidates, so that they are found by exact comparison.
    """
    if len(index.directions) != neighbourhood.catalogue.vectors.shape[1]:
        raise IndexFileError(
            f"the index was built for {len(index.directions)} tags, the film vectors have "
            f"{neighbourhood.catalogue.vectors.shape[1]}; retrain the model"
        )
    users = _users_of_items(index.user_ids, neighbourhood)
    items = np.full(len(neighbourhood.likes.user_ids), -1, dtype=np.int32)
    items[users[users >= 0]] = np.flatnonzero(users >= 0)
    fans = None
    if neighbourhood.parameters.liked_bonus > 0.0:
        fans = neighbourhood.fans
    return BoundIndex(index, neighbourhood, users, items, unknown_users(index.user_ids, neighbourhood), fans)


def unknown_users(user_ids: NDArray[np.int32], neighbourhood: Neighbourhood) -> NDArray[np.int64]:
    """Find eligible users who are not among some ids: those an older index cannot propose.

    Parameters
    ----------
    user_ids : int32 array
        Ids the index knows.

    Returns
    -------
    int64 array
        User indices, ascending.
    """
    known = np.isin(neighbourhood.likes.user_ids, user_ids)
    return np.flatnonzero(neighbourhood.eligible & ~known)


def _users_of_items(user_ids: NDArray[np.int32], neighbourhood: Neighbourhood) -> NDArray[np.int64]:
    """User index of each id, -1 for those who are gone or not eligible."""
    now = neighbourhood.likes.user_ids
    if len(now) == 0:
        return np.full(len(user_ids), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(now, user_ids), len(now) - 1)
    return np.where((now[at] == user_ids) & neighbourhood.eligible[at], at, -1).astype(np.int64)
