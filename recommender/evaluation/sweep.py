"""The search for default parameters: a grid, tried on validation users, ranked by a criterion stated beforehand.

Belongs here: which values are tried and which of them is best. Does not belong here: measuring (`evaluation`), or the
test users, about whom a sweep learns nothing (`splits.validation_splits` keeps them out).
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.errors import MarqueeError
from recommender.evaluation.evaluate import (
    ACCURACY,
    CASES,
    DRAWS,
    SEED,
    Lists,
    Method,
    Training,
    by_conditional_probability,
    by_model,
    by_popularity,
    case_values,
    cases_of,
)
from recommender.evaluation.metrics import bootstrap_intervals
from recommender.evaluation.splits import Cases, Ratings, validation_splits
from recommender.parameters import PRESETS, ModelParameters, Weighting, make_parameters

GRID: Mapping[str, Sequence[Any]] = {
    "weighting": get_args(Weighting),
    "liked_bonus": (0.0, 0.2, 0.5, 1.0, 2.0),
    "neighbours": (0, 10, 20, 30, 40, 60, 90),
}
"""Values tried in every combination; the other parameters stay as given."""

AROUND: Mapping[str, Sequence[Any]] = {
    "min_likes": (1, 2, 5, 10, 20),
    "neighbours": (25, 35, 45, 50),
    "liked_bonus": (0.3, 0.7, 5.0),
}
"""Values tried one at a time around the best combination."""

SAME = 0.002
"""NDCG@10 closer to the best than this counts as equal to it: a fraction of what another draw of users changes."""


@dataclass(frozen=True)
class Trial:
    """One way to recommend, measured on all validation users.

    Attributes
    ----------
    method : str
        What was tried: a baseline's name, or ``key=value`` pairs.
    settings : dict
        Parameters that differ from those the sweep was given; empty for a baseline.
    scores : dict
        Mean of each measure of `ACCURACY`.
    low, high : dict
        Their 95% bootstrap intervals over users.
    films : int
        Distinct films recommended.
    cases : int
    """

    method: str
    settings: dict[str, Any]
    scores: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    films: int
    cases: int


def sweep(
    ratings: Ratings,
    catalogue: Catalogue,
    parameters: ModelParameters,
    *,
    most: int = CASES,
    most_per_user: int = 12,
    grid: Mapping[str, Sequence[Any]] = GRID,
    around: Mapping[str, Sequence[Any]] = AROUND,
    seed: int = SEED,
    notify: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """Try the baselines, every combination of a grid, then single changes around the best of them.

    Parameters
    ----------
    ratings : Ratings
        At least all rows from the lowest like_threshold tried on.
    catalogue : Catalogue
        All films, with raw vectors.
    parameters : ModelParameters
        What is not swept.
    most : int
        Cases at most, per fold.
    most_per_user : int
    grid, around : mapping
        Values by parameter.
    seed : int
    notify : callable, optional
        Receives each trial as soon as it is measured.

    Returns
    -------
    list of Trial
        In the order tried; `best_trial` chooses.
    """
    folds = _folds(ratings, catalogue, parameters, most, most_per_user, seed)
    trials: list[Trial] = []

    def attempt(method: str, settings: dict[str, Any], answer: Method) -> None:
        trials.append(_trial(method, settings, folds, [answer(*fold) for fold in folds], seed))
        if notify is not None:
            notify(trials[-1])

    def attempt_model(settings: dict[str, Any]) -> None:
        changed = _with(parameters, settings)
        attempt(_named(settings), settings, by_model(changed))

    book = _with(parameters, PRESETS["book"])
    attempt("most_popular", {}, by_popularity)
    attempt("item_item", {}, by_conditional_probability)
    attempt("book", {}, by_model(book))
    for settings in _combinations(grid):
        attempt_model(settings)
    centre = best_trial(trials).settings
    for key, values in around.items():
        for value in values:
            settings = {**centre, key: value}
            if all(trial.settings != settings for trial in trials):
                attempt_model(settings)
    return trials


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Choose among trials of parameters: NDCG@10 first, then hit rate@3, then the fewest neighbours.

    All within `SAME` of the highest NDCG@10 count as equal there, so that noise does not decide; among those the
    highest hit rate@3 wins.
    """
    candidates = [trial for trial in trials if trial.settings]
    highest = max(trial.scores["ndcg@10"] for trial in candidates)
    equal = [trial for trial in candidates if trial.scores["ndcg@10"] >= highest - SAME]
    return max(equal, key=lambda trial: (trial.scores["hit_rate@3"], -trial.settings.get("neighbours", 0)))


def _folds(
    ratings: Ratings, catalogue: Catalogue, parameters: ModelParameters, most: int, most_per_user: int, seed: int
) -> list[tuple[Training, Cases]]:
    """Validation folds with their cases, drawn once, so that all trials answer the same ones."""
    found = []
    for split in validation_splits(ratings, seed):
        training = Training(ratings, split, catalogue)
        cases = cases_of(ratings, split, training, parameters, most=most, most_per_user=most_per_user, seed=seed)
        if len(cases.pairs):
            found.append((training, cases))
    if not found:
        raise MarqueeError("no user can be asked about: each needs two liked sign-up films and a third liked film")
    return found


def _trial(
    method: str, settings: dict[str, Any], folds: list[tuple[Training, Cases]], lists: list[Lists], seed: int
) -> Trial:
    """Measure the answers to all cases of all folds."""
    values = np.concatenate([case_values(some, cases) for some, (_, cases) in zip(lists, folds, strict=True)])
    users = np.concatenate([cases.user_ids for _, cases in folds])
    low, high = bootstrap_intervals(values, users, draws=DRAWS, seed=seed)
    films = np.unique(np.concatenate([some.ravel() for some in lists]))
    scores = _by_measure(values.mean(axis=0))
    return Trial(method, settings, scores, _by_measure(low), _by_measure(high), int((films >= 0).sum()), len(values))


def _by_measure(numbers: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(ACCURACY, map(float, numbers), strict=True))


def _combinations(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _named(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())


def _with(parameters: ModelParameters, settings: Mapping[str, Any]) -> ModelParameters:
    values = {**parameters.model_dump(), **settings}
    return make_parameters(settings={**values, "max_neighbours": max(values["max_neighbours"], values["neighbours"])})
