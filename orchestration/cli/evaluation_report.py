"""What `marquee evaluate` does: measures parameters beside others and baselines, or searches for better ones.

Belongs here: which parameters and which data are meant, the report's fields, and the printed tables. Does not belong
here: the measuring (`recommender.evaluation.evaluate`) and the search (`recommender.evaluation.sweep`).
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from recommender.data.catalogue import Catalogue
from recommender.errors import MarqueeError
from recommender.evaluation import long_profiles
from recommender.evaluation.evaluate import CURRENT, Measurement, evaluate, methods_of
from recommender.evaluation.metrics import ACCURACY, HEADLINE
from recommender.evaluation.splits import LONG_NAME, TEST_NAME, Ratings, at_least
from recommender.evaluation.sweep import SAME, Grid, Trial, best_trial, sweep, with_settings
from recommender.parameters import (
    PRESETS,
    ModelParameters,
    ParameterError,
    make_parameters,
    read_settings,
    recorded_parameters,
)
from warehouse.database import open_warehouse
from warehouse.home import Home
from warehouse.home_parameters import home_parameters
from warehouse.ingest.importer import import_source
from warehouse.releases.reader import open_release
from warehouse.releases.registry import live_release
from warehouse.schemas.row_rules import row_rules
from warehouse.sources.resolve import resolve_source
from warehouse.tables.evaluation import (
    NothingToEvaluateError,
    compare_nightly,
    least_stars,
    read_films,
    read_ratings,
    same_model,
)
from warehouse.tables.source import load_source

CRITERION = (
    f"highest NDCG@10 on validation users, on the mean of the sources; among settings within {SAME} of it the highest "
    "hit rate@3, then the fewest neighbours"
)

Data = tuple[Ratings, Catalogue]

HOME = "home"
"""Name of the home's own ratings in reports."""


def release_parameters(home: Home, release: str | None = None) -> ModelParameters:
    """Parameters of a release, the live one if none is named; NoReleaseError if there is no such release."""
    with open_release(home, release) as con:
        row = con.execute("SELECT parameters FROM release").fetchone()
    assert row is not None
    return recorded_parameters(json.loads(row[0]))


def paired_change(home: Home, release_a: str, release_b: str) -> dict[str, tuple[float, float, float]]:
    """How far the parameters of the second release are ahead of the first one's, both asked the same cases.

    Returns
    -------
    dict
        By metric: the difference on held-out users of the second release's ratings, and its 95% interval. Empty if
        the parameters are the same in what matters, or nobody can be asked.
    """
    before, after = release_parameters(home, release_a), release_parameters(home, release_b)
    if same_model(before, after):
        return {}
    with open_release(home, release_b) as con:
        try:
            found = compare_nightly(con, after, before)
        except NothingToEvaluateError:
            return {}
    rows = [row for row in found if (row.split, row.slice, row.method) == (TEST_NAME, "all", "live")]
    return {
        f"{row.metric} ({row.split})": (row.ahead, row.ahead_low, row.ahead_high)
        for row in rows
        if row.ahead is not None and row.ahead_low is not None and row.ahead_high is not None
    }


def parameters_in_question(home: Home, preset: str | None, settings: Sequence[str]) -> tuple[ModelParameters, str]:
    """What `current` stands for: what was asked for, else what is live, else the home's; and which of these it is."""
    if preset is None and not settings and live_release(home):
        return release_parameters(home), "the live release's parameters"
    asked = " ".join([f"preset {preset}" if preset else "the home's parameters", *settings])
    return ModelParameters(**home_parameters(home, read_settings(preset, settings)).model_dump()), asked


def other_parameters(home: Home, text: str, current: ModelParameters) -> ModelParameters:
    """Read `--against`: ``live``, a preset, or ``key=value,...``, changes to the current parameters."""
    if text == "live":
        return release_parameters(home)
    if text in PRESETS:
        return make_parameters(text)
    if "=" not in text:
        raise ParameterError(f"--against {text}: write live, {', '.join(PRESETS)}, or key=value,key=value")
    settings = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        settings[key.strip()] = _value(key.strip(), value)
    return with_settings(current, settings)


def grid_of(texts: Iterable[str]) -> Grid:
    """Read `--grid key=value,value`."""
    grid: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals:
            raise ParameterError(f"--grid {text}: write key=value,value")
        grid[key.strip()] = [_value(key.strip(), value) for value in values.split(",")]
    return grid


