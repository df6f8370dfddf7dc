"""Recommendations for any list of films, at once: what nobody precomputed.

Belongs here: one profile at a time, scored against all users or against those an index proposes.
Does not belong here: all pairs (`neighbours`), building or reading an index (`ann`).

The same encoder makes a profile and a user, the same rules order users and count votes. The score of a user for a list
is the sum over its films f of |v_f| (cos(u, v_f) + bonus if u likes f). Without a bonus that orders users as the cosine
to the profile does, and for two films it is the score of the pair.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.csr import picked
from recommender.data.encoder import encode_profile
from recommender.data.model_data import Neighbourhood
from recommender.data.weights import SCORE_ONE
from recommender.errors import MarqueeError
from recommender.kernels.dot import dot
from recommender.kernels.jit import kernel
from recommender.kernels.simd import DOUBLES
from recommender.kernels.threads import even_ranges, run_parallel
from recommender.voting.ranking import first_places, nearest_users
from recommender.voting.score import count_votes, electorate, rank_films

MOST_FILMS = 100
"""Films a list can have."""


class ProfileError(MarqueeError):
    """A list of films cannot be answered; the message says why and what would help."""


class CandidateIndex(Protocol):
    """What proposes neighbours; `ann.index.BoundIndex` does."""

    def candidates(
        self, profile: NDArray[np.float32], wanted: int, films: NDArray[np.int32] | None = None
    ) -> NDArray[np.int64]:
        """Return indices of eligible users, distinct, about `wanted` of them, in any order, near a unit vector.

        With a bonus, also those who like the films the vector is made of.
        """


@dataclass(frozen=True)
class ListRecommendations:
    """The answer for one list of films.

    Attributes
    ----------
    movie_ids : int32 array, shape (<= per_pair,)
        Recommended films, best first.
    scores : float64 array, shape (<= per_pair,)
        Whole numbers of millionths.
    votes : int32 array, shape (<= per_pair,)
        How many neighbours like each.
    neighbour_ids : int32 array, shape (neighbours used,)
        user_ids of those who voted, nearest first.
    companions : int32 array, shape (<= per_pair, films of the list)
        P(f | a) of each recommended film f for each film a of the list, by ascending position; in units of 10^-8.
    """

    movie_ids: NDArray[np.int32]
    scores: NDArray[np.float64]
    votes: NDArray[np.int32]
    neighbour_ids: NDArray[np.int32]
    companions: NDArray[np.int32]


def recommend_list(
    neighbourhood: Neighbourhood,
    movie_ids: ArrayLike,
    *,
    count: int | None = None,
    index: CandidateIndex | None = None,
    threads: int | None = 1,
) -> ListRecommendations:
    """Recommend films to somebody who likes these.

    Parameters
    ----------
    neighbourhood : Neighbourhood
        May be memory-mapped.
    movie_ids : array of int, shape (1 to 100,)
        Films of the list; a film given twice counts once. Films without a vector do not shape the profile, but are
        left out of the answer like the others.
    count : int, optional
        Films to return; default: `per_pair`. It also decides whether the neighbours found suffice.
    index : CandidateIndex, optional
        Who proposes neighbours. Default: nobody, all users are compared, which is exact.
    threads : int, optional
        For the exact comparison; the result does not depend on it. Several calls may run at the same time.

    Returns
    -------
    ListRecommendations

    Raises
    ------
    ProfileError
        If the list is empty or too long, names an unknown film, or no film of it has a vector.
    """
    films = profile_positions(neighbourhood.catalogue, movie_ids)
    most = neighbourhood.parameters.max_neighbours
    if index is None:
        ranked = nearest_users(profile_scores(neighbourhood, films, threads), neighbourhood.eligible, most)
    else:
        ranked = reranked(neighbourhood, films, index, most)
    count = count or neighbourhood.parameters.per_pair
    return vote(neighbourhood, films, ranked, count, count)


def profile_positions(catalogue: Catalogue, movie_ids: ArrayLike) -> NDArray[np.int32]:
    """Check a list of films and find them.

    Parameters
    ----------
    catalogue : Catalogue
    movie_ids : array of int, shape (1 to 100,)

    Returns
    -------
    int32 array, shape (distinct films,)
        Catalogue positions, ascending.

    Raises
    ------
    ProfileError
        As `recommend_list`.
    """
    wanted = np.unique(np.asarray(movie_ids, dtype=np.int64))
    if not 1 <= len(wanted) <= MOST_FILMS:
        raise ProfileError(f"a list has 1 to {MOST_FILMS} films, not {len(wanted)}")
    # one comparison of the column per film: for a handful of films faster than anything that sorts the column
    films = np.sort(np.concatenate([np.flatnonzero(catalogue.movie_ids == movie) for movie in wanted])).astype(np.int32)
    if len(films) < len(wanted):
        missing = np.setdiff1d(wanted, catalogue.movie_ids[films])
        raise ProfileError(f"there is no film with movie_id {', '.join(str(movie) for movie in missing[:5])}")
    if (catalogue.vector_rows[films] < 0).all():
        names = ", ".join(str(movie) for movie in wanted[:5])
        raise ProfileError(f"no film of the list ({names}) has a vector; add a film that has tags")
    return films


def profile_scores(
    neighbourhood: Neighbourhood, films: NDArray[np.int32], threads: int | None = 1
) -> NDArray[np.float64]:
    """Score every user, eligible or not, for a list of films.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    films : int32 array
        Catalogue positions, distinct.
    threads : int, optional

    Returns
    -------
    float64 array, shape (users,)
        Zero for users without a vector.
    """
    products = np.zeros(len(neighbourhood.catalogue.vectors))
    profile, bonuses = _profile(neighbourhood, films)

    def multiply(bounds: tuple[int, int]) -> None:
        _multiply(neighbourhood.catalogue.vectors, profile, np.arange(*bounds), products)

    run_parallel(multiply, even_ranges(len(products), 16), threads)
    scores = np.zeros(len(neighbourhood.norms))

    def score(bounds: tuple[int, int]) -> None:
        scores[slice(*bounds)] = _user_scores(neighbourhood, products, bonuses, np.arange(*bounds))

    run_parallel(score, even_ranges(len(scores), 16), threads)
    return scores


def candidate_scores(
    neighbourhood: Neighbourhood, films: NDArray[np.int32], users: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Score some users for a list of films; the same numbers as `profile_scores`, for fewer users in less time.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    films : int32 array
        Catalogue positions, distinct.
    users : int64 array, shape (n,)
        User indices.

    Returns
    -------
    float64 array, shape (n,)
    """
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    products = np.zeros(len(catalogue.vectors))
    profile, bonuses = _profile(neighbourhood, films)
    rows = catalogue.vector_rows[picked(likes.indptr, likes.films, users)[1]]
    needed = np.zeros(len(products), dtype=bool)
    needed[rows[rows >= 0]] = True
    _multiply(catalogue.vectors, profile, np.flatnonzero(needed), products)
    return _user_scores(neighbourhood, products, bonuses, users)


