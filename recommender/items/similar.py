"""Similar films: what the users who like a film like too, in the light of the tags that both films have.

Belongs here: the score of a film for another one, lists for one film and for all. Does not belong here: P(f|a)
(`data.companions`), lists for users (`ranking`).

With n users who like film a, m who like f, of U users in all, and the cosine of the two films' vectors (0 if one of
them has none):

    score = (n P(f|a) + s m/U) / (n + s) / ((m + k) / U)^1/2 x (1/5 + cosine)

P(f|a), conditional probability between items (Deshpande & Karypis 2004), says what goes together; dividing by a power
of popularity takes out what everybody likes; the cosine takes out what merely is liked by the same people. s =
`PRIOR` users who like what everybody likes are added to those who like a, and k = `DAMPING` to those who like f: a film
of few users is not judged by chance. Only the `SHORTLIST` films with the highest score before tags (without the last
factor) are compared by tags. Numbers are integers as in `voting.score`; a cosine is rounded to thousandths.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.companions import share_of
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

SHORTLIST = 256
"""Films, the best before tags, that are compared by tags; a list has no others."""

PARTS = 64
"""Parts that all films are ranked in, each with room for the shares of one film."""

SURE = 1.0 + 1e-5
"""Factor by which a bound in floating point is raised, so that rounding never makes it too low."""

BLOCK = 64
"""Films whose bounds are computed together, by instructions for several numbers; most blocks have none worth a look."""

ROOM = 1024
"""Films that are collected before the `SHORTLIST` best of them are selected."""

LAST_PLACE = 1 << 24
"""More than any position. Films are compared by score before tags, then position, as one number."""


class Numbers(NamedTuple):
    """What is known of the films, in a form kernels take as one argument.

    Attributes
    ----------
    likes : int64 array, shape (films,)
    priors : int64 array, shape (films,)
        Share of the users who like the film, in units of 1 / `SHARE_ONE`.
    factors : int64 array, shape (films,)
        Popularity factors.
    slopes, floors : float64 arrays, shape (films,)
        For bounds of the score before tags: factors, and what the `PRIOR` users add at most.
    vectors, vector_rows : arrays
        As in `Catalogue`.
    lengths : float64 array, shape (films_with_vector,)
        Of the vectors.
    """

    likes: NDArray[np.int64]
    priors: NDArray[np.int64]
    factors: NDArray[np.int64]
    slopes: NDArray[np.float64]
    floors: NDArray[np.float64]
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
        priors, factors = likes * SHARE_ONE // users, popularity_factors(likes + DAMPING, users, 0.5)
        self._numbers = Numbers(
            likes,
            priors,
            factors,
            factors.astype(np.float64),
            (PRIOR * (priors + 1) * factors).astype(np.float64),
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
        possible = self._numbers.likes > 0 if allowed is None else (self._numbers.likes > 0) & allowed
        places = max(skip + count, 1)
        films, scores = np.full(places, -1, dtype=np.int32), np.zeros(places, dtype=np.int32)
        kept = min(self._rank(film, ~possible, np.empty(len(possible)), films, scores), skip + count)
        return Ranked(films[skip:kept], scores[skip:kept], int(possible.sum() - possible[film]))

    def lists(
        self, films: NDArray[np.int32], count: int, threads: int | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rank the films similar to some films: `rank` of many.

        Parameters
        ----------
        films : int32 array, shape (n,)
            Catalogue positions; `with_list` are all that have a list.
        count : int
        threads : int, optional
            The result does not depend on it.

        Returns
        -------
        int32 array, shape (n, count), and int32 array of that shape
            Catalogue positions, best first, and scores in units of 1 / `SCORE_ONE`; -1 and 0 where there is none.
        """
        found, scores = np.full((len(films), count), -1, dtype=np.int32), np.zeros((len(films), count), dtype=np.int32)
        blocked = self._numbers.likes == 0
        if self._neighbourhood.parameters.companion_weight > 0:
            _ = self._neighbourhood.companions  # made once for pairs and for this
        _ = self._neighbourhood.fans, self._neighbourhood.weights

        def rank(part: NDArray[np.int64]) -> None:
            shares = np.empty(len(blocked))
            for n in part:
                self._rank(int(films[n]), blocked, shares, found[n], scores[n])

        # the films of a part are spread over all degrees of popularity: parts take about the same time
        by_popularity = np.argsort(films)
        run_parallel(rank, [by_popularity[n::PARTS] for n in range(PARTS)], threads)
        return found, scores

    def _rank(
        self,
        film: int,
        blocked: NDArray[np.bool_],
        shares: NDArray[np.float64],
        films: NDArray[np.int32],
        scores: NDArray[np.int32],
    ) -> int:
        """Fill a list; return how many films it has."""
        data = self._neighbourhood
        row = self._rows[film]
        if row >= 0:
            shares[:], total = data.companions.shares[row], SHARE_ONE
        else:
            total = _add_up(data.likes.indptr, data.likes.films, data.fans.of(film), data.weights, shares)
        return int(_rank(film, total, shares, blocked, self._numbers, films, scores))

    @functools.cached_property
    def _rows(self) -> NDArray[np.int32]:
        """Row of each film among the companions that are kept, -1 if it has none."""
        data = self._neighbourhood
        rows = np.full(len(data.catalogue.movie_ids), -1, dtype=np.int32)
        if data.parameters.companion_weight > 0:
            rows[data.companions.films] = np.arange(len(data.companions.films), dtype=np.int32)
        return rows