def _value(key: str, text: str) -> Any:
    """One value of a parameter, checked and of its type."""
    room = [] if key == "max_neighbours" else ["max_neighbours=10000"]
    return getattr(make_parameters(settings=[*room, f"{key}={text.strip()}"]), key)


def evaluate_sources(
    home: Home,
    parameters: ModelParameters,
    *,
    sources: Sequence[str],
    against: Mapping[str, ModelParameters],
    search: bool,
    grid: Grid | None,
    notify: Callable[[str], None],
) -> dict[str, Any]:
    """Measure parameters on the ratings a home holds, or on other data sets; changes nothing.

    Parameters
    ----------
    home : Home
    parameters : ModelParameters
        What is measured; with `search`, the point from which the sweep starts.
    sources : sequence of str
        Data sets as `--source` names them; none: the home's ratings, with what was ingested since the last run.
    against : mapping
        Other parameters by name, asked the same cases.
    search : bool
        Look for better parameters on validation users first, and measure those.
    grid : mapping or None
        What the search tries; None: the built-in grid.
    notify : callable
        Receives a line per step.

    Returns
    -------
    dict
        ``parameters`` (those measured), ``measurements`` (of several sources the means of theirs), ``sources``
        (measurements by source), ``seconds``; with `search` also ``trials``, ``chosen`` and ``criterion``.
    """
    started = time.perf_counter()
    report: dict[str, Any] = {}
    stars = least_stars(parameters, *against.values())
    data = {name: _read_source(name, home, parameters, notify) for name in sources}
    data = data or {HOME: _read_home(home, notify)}
    if search:
        pairs = {name: (at_least(ratings, stars), films) for name, (ratings, films) in data.items()}
        trials = sweep(pairs, parameters, grid=grid, notify=lambda trial: notify(trial_line(trial)))
        best = best_trial(trials)
        parameters = with_settings(parameters, best.settings or {})
        report |= {"trials": [asdict(trial) for trial in trials], "chosen": best.settings, "criterion": CRITERION}
    found = {}
    for name, (ratings, films) in data.items():
        notify(f"asking about users of {name}")
        found[name] = evaluate(at_least(ratings, stars), films, parameters, methods=methods_of(parameters, against))
        if not found[name]:
            raise MarqueeError(
                f"{name}: no user can be held out; each needs two liked sign-up films and a third liked film"
            )
        lists = long_profiles.methods_of(parameters, against)
        found[name] += long_profiles.evaluate_users(ratings, films, parameters, methods=lists)
    return report | {
        "parameters": parameters.model_dump(),
        "measurements": [asdict(row) for row in mean_over_sources(list(found.values()))],
        "sources": {name: [asdict(row) for row in rows] for name, rows in found.items()},
        "seconds": round(time.perf_counter() - started, 3),
    }


def _read_home(home: Home, notify: Callable[[str], None]) -> Data:
    """Ratings and films, read quickly under the writer's lock, which is then free again."""
    with open_warehouse(home, "evaluate (reading)", notify=notify) as warehouse:
        return read_ratings(warehouse.con, 0.0), read_films(warehouse.con)


def _read_source(source: str, home: Home, parameters: ModelParameters, notify: Callable[[str], None]) -> Data:
    """Load a data set into a home of its own that is gone afterwards; downloads are kept in the one given."""
    local = resolve_source(source, home.sources)
    with tempfile.TemporaryDirectory(prefix="marquee-evaluate-") as folder:
        other = Home.find(Path(folder))
        manifest = import_source(local, other.sources, row_rules())
        with open_warehouse(other, "evaluate (loading)", notify=notify) as warehouse:
            with warehouse.transaction() as con:
                load_source(con, other, manifest, parameters.genome_source)
            return read_ratings(warehouse.con, 0.0), read_films(warehouse.con)


