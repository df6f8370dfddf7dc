"""The picture of growth in docs/images: seconds over size, on logarithmic axes, with a linear slope to compare.

Run as ``python -m benchmarks.plot [--out DIR]`` after a benchmark with the part `growth`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STAGES = {
    "raw/source_files": "import",
    "model/annoy_indexes": "Annoy index",
    "model/user_vectors": "user vectors",
    "recs/pair_recommendations": "pairs",
    "published/staged_release": "staging",
}


def main() -> None:
    """Draw what the last benchmark measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    parser.add_argument("--image", type=Path, default=Path("docs/images/growth.svg"))
    options = parser.parse_args()
    growth = json.loads((options.out / "bench.json").read_text())["growth"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    users = growth["users"]
    draw(left, [row["counts"]["likes"] for row in users], users, "likes")
    left.plot(
        [row["counts"]["likes"] for row in users], [row["cost"]["wall"] for row in users], "k-o", label="whole run"
    )
    left.legend(fontsize=8)
    films = growth["films"]
    draw(right, [row["films"] * (row["films"] - 1) / 2 for row in films], films, "pairs")
    right.legend(fontsize=8)
    options.image.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.image)
    print(options.image)


def draw(axes: Any, sizes: list[float], rows: list[dict[str, Any]], what: str) -> None:
    """Seconds of the stages over a size."""
    for stage, name in STAGES.items():
        seconds = [row["stages"].get(stage, {}).get("seconds") or 0 for row in rows]
        if min(seconds) > 0.05:
            axes.plot(sizes, seconds, "-o", markersize=4, label=name)
    axes.plot([sizes[0], sizes[-1]], [1, sizes[-1] / sizes[0]], ":", color="grey", label="linear")
    axes.set(xscale="log", yscale="log", xlabel=what, ylabel="seconds")
    axes.grid(True, which="both", alpha=0.2)


if __name__ == "__main__":
    main()
