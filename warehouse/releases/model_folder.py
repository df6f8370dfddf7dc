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

from recommender.errors import MarqueeError
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.files import TEMPORARY, appear, file_sha256, remove_leftovers, write_json
from warehouse.queries import insert_row, records
from warehouse.schemas.definitions import columns_of
from warehouse.tables.genome import genome_source_of
from warehouse.tables.held_source import require_source
from warehouse.tables.model_inputs import inputs_version
from warehouse.tables.versions import code_version, digest, table_version, version_name

INDEX_FILE = "users.ann"


class NoModelError(MarqueeError):
    """No model was made yet; the message says how to make one."""


Build = Callable[[Path], Mapping[str, Any]]
"""Writes a model's files into a folder and returns facts: dimensions, trees, seed, items, recall, seconds."""


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
        files = read_model_manifest(folder)["files"]
        return all(file_sha256(folder / name) == facts["sha256"] for name, facts in files.items())
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
    row = {
        **lineage,
        **facts,
        "file": str(home.model_folder(version).relative_to(home.root) / INDEX_FILE),
        "sha256": files[INDEX_FILE]["sha256"],
        "parameters": json.dumps(parameters.model_dump()),
    }
    with warehouse.transaction():
        insert_row(con, "model.annoy_indexes", {name: row[name] for name in columns_of("model.annoy_indexes")})
    step("model_recorded")
    return version


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
