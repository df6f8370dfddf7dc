"""How good the recommendations are, measured on users the model has not seen, beside what any model must beat.

Belongs here: training on what a split shows, asking, and turning answers into measurements with intervals. Does not
belong here: who is held out (`splits`), measures (`metrics`), reading data or writing results (the warehouse does).

The model is asked through the engine that makes the table of pairs. Every method answers the same cases, so that
differences between methods have narrower intervals than the methods themselves.
"""

import functools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, make_catalogue, positions_of, weighted_catalogue
from recommender.data.encoder import UserNorms, user_norms
from recommender.data.likes import Likes, likes_from_pairs
from recommender.data.model_data import Neighbourhood
from recommender.evaluation.baselines import BASELINES, Baseline
from recommender.evaluation.metrics import ACCURACY, PLACES, VARIETY, Answers, bootstrap_means, interval
from recommender.evaluation.splits import (
    FOLDS,
    LATER_NAME,
    LIKED,
    TEST_NAME,
    Cases,
    Ratings,
    Split,
    draw_cases,
    later_split,
    test_splits,
)
from recommender.neighbours.exact import recommend_some
from recommender.parameters import PRESETS, ModelParameters, make_parameters

SEED = 20_250_704
"""Decides folds, pairs and bootstrap draws: fixed, so that two evaluations differ only if the model or the data do."""

PAIRS_PER_USER = 12
"""Pairs each held-out user is asked about, where the cases allowed suffice for that."""

CASES = 5000
"""Pairs asked about per fold."""

NIGHTLY_CASES = 1500
"""The same in an evaluation that every retrain pays for, which has one fold."""

DRAWS = 1000
"""Bootstrap draws."""

CURRENT = "current"
"""Name of the method that the parameters in question describe."""

BOOK = "book"
"""Name of the method that the preset of that name describes."""

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


def by_baseline(baseline: Baseline) -> Method:
    """Answer cases with a baseline, from likes as `LIKED` has them."""

    def answer(training: Training, cases: Cases) -> Lists:
        likes, catalogue = training.likes()
        lists = baseline(likes, catalogue, _positions(catalogue, cases.pairs), PLACES)
        return np.where(lists >= 0, catalogue.movie_ids[np.maximum(lists, 0)], -1).astype(np.int32)

    return answer


def _positions(catalogue: Catalogue, movie_ids: NDArray[np.int32]) -> NDArray[np.int32]:
    return positions_of(catalogue.movie_ids, movie_ids.ravel()).reshape(movie_ids.shape)


def methods_of(parameters: ModelParameters, against: Mapping[str, ModelParameters] | None = None) -> dict[str, Method]:
    """Name what an evaluation compares: the parameters in question first, then `against`, then baselines."""
    book = make_parameters(settings={**parameters.model_dump(), **PRESETS[BOOK]})
    return {
        CURRENT: by_model(parameters),
        **{name: by_model(other) for name, other in (against or {}).items()},
        **{name: by_baseline(baseline) for name, baseline in BASELINES.items()},
        BOOK: by_model(book),
    }


@dataclass(frozen=True)
class Questions:
    """The cases of one split, and what a method may see to answer them."""

    training: Training
    cases: Cases


def questions(
    ratings: Ratings,
    catalogue: Catalogue,
    parameters: ModelParameters,
    splits: Iterable[Split],
    *,
    most: int = CASES,
    most_per_user: int = PAIRS_PER_USER,
    seed: int = SEED,
) -> Iterator[Questions]:
    """Draw the cases of splits, one split at a time; those without a case are left out.

    Parameters
    ----------
    ratings : Ratings
    catalogue : Catalogue
        All films, with raw vectors.
    parameters : ModelParameters
        Its `top_movies` counts: pairs are drawn from the sign-up list that the users seen give rise to.
    splits : iterable of Split
    most : int
        Cases at most, per split.
    most_per_user : int
    seed : int
    """
    for split in splits:
        training = Training(ratings, split, catalogue)
        _, films = training.likes()
        suitable = films.movie_ids[(films.vector_rows >= 0) & (films.like_counts > 0)]
        signup = suitable[: parameters.top_movies]
        cases = draw_cases(ratings, split, signup, most=most, most_per_user=most_per_user, seed=seed)
        if len(cases.pairs):
            yield Questions(training, cases)


def evaluate(
    ratings: Ratings,
    catalogue: Catalogue,
    parameters: ModelParameters,
    *,
    methods: Mapping[str, Method] | None = None,
    ways: Container[str] = (TEST_NAME, LATER_NAME),
    folds: int = FOLDS,
    most: int = CASES,
    most_per_user: int = PAIRS_PER_USER,
    seed: int = SEED,
) -> list[Measurement]:
    """Measure parameters beside others and baselines, on held-out users and on users who came later.

    Parameters
    ----------
    ratings : Ratings
        At least all rows from the lowest like threshold (4.0 or the parameters' own) on.
    catalogue : Catalogue
        All films, with raw vectors.
    parameters : ModelParameters
        The exact engine is measured, whichever the parameters name.
    methods : mapping, optional
        What is compared; default: `methods_of` the parameters.
    ways : container of str
        Which ways of holding out.
    folds : int
        Of held-out users; with all of them every user is asked about.
    most : int
        Cases at most, per fold.
    most_per_user : int
    seed : int

    Returns
    -------
    list of Measurement
        None for a way of holding out in which there is no case, for example because too few users are there.
    """
    methods = methods_of(parameters) if methods is None else methods
    found: list[Measurement] = []
    for name, splits in (
        (TEST_NAME, lambda: test_splits(ratings, seed, folds)),
        (LATER_NAME, lambda: [later_split(ratings)]),
    ):
        if name not in ways:
            continue
        asked = questions(ratings, catalogue, parameters, splits(), most=most, most_per_user=most_per_user, seed=seed)
        found += measure(name, asked, methods, seed)
    return found


