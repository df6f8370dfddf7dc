"""The report of a release: one HTML page, complete in itself, written beside the release when it is staged.

Belongs here: what the page says and in which order, from the release's file, the registry's copy for readers, and the
recorded checks. How it looks is `templates/release_report.html`. Does not belong here: judging (`checks`), or the
file's life beside its release (`warehouse.releases.registry`). The page is as of the staging; `marquee releases`
shows what happened to the release since."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import jinja2

from assets.experiment_plot import experiment_plot
from recommender.evaluation.evaluate import CURRENT, Measurement
from recommender.evaluation.metrics import ACCURACY, HEADLINE
from warehouse.releases.reader import example_pairs
from warehouse.tables.check_results import CheckResult
from warehouse.tables.evaluation import read_evaluation

TEMPLATE = "release_report.html"

LONGEST_DETAILS = 4_000
"""Characters of a failed check's details that are shown."""


@dataclass(frozen=True)
class Bar:
    """One place of a bar chart: shares of this release and of the one it is compared with, of the highest bar.

    Attributes
    ----------
    label : str
        The group, or where it begins.
    now, before : float or None
        Heights between 0 and 1; None where there is nothing to show.
    text : str
        The numbers behind them, shown on pointing at the bar.
    """

    label: str
    now: float
    before: float | None
    text: str


@dataclass(frozen=True)
class Chart:
    """A bar chart.

    Attributes
    ----------
    title : str
    note : str
        What a bar counts, or the check that judges it.
    bars : list of Bar
    highest : str
        What the tallest bar stands for.
    """

    title: str
    note: str
    bars: list[Bar]
    highest: str


