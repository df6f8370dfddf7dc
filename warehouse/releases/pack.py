"""Serving packs: the arrays that answer live questions, one .npy file each, beside a release; memory-mapped.

Belongs here: writing and reading `published/<release>.pack/`. Does not belong here: what every pack has in common
(`warehouse.compute.packs`), what is done with the arrays (`recommender.lists`), or which release is live.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.data.model_data import Neighbourhood
from recommender.data.rated import Rated
from recommender.items.model import ItemModel
from warehouse.compute.packs import (
    ITEM_WEIGHTS,
    WrittenFile,
    map_arrays,
    neighbourhood_arrays,
    neighbourhood_of,
    read_manifest,
    write_arrays,
)
from warehouse.faults import step
from warehouse.files import appear


@dataclass(frozen=True)
class ReleaseLists:
    """The lists of a release for users and films, and what answers are made from that they do not hold.

    Films are catalogue positions, -1 where a list is shorter. Arrays are read-only memory maps when read from a pack.

    Attributes
    ----------
    user_films : int32 array, shape (users, per_user)
        Best first; the row of a user is the user's index in `Likes`. Users with fewer than
        `min_likes` likes have none.
    user_scores : int32 array, shape (users, per_user)
        In units of 1 / `SCORE_ONE`.
    rated : Rated
        All films that users have rated.
    items : ItemModel
        Of the last retrain.
    similar_films, similar_scores : int32 arrays, shape (films, per_movie)
        By the position of the film asked about; scores in units of 1 / `SCORE_ONE`.
    popular : mapping of str to (int32 array, int64 array)
        Films and likes counted, by the name of the list.
    """

    user_films: NDArray[np.int32]
    user_scores: NDArray[np.int32]
    rated: Rated
    items: ItemModel
    similar_films: NDArray[np.int32]
    similar_scores: NDArray[np.int32]
    popular: Mapping[str, tuple[NDArray[np.int32], NDArray[np.int64]]]


def _list_arrays(lists: ReleaseLists) -> dict[str, np.ndarray[Any, Any]]:
    longest = max((len(films) for films, _ in lists.popular.values()), default=0)
    films = np.full((len(lists.popular), longest), -1, dtype=np.int32)
    counts = np.zeros((len(lists.popular), longest), dtype=np.int64)
    for row, (listed, likes) in enumerate(lists.popular.values()):
        films[row, : len(listed)], counts[row, : len(likes)] = listed, likes
    return {
        "user_list_films": lists.user_films,
        "user_list_scores": lists.user_scores,
        "rated_users": lists.rated.user_ids,
        "rated_indptr": lists.rated.indptr,
        "rated_films": lists.rated.films,
        "item_films": lists.items.films,
        "similar_films": lists.similar_films,
        "similar_scores": lists.similar_scores,
        "popular_names": np.array(list(lists.popular), dtype=np.str_),
        "popular_films": films,
        "popular_scores": counts,
    }


def write_pack(
    folder: Path,
    neighbourhood: Neighbourhood,
    lineage: Mapping[str, Any],
    lists: ReleaseLists,
    written: Mapping[str, WrittenFile],
) -> None:
    """Write a pack; it appears at `folder` complete or not at all.

    Parameters
    ----------
    folder : Path
        Must not exist.
    neighbourhood : Neighbourhood
    lineage : mapping
        Release, model_version, fingerprints, the version of similar films and whether they were made from the likes of
        this pack (`similar_current`); goes to manifest.json beside shapes, dtypes and sha256 of the arrays.
    lists : ReleaseLists
    written : mapping of str to WrittenFile
        Arrays that are in files already, at least the weights of `lists.items` in the model's folder; the pack links to
        the same files.
    """
    arrays = neighbourhood_arrays(neighbourhood) | _list_arrays(lists) | {ITEM_WEIGHTS: lists.items.weights}
    facts = {**lineage, "parameters": neighbourhood.parameters.model_dump()}
    temporary = write_arrays(folder, arrays, facts, written)
    step("pack_written")
    appear(temporary, folder)
    step("pack_appeared")


def open_pack(folder: Path) -> Neighbourhood:
    """Map a pack into memory, read-only; costs milliseconds whatever its size.

    Raises
    ------
    PackError
        If a file is missing or has another shape than the manifest says.
    """
    manifest = read_manifest(folder)
    return neighbourhood_of(map_arrays(folder, manifest), manifest)


def open_lists(folder: Path) -> ReleaseLists | None:
    """Map the lists for users and films into memory, read-only; None in a pack from before there were any.

    Raises
    ------
    PackError
        As `open_pack`.
    """
    arrays = map_arrays(folder, read_manifest(folder))
    if "user_list_films" not in arrays:
        return None
    popular = {}
    for name, films, counts in zip(*(arrays[f"popular_{part}"] for part in ("names", "films", "scores")), strict=True):
        filled = int((films >= 0).sum())
        popular[str(name)] = (films[:filled], counts[:filled])
    return ReleaseLists(
        arrays["user_list_films"],
        arrays["user_list_scores"],
        Rated(arrays["rated_users"], arrays["rated_indptr"], arrays["rated_films"]),
        ItemModel(arrays["item_films"], arrays[ITEM_WEIGHTS]),
        arrays["similar_films"],
        arrays["similar_scores"],
        popular,
    )
