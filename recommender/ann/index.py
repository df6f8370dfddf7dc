"""The Annoy index of the users and its files.

Belongs here: making, writing and opening the index.
Does not belong here: asking it (`bound`), how good it is (`recall`), where model files live.

The index holds the users' unit vectors around their mean, in their first principal components, and compares by
euclidean distance: between unit vectors that is the order of the cosine.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from annoy import AnnoyIndex
from numpy.typing import NDArray

from recommender.ann.shortlist import coarse
from recommender.data.likes import some_users
from recommender.data.model_data import Neighbourhood
from recommender.data.projection import principal_components, project
from recommender.errors import MarqueeError

COMPONENT_SAMPLE = 20_000
"""Users from which the principal components are found; more change nothing that can be measured."""


class IndexFileError(MarqueeError):
    """Files of an index are missing or do not belong together; the message names them."""


@dataclass(frozen=True)
class UserIndex:
    """An index as of its retrain.

    Attributes
    ----------
    annoy : AnnoyIndex
        Item n is the user ``user_ids[n]``.
    directions : float32 array, shape (tags, components)
    offset : float32 array, shape (components,)
        The projected mean user; a unit vector v has the coordinates ``v @ directions - offset``.
    user_ids : int32 array, shape (items,)
        Ascending.
    points : int16 array, shape (items, components rounded up)
        Coordinates of the items, rounded (`coarse`).
    """

    annoy: Any
    directions: NDArray[np.float32]
    offset: NDArray[np.float32]
    user_ids: NDArray[np.int32]
    points: NDArray[np.int16]


def make_index(neighbourhood: Neighbourhood, threads: int | None = None) -> UserIndex:
    """Make an index of all eligible users, in memory.

    Annoy has no seeded way to build with several threads (its files then differ from run to run), so it gets one, and
    does not hold the interpreter's lock meanwhile.

    Parameters
    ----------
    neighbourhood : Neighbourhood
        Its `annoy_*` parameters count.
    threads : int, optional
        For everything but the trees. The index does not depend on it.
    """
    parameters, likes, catalogue = neighbourhood.parameters, neighbourhood.likes, neighbourhood.catalogue
    users = np.flatnonzero(neighbourhood.eligible)
    directions, mean = principal_components(
        likes, catalogue, users, parameters.annoy_components, COMPONENT_SAMPLE, centred=True
    )
    offset = mean @ directions
    kept = some_users(likes, users)
    features = project(
        kept.indptr,
        catalogue.vector_rows[kept.films],
        neighbourhood.norms[users],
        catalogue.vectors @ directions,
        threads,
    )
    annoy = AnnoyIndex(directions.shape[1], "euclidean")
    annoy.set_seed(parameters.annoy_seed)
    features -= offset
    for item, point in enumerate(features):
        annoy.add_item(item, point)
    if len(users):
        annoy.build(parameters.annoy_trees, n_jobs=1)
    return UserIndex(annoy, directions, offset, kept.user_ids, coarse(features))


def write_index(path: Path, index: UserIndex) -> None:
    """Write an index to `path`, and ``projection.npy``, ``offset.npy``, ``user_ids.npy``, ``points.npy`` beside it."""
    if len(index.user_ids):
        index.annoy.save(str(path))
    else:
        path.touch()
    np.save(path.with_name("projection.npy"), index.directions)
    np.save(path.with_name("offset.npy"), index.offset)
    np.save(path.with_name("user_ids.npy"), index.user_ids)
    np.save(path.with_name("points.npy"), index.points)


def open_index(path: Path) -> UserIndex:
    """Open an index; Annoy maps the file into memory.

    Parameters
    ----------
    path : Path
        As given to `write_index`.

    Raises
    ------
    IndexFileError
        If a file is missing or cannot be read, or they do not belong together.
    """
    try:
        directions = np.load(path.with_name("projection.npy"), allow_pickle=False)
        offset = np.load(path.with_name("offset.npy"), allow_pickle=False)
        user_ids = np.load(path.with_name("user_ids.npy"), allow_pickle=False)
        points = np.load(path.with_name("points.npy"), mmap_mode="r", allow_pickle=False)
        annoy = AnnoyIndex(directions.shape[1], "euclidean")
        if len(user_ids):
            annoy.load(str(path))
    except (OSError, ValueError) as error:
        raise IndexFileError(f"the index {path} cannot be opened ({error}); retrain the model") from None
    if not annoy.get_n_items() == len(user_ids) == len(points):
        raise IndexFileError(
            f"{path} holds {annoy.get_n_items()} users, user_ids.npy beside it {len(user_ids)}, points.npy "
            f"{len(points)}; retrain the model"
        )
    return UserIndex(annoy, directions, offset, user_ids, np.asarray(points))
