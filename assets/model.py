"""The model group: likes, user vectors and the Annoy index that a retrain makes."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from assets.common import OWNERS, Stopwatch, result, table_metadata, table_spec
from recommender.ann.build import save_index
from recommender.ann.index import UserIndex, make_index
from recommender.data.encoder import iter_user_vectors, likes_with_vector
from recommender.data.model_data import Neighbourhood
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.releases.model_folder import INDEX_FILE, current_model, make_model, read_model_manifest
from warehouse.tables.model_inputs import inputs_version, make_film_likes, make_likes, read_neighbourhood
from warehouse.tables.user_vectors import UserVectorBlock, write_user_vectors
from warehouse.tables.versions import digest, set_table_version, table_version


@dg.asset(
    key=["model", "likes"],
    group_name="model",
    kinds={"duckdb"},
    owners=OWNERS,
    code_version="1",
    # rating_files too: an ingest run makes the likes without making `ratings`, whose months it reports itself.
    deps=[dg.AssetDep(["raw", "ratings"], partition_mapping=dg.AllPartitionMapping()), ["raw", "rating_files"]],
)
def likes(
    parameters: dg.ResourceParam[ModelParameters], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """Films each user likes: one row per user and film rated `like_threshold` stars or more. Rebuilt whole."""
    watch = Stopwatch()
    with warehouse.transaction() as con:
        changed = make_likes(con, parameters)
        step("likes_committing")
    metadata = table_metadata(
        warehouse.con,
        "model.likes",
        "SELECT user_id, count(*) AS likes FROM model.likes GROUP BY 1 ORDER BY 2 DESC LIMIT 8",
    )
    return result(watch, metadata, version=table_version(warehouse.con, "model.likes"), changed=changed)


@dg.asset(
    key=["model", "film_likes"],
    group_name="model",
    kinds={"duckdb"},
    owners=OWNERS,
    code_version="1",
    deps=[["model", "likes"], ["raw", "movies"]],
)
def film_likes(
    parameters: dg.ResourceParam[ModelParameters], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """How many users like each film: one row per film, 0 where nobody does. Rebuilt whole."""
    watch = Stopwatch()
    with warehouse.transaction() as con:
        changed = make_film_likes(con, parameters)
    preview = "SELECT title, likes FROM model.film_likes JOIN raw.movies USING (movie_id) ORDER BY likes DESC LIMIT 8"
    return result(
        watch,
        table_metadata(warehouse.con, "model.film_likes", preview),
        version=table_version(warehouse.con, "model.film_likes"),
        changed=changed,
    )


_INPUTS = [["model", "likes"], ["model", "film_likes"], ["raw", "genome"]]
USER_VECTORS = table_spec(
    "model",
    "user_vectors",
    "Vector of each user: one row per user who likes something, the unit-length sum of the liked films' vectors.",
    _INPUTS,
    {"duckdb", "numpy"},
)
ANNOY_INDEXES = table_spec(
    "model",
    "annoy_indexes",
    "Approximate index of the users for live questions: one row per model version, with its measured recall.",
    _INPUTS,
    {"annoy", "duckdb"},
)


@dg.multi_asset(name="user_model", specs=[USER_VECTORS, ANNOY_INDEXES], can_subset=True)
def user_model(
    context: dg.AssetExecutionContext,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
) -> Iterator[dg.MaterializeResult]:
    """Write the users' vectors while the trees of the index are built, which takes one thread and no database.

    Either can be made alone. The seconds of the index are those that it takes when the vectors are written.
    """
    wanted = context.selected_asset_keys
    with ThreadPoolExecutor(1) as pool:
        index: Future[tuple[UserIndex, float]] | None = None
        model_version = current_model(warehouse, parameters) if ANNOY_INDEXES.key in wanted else None
        if ANNOY_INDEXES.key in wanted and model_version is None:
            index = pool.submit(_make_index, read_neighbourhood(warehouse, parameters))
        if USER_VECTORS.key in wanted:
            yield _user_vectors(warehouse, parameters)
        if ANNOY_INDEXES.key in wanted:
            yield _annoy_indexes(warehouse, parameters, model_version, index)


def _user_vectors(warehouse: Warehouse, parameters: ModelParameters) -> dg.MaterializeResult:
    watch = Stopwatch()
    version = digest("user_vectors", inputs_version(warehouse.con, parameters), parameters.weighting)
    changed = table_version(warehouse.con, "model.user_vectors") != version
    if changed:
        neighbourhood = read_neighbourhood(warehouse, parameters)
        width = neighbourhood.catalogue.vectors.shape[1]
        with warehouse.transaction() as con:
            rows = write_user_vectors(con, _blocks(neighbourhood), width)
            set_table_version(con, "model.user_vectors", version, rows)
            step("user_vectors_committing")
    metadata = table_metadata(
        warehouse.con, "model.user_vectors", "SELECT user_id, likes, likes_with_vector FROM model.user_vectors LIMIT 8"
    )
    return result(watch, metadata, key=USER_VECTORS.key, version=version, changed=changed)


def _blocks(neighbourhood: Neighbourhood) -> Iterator[UserVectorBlock]:
    """Unit vectors of all users, a block at a time."""
    likes = neighbourhood.likes
    liked = np.diff(likes.indptr).astype(np.int32)
    with_vector = likes_with_vector(likes, neighbourhood.catalogue)
    for low, high, vectors in iter_user_vectors(likes, neighbourhood.catalogue):
        yield UserVectorBlock(likes.user_ids[low:high], vectors, liked[low:high], with_vector[low:high])


def _make_index(neighbourhood: Neighbourhood) -> tuple[UserIndex, float]:
    """Make the index; with the seconds it took."""
    started = time.perf_counter()
    return make_index(neighbourhood), time.perf_counter() - started


def _annoy_indexes(
    warehouse: Warehouse,
    parameters: ModelParameters,
    version: str | None,
    index: Future[tuple[UserIndex, float]] | None,
) -> dg.MaterializeResult:
    """Make a model of the index that is being built, or describe the one there is."""
    watch = Stopwatch()
    if index is not None:
        made, seconds = index.result()
        neighbourhood = read_neighbourhood(warehouse, parameters)

        def build(folder: Path) -> dict[str, Any]:
            started = time.perf_counter()
            facts = save_index(folder / INDEX_FILE, made, neighbourhood)
            return {**facts, "seconds": round(seconds + time.perf_counter() - started, 3)}

        version = make_model(warehouse, parameters, build)
    assert version is not None
    folder = warehouse.home.model_folder(version)
    manifest = read_model_manifest(folder)
    metadata = table_metadata(
        warehouse.con,
        "model.annoy_indexes",
        "SELECT model_version, items, dimensions, trees, recall, seconds FROM model.annoy_indexes "
        "ORDER BY 1 DESC LIMIT 8",
    )
    metadata |= {
        "model_version": version,
        "folder": dg.MetadataValue.path(str(folder)),
        "recall": manifest["recall"],
        "items": manifest["items"],
    }
    return result(watch, metadata, key=ANNOY_INDEXES.key, version=version, changed=index is not None)


ASSETS = [likes, film_likes, user_model]
