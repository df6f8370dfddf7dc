"""Live recommendations on a snapshot: the same neighbours and votes as the table, for any films.

Belongs here: calling `recommender.live` with what a snapshot holds, and scoring an index's proposals quickly. Does not
belong here: who counts as nearer and who wins the vote (`recommender.ranking`), JSON.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.live import profile_scores, vote
from recommender.neighbourhood import Neighbourhood
from recommender.ranking import first_places, nearest_users
from recommender.users import encode_profile
from serving.snapshot import Snapshot


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
        profile = encode_profile(neighbourhood.catalogue, films)[0]
        users = snapshot.index.candidates(profile, max(most, parameters.annoy_candidates), films)
        ranked = users[first_places(_scores(neighbourhood, films, users), users, most)]
    found = vote(neighbourhood, films, ranked, parameters.per_pair)
    if num > parameters.per_pair:
        found = vote(neighbourhood, films, ranked[: len(found.neighbour_ids)], num)
    return list(zip(found.movie_ids[:num].tolist(), found.votes[:num].tolist(), strict=True))


def _scores(neighbourhood: Neighbourhood, films: NDArray[np.int32], users: NDArray[np.int64]) -> NDArray[np.float64]:
    """Score the users an index proposed, for a list of films.

    The same score as `recommender.live.candidate_scores`, but with all products of film vectors and profile from one
    single-precision matrix product: some users like thousands of films, and those cost three times as much one by
    one. The rounding, some 1e-6, is far below what the index itself leaves out.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    films : int32 array
        Catalogue positions.
    users : int64 array, shape (n,)
        Users who like something.

    Returns
    -------
    float64 array, shape (n,)
    """
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    if len(users) == 0:
        return np.zeros(0)
    # Plain views: slicing a memory map makes a new map object each time, which costs more than the slice.
    rows, matrix, all_films = map(np.asarray, (catalogue.vector_rows, catalogue.vectors, likes.films))
    vectors = matrix[rows[films[rows[films] >= 0]]]
    products = np.append(matrix @ vectors.sum(axis=0), np.float32(0))  # the last is for films without one
    starts, ends = likes.indptr[users], likes.indptr[users + 1]
    liked = np.concatenate([all_films[low:high] for low, high in zip(starts.tolist(), ends.tolist(), strict=True)])
    firsts = np.asarray(np.cumsum(ends - starts) - (ends - starts))
    sums = np.add.reduceat(products[rows[liked]].astype(np.float64), firsts)
    scores: NDArray[np.float64] = sums / neighbourhood.norms[users]
    bonus = neighbourhood.parameters.liked_bonus
    if bonus:
        lengths = np.zeros(len(catalogue.movie_ids))
        lengths[films[rows[films] >= 0]] = np.linalg.norm(vectors, axis=1)
        scores += bonus * np.add.reduceat(lengths[liked], firsts)
    return scores


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
