"""Variety of the table of all pairs over `popularity_exponent`, beside NDCG@10 of validation users: table and picture.

Run as ``python -m benchmarks.variety sample DIR --home DIR``; each source is evaluated by ``marquee evaluate --grid``
and then made into a release per exponent. The rows are those of docs/evaluation.md, the picture is the one there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import duckdb
import matplotlib

from benchmarks.measure import marquee
from recommender.parameters import make_parameters

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EXPONENTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)

VARIETY = """
SELECT (SELECT count(DISTINCT movie_id) FROM pair_recommendations) AS films,
       any_value(value) FILTER (check_name = 'most_frequent_film') AS most_frequent,
       any_value(value) FILTER (check_name = 'frequent_films_share') AS ten,
       any_value(value) FILTER (check_name = 'signup_films_unrecommended') AS unrecommended
FROM checks
"""
"""As the release's own checks measured it."""


def main() -> None:
    """Measure and draw; what is measured is kept in a file, so that drawing alone is quick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--home", type=Path, required=True, help="where homes of the sources are made")
    parser.add_argument("--image", type=Path, default=Path("docs/images/evaluation-variety.svg"))
    options = parser.parse_args()
    kept = options.home / "variety.json"
    if not kept.exists():
        kept.write_text(json.dumps(measure(options.home, options.sources)))
    measured = json.loads(kept.read_text())
    for source, rows in measured.items():
        for row in rows:
            print(source, *(f"{key} {value:.4g}" for key, value in row.items()), sep="  ")
    draw(measured, options.image)


def measure(folder: Path, sources: list[str]) -> dict[str, list[dict[str, float]]]:
    """NDCG@10 of validation users and variety of all pairs, for each source and exponent."""
    asked = [part for source in sources for part in ("--source", source)]
    grid = "popularity_exponent=" + ",".join(map(str, EXPONENTS))
    report, _ = marquee(folder / "unused", "evaluate", *asked, "--grid", grid)
    return {
        source: [
            {
                "exponent": exponent,
                "ndcg": ndcg(report["trials"], source, exponent),
                **variety(folder, source, exponent),
            }
            for exponent in EXPONENTS
        ]
        for source in sources
    }


def ndcg(trials: list[dict[str, Any]], source: str, exponent: float) -> float:
    """NDCG@10 of one source in the trial with this exponent; the start is the default's."""
    default = make_parameters().popularity_exponent
    models = (trial for trial in trials if trial["settings"] is not None)
    found = next(trial for trial in models if trial["settings"].get("popularity_exponent", default) == exponent)
    return float(found["by_source"][source]["ndcg@10"])


def variety(folder: Path, source: str, exponent: float) -> dict[str, float]:
    """Make a release with this exponent and look at all its pairs."""
    release, _ = marquee(
        folder / Path(source).name, "run", "--source", source, "--set", f"popularity_exponent={exponent}"
    )
    with duckdb.connect(release["database"], read_only=True) as con:
        found = con.sql(VARIETY)
        return dict(zip(found.columns, found.fetchall()[0], strict=True))


def draw(measured: dict[str, list[dict[str, float]]], image: Path) -> None:
    """NDCG over different films, a point for each exponent, a panel for each source."""
    figure, _ = plt.subplots(1, len(measured), figsize=(5.5 * len(measured), 4.2), layout="constrained")
    for axes, (source, rows) in zip(figure.axes, measured.items(), strict=True):
        axes.plot([row["films"] for row in rows], [row["ndcg"] for row in rows], "-o", color="#57606a")
        for row in rows:
            axes.annotate(f"{row['exponent']:g}", (row["films"], row["ndcg"]), (6, 6), textcoords="offset points")
        axes.set(title=f"{Path(source).name}: NDCG@10, validation users", xlabel="different films in all lists")
        axes.margins(0.12)
        axes.grid(True, alpha=0.2)
    figure.savefig(image)
    print(image)


if __name__ == "__main__":
    main()
