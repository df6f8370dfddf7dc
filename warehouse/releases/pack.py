"""Serving packs: the arrays that answer live questions, one .npy file each, beside a release; memory-mapped.

Belongs here: writing and reading `published/<release>.pack/`. Does not belong here: what is done with the arrays
(`recommender.lists`), or which release is live.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.companions import Companions
from recommender.data.likes import Likes
from recommender.data.model_data import Neighbourhood
from recommender.data.rated import Rated
from recommender.errors import MarqueeError
from recommender.items.model import ItemModel
from recommender.parameters import recorded_parameters
from warehouse.faults import step
from warehouse.files import TEMPORARY, appear, file_sha256, link_or_copy, write_json

ITEM_WEIGHTS = "item_weights"


class PackError(MarqueeError):
    """A serving pack is missing or damaged; the message names the file."""


def _arrays(neighbourhood: Neighbourhood) -> dict[str, np.ndarray[Any, Any]]:
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    return {
        "user_ids": likes.user_ids,
        "likes_indptr": likes.indptr,
        "likes_films": likes.films,
        "user_norms": neighbourhood.norms,
        "user_eligible": neighbourhood.eligible,
        "movie_ids": catalogue.movie_ids,
        "movie_likes": catalogue.like_counts,
        "vector_rows": catalogue.vector_rows,
        "vectors": catalogue.vectors,
        "companion_films": neighbourhood.companions.films,
        "companion_shares": neighbourhood.companions.shares,
    }


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
    item_weights: Path,
) -> None:
    """Write a pack; it appears at `folder` complete or not at all.

    Parameters
    ----------
    folder : Path
        Must not exist.
    neighbourhood : Neighbourhood
    lineage : mapping
        Release, model_version, fingerprints; goes to manifest.json beside shapes, dtypes and sha256 of the arrays.
    lists : ReleaseLists
    item_weights : Path
        The weights of `lists.items` in the model's folder; the pack links to the same file.
    """
    temporary = folder.parent / f"{TEMPORARY}{folder.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    files = {}
    arrays = _arrays(neighbourhood) | _list_arrays(lists) | {ITEM_WEIGHTS: lists.items.weights}
    for name, array in arrays.items():
        path = temporary / f"{name}.npy"
        if name == ITEM_WEIGHTS:
            link_or_copy(item_weights, path)
        else:
            np.save(path, np.ascontiguousarray(array))
        files[path.name] = {"sha256": file_sha256(path), "dtype": str(array.dtype), "shape": list(array.shape)}
    manifest = {**lineage, "parameters": neighbourhood.parameters.model_dump(), "files": files}
    write_json(temporary / "manifest.json", manifest)
    step("pack_written")
    appear(temporary, folder)
    step("pack_appeared")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a pack's manifest.

    Raises
    ------
    PackError
        If it is missing or cannot be read.
    """
    try:
        return dict(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError) as error:
        raise PackError(f"{folder / 'manifest.json'} cannot be read ({error}); stage the release again") from None


def open_pack(folder: Path) -> Neighbourhood:
    """Map a pack into memory, read-only; costs milliseconds whatever its size.

    Raises
    ------
    PackError
        If a file is missing or has another shape than the manifest says.
    """
    manifest = read_manifest(folder)
    arrays = _mapped(folder, manifest)
    return Neighbourhood(
        Likes(arrays["user_ids"], arrays["likes_indptr"], arrays["likes_films"]),
        Catalogue(arrays["movie_ids"], arrays["movie_likes"], arrays["vectors"], arrays["vector_rows"]),
        arrays["user_norms"],
        arrays["user_eligible"],
        recorded_parameters(manifest["parameters"]),
        _companions(arrays),
    )


def open_lists(folder: Path) -> ReleaseLists | None:
    """Map the lists for users and films into memory, read-only; None in a pack from before there were any.

    Raises
    ------
    PackError
        As `open_pack`.
    """
    arrays = _mapped(folder, read_manifest(folder))
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


def _mapped(folder: Path, manifest: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a pack by name."""
    arrays = {}
    for name, facts in manifest["files"].items():
        try:
            array = np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False))  # views of memmaps are slow
        except (OSError, ValueError) as error:
            raise PackError(f"{folder / name} cannot be read ({error}); stage the release again") from None
        if list(array.shape) != facts["shape"] or str(array.dtype) != facts["dtype"]:
            raise PackError(f"{folder / name} is not what its manifest says; stage the release again")
        arrays[name.removesuffix(".npy")] = array
    return arrays


def _companions(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Companions:
    """What is kept of P; nothing in a pack from before the score of films, which counted plain votes."""
    if "companion_films" in arrays:
        return Companions(arrays["companion_films"], arrays["companion_shares"])
    return Companions(np.zeros(0, dtype=np.int32), np.zeros((0, len(arrays["movie_ids"])), dtype=np.int32))