def measure(
    split: str, asked: Iterable[Questions], methods: Mapping[str, Method], seed: int = SEED
) -> list[Measurement]:
    """Ask every method, and measure what it answers; the first one is what the others are compared with.

    Parameters
    ----------
    split : str
        Name of this way of holding out users.
    asked : iterable of Questions
        One fold after the other; values are means over all cases of all folds.
    methods : mapping
    seed : int
        Of the bootstrap.

    Returns
    -------
    list of Measurement
    """
    users, slices = [], []
    accuracy: dict[str, list[NDArray[np.float64]]] = {method: [] for method in methods}
    variety: dict[str, list[list[NDArray[np.float64] | float]]] = {method: [] for method in methods}
    for fold in asked:
        users.append(fold.cases.user_ids)
        slices.append(slices_of(fold))
        for method, answer in methods.items():
            answers = answers_of(fold, answer(fold.training, fold.cases))
            accuracy[method].append(case_values(answers))
            variety[method].append([measured(answers) for measured in VARIETY.values()])
    if not users:
        return []
    of_user = np.concatenate(users)
    values = {method: np.concatenate(folds) for method, folds in accuracy.items()}
    found: list[Measurement] = []
    for name in slices[0]:
        chosen = np.concatenate([fold[name] for fold in slices])
        found += accuracy_of(split, name, {method: v[chosen] for method, v in values.items()}, of_user[chosen], seed)
    for method, folds in variety.items():
        found += _variety(split, method, folds, of_user, seed)
    return found


def answers_of(asked: Questions, lists: Lists) -> Answers:
    """Put lists beside what the users asked about like."""
    likes, catalogue = asked.training.likes()
    wanted = np.array([len(films) for films in asked.cases.wanted])
    case = np.arange(len(lists), dtype=np.int64) << 32  # a film of a case as one number: all cases at once
    relevant = np.isin(case[:, None] + lists, np.repeat(case, wanted) + np.concatenate(asked.cases.wanted))
    filled = lists >= 0
    at = np.where(filled, _positions(catalogue, np.where(filled, lists, catalogue.movie_ids[0])), -1)
    return Answers(at, relevant, wanted, catalogue.like_counts / max(len(likes.user_ids), 1))


def case_values(answers: Answers) -> NDArray[np.float64]:
    """Accuracy of each list; float64, shape (cases, measures), in the order of `ACCURACY`."""
    return np.column_stack([measured(answers) for measured in ACCURACY.values()])


def slices_of(asked: Questions) -> dict[str, NDArray[np.bool_]]:
    """Split cases by the likes of the less liked film: all, the third with most of them, the third with fewest."""
    _, catalogue = asked.training.likes()
    likes = catalogue.like_counts[_positions(catalogue, asked.cases.pairs)].min(axis=1)
    place, third = np.empty(len(likes), dtype=np.int64), -(-len(likes) // 3)
    place[np.argsort(likes, kind="stable")] = np.arange(len(likes))
    return {"all": place >= 0, "popular": place >= len(likes) - third, "rare": place < third}


def accuracy_of(
    split: str,
    slice_name: str,
    values: dict[str, NDArray[np.float64]],
    users: NDArray[np.int32],
    seed: int,
    metrics: Iterable[str] = tuple(ACCURACY),
) -> list[Measurement]:
    """Means over some cases with their intervals, and how far the first method is ahead."""
    first = next(iter(values.values()))
    table = np.stack([*values.values(), *(first - other for other in values.values())], axis=1)
    means = bootstrap_means(table.reshape(len(table), -1), users, draws=DRAWS, seed=seed)
    mean, low, high = (part.reshape(table.shape[1:]) for part in (table.mean(axis=0), *interval(means)))
    found = []
    for n, method in enumerate(values):
        for m, metric in enumerate(metrics):
            value, ahead = ((float(mean[k, m]), float(low[k, m]), float(high[k, m])) for k in (n, len(values) + n))
            row = Measurement(split, slice_name, method, metric, *value, len(table))
            found.append(row if n == 0 else replace(row, ahead=ahead[0], ahead_low=ahead[1], ahead_high=ahead[2]))
    return found


def _variety(
    split: str, method: str, folds: list[list[NDArray[np.float64] | float]], users: NDArray[np.int32], seed: int
) -> list[Measurement]:
    """How varied lists are; what is measured of all lists together is the mean over the folds."""
    found = []
    for metric, parts in zip(VARIETY, zip(*folds, strict=True), strict=True):
        values = np.concatenate([np.atleast_1d(part) for part in parts])
        row = Measurement(split, "all", method, metric, float(values.mean()), None, None, len(users))
        if np.ndim(parts[0]) == 1:  # a value per case
            low, high = interval(bootstrap_means(values[:, None], users, draws=DRAWS, seed=seed))
            row = replace(row, ci_low=float(low[0]), ci_high=float(high[0]))
        found.append(row)
    return found


def value_of(measurements: Iterable[Measurement], split: str, method: str, metric: str) -> float:
    """Return the value over all cases; NaN if it was not measured."""
    found = measurement_of(measurements, split, method, metric)
    return float("nan") if found is None else found.value


def measurement_of(measurements: Iterable[Measurement], split: str, method: str, metric: str) -> Measurement | None:
    """Return the measurement over all cases; None if there is none."""
    wanted = ("all", split, method, metric)
    for found in measurements:
        if (found.slice, found.split, found.method, found.metric) == wanted:
            return found
    return None
