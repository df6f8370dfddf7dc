"""Similar films: what the users who like a film like too, in the light of the tags that both films have.

Belongs here: the score of a film for another one, lists for one film and for all. Does not belong here: P(f|a)
(`data.companions`), lists for users (`ranking`).

With n users who like film a, m who like f, of U users in all, and the cosine of the two films' vectors (0 if one of
them has none):

    score = (n P(f|a) + s m/U) / (n + s) / ((m + k) / U)^1/2 x (1/5 + cosine)

P(f|a), conditional probability between items (Deshpande & Karypis 2004), says what goes together; dividing by a power
of popularity takes out what everybody likes; the cosine takes out what merely is liked by the same people. s =
`PRIOR` users who like what everybody likes are added to those who like a, and k = `DAMPING` to those who like f: a film
of few users is not judged by chance. Numbers are integers as in `voting.score`; a cosine is rounded to thousandths.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.companions import companion_shares
from recommender.data.model_data import Neighbourhood
from recommender.data.weights import SHARE_ONE, THOUSAND, popularity_factors
from recommender.items.ranking import Ranked
from recommender.kernels.dot import dot
from recommender.kernels.jit import kernel
from recommender.kernels.simd import DOUBLES
from recommender.kernels.threads import run_parallel

LEAST_LIKES = 5
"""Likes from which on a film without a vector has a list."""

PRIOR = 5
DAMPING = 10
WITHOUT_TAGS = 200
"""Thousandths that a film keeps which has no tag in common."""

SEEDS = 32
"""Films whose score is computed first: most others are then known to be worse without a look at their vectors."""

AT_ONCE = 256
"""Films whose companions are counted at a time: 60 MB with 58,000 films."""


class Numbers(NamedTuple):
    """What is known of the films, in a form kernels take as one argument.

    Attributes
    ----------
    likes : int64 array, shape (films,)
    priors : int64 array, shape (films,)
        Share of the users who like the film, in units of 1 / `SHARE_ONE`.
    factors : int64 array, shape (films,)
        Popularity factors.
    vectors, vector_rows : arrays
        As in `Catalogue`.
    lengths : float64 array, shape (films_with_vector,)
        Of the vectors.
    """

    likes: NDArray[np.int64]
    priors: NDArray[np.int64]
    factors: NDArray[np.int64]
    vectors: NDArray[np.float32]
    vector_rows: NDArray[np.int32]
    lengths: NDArray[np.float64]


class SimilarFilms:
    """Similar films of a release; what does not depend on the film asked about is made once.

    Parameters
    ----------
    neighbourhood : Neighbourhood
    """

    def __init__(self, neighbourhood: Neighbourhood) -> None:
        self._neighbourhood = neighbourhood
        catalogue, users = neighbourhood.catalogue, max(len(neighbourhood.likes.user_ids), 1)
        likes = catalogue.like_counts.astype(np.int64)
        self._numbers = Numbers(
            likes,
            likes * SHARE_ONE // users,
            popularity_factors(likes + DAMPING, users, 0.5),
            catalogue.vectors,
            catalogue.vector_rows,
            _lengths(catalogue.vectors),
        )

    def with_list(self) -> NDArray[np.int32]:
        """Positions of the films that have a list: those with a vector, or with `LEAST_LIKES` likes; ascending."""
        catalogue = self._neighbourhood.catalogue
        return np.flatnonzero((catalogue.vector_rows >= 0) | (catalogue.like_counts >= LEAST_LIKES)).astype(np.int32)

    def rank(self, film: int, count: int, *, allowed: NDArray[np.bool_] | None = None, skip: int = 0) -> Ranked:
        """Rank the films similar to one film.

        Parameters
        ----------
        film : int
            Catalogue position.
        count : int
            Films to return; fewer if fewer have a score.
        allowed : bool array, shape (films,), optional
            Which films may be in the list; default: all. The film itself never is.
        skip : int
            Places before the first one that is returned.
        """
        size = len(self._numbers.likes)
        blocked = np.zeros(size, dtype=np.uint8) if allowed is None else (~allowed).view(np.uint8)
        films, scores = np.full(skip + count, -1, dtype=np.int32), np.zeros(skip + count, dtype=np.int32)
        (shares,) = self._shares(np.array([film], dtype=np.int32), 1)
        kept, left = _rank(film, shares, blocked, self._numbers, films, scores)
        return Ranked(films[skip:kept], scores[skip:kept], int(left))

    def lists(self, count: int, threads: int | None = None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rank the similar films of all films that have a list: `rank` of many, some films at a time.

        Parameters
        ----------
        count : int
        threads : int, optional
            The result does not depend on it.

        Returns
        -------
        int32 array, shape (films in the catalogue, count), and int32 array of that shape
            Catalogue positions, best first, and scores in units of 1 / `SCORE_ONE`; -1 and 0 where there is none.
        """
        size = len(self._numbers.likes)
        films, scores = np.full((size, count), -1, dtype=np.int32), np.zeros((size, count), dtype=np.int32)
        nothing, wanted = np.zeros(size, dtype=np.uint8), self.with_list()
        for low in range(0, len(wanted), AT_ONCE):
            chosen = wanted[low : low + AT_ONCE]
            shares = self._shares(chosen, threads)

            def rank(row: int, chosen=chosen, shares=shares) -> None:  # type: ignore[no-untyped-def]
                _rank(chosen[row], shares[row], nothing, self._numbers, films[chosen[row]], scores[chosen[row]])

            run_parallel(rank, range(len(chosen)), threads)
        return films, scores

    def _shares(self, films: NDArray[np.int32], threads: int | None) -> NDArray[np.int32]:
        """P(f|a), also where it is no part of the score of pairs; int32, shape (films asked about, films)."""
        data = self._neighbourhood
        if data.parameters.companion_weight > 0:
            return data.shares_of(films, threads)
        return companion_shares(data.likes, data.fans, data.weights, films, threads)


