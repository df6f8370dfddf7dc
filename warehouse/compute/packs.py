"""Packs: arrays as .npy files, one each, with a manifest of their sha256; memory-mapped wherever they are read.

Belongs here: writing and mapping a folder of arrays, and which of them a `Neighbourhood` has. Does not belong here:
what is computed from them (`units`), what a release's pack holds besides (`warehouse.releases.pack`).
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from recommender.data.catalogue import Catalogue
from recommender.data.companions import Companions
from recommender.data.likes import Likes
from recommender.data.model_data import Neighbourhood
from recommender.errors import MarqueeError
from recommender.parameters import recorded_parameters
from warehouse.files import TEMPORARY, file_sha256, link_or_copy, write_json

MANIFEST = "manifest.json"
ITEM_WEIGHTS = "item_weights"
"""The weights of the item model, in a pack and in the model's folder."""

INDEX_FILE = "users.ann"
"""The index in a model's folder; its arrays are beside it."""

Arrays = Mapping[str, np.ndarray[Any, Any]]


class PackError(MarqueeError):
    """A pack is missing or damaged; the message names the file."""


class WrittenFile(NamedTuple):
    """A file that is complete already, and its sha256: it gets a second name instead of being written again."""

    path: Path
    sha256: str


def neighbourhood_arrays(neighbourhood: Neighbourhood) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a neighbourhood, by their names in a pack."""
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


def write_arrays(
    folder: Path,
    arrays: Arrays,
    facts: Mapping[str, Any],
    written: Mapping[str, WrittenFile],
    others: Mapping[str, WrittenFile] = MappingProxyType({}),
) -> Path:
    """Write arrays and their manifest under a temporary name beside `folder`; return it, for the caller to rename.

    Parameters
    ----------
    folder : Path
        What the pack will be called.
    arrays : mapping of str to array
    facts : mapping
        What else the manifest says.
    written : mapping of str to WrittenFile
        Files of these arrays that exist already, by name.
    others : mapping of str to WrittenFile
        Further files of the pack that are no arrays, by path within it.
    """
    temporary = folder.parent / f"{TEMPORARY}{folder.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    files = {}
    for name, array in arrays.items():
        path = temporary / f"{name}.npy"
        if name in written:
            link_or_copy(written[name].path, path)
        else:
            np.save(path, np.ascontiguousarray(array))
        sha256 = written[name].sha256 if name in written else file_sha256(path)
        files[path.name] = {"sha256": sha256, "dtype": str(array.dtype), "shape": list(array.shape)}
    for name, file in others.items():
        (temporary / name).parent.mkdir(exist_ok=True)
        link_or_copy(file.path, temporary / name)
    more = {name: {"sha256": file.sha256} for name, file in others.items()}
    write_json(temporary / MANIFEST, {**facts, "files": files} | ({"others": more} if more else {}))
    return temporary


def written_arrays(folder: Path) -> dict[str, WrittenFile]:
    """The files of a pack by the name of the array."""
    files = read_manifest(folder)["files"]
    return {name.removesuffix(".npy"): WrittenFile(folder / name, facts["sha256"]) for name, facts in files.items()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a pack's manifest.

    Raises
    ------
    PackError
        If it is missing or cannot be read.
    """
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError) as error:
        raise PackError(f"{folder / MANIFEST} cannot be read ({error}); stage the release again") from None


def damaged_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Files of a pack that are missing or whose sha256 is not that of the manifest."""

    def whole(name: str, facts: Mapping[str, Any]) -> bool:
        return (folder / name).is_file() and file_sha256(folder / name) == facts["sha256"]

    files = {**manifest["files"], **manifest.get("others", {})}
    return [name for name, facts in files.items() if not whole(name, facts)]


def is_whole(folder: Path) -> bool:
    """Whether there is a pack, with all its files as they were written."""
    try:
        return not damaged_files(folder, read_manifest(folder))
    except PackError:
        return False


def map_arrays(folder: Path, manifest: Mapping[str, Any], mode: Literal["r", "c"] = "r") -> dict[str, Any]:
    """All arrays of a pack by name; "r" maps them read-only, "c" privately, so that kernels take them for any array.

    Raises
    ------
    PackError
        If a file is missing or has another shape than the manifest says.
    """
    arrays = {}
    for name, facts in manifest["files"].items():
        try:
            array = np.asarray(np.load(folder / name, mmap_mode=mode, allow_pickle=False))  # views of memmaps are slow
        except (OSError, ValueError) as error:
            raise PackError(f"{folder / name} cannot be read ({error}); stage the release again") from None
        if list(array.shape) != facts["shape"] or str(array.dtype) != facts["dtype"]:
            raise PackError(f"{folder / name} is not what its manifest says; stage the release again")
        arrays[name.removesuffix(".npy")] = array
    return arrays


def neighbourhood_of(arrays: Arrays, manifest: Mapping[str, Any]) -> Neighbourhood:
    """Bundle the mapped arrays of a pack."""
    return Neighbourhood(
        Likes(arrays["user_ids"], arrays["likes_indptr"], arrays["likes_films"]),
        Catalogue(arrays["movie_ids"], arrays["movie_likes"], arrays["vectors"], arrays["vector_rows"]),
        arrays["user_norms"],
        arrays["user_eligible"],
        recorded_parameters(manifest["parameters"]),
        _companions(arrays),
    )


def _companions(arrays: Arrays) -> Companions:
    """What is kept of P; nothing in a pack from before the score of films, which counted plain votes."""
    if "companion_films" in arrays:
        return Companions(arrays["companion_films"], arrays["companion_shares"])
    return Companions(np.zeros(0, dtype=np.int32), np.zeros((0, len(arrays["movie_ids"])), dtype=np.int32))
