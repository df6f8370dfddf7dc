"""What any recommender must beat: simple methods that answer the same cases from the same likes.

Belongs here: the methods and their own settings, and `BASELINES`, the one place that names them. Does not belong here:
the model itself. All return films as catalogue positions, best first, ties by smaller position (more likes, then
smaller movie_id).

Item-item, its weighted form and RP3beta are one formula with three weightings of the users. Users weigh whole numbers,
so that sums are exact and fractions are compared by their products: films that are tied on paper are tied here.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.inverted_index import make_fans
from recommender.data.likes import Likes
from recommender.items.model import add_together, count_together, ease_weights
from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel

COUNTERS = 75_000_000
"""Sums held at a time, 300 MB: those of 1,290 films of 58,000."""

HEAVIEST = 2**26
"""What all who like a film weigh together at most: a sum fits 32 bits, and two products of sums float64."""

EASE_FILMS = 2000
"""Most liked films that EASE knows. Beyond them it recommends hardly anything, and its time grows with their cube."""

Positions = NDArray[np.int32]
"""Catalogue positions, shape (cases, count); -1 where a list is shorter."""

Baseline = Callable[[Likes, Catalogue, NDArray[np.integer], int], Positions]
"""Answers pairs of films, given as catalogue positions of shape (cases, 2), with so many films each."""


def most_popular(likes: Likes, catalogue: Catalogue, pairs: NDArray[np.integer], count: int) -> Positions:
    """Recommend the most liked films to everybody, the pair left out."""
    liked = np.flatnonzero(catalogue.like_counts[: count + 2] > 0)
    lists = np.full((len(pairs), count), -1, dtype=np.int32)
    for case, pair in enumerate(pairs):
        films = liked[~np.isin(liked, pair)][:count]
        lists[case, : len(films)] = films
    return lists


def item_item(
    likes: Likes,
    catalogue: Catalogue,
    pairs: NDArray[np.integer],
    count: int,
    *,
    exponent: float = 0.0,
    by_fans: bool = False,
    popularity_exponent: float = 0.0,
    threads: int | None = None,
) -> Positions:
    """Recommend by conditional probability: P(likes f | likes a) + P(likes f | likes b), from all users.

    The item-based method of Deshpande & Karypis (2004). With `by_fans` it is RP3beta (Paudel et al. 2017): a walk from
    film to user to film, whose probabilities are raised to the power of `exponent`, over the film's popularity to the
    power of beta.

    Parameters
    ----------
    likes, catalogue, pairs, count
        As of every `Baseline`. Films nobody likes contribute nothing.
    exponent : float
        A user weighs likes^-exponent; 0: all the same.
    by_fans : bool
        Divide by (how many like a film of the pair)^exponent, not by what they weigh.
    popularity_exponent : float
        Divide by the likes of the recommended film to this power.
    threads : int, optional
    """
    weights = np.maximum(np.diff(likes.indptr), 1) ** -exponent
    totals = np.zeros(len(catalogue.movie_ids))
    np.add.at(totals, likes.films, np.repeat(weights, np.diff(likes.indptr)))
    whole = np.maximum(np.rint(weights * (HEAVIEST / max(totals.max(initial=0.0), 1.0))), 1).astype(np.int32)
    damping = np.maximum(catalogue.like_counts, 1) ** -popularity_exponent
    fan_powers = np.maximum(catalogue.like_counts, 1) ** exponent
    lists = np.full((len(pairs), count), -1, dtype=np.int32)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    # Films somebody likes come first; the others are liked together with nothing.
    width = max(int((catalogue.like_counts > 0).sum()), int(pairs.max(initial=-1)) + 1)
    at_once = max(2, COUNTERS // max(width, 1))
    groups = 1 if len(np.unique(pairs)) <= at_once else -(-2 * len(pairs) // at_once)
    fans = make_fans(likes, len(catalogue.movie_ids))
    for cases in np.array_split(order, groups):
        films = np.unique(pairs[cases])
        row_of_film = np.full(len(catalogue.movie_ids), -1, dtype=np.int64)
        row_of_film[films] = np.arange(len(films))
        together = np.zeros((len(films), width), dtype=np.int32)

        def add_one(row: int, films=films, together=together) -> None:  # type: ignore[no-untyped-def]
            add_together(likes.indptr, likes.films, fans.of(films[row]), whole, together[row])

        run_parallel(add_one, range(len(films)), threads)

        def answer(case: int, row_of_film=row_of_film, together=together) -> None:  # type: ignore[no-untyped-def]
            a, b = pairs[case]
            with_a, with_b = together[row_of_film[a]], together[row_of_film[b]]
            # A film is liked together with itself by everybody who likes it.
            of_a, of_b = (fan_powers[a], fan_powers[b]) if by_fans else (float(with_a[a]), float(with_b[b]))
            _best_together(with_a, with_b, max(of_a, 1.0), max(of_b, 1.0), a, b, damping, lists[case])

        run_parallel(answer, cases, threads)
    return lists


def ease(
    likes: Likes, catalogue: Catalogue, pairs: NDArray[np.integer], count: int, *, regularization: float = 10_000.0
) -> Positions:
    """Recommend by the linear item-item model in closed form, EASE (Steck 2019), among the `EASE_FILMS` most liked.

    B = I - P diag(1 / diag P), where P is the inverse of the films' co-like counts plus `regularization` on the
    diagonal; a pair's scores are the sum of the rows of its films.
    """
    films = min(EASE_FILMS, int((catalogue.like_counts > 0).sum()))
    ones = np.ones(len(likes.user_ids), dtype=np.int32)
    weights = ease_weights(count_together(likes, ones, len(catalogue.movie_ids), films), regularization)
    similarities = np.round(weights, 9)  # the last digits differ from machine to machine
    lists = np.full((len(pairs), count), -1, dtype=np.int32)
    for case, pair in enumerate(pairs):
        known = pair[pair < films]
        scores = similarities[known].sum(axis=0)
        scores[known] = -np.inf
        kept = min(count, films - len(known))
        lists[case, :kept] = np.argsort(-scores, kind="stable")[:kept]
    return lists


BASELINES: Mapping[str, Baseline] = {
    "most_popular": most_popular,
    "item_item": item_item,
    "item_item_weighted": partial(item_item, exponent=0.5),
    "rp3beta": partial(item_item, exponent=0.6, by_fans=True, popularity_exponent=0.1),
    "ease": ease,
}
"""Every baseline that an evaluation asks, by name, at its best settings on the sample; a new one is a new line here."""


@kernel
def _best_together(with_a, with_b, of_a, of_b, a, b, damping, best):  # type: ignore[no-untyped-def]
    """Fill `best` with the films of one pair; `with_a` and `with_b` are what those weigh who like a film as well."""
    scores = np.zeros(len(best))
    filled = 0
    for film in range(len(with_a)):
        if film in (a, b):
            continue
        both = with_a[film] * of_b + with_b[film] * of_a  # over of_a * of_b, which is the same for all films
        score = both * damping[film]
        if score <= 0.0 or (filled == len(best) and score <= scores[filled - 1]):
            continue
        place = min(filled, len(best) - 1)
        filled = place + 1
        while place > 0 and scores[place - 1] < score:
            scores[place], best[place] = scores[place - 1], best[place - 1]
            place -= 1
        scores[place], best[place] = score, film
