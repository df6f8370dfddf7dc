"""The search for default parameters: a grid, tried on validation users, ranked by a criterion stated beforehand.

Belongs here: which values are tried and which of them is best. Does not belong here: measuring (`evaluate`), or the
test users, about whom a sweep learns nothing (`splits.validation_splits` keeps them out).

Several data sets can be searched at once: each counts the same, however many cases it has.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.errors import MarqueeError
from recommender.evaluation.baselines import BASELINES
from recommender.evaluation.evaluate import (
    BOOK,
    CASES,
    DRAWS,
    PAIRS_PER_USER,
    SEED,
    Method,
    Questions,
    answers_of,
    by_baseline,
    by_model,
    case_values,
    questions,
)
from recommender.evaluation.metrics import ACCURACY, bootstrap_means, interval
from recommender.evaluation.splits import Ratings, validation_splits
from recommender.parameters import PRESETS, ModelParameters, Weighting, make_parameters

Grid = Mapping[str, Sequence[Any]]
"""Values to try, by parameter."""

GRID: Grid = {
    "voter_exponent": (0.25, 0.5, 0.75),
    "companion_weight": (1.0, 2.0, 4.0),
    "popularity_exponent": (0.0, 0.1, 0.15, 0.2),
}
"""Values tried in every combination unless the caller names others; the other parameters stay as given."""

AROUND: Grid = {
    "weighting": get_args(Weighting),
    "liked_bonus": (0.0, 0.2, 1.0, 2.0),
    "neighbours": (20, 30, 40, 60, 90),
    "min_likes": (1, 2, 5, 10),
}
"""Values tried one at a time around the best combination of `GRID`."""

SAME = 0.002
"""NDCG@10 closer to the best than this counts as equal to it: a fraction of what another draw of users changes."""

START = "start"
"""Name of the trial of the parameters the sweep was given."""


@dataclass(frozen=True)
class Trial:
    """One way to recommend, measured on all validation users.

    Attributes
    ----------
    method : str
        What was tried: `START`, a baseline's name, or ``key=value`` pairs.
    settings : dict or None
        Parameters that differ from those the sweep was given; None for a baseline.
    scores : dict
        Mean of each measure of `ACCURACY`; of several data sets the mean of theirs.
    ahead, ahead_low, ahead_high : dict
        This trial minus the start, on the same cases, with a 95% bootstrap interval over users.
    by_source : dict
        `scores` and distinct films recommended (``films``) of each data set.
    cases : int
    """

    method: str
    settings: dict[str, Any] | None
    scores: dict[str, float]
    ahead: dict[str, float]
    ahead_low: dict[str, float]
    ahead_high: dict[str, float]
    by_source: dict[str, dict[str, float]]
    cases: int


def sweep(
    sources: Mapping[str, tuple[Ratings, Catalogue]],
    parameters: ModelParameters,
    *,
    grid: Grid | None = None,
    most: int = CASES,
    most_per_user: int = PAIRS_PER_USER,
    seed: int = SEED,
    notify: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """Try the parameters given, the baselines, every combination of a grid, then single changes around the best.

    Parameters
    ----------
    sources : mapping
        By name: at least all ratings from the lowest like_threshold tried on, and all films with raw vectors.
    parameters : ModelParameters
        What is not swept, and the start that trials are compared with.
    grid : mapping, optional
        Values by parameter. Default: `GRID`, then `AROUND` the best of it.
    most : int
        Cases at most, per fold.
    most_per_user : int
    seed : int
    notify : callable, optional
        Receives each trial as soon as it is measured.

    Returns
    -------
    list of Trial
        In the order tried, nothing twice; `best_trial` chooses.
    """
    cases = {
        name: list(
            questions(
                ratings, films, parameters, validation_splits(ratings, seed),
                most=most, most_per_user=most_per_user, seed=seed,
            )
        )
        for name, (ratings, films) in sources.items()
    }  # fmt: skip
    for name, folds in cases.items():
        if not folds:
            raise MarqueeError(
                f"{name}: no user can be asked about; each needs two liked sign-up films and a third liked film"
            )
    trials: list[Trial] = []
    tried: list[ModelParameters] = []
    start: dict[str, NDArray[np.float64]] = {}

    def attempt(method: str, settings: dict[str, Any] | None, answer: Method) -> None:
        measured = {name: _asked(folds, answer) for name, folds in cases.items()}
        if not start:
            start.update({name: values for name, (values, _) in measured.items()})
        trials.append(_trial(method, settings, cases, measured, start, seed))
        if notify is not None:
            notify(trials[-1])

    def attempt_model(settings: dict[str, Any]) -> None:
        changed = with_settings(parameters, settings)
        if changed not in tried:
            tried.append(changed)
            attempt(_named(settings) or START, settings, by_model(changed))

    attempt_model({})
    for name, baseline in BASELINES.items():
        attempt(name, None, by_baseline(baseline))
    attempt(BOOK, None, by_model(with_settings(parameters, PRESETS[BOOK])))
    for settings in _combinations(GRID if grid is None else grid):
        attempt_model(settings)
    if grid is None:
        centre = best_trial(trials).settings or {}
        for key, values in AROUND.items():
            for value in values:
                attempt_model({**centre, key: value})
    return trials


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Choose among trials of parameters: NDCG@10 first, then hit rate@3, then the fewest neighbours.

    All within `SAME` of the highest NDCG@10 count as equal there, so that noise does not decide; among those the
    highest hit rate@3 wins.
    """
    candidates = [trial for trial in trials if trial.settings is not None]
    highest = max(trial.scores["ndcg@10"] for trial in candidates)
    equal = [trial for trial in candidates if trial.scores["ndcg@10"] >= highest - SAME]
    return max(equal, key=lambda trial: (trial.scores["hit_rate@3"], -(trial.settings or {}).get("neighbours", 0)))


