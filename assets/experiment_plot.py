"""A picture of an experiment: the difference over the days with its confidence sequence, as SVG.

Belongs here: drawing. Does not belong here: what is found (`warehouse.experiments`).
"""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 280, 76, 16, 40, 40
LINE, BAND, PALE, GRID, MARGIN = "#1f6feb", "#b6d4fe", "#57606a", "#d0d7de", "#eef1f4"


def experiment_plot(found: Mapping[str, Any]) -> str:
    """Draw an experiment.

    Parameters
    ----------
    found : mapping
        Of `warehouse.experiments.reading.described`.

    Returns
    -------
    str
        An SVG document. The grey band is the margin; looks at which nothing could be said are left out.
    """
    looks = [look for look in found["looks"] if look["low"] is not None and look["high"] is not None]
    title = f"{found['experiment']}: {found['decision']}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="white"/><text x="8" y="18" font-weight="bold">{escape(title)}</text>'
    ]
    if not looks:
        return "".join([*parts, f'<text x="8" y="60" fill="{PALE}">too few clients for an interval</text></svg>'])
    return "".join([*parts, *_drawn(found, looks), "</svg>"])


def _drawn(found: Mapping[str, Any], looks: list[Mapping[str, Any]]) -> list[str]:
    days, limit = max(look["days"] for look in looks) or 1.0, _limit(looks)

    def x(day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * day / days

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (limit - min(max(value, -limit), limit)) / (2.0 * limit)

    margin, right = looks[-1]["margin"], WIDTH - RIGHT
    parts = [
        f'<rect x="{LEFT}" y="{y(margin):.1f}" width="{right - LEFT}" height="{y(-margin) - y(margin):.1f}" '
        f'fill="{MARGIN}"/>'
    ]
    for value in (-limit, -limit / 2, 0.0, limit / 2, limit):
        colour = PALE if value == 0 else GRID
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{colour}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="{PALE}">{value:+.2g}</text>')
    points = [(x(look["days"]), look) for look in looks]
    upper = [f"{at:.1f},{y(look['high']):.1f}" for at, look in points]
    lower = [f"{at:.1f},{y(look['low']):.1f}" for at, look in reversed(points)]
    middle = [f"{at:.1f},{y(look['difference']):.1f}" for at, look in points]
    last, end = points[-1]
    return [
        *parts,
        f'<polygon points="{" ".join(upper + lower)}" fill="{BAND}" fill-opacity="0.6"/>',
        f'<polyline points="{" ".join(middle)}" fill="none" stroke="{LINE}" stroke-width="2"/>',
        f'<line x1="{last:.1f}" x2="{last:.1f}" y1="{y(end["low"]):.1f}" y2="{y(end["high"]):.1f}" stroke="{LINE}"/>',
        f'<circle cx="{last:.1f}" cy="{y(end["difference"]):.1f}" r="4" fill="{LINE}"/>',
        f'<text x="{LEFT}" y="{HEIGHT - 12}" fill="{PALE}">0</text>',
        f'<text x="{right}" y="{HEIGHT - 12}" text-anchor="end" fill="{PALE}">{days:.3g} days</text>',
        f'<text x="{LEFT}" y="34" fill="{PALE}">{escape(found["metric"])}, challenger minus champion</text>',
    ]


def _limit(looks: list[Mapping[str, Any]]) -> float:
    """End of the scale: twice what the last interval reaches at least; early intervals, which are wider, are cut."""
    reach = max(abs(looks[-1]["low"]), abs(looks[-1]["high"]), looks[-1]["margin"] or 0.0) or 1.0
    size = 10.0 ** math.floor(math.log10(2.0 * reach))
    return math.ceil(2.0 * reach / size) * size
