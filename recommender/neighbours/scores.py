"""What a pair's scores are made of, and the score itself in double precision.

Belongs here: similarities between films, and sums of them over a class's likes.
Does not belong here: 16-bit approximations (`candidates`), who comes first (`ranking`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.data.model_data import Neighbourhood
from recommender.kernels.jit import kernel
from recommender.neighbours.user_groups import UserClasses


@dataclass(frozen=True)
class FilmScores:
    """What scores are made of: the similarity of each sign-up film to every film, and what liking it adds.

    Attributes
    ----------
    similarities : float64 array, shape (signup films, films_with_vector)
        Dot products of film vectors.
    bonuses : float64 array, shape (signup films,)
        Added to the score of a user who likes the film.
    signup_of_row : int32 array, shape (films_with_vector,)
        Sign-up film that has this vector row, or -1.
    largest : float
        No user's score for a film is larger.
    """

    similarities: NDArray[np.float64]
    bonuses: NDArray[np.float64]
    signup_of_row: NDArray[np.int32]
    largest: float


def film_scores(neighbourhood: Neighbourhood, signup: NDArray[np.int32]) -> FilmScores:
    """Compare each sign-up film with every film.

    Parameters
    ----------
    signup : int32 array, shape (signup films,)
        Catalogue positions of films with a vector.
    """
    catalogue, rows = neighbourhood.catalogue, neighbourhood.catalogue.vector_rows[signup]
    own = catalogue.vectors[rows].astype(np.float64)
    similarities = np.empty((len(rows), len(catalogue.vectors)))
    for low in range(0, len(catalogue.vectors), 2048):  # in pieces: all vectors in float64 would be large
        some = catalogue.vectors[low : low + 2048].astype(np.float64)
        np.matmul(own, some.T, out=similarities[:, low : low + 2048])
    lengths = np.sqrt(np.einsum("ft,ft->f", own, own))
    bonus = neighbourhood.parameters.liked_bonus
    signup_of_row = np.full(len(catalogue.vectors), -1, dtype=np.int32)
    signup_of_row[rows] = np.arange(len(rows), dtype=np.int32)
    return FilmScores(similarities, lengths * bonus, signup_of_row, float(lengths.max(initial=0.0)) * (1.0 + bonus))


class ExactScores(NamedTuple):
    """Arrays of `UserClasses` and `FilmScores` that exact scores need, in a form kernels take as one argument."""

    indptr: NDArray[np.int64]
    rows: NDArray[np.int32]
    norms: NDArray[np.float64]
    member_indptr: NDArray[np.int64]
    members: NDArray[np.int64]
    similarities: NDArray[np.float64]
    bonuses: NDArray[np.float64]
    signup_of_row: NDArray[np.int32]


def exact_scores(classes: UserClasses, scores: FilmScores) -> ExactScores:
    """Bundle classes and film scores for kernels."""
    return ExactScores(
        classes.indptr,
        classes.rows,
        classes.norms,
        classes.member_indptr,
        classes.members,
        scores.similarities,
        scores.bonuses,
        scores.signup_of_row,
    )


@kernel
def class_score(c, a, b, exact):  # type: ignore[no-untyped-def]
    """Score of class c for the pair of sign-up films a and b, float64: summed in the order of the class's likes."""
    total, extra = 0.0, 0.0
    for k in range(exact.indptr[c], exact.indptr[c + 1]):
        row = exact.rows[k]
        total += exact.similarities[a, row] + exact.similarities[b, row]
        liked = exact.signup_of_row[row]
        if liked == a:
            extra += exact.bonuses[a]
        elif liked == b:
            extra += exact.bonuses[b]
    return total / exact.norms[c] + extra
