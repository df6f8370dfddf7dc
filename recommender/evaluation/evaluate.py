"""How good the recommendations are, measured on users the model has not seen, beside what any model must beat.

Belongs here: training on what a split shows, asking, and turning answers into measurements with intervals. Does not
belong here: who is held out (`splits`), measures (`metrics`), reading data or writing results (the warehouse does).

The model is asked through the engine that makes the table of pairs. Every method answers the same cases, so that
differences between methods have narrower intervals than the methods themselves.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, make_catalogue, positions_of, weighted_catalogue
from recommender.data.encoder import UserNorms, user_norms
from recommender.data.likes import Likes, likes_from_pairs
from recommender.data.model_data import Neighbourhood
from recommender.evaluation.baselines import item_item, most_popular
from recommender.evaluation.metrics import (
    bootstrap_intervals,
    gini,
    hit_rate,
    ndcg,
    novelty,
    precision,
    recall,
    times_recommended,
)
from recommender.evaluation.splits import LIKED, Cases, Ratings, Split, draw_cases, later_split, test_split
from recommender.neighbours.exact import recommend_some
from recommender.parameters import PRESETS, ModelParameters, make_parameters

PLACES = 10
"""Length of the lists that are measured."""

SEED = 20_250_704
"""Decides folds, pairs and bootstrap draws: fixed, so that two evaluations differ only if the model or the data do."""

CASES = 1500
"""Pairs asked about per split."""

DRAWS = 1000
"""Bootstrap draws."""

CURRENT = "current"
"""Name of the method that the parameters in force describe."""

ACCURACY = ("hit_rate@3", "hit_rate@10", "precision@10", "recall@10", "ndcg@10")
"""Measures with a value per case."""

HEADLINE = ("hit_rate@3", "ndcg@10")
"""Those that people look at first."""

Lists = NDArray[np.int32]
"""movie_ids, best first, shape (cases, PLACES); -1 where a list is shorter."""

Method = Callable[["Training", Cases], Lists]
"""Answers cases from what the model may see."""


@dataclass(frozen=True)
class Measurement:
    """One number of the evaluation.

    Attributes
    ----------
    split : str
        How users were held out.
    slice : str
        all, popular or rare: all cases, or the third whose less liked film has most or fewest likes.
    method : str
    metric : str
    value : float
    ci_low, ci_high : float or None
        95% bootstrap interval over users; None for measures of all lists together.
    cases : int
    ahead, ahead_low, ahead_high : float or None
        The method `current` minus this one, on the same cases; None for `current` itself.
    """

    split: str
    slice: str
    method: str
    metric: str
    value: float
    ci_low: float | None
    ci_high: float | None
    cases: int
    ahead: float | None = None
    ahead_low: float | None = None
    ahead_high: float | None = None


class Training:
    """What a split shows of the data, in the forms the methods want; each is made once.

    Parameters
    ----------
    ratings : Ratings
    split : Split
        Rows that are not `seen` reach nothing of this object.
    catalogue : Catalogue
        All films with raw vectors; its like counts are not used.
    """

    def __init__(self, ratings: Ratings, split: Split, catalogue: Catalogue) -> None:
        self._users = ratings.user_ids[split.seen]
        self._movies = ratings.movie_ids[split.seen]
        self._stars = ratings.stars[split.seen]
        self._films = catalogue
        self._likes = functools.cache(self._make_likes)
        self._catalogue = functools.cache(self._make_weighted)
        self._norms = functools.cache(self._make_norms)

    def likes(self, threshold: float = LIKED) -> tuple[Likes, Catalogue]:
        """Return likes from `threshold` stars on, and the films in the order of these likes, with raw vectors."""
        return self._likes(threshold)

    def neighbourhood(self, parameters: ModelParameters) -> Neighbourhood:
        """Train the model: the users and films seen, as these parameters have them."""
        likes, _ = self._likes(parameters.like_threshold)
        catalogue = self._catalogue(parameters.like_threshold, parameters.weighting)
        norms = self._norms(parameters.like_threshold, parameters.weighting)
        return Neighbourhood(likes, catalogue, norms.norms, norms.eligible(parameters.min_likes), parameters)

    def _make_likes(self, threshold: float) -> tuple[Likes, Catalogue]:
        rows = self._stars >= threshold
        users, movies = self._users[rows], self._movies[rows]
        films = self._films
        positions = positions_of(films.movie_ids, films.movie_ids)
        counts = np.zeros(len(positions), dtype=np.int32)
        distinct, times = np.unique(movies, return_counts=True)
        counts[positions_of(films.movie_ids, distinct)] = times
        with_vector = films.vector_rows >= 0
        owners = np.empty(len(films.vectors), dtype=np.int32)
        owners[films.vector_rows[with_vector]] = films.movie_ids[with_vector]
        catalogue = make_catalogue(films.movie_ids, counts, owners, films.vectors)
        return likes_from_pairs(users, movies, catalogue), catalogue

    def _make_weighted(self, threshold: float, weighting: str) -> Catalogue:
        _, catalogue = self._likes(threshold)
        return weighted_catalogue(catalogue, make_parameters(settings={"weighting": weighting}))

    def _make_norms(self, threshold: float, weighting: str) -> UserNorms:
        return user_norms(self._likes(threshold)[0], self._catalogue(threshold, weighting))


def by_model(parameters: ModelParameters) -> Method:
    """Answer cases with the model: the exact engine, asked for `PLACES` films."""

    def answer(training: Training, cases: Cases) -> Lists:
        neighbourhood = training.neighbourhood(parameters)
        return recommend_some(neighbourhood, _positions(neighbourhood.catalogue, cases.pairs), PLACES)

    return answer


def by_popularity(training: Training, cases: Cases) -> Lists:
    """Answer cases with the films most users seen like."""
    _, catalogue = training.likes()
    return _as_movies(catalogue, most_popular(catalogue, _positions(catalogue, cases.pairs), PLACES))


def by_conditional_probability(training: Training, cases: Cases) -> Lists:
    """Answer cases with the films most probable given each of the two."""
    likes, catalogue = training.likes()
    return _as_movies(catalogue, item_item(likes, catalogue, _positions(catalogue, cases.pairs), PLACES))


def _positions(catalogue: Catalogue, pairs: NDArray[np.int32]) -> NDArray[np.int32]:
    return positions_of(catalogue.movie_ids, pairs.ravel()).reshape(pairs.shape)


def _as_movies(catalogue: Catalogue, lists: NDArray[np.int32]) -> Lists:
    return np.where(lists >= 0, catalogue.movie_ids[np.maximum(lists, 0)], -1).astype(np.int32)


def methods_of(parameters: ModelParameters) -> dict[str, Method]:
    """Name the methods that every evaluation compares, the current parameters first."""
    book = make_parameters(settings={**parameters.model_dump(), **PRESETS["book"]})
    return {
        CURRENT: by_model(parameters),
        "most_popular": by_popularity,
        "item_item": by_conditional_probability,
        "book": by_model(book),
    }


def evaluate(
    ratings: Ratings,
    catalogue: Catalogue,
    parameters: ModelParameters,
    *,
    most: int = CASES,
    most_per_user: int = 12,
    seed: int = SEED,
) -> list[Measurement]:
    """Measure the parameters and the baselines, on held-out users and on users who came later.

    Parameters
    ----------
    ratings : Ratings
        At least all rows from the lowest like threshold (4.0 or the parameters' own) on.
    catalogue : Catalogue
        All films, with raw vectors.
    parameters : ModelParameters
        The exact engine is measured, whichever the parameters name.
    most : int
        Cases at most, per split.
    most_per_user : int
    seed : int

    Returns
    -------
    list of Measurement
        None for a split in which there is no case, for example because too few users are there.
    """
    found: list[Measurement] = []
    for split in (test_split(ratings, seed), later_split(ratings)):
        training = Training(ratings, split, catalogue)
        cases = cases_of(ratings, split, training, parameters, most=most, most_per_user=most_per_user, seed=seed)
        if len(cases.pairs):
            found += measure(split.name, training, cases, methods_of(parameters), seed)
    return found


def cases_of(
    ratings: Ratings,
    split: Split,
    training: Training,
    parameters: ModelParameters,
    *,
    most: int,
    most_per_user: int,
    seed: int,
) -> Cases:
    """Draw cases from the sign-up list that the users seen give rise to."""
    _, films = training.likes()
    suitable = films.movie_ids[(films.vector_rows >= 0) & (films.like_counts > 0)]
    signup = suitable[: parameters.top_movies]
    return draw_cases(ratings, split, signup, most=most, most_per_user=most_per_user, seed=seed)


def measure(
    split: str, training: Training, cases: Cases, methods: dict[str, Method], seed: int = SEED
) -> list[Measurement]:
    """Ask every method, and measure what it answers; the first one is what the others are compared with.

    Parameters
    ----------
    split : str
    training : Training
    cases : Cases
        At least one.
    methods : dict
    seed : int
        Of the bootstrap.

    Returns
    -------
    list of Measurement
    """
    slices = slices_of(training, cases)
    first: NDArray[np.float64] | None = None
    found: list[Measurement] = []
    for method, answer in methods.items():
        lists = answer(training, cases)
        values = case_values(lists, cases)
        first = values if first is None else first
        ahead = None if values is first else first - values
        for name, chosen in slices.items():
            found += _measurements(split, name, method, values, ahead, cases.user_ids, chosen, seed)
        found += _variety(split, method, training, lists, cases.user_ids, seed)
    return found


def case_values(lists: Lists, cases: Cases) -> NDArray[np.float64]:
    """Accuracy of each list; float64, shape (cases, measures), in the order of `ACCURACY`."""
    wanted = np.array([len(films) for films in cases.wanted])
    case = np.arange(len(lists), dtype=np.int64) << 32  # a film of a case as one number: all cases at once
    relevant = np.isin(case[:, None] + lists, np.repeat(case, wanted) + np.concatenate(cases.wanted))
    columns = (
        hit_rate(relevant, 3),
        hit_rate(relevant, PLACES),
        precision(relevant, PLACES),
        recall(relevant, wanted, PLACES),
        ndcg(relevant, wanted, PLACES),
    )
    return np.column_stack(columns)


def slices_of(training: Training, cases: Cases) -> dict[str, NDArray[np.int64]]:
    """Split cases by the likes of the less liked film: all, the third with most of them, the third with fewest."""
    _, catalogue = training.likes()
    likes = catalogue.like_counts[_positions(catalogue, cases.pairs)].min(axis=1)
    order, third = np.argsort(likes, kind="stable"), -(-len(likes) // 3)
    return {"all": np.arange(len(likes)), "popular": np.sort(order[-third:]), "rare": np.sort(order[:third])}


def _measurements(
    split: str,
    slice_name: str,
    method: str,
    values: NDArray[np.float64],
    ahead: NDArray[np.float64] | None,
    users: NDArray[np.int32],
    chosen: NDArray[np.int64],
    seed: int,
) -> list[Measurement]:
    """Means over some cases with their intervals."""
    table = values[chosen] if ahead is None else np.column_stack((values[chosen], ahead[chosen]))
    low, high = bootstrap_intervals(table, users[chosen], draws=DRAWS, seed=seed)
    mean, width, cases = table.mean(axis=0), values.shape[1], len(chosen)
    found = []
    for n, metric in enumerate(ACCURACY):
        one = Measurement(split, slice_name, method, metric, float(mean[n]), float(low[n]), float(high[n]), cases)
        if ahead is not None:
            a, b, c = (float(numbers[width + n]) for numbers in (mean, low, high))
            one = replace(one, ahead=a, ahead_low=b, ahead_high=c)
        found.append(one)
    return found


def _variety(
    split: str, method: str, training: Training, lists: Lists, users: NDArray[np.int32], seed: int
) -> list[Measurement]:
    """Coverage and Gini over the films anybody seen likes, and novelty."""
    likes, catalogue = training.likes()
    films = int((catalogue.like_counts > 0).sum())
    at = np.where(lists >= 0, _positions(catalogue, np.where(lists >= 0, lists, catalogue.movie_ids[0])), -1)
    bits = novelty(at, catalogue.like_counts / max(len(likes.user_ids), 1), PLACES)[:, None]
    low, high = bootstrap_intervals(bits, users, draws=DRAWS, seed=seed)
    times = times_recommended(at, len(catalogue.movie_ids), PLACES)
    coverage, unequal, cases = float((times > 0).sum() / films), gini(times[:films]), len(at)
    return [
        Measurement(split, "all", method, "novelty@10", float(bits.mean()), float(low[0]), float(high[0]), cases),
        Measurement(split, "all", method, "coverage@10", coverage, None, None, cases),
        Measurement(split, "all", method, "gini@10", unequal, None, None, cases),
    ]


def value_of(measurements: Iterable[Measurement], split: str, method: str, metric: str) -> float:
    """Return the value over all cases; NaN if it was not measured."""
    wanted = ("all", split, method, metric)
    for found in measurements:
        if (found.slice, found.split, found.method, found.metric) == wanted:
            return found.value
    return float("nan")
