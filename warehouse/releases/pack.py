"""Serving packs: the arrays that answer live questions, one .npy file each, beside a release; memory-mapped.

Belongs here: writing and reading `published/<release>.pack/`. Does not belong here: what is done with the arrays
(`recommender.lists`), or which release is live.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recommender.data.catalogue import Catalogue
from recommender.data.companions import Companions
from recommender.data.likes import Likes
from recommender.data.model_data import Neighbourhood
from recommender.errors import MarqueeError
from recommender.parameters import recorded_parameters
from warehouse.faults import step
from warehouse.files import TEMPORARY, appear, file_sha256, write_json


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


def write_pack(folder: Path, neighbourhood: Neighbourhood, lineage: Mapping[str, Any]) -> None:
    """Write a pack; it appears at `folder` complete or not at all.

    Parameters
    ----------
    folder : Path
        Must not exist.
    neighbourhood : Neighbourhood
    lineage : mapping
        Release, model_version, fingerprints; goes to manifest.json beside shapes, dtypes and sha256 of the arrays.
    """
    temporary = folder.parent / f"{TEMPORARY}{folder.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    files = {}
    for name, array in _arrays(neighbourhood).items():
        path = temporary / f"{name}.npy"
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
    arrays = {}
    for name, facts in manifest["files"].items():
        try:
            array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise PackError(f"{folder / name} cannot be read ({error}); stage the release again") from None
        if list(array.shape) != facts["shape"] or str(array.dtype) != facts["dtype"]:
            raise PackError(f"{folder / name} is not what its manifest says; stage the release again")
        arrays[name.removesuffix(".npy")] = array
    return Neighbourhood(
        Likes(arrays["user_ids"], arrays["likes_indptr"], arrays["likes_films"]),
        Catalogue(arrays["movie_ids"], arrays["movie_likes"], arrays["vectors"], arrays["vector_rows"]),
        arrays["user_norms"],
        arrays["user_eligible"],
        recorded_parameters(manifest["parameters"]),
        _companions(arrays),
    )


def _companions(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Companions:
    """What is kept of P; nothing in a pack from before the score of films, which counted plain votes."""
    if "companion_films" in arrays:
        return Companions(arrays["companion_films"], arrays["companion_shares"])
    return Companions(np.zeros(0, dtype=np.int32), np.zeros((0, len(arrays["movie_ids"])), dtype=np.int32))
