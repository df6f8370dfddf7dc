"""Model versions: the folder a retrain makes, its manifest, and its row in model.annoy_indexes.

Belongs here: names, files and the record of models. Does not belong here: building the index (`recommender`).
"""

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from recommender.data.catalogue import positions_of
from recommender.errors import MarqueeError
from recommender.items.model import ItemModel
from recommender.parameters import ModelParameters
from warehouse.code import code_version
from warehouse.compute import packs
from warehouse.compute.packs import INDEX_FILE, WrittenFile
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.files import TEMPORARY, appear, file_sha256, remove_leftovers, write_json
from warehouse.home import Home
from warehouse.queries import insert_row, records
from warehouse.schemas.definitions import columns_of
from warehouse.tables.genome import genome_source_of
from warehouse.tables.held_source import require_source
from warehouse.tables.model_inputs import inputs_version
from warehouse.tables.versions import digest, table_version, version_name

ITEM_MODEL = "item_"
ITEM_FILMS = f"{ITEM_MODEL}films.npy"
ITEM_WEIGHTS = f"{packs.ITEM_WEIGHTS}.npy"
"""The item model: how its files begin, movie_ids of all films in its order, and its weights."""


class NoModelError(MarqueeError):
    """No model was made yet; the message says how to make one."""


Build = Callable[[Path], Mapping[str, Any]]
"""Writes a model's files into a folder and returns facts: dimensions, trees, seed, items, recall, seconds, and under
``item_model`` method, films and seconds."""


def model_hash(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> str:
    """Hash of everything that determines a model: its inputs, the parameters and the code."""
    source = require_source(con)["fingerprint"]
    return digest("model", source, inputs_version(con, parameters), parameters.model_dump(), code_version())


def current_model(warehouse: Warehouse, parameters: ModelParameters) -> str | None:
    """The newest model version made from the inputs as they are now, if its files are there as they were written."""
    rows = warehouse.con.execute(
        "SELECT model_version FROM model.annoy_indexes WHERE content_hash = ? ORDER BY model_version DESC",
        [model_hash(warehouse.con, parameters)],
    ).fetchall()
    for (version,) in rows:
        if is_whole(warehouse.home.model_folder(version)):
            return str(version)
    return None


def is_whole(folder: Path) -> bool:
    """Whether a model's files are those its manifest names, byte for byte; a damaged model is made again."""
    try:
        return not packs.damaged_files(folder, read_model_manifest(folder))
    except (OSError, ValueError, KeyError):
        return False


def make_model(warehouse: Warehouse, parameters: ModelParameters, build: Build) -> str:
    """Build a model into a new folder, which appears complete, and record it.

    Parameters
    ----------
    warehouse : Warehouse
    parameters : ModelParameters
    build : callable

    Returns
    -------
    str
        The model version.
    """
    con, home = warehouse.con, warehouse.home
    remove_leftovers(home.models)
    now = datetime.now(UTC)
    content_hash = model_hash(con, parameters)
    version = version_name(content_hash, now)
    temporary = home.models / f"{TEMPORARY}{version}"
    temporary.mkdir()
    facts = dict(build(temporary))
    step("index_built")
    lineage = {
        "model_version": version,
        "created_at": now.replace(tzinfo=None),
        "content_hash": content_hash,
        "source_fingerprint": require_source(con)["fingerprint"],
        "ratings_fingerprint": table_version(con, "raw.ratings"),
        "genome_source": genome_source_of(con),
        "parameters": parameters.model_dump(),
        "code_version": code_version(),
    }
    files = {path.name: {"sha256": file_sha256(path)} for path in sorted(temporary.iterdir())}
    write_json(temporary / "manifest.json", {**lineage, **facts, "files": files})
    shutil.rmtree(home.model_folder(version), ignore_errors=True)
    step("model_written")
    appear(temporary, home.model_folder(version))
    step("model_appeared")
    with warehouse.transaction():
        record_model(con, home, read_model_manifest(home.model_folder(version)))
    step("model_recorded")
    return version


def record_model(con: duckdb.DuckDBPyConnection, home: Home, manifest: Mapping[str, Any]) -> None:
    """Enter a model that is there into the tables, from its manifest; inside the caller's transaction."""
    folder = home.model_folder(manifest["model_version"]).relative_to(home.root)
    files = manifest["files"]

    def part(name: str) -> dict[str, str]:
        return {"file": str(folder / name), "sha256": files[name]["sha256"]}

    row = {**manifest, **part(INDEX_FILE), "parameters": json.dumps(manifest["parameters"])}
    insert_row(con, "model.annoy_indexes", {name: row[name] for name in columns_of("model.annoy_indexes")})
    if ITEM_WEIGHTS in files:  # not in models from before there were any
        items = {"model_version": manifest["model_version"], **part(ITEM_WEIGHTS), **manifest["item_model"]}
        insert_row(con, "model.item_models", items)


def save_item_model(folder: Path, items: ItemModel, movie_ids: NDArray[np.int32]) -> None:
    """Write an item model into a model's folder; films by movie_id, because positions are of one moment."""
    np.save(folder / ITEM_FILMS, movie_ids[items.films])
    np.save(folder / ITEM_WEIGHTS, items.weights)


def open_item_model(folder: Path, movie_ids: NDArray[np.int32]) -> ItemModel:
    """Map the item model of a model's folder into memory, for the catalogue as it is now.

    Raises
    ------
    NoModelError
        If it has none, or one of other films.
    """
    try:
        films = np.load(folder / ITEM_FILMS)
        weights = np.load(folder / ITEM_WEIGHTS, mmap_mode="r")
        if len(films) != len(movie_ids):
            raise ValueError(f"it is of {len(films)} films, not of {len(movie_ids)}")
        return ItemModel(positions_of(movie_ids, films), weights)
    except (OSError, ValueError) as error:
        raise NoModelError(
            f"model {folder.name} has no item model that can be used ({error}); "
            "run the job retrain_model, or marquee run"
        ) from None


def items_hash(folder: Path) -> str:
    """Hash of the content of a model's item model; empty if it has none."""
    files = read_model_manifest(folder)["files"]
    return digest(*(files[name]["sha256"] for name in (ITEM_FILMS, ITEM_WEIGHTS))) if ITEM_WEIGHTS in files else ""


def model_files(folder: Path) -> dict[str, WrittenFile]:
    """Files of a model by name without suffix, with their sha256."""
    files = read_model_manifest(folder)["files"]
    return {Path(name).stem: WrittenFile(folder / name, facts["sha256"]) for name, facts in files.items()}


def read_model_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a model folder."""
    return dict(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))


def latest_model(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The newest model: model_version, content_hash and recall.

    Raises
    ------
    NoModelError
    """
    found = records(
        con.execute("SELECT model_version, content_hash, recall FROM model.annoy_indexes ORDER BY 1 DESC LIMIT 1")
    )
    if not found:
        raise NoModelError("there is no model yet; run the job retrain_model, or marquee run")
    return found[0]
