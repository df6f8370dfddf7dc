"""A small picture of values with their intervals, as SVG: nothing is installed for it, and it scales.

Belongs here: drawing. Does not belong here: what is measured or shown where.
"""

from collections.abc import Sequence
from html import escape

from recommender.evaluation.evaluate import CURRENT, Measurement

WIDTH, LABEL, ROW, HEAD = 720, 150, 24, 44
STRONG, PALE, GRID = "#1f6feb", "#8b949e", "#d0d7de"


def interval_plot(rows: Sequence[Measurement], title: str) -> str:
    """Draw one panel per metric, side by side, with one line per method; `current` stands out.

    Parameters
    ----------
    rows : sequence of Measurement
        With intervals.
    title : str

    Returns
    -------
    str
        An SVG document.
    """
    methods = list(dict.fromkeys(row.method for row in rows))
    metrics = list(dict.fromkeys(row.metric for row in rows))
    height = HEAD + ROW * len(methods) + 30
    span = (WIDTH - LABEL) / max(len(metrics), 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="8" y="16" font-weight="bold">{escape(title)}</text>'
    ]
    for n, method in enumerate(methods):
        weight = "bold" if method == CURRENT else "normal"
        parts.append(f'<text x="8" y="{HEAD + ROW * n + 16}" font-weight="{weight}">{escape(method)}</text>')
    for n, metric in enumerate(metrics):
        chosen = {row.method: row for row in rows if row.metric == metric}
        parts += _panel(LABEL + span * n, span - 24, metric, methods, chosen)
    return "".join([*parts, "</svg>"])


def _panel(left: float, width: float, metric: str, methods: list[str], rows: dict[str, Measurement]) -> list[str]:
    """One metric: a scale from a round number below the lowest interval to one above the highest, dots and lines."""
    low = min(_low(row) for row in rows.values())
    high = max(_high(row) for row in rows.values())
    low, high = int(low * 20) / 20, -int(-high * 20 - 1) / 20

    def at(value: float) -> float:
        return left + width * (value - low) / (high - low)

    bottom = HEAD + ROW * len(methods)
    parts = [f'<text x="{left + width / 2:.1f}" y="34" text-anchor="middle">{escape(metric)}</text>']
    for value in (low, (low + high) / 2, high):
        x = at(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{bottom}" stroke="{GRID}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="{PALE}">{value:.3g}</text>')
    for n, method in enumerate(methods):
        if method in rows:
            row, y, colour = rows[method], HEAD + ROW * n + 12, STRONG if method == CURRENT else PALE
            parts.append(
                f'<line x1="{at(_low(row)):.1f}" x2="{at(_high(row)):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
                f'stroke-width="3"/><circle cx="{at(row.value):.1f}" cy="{y}" r="5" fill="{colour}"/>'
            )
    return parts


def _low(row: Measurement) -> float:
    return row.value if row.ci_low is None else row.ci_low


def _high(row: Measurement) -> float:
    return row.value if row.ci_high is None else row.ci_high