def render_report(
    con: duckdb.DuckDBPyConnection,
    entry: Mapping[str, Any],
    results: Sequence[CheckResult],
    files: Sequence[Mapping[str, Any]],
    live: Mapping[str, Any] | None = None,
    live_results: Sequence[CheckResult] = (),
    experiments: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write the page.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        To the release's file, read-only.
    entry : mapping
        The release in the registry's copy for readers (`warehouse.releases.registry.list_releases`).
    results : sequence of CheckResult
        All checks recorded for it.
    files : sequence of mapping
        Files its ratings and films came from: name, bytes, sha256, data_rows, accepted, rejected.
    live : mapping, optional
        Registry entry of the release it was compared with.
    live_results : sequence of CheckResult
        Checks recorded for that one.
    experiments : sequence of mapping
        Of late, the newest first (`warehouse.experiments.reading.described`).

    Returns
    -------
    str
        HTML that needs nothing from outside.
    """
    measured = read_evaluation(con)
    row = con.execute("SELECT parameters FROM release").fetchone()
    failed = sorted((found for found in results if not found.passed), key=lambda found: not found.blocks)
    return _template().render(
        release=entry,
        live=live,
        failed=[(found, _details(found)) for found in failed],
        blocking=[found for found in failed if found.blocks],
        checks=_by_asset(results),
        passed=sum(found.passed for found in results),
        total=len(results),
        splits=_splits(measured),
        accuracy=ACCURACY,
        current=CURRENT,
        headline=_headline(measured, {found.check_name: found for found in results}),
        charts=charts(results, live_results),
        rows=_row_counts(entry, live),
        experiments=[(found, experiment_plot(found)) for found in experiments],
        examples=example_pairs(con, count=4, films=5),
        parameters=json.loads(row[0]) if row else {},
        files=files,
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment.get_template(TEMPLATE)


def _number(value: float | int | None) -> str:
    """Write a number for people: thousands separated, four digits where it is small and has a fraction."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 or float(value).is_integer() else f"{value:.4g}"


def _details(found: CheckResult) -> str:
    """More numbers of a failed check, without those that only say how it was run."""
    kept = {name: value for name, value in found.details.items() if name not in {"seconds", "dtypes", "months"}}
    text = json.dumps(kept, indent=1, default=str, ensure_ascii=False) if kept else ""
    return text if len(text) <= LONGEST_DETAILS else text[:LONGEST_DETAILS] + "\n... (cut; the registry has the rest)"


def _by_asset(results: Sequence[CheckResult]) -> dict[str, list[CheckResult]]:
    """Checks of the release first, then those of the tables it was made from."""
    assets = sorted({found.asset for found in results}, key=lambda asset: (not asset.startswith("published"), asset))
    return {asset: [found for found in results if found.asset == asset] for asset in assets}


def _headline(measured: Sequence[Measurement], results: Mapping[str, CheckResult]) -> list[dict[str, str]]:
    """The few numbers somebody looks at first."""
    tiles = []
    for found in measured:
        if (found.split, found.slice, found.method) == ("held-out users", "all", CURRENT) and found.metric in HEADLINE:
            tiles.append({"name": found.metric, "value": f"{found.value:.3f}", "note": _noted(found)})
    overlap = results.get("overlap_jaccard")
    if overlap is not None and overlap.value is not None and "tenths" in overlap.details:
        tiles.append({"name": "overlap of the lists", "value": f"{overlap.value:.1%}", "note": "mean over the pairs"})
    changed = results.get("pairs_changed")
    if changed is not None and changed.value is not None and tiles and "tenths" in getattr(overlap, "details", {}):
        tiles.append({"name": "pairs changed", "value": f"{changed.value:.1%}", "note": "against the live release"})
    return tiles


def _interval(found: Measurement) -> str:
    if found.ci_low is None or found.ci_high is None:
        return ""
    return f"{found.ci_low:.3f} to {found.ci_high:.3f}"


def _noted(found: Measurement) -> str:
    return f"95%: {_interval(found)}" if found.ci_low is not None else "held-out users"


def _splits(measured: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Measurements by split: every method's numbers, and its place on a scale that all methods share."""
    splits = []
    for split in dict.fromkeys(found.split for found in measured):
        rows = [found for found in measured if (found.split, found.slice) == (split, "all")]
        methods = list(dict.fromkeys(found.method for found in rows))
        cells = {(found.method, found.metric): found for found in rows}
        metrics = list(dict.fromkeys(found.metric for found in rows))
        top = {metric: max(_high(found) for found in rows if found.metric == metric) or 1.0 for metric in metrics}
        splits.append(
            {
                "name": split,
                "cases": rows[0].cases,
                "methods": methods,
                "metrics": metrics,
                "cells": cells,
                "plots": [
                    {
                        "metric": metric,
                        "top": top[metric],
                        "lines": [
                            _line(cells[method, metric], top[metric]) for method in methods if (method, metric) in cells
                        ],
                    }
                    for metric in HEADLINE
                    if metric in metrics
                ],
                "slices": [
                    found
                    for found in measured
                    if found.split == split and found.method == CURRENT and found.metric == "ndcg@10"
                ],
            }
        )
    return splits


def _high(found: Measurement) -> float:
    return found.value if found.ci_high is None else found.ci_high


def _line(found: Measurement, top: float) -> dict[str, Any]:
    """A method's interval in percent of the scale from 0 to `top`."""
    low = found.value if found.ci_low is None else found.ci_low
    return {
        "method": found.method,
        "value": found.value,
        "interval": _interval(found),
        "low": 100 * low / top,
        "width": 100 * (_high(found) - low) / top,
        "at": 100 * found.value / top,
    }


def charts(results: Sequence[CheckResult], live_results: Sequence[CheckResult] = ()) -> list[Chart]:
    """Charts of what the checks counted: ratings by month and stars, likes per user, overlap of the lists.

    Parameters
    ----------
    results, live_results : sequence of CheckResult
        Of the release and of the one it was compared with; a chart whose check counted nothing is left out.
    """
    ours, theirs = ({found.check_name: found.details for found in side} for side in (results, live_results))
    texts = {found.check_name: found.description for found in results}

    def counted(check: str, key: str) -> tuple[dict[str, float], dict[str, float]]:
        now, before = (dict(side.get(check, {}).get(key, {})) for side in (ours, theirs))
        return now, before

    likes = ours.get("drift_likes_per_user", {})
    found = [
        _chart("Ratings by month", "", *counted("ratings_as_fingerprinted", "months")),
        _chart("Stars given", texts.get("drift_ratings", ""), *counted("rating_distribution", "ratings"), shares=True),
        _chart("Likes per user", texts.get("drift_likes_per_user", ""), _likes(likes.get("now", {})),
               _likes(likes.get("live", {})), shares=True),
        _chart("Overlap of the lists, pair by pair (Jaccard)", texts.get("overlap_jaccard", ""),
               _tenths(ours.get("overlap_jaccard", {}).get("tenths", [])), {}, shares=True),
    ]  # fmt: skip
    return [chart for chart in found if chart.bars]


def _likes(counts: Mapping[str, float]) -> dict[str, float]:
    """Groups of `checks.release.comparison` (logarithm of likes + 1, rounded down) by the likes they stand for."""
    named = {}
    for group, count in sorted(counts.items(), key=lambda item: float(item[0])):
        low, high = 2 ** int(float(group)) - 1, 2 ** (int(float(group)) + 1) - 2
        named[f"{low:,}" if low == high else f"{low:,}–{high:,}"] = count
    return named


def _tenths(counts: Sequence[float]) -> dict[str, float]:
    return {f"{10 * n}%–{10 * n + 10}%": count for n, count in enumerate(counts)}


def _chart(
    title: str, note: str, now: Mapping[str, float], before: Mapping[str, float], *, shares: bool = False
) -> Chart:
    """Scale counts by group, as they are or as shares of their sum, to the tallest bar."""
    if not now:
        return Chart(title, note, [], "")
    # Sorted by month where groups are dates; else in the order in which they were counted, what only `before` has last.
    labels = list(dict.fromkeys([*now, *before]))
    labels = sorted(labels) if all(label[:4].isdigit() and label[4:5] == "-" for label in labels) else labels
    sums = [sum(side.values()) or 1.0 for side in (now, before)] if shares else [1.0, 1.0]
    values = [(now.get(label, 0) / sums[0], before.get(label, 0) / sums[1]) for label in labels]
    top = max(max(pair) for pair in values) or 1.0
    worded = (lambda value: f"{value:.1%}") if shares else (lambda value: f"{value:,.0f}")
    bars = [
        Bar(
            label.partition("–")[0],
            ours / top,
            theirs / top if before else None,
            f"{label}: {worded(ours)}" + (f", live {worded(theirs)}" if before else ""),
        )
        for label, (ours, theirs) in zip(labels, values, strict=True)
    ]
    return Chart(title, note, bars, worded(top))


def _row_counts(entry: Mapping[str, Any], live: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Rows by table, with those of the release it was compared with."""
    before = live["row_counts"] if live else {}
    return [
        {"table": table, "now": count, "before": before.get(table), "more": count - before.get(table, count)}
        for table, count in entry["row_counts"].items()
    ]
