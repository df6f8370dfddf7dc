"""Charts as Vega-Lite specifications, drawn in the page by the script that is bundled into the site.

Belongs here: how numbers are drawn. Colours and fonts are the page's (`static/site.js`), so that they follow its light
and dark form. Does not belong here: where the numbers come from (`history`, `coverage`), or how well they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from recommender.evaluation.evaluate import CURRENT
from reports.coverage import LISTS, Coverage
from reports.history import Known
from warehouse.tables.check_results import CheckResult

Rows = Sequence[Mapping[str, Any]]

RELEASE_LABEL = "utcFormat(utcParse(slice(datum.label, 0, 16), '%Y%m%dT%H%M%SZ'), '%e %b %H:%M')"
"""A release by the time of its name."""

OUTCOMES = ["passed", "warns", "forbids"]
SHAPES = ["circle", "triangle-up", "cross"]
DASHED = [4, 3]


class Chart(NamedTuple):
    """A chart, and its numbers as a table for whoever does not see it.

    Attributes
    ----------
    title : str
    note : str
    spec : dict
        Vega-Lite.
    columns : list of str
    rows : list of list
    """

    title: str
    note: str
    spec: dict[str, Any]
    columns: list[str]
    rows: list[list[Any]]


def outcome(found: CheckResult) -> str:
    """How a check came out, in one word."""
    return "passed" if found.passed else "forbids" if found.blocks else "warns"


def metric_chart(known: Sequence[Known], split: str, metric: str) -> Chart | None:
    """A metric of all methods over the releases, with the interval of the method in force; None if not measured."""
    found = [
        (one, row)
        for one in known
        for row in one.measured
        if (row.split, row.slice, row.metric) == (split, "all", metric)
    ]
    if not found:
        return None
    methods = sorted({row.method for _, row in found}, key=lambda method: (method != CURRENT, method))
    rows = [
        {"release": one.name, "method": row.method, "value": row.value, "low": row.ci_low, "high": row.ci_high}
        for one, row in found
    ]
    series = alt.Color("method:N", title=None, scale=alt.Scale(domain=methods), legend=_legend())
    base = _over_releases(rows, [one.name for one in known if one.kept])
    band = (
        base.transform_filter(alt.datum.method == CURRENT)
        .transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=6, opacity=0.3)
        .encode(y=_value("low"), y2="high:Q", color=series)
    )
    line = base.mark_line(point=True).encode(
        y=_value("value"),
        color=series,
        tooltip=["release:N", "method:N", _number("value"), _number("low", "95% from"), _number("high", "to")],
    )
    return _chart(f"{metric}, {split}", _cases(found[-1][1].cases), [band, line], rows)


def check_chart(known: Sequence[Known], name: str) -> Chart | None:
    """The value of a check over the releases, with what it was held against; None if no release has it."""
    found = [(one.name, check) for one in known for check in one.checks if check.check_name == name]
    found = [(release, check) for release, check in found if check.value is not None]
    if not found:
        return None
    rows = [
        {"release": release, "value": check.value, "threshold": check.threshold, "outcome": outcome(check),
         "found": check.description}
        for release, check in found
    ]  # fmt: skip
    base = _over_releases(rows, [one.name for one in known if one.kept])
    colour = alt.Color("outcome:N", title=None, scale=alt.Scale(domain=OUTCOMES), legend=None)
    tooltip = ["release:N", "outcome:N", _number("value"), _number("threshold"), "found:N"]
    value = _value("value")
    held = [base.mark_line(strokeDash=DASHED, opacity=0.7).encode(y=_value("threshold"))]
    layers = [
        *(held if any(row["threshold"] is not None for row in rows) else []),
        base.mark_line(opacity=0.5).encode(y=value),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=value, color=colour, tooltip=tooltip),
    ]
    return _chart(name, found[-1][1].description, layers, rows)


def failures_chart(known: Sequence[Known]) -> Chart | None:
    """Checks that failed in some release, by release; None if none did."""
    failing = sorted({check.check_name for one in known for check in one.checks if not check.passed})
    rows = [
        {"release": one.name, "check": check.check_name, "outcome": outcome(check), "found": check.description}
        for one in known
        for check in one.checks
        if check.check_name in failing
    ]
    if not rows:
        return None
    cells = _over_releases(rows, [one.name for one in known if one.kept]).mark_point(filled=True, size=160, opacity=1)
    spec = cells.encode(
        y=alt.Y("check:N", title=None, sort=failing, axis=alt.Axis(labelLimit=190, ticks=False, domain=False)),
        color=alt.Color("outcome:N", title=None, scale=alt.Scale(domain=OUTCOMES), legend=_legend()),
        shape=alt.Shape("outcome:N", title=None, scale=alt.Scale(domain=OUTCOMES, range=SHAPES)),
        tooltip=["release:N", "check:N", "outcome:N", "found:N"],
    )  # fmt: skip
    return _chart("Checks that failed in some release", "", [spec], rows, height=24 * len(failing))


def rows_charts(known: Sequence[Known], tables: Iterable[str]) -> list[Chart]:
    """Rows of tables over all releases, those included whose files are gone: a chart for each table that has any."""
    charts = []
    for table in tables:
        rows = [{"release": one.name, "rows": one.entry["row_counts"].get(table, 0)} for one in known]
        if any(row["rows"] for row in rows):
            y = alt.Y("rows:Q", title=None, axis=alt.Axis(format="~s", tickCount=4))
            bars = _over_releases(rows, [one.name for one in known]).mark_bar(width={"band": 0.6})
            tooltip = ["release:N", _number("rows", form=",")]
            charts.append(_chart(table, "", [bars.encode(y=y, tooltip=tooltip)], rows, height=140))
    return charts


def concentration_chart(coverage: Coverage) -> Chart:
    """Which share of the places the most frequent films have, by how many films that are."""
    rows = [
        {"lists": reach.kind, "films": films, "places": places}
        for reach in coverage.reach
        for films, places in reach.curve
    ]
    axis = alt.Axis(format="~s", tickCount=5)
    lines = alt.Chart(_data(rows)).mark_line().encode(
        x=alt.X("films:Q", title="most frequent films", scale=alt.Scale(type="log"), axis=axis),
        y=alt.Y("places:Q", title="share of the places", axis=alt.Axis(format="%", tickCount=5)),
        color=_lists(),
        tooltip=["lists:N", _number("films", form=","), _number("places", form=".1%")],
    )  # fmt: skip
    note = "Share of all places that the most frequent films have. The further left a curve rises, the fewer they are."
    return _chart("Concentration", note, [lines], rows)


def groups_chart(coverage: Coverage, group: str) -> Chart:
    """Share of the liked films of each group that is in some list."""
    rows = coverage.groups[group]
    tooltip = [
        "group:N",
        "lists:N",
        _number("films", form=","),
        _number("liked", form=","),
        _number("share", form=".1%"),
    ]
    bars = alt.Chart(_data(rows)).mark_bar().encode(
        y=alt.Y("group:N", title=None, sort=None, axis=alt.Axis(labelLimit=110)),
        x=alt.X("share:Q", title="share of the liked films", axis=alt.Axis(format="%", tickCount=4)),
        yOffset=alt.YOffset("lists:N", sort=list(LISTS)),
        color=_lists(),
        tooltip=tooltip,
    )  # fmt: skip
    return _chart(f"Films in some list, by {group}", "", [bars], rows, height=9 * len(rows))


def tenths_chart(coverage: Coverage) -> Chart:
    """Share of the places that films of each tenth by popularity have."""
    rows = coverage.tenths
    bars = alt.Chart(_data(rows)).mark_bar().encode(
        x=alt.X("tenth:O", title="tenth of all likes, the most liked films first", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title="share of the places", axis=alt.Axis(format="%", tickCount=4)),
        xOffset=alt.XOffset("lists:N", sort=list(LISTS)),
        color=_lists(),
        tooltip=["tenth:O", "lists:N", _number("films", form=","), _number("share", form=".1%")],
    )  # fmt: skip
    even = alt.Chart(_data([{"share": 0.1}])).mark_rule(strokeDash=DASHED).encode(y="share:Q")
    note = "Films in order of their likes, in groups that each hold a tenth of all likes. Dashed: places as likes."
    return _chart("Places by popularity", note, [bars, even], rows)


def months_chart(rows: Rows) -> Chart:
    """Ratings by month."""
    area = alt.Chart(_data(rows)).mark_area(line=True, opacity=0.5, interpolate="step-after").encode(
        x=alt.X("month:T", title=None, axis=alt.Axis(tickCount=8)),
        y=alt.Y("ratings:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
        tooltip=[alt.Tooltip("month:T", format="%B %Y"), _number("ratings", form=",")],
    )  # fmt: skip
    return _chart("Ratings by month", "", [area], rows)


def stars_chart(rows: Rows) -> Chart:
    """Ratings by stars."""
    bars = alt.Chart(_data(rows)).mark_bar().encode(
        x=alt.X("stars:O", title=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("ratings:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
        tooltip=["stars:O", _number("ratings", form=",")],
    )  # fmt: skip
    return _chart("Ratings by stars", "", [bars], rows)


def experiment_chart(found: Mapping[str, Any]) -> Chart | None:
    """The difference of an experiment over its days with the confidence sequence; None before it can be said."""
    rows = [look for look in found["looks"] if look["low"] is not None and look["high"] is not None]
    if not rows:
        return None
    x = alt.X("days:Q", title="days since the start", axis=alt.Axis(format="~g", tickCount=6))
    base = alt.Chart(_data(rows))
    tooltip = [*map(_number, ("days", "difference", "low", "high")), "decision:N"]
    layers = [
        base.mark_area(opacity=0.25).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q"),
        base.mark_line(point=True).encode(x=x, y="difference:Q", tooltip=tooltip),
        alt.Chart(_data([{"difference": 0}])).mark_rule(strokeDash=DASHED).encode(y="difference:Q"),
    ]  # fmt: skip
    note = "With its confidence sequence: an interval that holds at all looks together."
    return _chart(f"{found['metric']}, challenger minus champion", note, layers, rows)


def _data(rows: Rows) -> alt.InlineData:
    return alt.InlineData(values=[dict(row) for row in rows])


def _over_releases(rows: Rows, releases: Sequence[str]) -> Any:
    axis = alt.Axis(labelExpr=RELEASE_LABEL, labelAngle=-40, labelOverlap="greedy")
    return alt.Chart(_data(rows)).encode(
        x=alt.X("release:O", title=None, axis=axis, scale=alt.Scale(domain=list(releases)))
    )


def _value(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format="~g", tickCount=5))


def _number(field: str, title: str | None = None, form: str = ".4~g") -> alt.Tooltip:
    return alt.Tooltip(f"{field}:Q", title=title or field, format=form)


def _lists() -> alt.Color:
    return alt.Color("lists:N", title="lists for", sort=list(LISTS), legend=_legend())


def _legend() -> alt.Legend:
    return alt.Legend(orient="top", symbolOpacity=1)


def _cases(cases: int) -> str:
    return f"{cases:,} cases; current: the release's own parameters, with their 95% interval"


def _chart(title: str, note: str, layers: list[Any], rows: Rows, height: int = 220) -> Chart:
    """As wide as the page allows; its numbers are those drawn."""
    spec = alt.layer(*layers).properties(width="container", height=height, description=title).to_dict()
    columns = list(rows[0]) if rows else []
    return Chart(title, note, spec, columns, [[row.get(column) for column in columns] for row in rows])
