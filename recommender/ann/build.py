"""A retrain's index: made, written, and measured as it was written.

Belongs here: the order of these steps and the facts recorded of them. Does not belong here: the steps themselves.
"""

from pathlib import Path
from typing import Any

from recommender.ann.bound import bind
from recommender.ann.index import UserIndex, make_index, open_index, write_index
from recommender.ann.recall import measure_recall
from recommender.data.model_data import Neighbourhood


def build_index(path: Path, neighbourhood: Neighbourhood, threads: int | None = None) -> dict[str, Any]:
    """Index all eligible users, and measure what came of it: `make_index`, then `save_index`."""
    return save_index(path, make_index(neighbourhood, threads), neighbourhood, threads)


def save_index(
    path: Path, index: UserIndex, neighbourhood: Neighbourhood, threads: int | None = None
) -> dict[str, Any]:
    """Write an index to files, and measure what they find.

    Parameters
    ----------
    path : Path
        File of the index; others are written beside it (`write_index`).
    index : UserIndex
        Just made.
    neighbourhood : Neighbourhood
        That it was made from.
    threads : int, optional
        For the measurement, which does not depend on it.

    Returns
    -------
    dict
        dimensions, trees, seed, items, recall (`measure_recall`).
    """
    write_index(path, index)
    return {
        "dimensions": index.directions.shape[1],
        "trees": neighbourhood.parameters.annoy_trees,
        "seed": neighbourhood.parameters.annoy_seed,
        "items": len(index.user_ids),
        "recall": measure_recall(bind(open_index(path), neighbourhood), threads=threads),
    }