@kernel
def _lengths(vectors):  # type: ignore[no-untyped-def]
    lengths, lanes = np.zeros(len(vectors)), np.zeros(DOUBLES)
    for row in range(len(vectors)):
        lengths[row] = np.sqrt(dot(vectors, row, vectors[row].astype(np.float64), lanes))
    return lengths


@kernel
def _add_up(indptr, films, users, weights, shares):  # type: ignore[no-untyped-def]
    """Add up what those who like a weigh who like f; return what all weigh.

    Sums are whole numbers below 2^53, which a float64 holds exactly, and processors convert no 64-bit integers.
    """
    total = np.int64(0)
    shares[:] = 0.0
    for user in users:
        total += weights[user]
        weight = np.float64(weights[user])
        for k in range(indptr[user], indptr[user + 1]):
            shares[films[k]] += weight
    return total


@kernel
def _rank(film, total, shares, blocked, numbers, out_films, out_scores):  # type: ignore[no-untyped-def]
    """Fill a list from the shortlist by score before tags; return how many films it has.

    Shares are in units of 1 / `total`.
    """
    short = _shortlist(film, total, shares, blocked, numbers)
    row, kept, lanes = numbers.vector_rows[film], 0, np.zeros(DOUBLES)
    profile = numbers.vectors[max(row, 0)].astype(np.float64) if row >= 0 else np.zeros(0)
    for key in short:
        other = LAST_PLACE - 1 - key % LAST_PLACE
        tags = _tags(row, numbers.vector_rows[other], profile, numbers.vectors, numbers.lengths, lanes)
        kept += _insert(other, key // LAST_PLACE * tags // THOUSAND, out_films, out_scores)
    return min(kept, len(out_films))


@kernel
def _shortlist(film, total, shares, blocked, numbers):  # type: ignore[no-untyped-def]
    """Select the `SHORTLIST` films with the highest score before tags, as score and position in one number, unordered.

    A bound in floating point decides which are worth the divisions.
    """
    likes = numbers.likes
    fans, found, least = likes[film], 0, np.int64(0)
    keys = np.empty(ROOM, dtype=np.int64)
    scale = SURE / (fans + PRIOR) / SHARE_ONE
    slope = np.float64(fans) * SHARE_ONE / max(total, 1)
    for low in range(0, len(likes), BLOCK):
        floor, worth = (least // LAST_PLACE - 1.0) / scale, 0
        part, slopes, floors = (
            shares[low : low + BLOCK],
            numbers.slopes[low : low + BLOCK],
            numbers.floors[low : low + BLOCK],
        )
        for n in range(len(part)):  # slices, so that the compiler needs no test of an index and takes several at a time
            worth += slope * part[n] * slopes[n] + floors[n] >= floor
        if worth == 0:
            continue
        for n in range(len(part)):
            other = low + n
            if slope * part[n] * slopes[n] + floors[n] >= floor and not blocked[other] and other != film:
                share = share_of(np.int64(part[n]), total, SHARE_ONE) if part[n] > 0.0 else 0
                key = _base(share, fans, other, numbers) * LAST_PLACE + LAST_PLACE - 1 - other
                if key > max(least, LAST_PLACE - 1):  # a score of 0 is none
                    keys[found] = key
                    found += 1
        if found > ROOM - BLOCK:
            keys[:SHORTLIST] = np.partition(keys[:found], found - SHORTLIST)[found - SHORTLIST :]
            found, least = SHORTLIST, keys[:SHORTLIST].min()
    return np.partition(keys[:found], max(found - SHORTLIST, 0))[max(found - SHORTLIST, 0) :] if found else keys[:0]


@kernel
def _base(share, fans, other, numbers):  # type: ignore[no-untyped-def]
    """Score of a film before tags."""
    return (fans * share + PRIOR * numbers.priors[other]) // (fans + PRIOR) * numbers.factors[other] // SHARE_ONE


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
