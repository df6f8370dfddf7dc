"""Recommending: which lists are out of date, what computes them apart from the database, and their one commit.

Belongs here: the order of planning, computing and committing, and the folder `work/<version>/` they share. Does not
belong here: computing (`warehouse.compute`), SQL of the tables (`warehouse.tables`), staging (`releases.staging`).

Planning reads the tables into a pack. While units are computed from it, the database is closed and its lock free. What
others commit meanwhile shows in the versions of the inputs; then all is done again, and that time the lock is kept, so
that it ends. Finished units stay in the folder until they are committed: a run that was killed goes on with the others.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.data.model_data import Neighbourhood
from recommender.parameters import ModelParameters
from warehouse.compute.batch import PACK, Batch, Notify
from warehouse.compute.packs import ITEM_WEIGHTS, neighbourhood_arrays, write_arrays
from warehouse.compute.unit_files import Record, added_up
from warehouse.compute.units import INDEX_FOLDER, SHARDS, WorkPack, units_of
from warehouse.compute.workers import Workers
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.releases.model_folder import (
    ITEM_MODEL,
    items_hash,
    latest_model,
    model_files,
    open_item_model,
)
from warehouse.releases.work_pack import content_version
from warehouse.tables.film_lists import (
    make_popular_movies,
    similar_base,
    similar_is_stale,
    write_similar_movies,
)
from warehouse.tables.model_inputs import (
    StaleTableError,
    inputs_version,
    make_film_likes,
    make_likes,
    read_neighbourhood,
    require,
)
from warehouse.tables.recommendations import (
    make_signup_movies,
    pairs_version,
    signup_version,
    stale_shards,
    write_pairs,
)
from warehouse.tables.user_lists import (
    ChangedUsers,
    changed_users,
    read_rated,
    stale_buckets,
    users_base,
    users_version,
    write_users,
)
from warehouse.tables.versions import digest

PARTS = {"pairs": 8, "users": 8, "similar": 4}
"""Units that a whole table is cut into: few, because a process prepares something for the first one, and each file and
task costs; more than nodes, because these are not equally fast."""


class Asked(NamedTuple):
    """Which parts of which tables are to be brought up to date."""

    pairs: Sequence[int] = ()
    users: Sequence[int] = ()
    similar: bool = False


class Inputs(NamedTuple):
    """Versions of what the lists follow from; `model` names the model of the last retrain."""

    pairs: str
    users: str
    users_base: str
    similar_base: str
    model: str


class Done(NamedTuple):
    """What was done: by table what its units add up to, and how many units were computed and how many reused."""

    facts: dict[str, dict[str, Any]]
    computed: int
    reused: int


@dataclass(frozen=True)
class _Plan:
    """What is out of date, and the units that make it anew.

    Attributes
    ----------
    inputs : Inputs
    shards : list of int
        Of the pairs.
    users : ChangedUsers or None
    similar : bool
    batch : Batch
    """

    inputs: Inputs
    shards: list[int]
    users: ChangedUsers | None
    similar: bool
    batch: Batch


def recommend(
    warehouse: Warehouse, parameters: ModelParameters, asked: Asked, workers: Workers, notify: Notify
) -> Done:
    """Bring lists up to date: what is out of date of the parts asked for, and nothing else.

    Parameters
    ----------
    warehouse : Warehouse
        Not in a transaction. Others may write it meanwhile.
    parameters : ModelParameters
    asked : Asked
    workers : Workers
    notify : callable
        Receives what a person should know.

    Raises
    ------
    StaleTableError
        If something that lists are made from is not up to date.
    """
    plan = _make_plan(warehouse, parameters, asked, workers, notify)
    if plan.batch.units:
        with warehouse.released():
            plan.batch.compute()
        if not _still_holds(warehouse, parameters, plan.inputs):
            notify("other ratings have come in meanwhile: computed again, and until then nobody else can write")
            _catch_up(warehouse, parameters)
            plan = _make_plan(warehouse, parameters, asked, workers, notify)
            plan.batch.compute()
    facts = _commit(warehouse, parameters, plan)
    return Done(facts, plan.batch.computed, plan.batch.reused)


def _catch_up(warehouse: Warehouse, parameters: ModelParameters) -> None:
    """Bring up to date what a run has made before its lists, of the ratings as they were then."""
    with warehouse.transaction() as con:
        make_likes(con, parameters)
        make_film_likes(con, parameters)
    make_signup_movies(warehouse, parameters)
    make_popular_movies(warehouse, parameters)


def versions_now(warehouse: Warehouse, parameters: ModelParameters) -> Inputs:
    """Versions that lists have when they are up to date; StaleTableError if what they are made from is not."""
    con, model = warehouse.con, latest_model(warehouse.con)["model_version"]
    items = items_hash(warehouse.home.model_folder(model))
    base, similar = users_base(items, parameters), similar_base(con, items, parameters)
    return Inputs(pairs_version(con, parameters, model), users_version(con, base), base, similar, model)


def _still_holds(warehouse: Warehouse, parameters: ModelParameters, inputs: Inputs) -> bool:
    """Whether lists made from these inputs are those that the tables make now."""
    try:
        return versions_now(warehouse, parameters) == inputs
    except StaleTableError:
        return False


def _make_plan(
    warehouse: Warehouse, parameters: ModelParameters, asked: Asked, workers: Workers, notify: Notify
) -> _Plan:
    """Find what is out of date, and write the pack to compute it from."""
    con, inputs = warehouse.con, versions_now(warehouse, parameters)
    if asked.pairs:
        remedy = "materialize recs/signup_movies"
        require(con, "recs.signup_movies", signup_version(con, parameters), remedy)
    shards = stale_shards(con, inputs.pairs, asked.pairs)
    buckets = stale_buckets(con, inputs.users, asked.users)
    users = changed_users(con, buckets, inputs.users_base, parameters) if buckets else None
    units, to_list = units_of("pairs", shards, PARTS["pairs"]), np.zeros(0, dtype=np.int64)
    if users is not None:
        to_list = users.to_list(read_neighbourhood(warehouse, parameters).likes, parameters)
    if users is not None and len(to_list):
        units += units_of("users", users.buckets, PARTS["users"])
    similar = asked.similar and similar_is_stale(con, inputs.similar_base)
    units += units_of("similar", range(SHARDS) if similar else (), PARTS["similar"])
    version = digest(inputs, to_list.tolist())[:16]
    folder = warehouse.home.work / version
    for other in warehouse.home.work.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    batch = Batch(folder, version, units, workers, notify)
    if units:
        _provide_pack(warehouse, parameters, inputs, batch, to_list)
    return _Plan(inputs, shards, users, similar, batch)


def _provide_pack(
    warehouse: Warehouse, parameters: ModelParameters, inputs: Inputs, batch: Batch, to_list: NDArray[np.int64]
) -> None:
    """Provide the pack of a plan, and read from it what the run needs later."""
    neighbourhood = read_neighbourhood(warehouse, parameters)
    batch.provide_pack(lambda pack: _write_pack(warehouse, neighbourhood, inputs, pack, to_list))
    # What is mapped needs no second copy in memory, and staging finds its files.
    mapped = WorkPack(batch.folder / PACK)
    warehouse.keep_instead("neighbourhood", mapped.neighbourhood)
    warehouse.keep_instead("rated", mapped.rated)


def _write_pack(
    warehouse: Warehouse, neighbourhood: Neighbourhood, inputs: Inputs, pack: Path, to_list: NDArray[np.int64]
) -> Path:
    """Write the pack of a plan under a temporary name; return that."""
    parameters, model = neighbourhood.parameters, warehouse.home.model_folder(inputs.model)
    rated = read_rated(warehouse, neighbourhood.catalogue)
    arrays = neighbourhood_arrays(neighbourhood) | {
        "rated_users": rated.user_ids,
        "rated_indptr": rated.indptr,
        "rated_films": rated.films,
        "users_to_list": to_list,
    }
    written, files = {}, model_files(model)
    if ITEM_WEIGHTS in files:
        items = open_item_model(model, neighbourhood.catalogue.movie_ids)
        arrays |= {"item_films": items.films, ITEM_WEIGHTS: items.weights}
        written[ITEM_WEIGHTS] = files[ITEM_WEIGHTS]
    facts = {
        "version": pack.parent.name,
        "content": content_version(warehouse.con, parameters, inputs.users_base),
        "parameters": parameters.model_dump(),
    }
    index = {
        f"{INDEX_FOLDER}/{file.path.name}": file
        for name, file in files.items()
        if parameters.engine == "annoy" and not name.startswith(ITEM_MODEL)
    }
    return write_arrays(pack, arrays, facts, written, index)


def _commit(warehouse: Warehouse, parameters: ModelParameters, plan: _Plan) -> dict[str, dict[str, Any]]:
    """Write the rows of all units, validated, and delete the units; return by table what its units add up to."""
    records: list[Record] = []
    facts: dict[str, dict[str, Any]] = {}

    def rows_of(table: str) -> Iterator[pa.Table]:
        records.clear()
        for rows, record in plan.batch.parts(table):
            records.append(record)
            yield rows

    if plan.shards:
        with warehouse.transaction() as con:
            rows = write_pairs(con, plan.shards, rows_of("pairs"), plan.inputs.pairs, parameters)
            step("pairs_committing")
        facts["pairs"] = {"rows": rows, **added_up(records)}
    if plan.users is not None:
        with warehouse.transaction() as con:
            write_users(con, plan.users, plan.inputs.users_base, rows_of("users"))
            step("user_lists_committing")
        none = {"users_computed": 0, "buckets_replaced": len(plan.users.whole)}
        facts["users"] = {**none, **added_up(records)}
    if plan.similar:
        with warehouse.transaction() as con:
            likes = inputs_version(con, parameters)
            write_similar_movies(con, rows_of("similar"), plan.inputs.similar_base, likes)
        facts["similar"] = {**added_up(records)}
    step("units_committed")
    plan.batch.delete_units()
    return facts