def reranked(
    neighbourhood: Neighbourhood, films: NDArray[np.int32], index: CandidateIndex, wanted: int
) -> NDArray[np.int64]:
    """Order what an index proposes by exact score, ties by smaller user_id.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    films : int32 array
        Catalogue positions, distinct.
    index : CandidateIndex
    wanted : int
        Neighbours wanted; at least `annoy_candidates` are asked for.

    Returns
    -------
    int64 array, shape (<= wanted,)
        User indices, nearest first; fewer if the index knows fewer.
    """
    profile = encode_profile(neighbourhood.catalogue, films)[0]
    users = index.candidates(profile, max(wanted, neighbourhood.parameters.annoy_candidates), films)
    return users[first_places(candidate_scores(neighbourhood, films, users), users, wanted)]


def vote(
    neighbourhood: Neighbourhood,
    films: NDArray[np.int32],
    ranked: NDArray[np.int64],
    count: int,
    enough: int,
    *,
    allowed: NDArray[np.bool_] | None = None,
    keep_named: bool = False,
) -> ListRecommendations:
    """Let ranked neighbours vote, and rank films by score (rules 5 and 6).

    Parameters
    ----------
    neighbourhood : Neighbourhood
    films : int32 array
        Catalogue positions of the list, distinct.
    ranked : int64 array
        User indices, nearest first.
    count : int
        Films to return.
    enough : int
        Films with a vote from which on no more neighbours are asked.
    allowed : bool array, shape (films in the catalogue,), optional
        Films that may be returned. Who votes does not depend on it, nor does any score.
    keep_named : bool
        Whether the films of the list may be returned too; who votes does not depend on that either.

    Returns
    -------
    ListRecommendations
    """
    catalogue, listed = neighbourhood.catalogue, films
    data = electorate(neighbourhood)
    if keep_named:
        counters, touched = _counters(catalogue)
        ranked = ranked[: count_votes(ranked, enough, films, data, counters, touched)[2]]
        films, enough = films[:0], len(catalogue.movie_ids) + 1  # all of these vote, and nothing is left out
    companions = _companions_of_list(neighbourhood, listed)
    shares = companions.sum(axis=0, dtype=np.int64) // len(listed)
    if allowed is not None:  # a factor of 0 makes a score of 0, which no list has
        data = data._replace(factors=np.where(allowed, data.factors, 0))
    winners, votes = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    scores = np.zeros(count, dtype=np.int64)
    kept, used, _ = rank_films(ranked, enough, films, shares, data, *_counters(catalogue), winners, votes, scores)
    return ListRecommendations(
        catalogue.movie_ids[winners[:kept]],
        scores[:kept] / SCORE_ONE,
        votes[:kept],
        neighbourhood.likes.user_ids[ranked[:used]],
        companions[:, winners[:kept]].T,
    )


