"""What `marquee evaluate` does: measures parameters on a home's ratings, or searches for better ones.

Belongs here: reading what is needed under the writer's lock, the report's fields, and the printed tables. Does not
belong here: the measuring (`recommender.evaluation.evaluate`) and the search (`recommender.evaluation.sweep`).
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from recommender.data.catalogue import Catalogue
from recommender.errors import MarqueeError
from recommender.evaluation.evaluate import ACCURACY, CURRENT, HEADLINE, Measurement, evaluate
from recommender.evaluation.splits import Ratings
from recommender.evaluation.sweep import SAME, Trial, best_trial, sweep
from recommender.parameters import ModelParameters, make_parameters
from warehouse.database import open_warehouse
from warehouse.home import Home
from warehouse.tables.evaluation import least_stars, read_films, read_ratings

CRITERION = (
    f"highest NDCG@10 on validation users; among settings within {SAME} of it the highest hit rate@3, "
    "then the fewest neighbours"
)

SHORT = {
    "hit_rate@3": "hit@3",
    "hit_rate@10": "hit@10",
    "precision@10": "prec@10",
    "novelty@10": "novelty",
    "coverage@10": "coverage",
    "gini@10": "gini",
}


def evaluate_home(
    home: Home, parameters: ModelParameters, *, search: bool, notify: Callable[[str], None]
) -> dict[str, Any]:
    """Measure parameters on the ratings a home holds, with what was ingested since the last run.

    Parameters
    ----------
    home : Home
    parameters : ModelParameters
        What is measured; with `search`, the point from which the sweep starts.
    search : bool
        Look for better parameters on validation users first, and measure those.
    notify : callable
        Receives a line per step.

    Returns
    -------
    dict
        ``parameters`` (those measured), ``measurements``, ``seconds``; with `search` also ``trials``, ``chosen``
        and ``criterion``.
    """
    started = time.perf_counter()
    report: dict[str, Any] = {}
    ratings, films = _read(home, parameters, notify)
    if search:
        trials = sweep(ratings, films, parameters, notify=lambda trial: notify(trial_line(trial)))
        best = best_trial(trials)
        parameters = make_parameters(settings={**parameters.model_dump(), **best.settings})
        report |= {"trials": [asdict(trial) for trial in trials], "chosen": best.settings, "criterion": CRITERION}
    found = evaluate(ratings, films, parameters)
    if not found:
        raise MarqueeError("no user can be held out: each needs two liked sign-up films and a third liked film")
    return report | {
        "parameters": parameters.model_dump(),
        "measurements": [asdict(measurement) for measurement in found],
        "seconds": round(time.perf_counter() - started, 3),
    }


def _read(home: Home, parameters: ModelParameters, notify: Callable[[str], None]) -> tuple[Ratings, Catalogue]:
    """Ratings and films, read quickly under the writer's lock, which is then free again."""
    with open_warehouse(home, "evaluate (reading)", notify=notify) as warehouse:
        return read_ratings(warehouse.con, least_stars(parameters)), read_films(warehouse.con)


def trial_line(trial: Trial) -> str:
    """One trial of a sweep in one line."""
    return (
        f"{trial.method:<58} hit@3 {trial.scores['hit_rate@3']:.4f}  ndcg@10 {trial.scores['ndcg@10']:.4f} "
        f"({trial.low['ndcg@10']:.3f} to {trial.high['ndcg@10']:.3f})  {trial.films:>5} films"
    )


def printed(report: dict[str, Any]) -> str:
    """The report as text: a table per way of holding out, slices, and how far ahead of each baseline it is."""
    lines = []
    if "chosen" in report:
        chosen = " ".join(f"{key}={value}" for key, value in report["chosen"].items())
        lines += [f"chosen: {chosen}", f"because: {report['criterion']}", ""]
    found = [Measurement(**values) for values in report["measurements"]]
    for split in dict.fromkeys(row.split for row in found):
        rows = [row for row in found if row.split == split]
        lines += [*_split_lines(split, rows), ""]
    return "\n".join([*lines, f"{report['seconds']:.1f} s"])


def _split_lines(split: str, rows: list[Measurement]) -> list[str]:
    everything = [row for row in rows if row.slice == "all"]
    metrics = list(dict.fromkeys(row.metric for row in everything))
    lines = [f"{split}, {everything[0].cases:,} pairs", _columns("", (SHORT.get(name, name) for name in metrics))]
    for method in dict.fromkeys(row.method for row in rows):
        values = {row.metric: row.value for row in everything if row.method == method}
        lines.append(_columns(method, (f"{values[metric]:.3f}" for metric in metrics)))
    for name in ("popular", "rare"):
        some = [row for row in rows if row.slice == name]
        for method in dict.fromkeys(row.method for row in some):
            values = {row.metric: row.value for row in some if row.method == method}
            lines.append(_columns(f"{method}, {name}", (f"{values[metric]:.3f}" for metric in ACCURACY)))
    lines.append(f"{CURRENT} ahead of (95% interval over users):")
    for row in everything:
        if row.ahead is not None and row.metric in HEADLINE:
            lines.append(
                f"  {row.method:<16} {SHORT.get(row.metric, row.metric):<8} {row.ahead:+.3f} "
                f"({row.ahead_low:+.3f} to {row.ahead_high:+.3f})"
            )
    return lines


def _columns(name: str, values: Iterable[str]) -> str:
    return f"  {name:<24}" + "".join(f"{value:>11}" for value in values)
