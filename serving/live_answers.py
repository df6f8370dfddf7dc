"""Live recommendations on a snapshot: the same neighbours and votes as the table, for any films.

Belongs here: calling `recommender.lists` with what a snapshot holds. Does not belong here: who counts as nearer and who
wins the vote (`recommender.voting.ranking`), JSON.
"""

from collections.abc import Sequence

import numpy as np

from recommender.lists import profile_scores, reranked, vote
from recommender.voting.ranking import nearest_users
from serving.releases.snapshot import Snapshot


def rank_films(snapshot: Snapshot, movie_ids: Sequence[int], num: int, engine: str) -> list[tuple[int, int]]:
    """Recommend films to somebody who likes these.

    Who votes depends on the list alone, by the release's own `per_pair`, never on `num`: asking for more films
    continues the list, and two sign-up films get what the table holds for them.

    Parameters
    ----------
    snapshot : Snapshot
    movie_ids : sequence of int
        Distinct films of the release, at least one of them with a vector.
    num : int
        Films to return at most.
    engine : {'exact', 'annoy'}
        annoy needs the snapshot to have an index.

    Returns
    -------
    list of (movie_id, votes)
        Best first.
    """
    neighbourhood = snapshot.neighbourhood
    parameters = neighbourhood.parameters
    known = [snapshot.positions[movie] for movie in movie_ids if movie in snapshot.positions]
    films = np.array(sorted(known), dtype=np.int32)
    most = parameters.max_neighbours
    if engine == "exact":
        ranked = nearest_users(profile_scores(neighbourhood, films), neighbourhood.eligible, most)
    else:
        assert snapshot.index is not None
        ranked = reranked(neighbourhood, films, snapshot.index, most)
    found = vote(neighbourhood, films, ranked, parameters.per_pair)
    if num > parameters.per_pair:
        found = vote(neighbourhood, films, ranked[: len(found.neighbour_ids)], num)
    return list(zip(found.movie_ids[:num].tolist(), found.votes[:num].tolist(), strict=True))


def has_vector(snapshot: Snapshot, movie_id: int) -> bool:
    """Whether a film can shape a profile."""
    position = snapshot.positions.get(movie_id)
    return position is not None and bool(snapshot.neighbourhood.catalogue.vector_rows[position] >= 0)


def warm(snapshot: Snapshot) -> None:
    """Answer once with each engine, so that the first user does not wait for compilation or the disk."""
    film = next((movie for movie in snapshot.films.signup_ids if has_vector(snapshot, movie)), None)
    if film is None:
        return
    rank_films(snapshot, [film], 1, "exact")
    if snapshot.index is not None:
        rank_films(snapshot, [film], 1, "annoy")