def _counters(catalogue: Catalogue) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Room to count votes in, as `count_votes` wants it."""
    films = len(catalogue.movie_ids)
    return np.zeros(films, dtype=np.int64), np.zeros(films + 1, dtype=np.int32)


def _companions_of_list(neighbourhood: Neighbourhood, films: NDArray[np.int32]) -> NDArray[np.int32]:
    """P(f | a) of every film f for each film a of a list; int32, shape (list, films in the catalogue)."""
    shares = neighbourhood.shares_of(films, threads=1)
    if shares.shape[1] == 0:
        return np.zeros((len(films), len(neighbourhood.catalogue.movie_ids)), dtype=np.int32)
    return shares


def film_bonuses(neighbourhood: Neighbourhood, films: NDArray[np.int32]) -> NDArray[np.float64]:
    """What liking each of these films adds to a score; float64, as long as `films`, 0 for films without a vector."""
    catalogue = neighbourhood.catalogue
    rows = catalogue.vector_rows[films]
    vectors = catalogue.vectors[np.maximum(rows, 0)].astype(np.float64)
    lengths = np.where(rows >= 0, np.sqrt(np.einsum("ft,ft->f", vectors, vectors)), 0.0)
    bonuses: NDArray[np.float64] = neighbourhood.parameters.liked_bonus * lengths
    return bonuses


def _profile(neighbourhood: Neighbourhood, films: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of the films' vectors, float64, shape (tags,), and what liking each film adds, float64, shape (films,)."""
    catalogue = neighbourhood.catalogue
    with_vector = films[catalogue.vector_rows[films] >= 0]
    vectors = catalogue.vectors[catalogue.vector_rows[with_vector]].astype(np.float64)
    bonuses = np.zeros(len(catalogue.movie_ids))
    bonuses[with_vector] = film_bonuses(neighbourhood, with_vector)
    return vectors.sum(axis=0), bonuses


@kernel
def _multiply(vectors, profile, rows, products):  # type: ignore[no-untyped-def]
    lanes = np.zeros(DOUBLES)
    for row in rows:
        products[row] = dot(vectors, row, profile, lanes)


def _user_scores(
    neighbourhood: Neighbourhood,
    products: NDArray[np.float64],
    bonuses: NDArray[np.float64],
    users: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Scores of some users from the products of the films they like with the profile."""
    likes, rows = neighbourhood.likes, neighbourhood.catalogue.vector_rows
    found: NDArray[np.float64] = _score(likes.indptr, likes.films, rows, products, bonuses, neighbourhood.norms, users)
    return found


@kernel
def _score(indptr, films, vector_rows, products, bonuses, norms, users):  # type: ignore[no-untyped-def]
    scores = np.zeros(len(users))
    for n in range(len(users)):
        user = users[n]
        if norms[user] <= 0.0:
            continue
        total, extra = 0.0, 0.0
        for k in range(indptr[user], indptr[user + 1]):
            row = vector_rows[films[k]]
            if row >= 0:
                total += products[row]
            extra += bonuses[films[k]]
        scores[n] = total / norms[user] + extra
    return scores
