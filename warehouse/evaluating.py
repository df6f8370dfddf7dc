"""Evaluating: the measurements of every retrain, computed apart from the database, and their one commit.

Belongs here: the order of reading, computing and committing. Does not belong here: computing
(`warehouse.compute.evaluation`), the table and what it follows from (`warehouse.tables.evaluation`).

As for lists (`warehouse.recommending`): while units are computed the lock is free, finished ones stay until they are
committed, and if ratings have come in meanwhile all is done again with the lock.
"""

import shutil
from pathlib import Path

from recommender.parameters import ModelParameters
from warehouse.compute.batch import Batch, Notify
from warehouse.compute.evaluation import SPLITS, evaluation_arrays
from warehouse.compute.packs import write_arrays
from warehouse.compute.units import Unit
from warehouse.compute.workers import Workers
from warehouse.database import Warehouse
from warehouse.tables.evaluation import (
    NIGHTLY,
    TABLE,
    evaluation_version,
    least_stars,
    read_films,
    read_ratings,
    write_evaluation,
)
from warehouse.tables.versions import table_version

UNITS = [Unit("evaluation", (place,)) for place in range(len(SPLITS))]


def evaluate_nightly(
    warehouse: Warehouse, parameters: ModelParameters, workers: Workers, notify: Notify
) -> Batch | None:
    """Measure within the time a nightly run has, unless the table is up to date: then None.

    One fold, a fixed number of pairs or users, `NIGHTLY` ratings. Others may write the warehouse meanwhile.
    """
    if table_version(warehouse.con, TABLE) == evaluation_version(warehouse.con, parameters):
        return None
    batch = _prepared(warehouse, parameters, workers, notify)
    with warehouse.released():
        batch.compute()
    if batch.version != _version(warehouse, parameters):
        notify("other ratings have come in meanwhile: measured again, and until then nobody else can write")
        batch = _prepared(warehouse, parameters, workers, notify)
        batch.compute()
    with warehouse.transaction() as con:
        rows = (part for part, _ in batch.parts("evaluation"))
        write_evaluation(con, rows, parameters, evaluation_version(con, parameters))
    shutil.rmtree(batch.folder)
    return batch


def _version(warehouse: Warehouse, parameters: ModelParameters) -> str:
    return evaluation_version(warehouse.con, parameters)[:16]


def _prepared(warehouse: Warehouse, parameters: ModelParameters, workers: Workers, notify: Notify) -> Batch:
    """The units, and the pack to measure from."""
    con, version = warehouse.con, _version(warehouse, parameters)

    def write(pack: Path) -> Path:
        likes = read_ratings(con, least_stars(parameters), NIGHTLY)
        arrays = evaluation_arrays(likes, read_ratings(con, 0.0, NIGHTLY), read_films(con))
        return write_arrays(pack, arrays, {"version": version, "parameters": parameters.model_dump()}, {})

    batch = Batch(warehouse.home.work / version, version, UNITS, workers, notify)
    batch.provide_pack(write)
    return batch