@kernel
def _lengths(vectors):  # type: ignore[no-untyped-def]
    lengths, lanes = np.zeros(len(vectors)), np.zeros(DOUBLES)
    for row in range(len(vectors)):
        lengths[row] = np.sqrt(dot(vectors, row, vectors[row].astype(np.float64), lanes))
    return lengths


@kernel
def _rank(film, shares, blocked, numbers, out_films, out_scores):  # type: ignore[no-untyped-def]
    """Fill a list; return how many films it has and how many could have been in it."""
    likes, lengths, vectors, vector_rows = numbers.likes, numbers.lengths, numbers.vectors, numbers.vector_rows
    wanted, kept, left = len(out_films), 0, 0
    bases = np.zeros(len(likes), dtype=np.int64)
    seeds, seed_bases = np.full(SEEDS, -1, dtype=np.int32), np.zeros(SEEDS, dtype=np.int64)
    fans = likes[film]
    for other in range(len(likes)):
        if likes[other] == 0:  # so have all after it
            break
        if blocked[other] or other == film:
            continue
        left += 1
        share = (fans * shares[other] + PRIOR * numbers.priors[other]) // (fans + PRIOR)
        bases[other] = share * numbers.factors[other] // SHARE_ONE
        _insert(other, bases[other], seeds, seed_bases)
    lanes, row = np.zeros(DOUBLES), vector_rows[film]
    profile = vectors[max(row, 0)].astype(np.float64) if row >= 0 else np.zeros(0)
    for n in range(SEEDS):
        if seeds[n] >= 0:
            score = bases[seeds[n]] * _tags(row, vector_rows[seeds[n]], profile, vectors, lengths, lanes) // THOUSAND
            kept += _insert(seeds[n], score, out_films, out_scores)
            bases[seeds[n]] = 0
    for other in range(len(likes)):
        if bases[other] == 0:
            continue
        ceiling = bases[other] * (THOUSAND + WITHOUT_TAGS) // THOUSAND
        if kept >= wanted and wanted > 0 and ceiling < out_scores[wanted - 1]:
            continue
        score = bases[other] * _tags(row, vector_rows[other], profile, vectors, lengths, lanes) // THOUSAND
        kept += _insert(other, score, out_films, out_scores)
    return min(kept, wanted), left


@kernel
def _tags(row, other, profile, vectors, lengths, lanes):  # type: ignore[no-untyped-def]
    """`WITHOUT_TAGS` plus the cosine of two films' vectors, in thousandths."""
    if row < 0 or other < 0 or lengths[row] == 0.0 or lengths[other] == 0.0:
        return WITHOUT_TAGS
    cosine = dot(vectors, other, profile, lanes) / (lengths[row] * lengths[other])
    return WITHOUT_TAGS + np.int64(cosine * THOUSAND + 0.5)


@kernel
def _insert(film, score, films, scores):  # type: ignore[no-untyped-def]
    """Put a film in its place, by score descending, then position ascending; whether it is in the list now."""
    last = len(films) - 1
    if score <= 0 or last < 0:
        return 0
    if films[last] >= 0 and (score < scores[last] or (score == scores[last] and film > films[last])):
        return 0
    at = last
    while at > 0 and (
        films[at - 1] < 0 or scores[at - 1] < score or (scores[at - 1] == score and films[at - 1] > film)
    ):
        scores[at], films[at] = scores[at - 1], films[at - 1]
        at -= 1
    scores[at], films[at] = score, film
    return 1
