"""Weightings of the tags of film vectors: the name, the meaning and the formula of each, in this one place.

Belongs here: functions of all film vectors, listed in `WEIGHTINGS`. A function's name is the value of the parameter
`weighting`, the first line of its docstring is what help and Launchpad say of it, and the sweep tries it. Components of
the result must be finite and not negative. Does not belong here: when vectors are weighted
(`recommender.data.catalogue`).

numpy is imported by the functions: parameters are also read by commands that compute nothing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32] | NDArray[np.float64]


def none(vectors: "Vectors") -> "Vectors":
    """Relevances as they are."""
    return vectors


def idf(vectors: "Vectors") -> "Vectors":
    """Tags that are relevant to many films count less.

    Multiplies tag t by ``ln((1 + films) / (1 + df_t)) + 1`` where df_t, the number of films that have the tag, is the
    sum of its relevances over all films: relevance is a degree, so is belonging to a tag's films. This is the smoothed
    inverse document frequency of scikit-learn's TfidfTransformer (Salton & Buckley 1988) with soft counts. Every weight
    is >= 1.
    """
    import numpy as np

    films = len(vectors)
    soft_count = np.minimum(vectors.sum(axis=0, dtype=np.float64), films)
    return np.asarray(vectors * (np.log((1.0 + films) / (1.0 + soft_count)) + 1.0))


def tfidf(vectors: "Vectors") -> "Vectors":
    """Idf, then each film's vector scaled to unit length.

    As scikit-learn's TfidfTransformer does: both films of a pair count the same, however many tags they have.
    """
    import numpy as np

    weighted = idf(vectors)
    lengths = np.sqrt(np.einsum("ft,ft->f", weighted, weighted))
    weighted /= np.where(lengths > 0.0, lengths, 1.0)[:, None]
    return weighted


WEIGHTINGS: dict[str, Callable[["Vectors"], "Vectors"]] = {
    function.__name__: function for function in (none, idf, tfidf)
}
"""By the value of the parameter `weighting`. Each takes all film vectors, shape (films_with_vector, tags)."""


def meanings() -> str:
    """Each weighting by name, with what it does."""
    first = {name: (function.__doc__ or "").splitlines()[0].rstrip(".") for name, function in WEIGHTINGS.items()}
    return ", ".join(f"{name} ({text[0].lower()}{text[1:]})" for name, text in first.items())
