"""The nightly evaluation as units: one for each way of holding out users, from a pack of ratings and films.

Belongs here: the arrays of such a pack, and the measurements of one way. Does not belong here: what is measured
(`recommender.evaluation`), which ratings a pack has, or the table (`warehouse.evaluating`).
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from recommender.data.catalogue import Catalogue
from recommender.evaluation.evaluate import NIGHTLY_CASES, Measurement, evaluate
from recommender.evaluation.long_profiles import evaluate_users
from recommender.evaluation.splits import LATER_NAME, LONG_NAME, TEST_NAME, Ratings
from recommender.parameters import ModelParameters

SPLITS = (TEST_NAME, LATER_NAME, LONG_NAME)
"""Ways of holding out; a unit is named by the place."""

_TYPES = {str: pa.string(), float: pa.float64(), int: pa.int64(), float | None: pa.float64()}
SCHEMA = pa.schema([(field.name, _TYPES[field.type]) for field in fields(Measurement)])  # type: ignore[index]


def evaluation_arrays(likes: Ratings, ratings: Ratings, films: Catalogue) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of a pack to evaluate from.

    Parameters
    ----------
    likes : Ratings
        Those that may be likes, for the splits of users.
    ratings : Ratings
        Of any stars, for the split of each user's likes.
    films : Catalogue
        All of them, with raw vectors.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {
        f"{kind}_{field.name}": getattr(given, field.name)
        for kind, given in (("likes", likes), ("ratings", ratings))
        for field in fields(Ratings)
    }
    return arrays | {f"films_{field.name}": getattr(films, field.name) for field in fields(Catalogue) if field.init}


def measurements(arrays: Mapping[str, Any], parameters: ModelParameters, split: str) -> pa.Table:
    """Measure one way of holding out; rows of model.evaluation."""
    films = Catalogue(**_given(arrays, "films"))
    if split == LONG_NAME:
        found = evaluate_users(Ratings(**_given(arrays, "ratings")), films, parameters, most=NIGHTLY_CASES)
    else:
        likes = Ratings(**_given(arrays, "likes"))
        found = evaluate(likes, films, parameters, ways=[split], folds=1, most=NIGHTLY_CASES)
    return pa.table({name: [getattr(row, name) for row in found] for name in SCHEMA.names}, schema=SCHEMA)


def _given(arrays: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {name.removeprefix(f"{kind}_"): array for name, array in arrays.items() if name.startswith(f"{kind}_")}