def with_settings(parameters: ModelParameters, settings: Mapping[str, Any]) -> ModelParameters:
    """Change some parameters; `max_neighbours` grows with `neighbours`."""
    values = {**parameters.model_dump(), **settings}
    return make_parameters(settings={**values, "max_neighbours": max(values["max_neighbours"], values["neighbours"])})


def _asked(folds: list[Questions], answer: Method) -> tuple[NDArray[np.float64], int]:
    """Ask all cases of a data set: accuracy of each, and the number of distinct films recommended."""
    values, films = [], set()
    for fold in folds:
        lists = answer(fold.training, fold.cases)
        values.append(case_values(answers_of(fold, lists)))
        films.update(np.unique(lists[lists >= 0]).tolist())
    return np.concatenate(values), len(films)


def _trial(
    method: str,
    settings: dict[str, Any] | None,
    cases: dict[str, list[Questions]],
    measured: dict[str, tuple[NDArray[np.float64], int]],
    start: dict[str, NDArray[np.float64]],
    seed: int,
) -> Trial:
    """Mean over the data sets; each is drawn from by itself."""
    means, ahead, by_source = [], [], {}
    for n, (name, (values, films)) in enumerate(measured.items()):
        users = np.concatenate([fold.cases.user_ids for fold in cases[name]])
        means.append(values.mean(axis=0))
        ahead.append(bootstrap_means(values - start[name], users, draws=DRAWS, seed=seed + n))
        by_source[name] = {**_by_measure(means[-1]), "films": float(films)}
    low, high = interval(np.mean(ahead, axis=0))
    change = np.mean([values.mean(axis=0) - start[name].mean(axis=0) for name, (values, _) in measured.items()], axis=0)
    scores, asked = _by_measure(np.mean(means, axis=0)), sum(len(values) for values, _ in measured.values())
    return Trial(method, settings, scores, _by_measure(change), _by_measure(low), _by_measure(high), by_source, asked)


def _by_measure(numbers: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(ACCURACY, map(float, numbers), strict=True))


def _combinations(grid: Grid) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _named(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())