def mean_over_sources(found: Sequence[list[Measurement]]) -> list[Measurement]:
    """Mean of the same measurements on several data sets, each counting the same.

    The data sets are independent: half-widths of the interval of the mean add up as squares.
    """
    if len(found) == 1:
        return found[0]
    by_key = [{(row.split, row.slice, row.method, row.metric): row for row in rows} for rows in found]
    means = []
    for key in by_key[0]:
        rows = [rows[key] for rows in by_key if key in rows]
        if len(rows) < len(found):
            continue
        value, low, high = _mean([(row.value, row.ci_low, row.ci_high) for row in rows])
        ahead = _mean([(row.ahead, row.ahead_low, row.ahead_high) for row in rows])
        one = replace(rows[0], ci_low=low, ci_high=high, cases=sum(row.cases for row in rows))
        assert value is not None
        means.append(replace(one, value=value, ahead=ahead[0], ahead_low=ahead[1], ahead_high=ahead[2]))
    return means


def _mean(
    intervals: Sequence[tuple[float | None, float | None, float | None]],
) -> tuple[float | None, float | None, float | None]:
    values = [value for value, _, _ in intervals if value is not None]
    if len(values) < len(intervals):
        return None, None, None
    mean, count = sum(values) / len(values), len(values)
    below = [value - low for value, low, _ in intervals if value is not None and low is not None]
    above = [high - value for value, _, high in intervals if value is not None and high is not None]
    if len(below) < count:
        return mean, None, None
    return mean, mean - math.hypot(*below) / count, mean + math.hypot(*above) / count


def trial_line(trial: Trial) -> str:
    """One trial of a sweep in one line: means, and the paired difference to the start."""
    films = " + ".join(f"{scores['films']:.0f}" for scores in trial.by_source.values())
    return (
        f"{trial.method:<58} hit@3 {trial.scores['hit_rate@3']:.4f}  ndcg@10 {trial.scores['ndcg@10']:.4f}, to start "
        f"{trial.ahead['ndcg@10']:+.4f} ({trial.ahead_low['ndcg@10']:+.4f} to {trial.ahead_high['ndcg@10']:+.4f})  "
        f"{films} films"
    )


def printed(report: Mapping[str, Any], asked: str) -> str:
    """The report as text.

    Parameters
    ----------
    report : mapping
        Of `evaluate_sources`.
    asked : str
        Which parameters `current` stands for.
    """
    defaults = make_parameters().model_dump()
    changed = " ".join(f"{key}={value}" for key, value in report["parameters"].items() if value != defaults[key])
    lines = [f"{CURRENT}: {asked}; {f'other than the defaults: {changed}' if changed else 'all as the defaults'}", ""]
    if "chosen" in report:
        chosen = " ".join(f"{key}={value}" for key, value in report["chosen"].items()) or "the start"
        lines += [f"chosen: {chosen}", f"because: {report['criterion']}", ""]
    tables = dict(report["sources"])
    if len(tables) > 1:
        tables["mean of the sources"] = report["measurements"]
    for source, rows in tables.items():
        found = [Measurement(**values) for values in rows]
        for split in dict.fromkeys(row.split for row in found):
            title = split if source == HOME else f"{source}: {split}"
            lines += [*_split_lines(title, [row for row in found if row.split == split]), ""]
    return "\n".join([*lines, f"{report['seconds']:.1f} s"])


def _split_lines(title: str, rows: list[Measurement]) -> list[str]:
    everything = [row for row in rows if row.slice == "all"]
    metrics = list(dict.fromkeys(row.metric for row in everything))
    asked = "users" if everything[0].split == LONG_NAME else "pairs"
    lines = [
        f"{title}, {everything[0].cases:,} {asked}",
        _columns("", metrics),
    ]
    for method in dict.fromkeys(row.method for row in rows):
        values = {row.metric: row.value for row in everything if row.method == method}
        lines.append(_columns(method, (f"{values[metric]:.4f}" for metric in metrics)))
    for name in ("popular", "rare"):
        some = [row for row in rows if row.slice == name]
        for method in dict.fromkeys(row.method for row in some):
            values = {row.metric: row.value for row in some if row.method == method}
            lines.append(_columns(f"{method}, {name}", (f"{values[metric]:.4f}" for metric in ACCURACY)))
    lines.append(f"{CURRENT} ahead of (95% interval over users):")
    for row in everything:
        if row.ahead is not None and row.metric in HEADLINE:
            lines.append(
                f"  {row.method:<30} {row.metric:<12} {row.ahead:+.4f} ({row.ahead_low:+.4f} to {row.ahead_high:+.4f})"
            )
    return lines


def _columns(name: str, values: Iterable[str]) -> str:
    return f"  {name:<30}" + "".join(f"{value:>13}" for value in values)
