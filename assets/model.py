"""The model group: likes, user vectors, the Annoy index and the item model that a retrain makes."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from assets.common import OWNERS, Stopwatch, result, table_metadata, table_spec
from recommender.ann.build import save_index
from recommender.ann.index import UserIndex, make_index
from recommender.data.model_data import Neighbourhood
from recommender.items.model import ItemModel, make_item_model
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.releases.model_folder import (
    INDEX_FILE,
    current_model,
    make_model,
    read_model_manifest,
    save_item_model,
)
from warehouse.tables.model_inputs import make_film_likes, make_likes, read_neighbourhood
from warehouse.tables.user_vectors import make_user_vectors
from warehouse.tables.versions import table_version


@dg.asset(
    key=["model", "likes"],
    group_name="model",
    kinds={"duckdb"},
    owners=OWNERS,
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
ITEM_MODELS = table_spec(
    "model",
    "item_models",
    "What liking one film says about another, for the most liked films: one row per model version. The lists of "
    "existing users are made from it until the next retrain.",
    [["model", "likes"], ["model", "film_likes"]],
    {"numpy", "duckdb"},
)


@dg.multi_asset(name="user_model", specs=[USER_VECTORS, ANNOY_INDEXES, ITEM_MODELS], can_subset=True)
def user_model(
    context: dg.AssetExecutionContext,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
) -> Iterator[dg.MaterializeResult]:
    """Write the users' vectors while the index and the item model are made, which takes one thread and no database.

    Index and item model are the parts of a model version. Their seconds are those that they take when the vectors are
    written.
    """
    wanted = context.selected_asset_keys
    parts = [spec.key for spec in (ANNOY_INDEXES, ITEM_MODELS) if spec.key in wanted]
    with ThreadPoolExecutor(1) as pool:
        made: Future[ModelParts] | None = None
        model_version = current_model(warehouse, parameters) if parts else None
        if parts and model_version is None:
            made = pool.submit(_make_parts, read_neighbourhood(warehouse, parameters))
        if USER_VECTORS.key in wanted:
            yield _user_vectors(warehouse, parameters)
        if not parts:
            return
        watch = Stopwatch()
        if made is not None:
            model_version = _save_model(warehouse, parameters, made.result())
        assert model_version is not None
        for key in parts:
            metadata = _describe(warehouse, key, model_version)
            yield result(watch, metadata, key=key, version=model_version, changed=made is not None)


def _user_vectors(warehouse: Warehouse, parameters: ModelParameters) -> dg.MaterializeResult:
    watch = Stopwatch()
    changed = make_user_vectors(warehouse, parameters)
    version = table_version(warehouse.con, "model.user_vectors")
    metadata = table_metadata(
        warehouse.con, "model.user_vectors", "SELECT user_id, likes, likes_with_vector FROM model.user_vectors LIMIT 8"
    )
    return result(watch, metadata, key=USER_VECTORS.key, version=version, changed=changed)


class ModelParts(NamedTuple):
    """Index and item model, with the seconds that each took."""

    users: UserIndex
    user_seconds: float
    items: ItemModel
    item_seconds: float


def _make_parts(neighbourhood: Neighbourhood) -> ModelParts:
    started = time.perf_counter()
    index = make_index(neighbourhood)
    between = time.perf_counter()
    items = make_item_model(neighbourhood.likes, neighbourhood.catalogue, neighbourhood.parameters, threads=1)
    return ModelParts(index, between - started, items, time.perf_counter() - between)


def _save_model(warehouse: Warehouse, parameters: ModelParameters, parts: ModelParts) -> str:
    """Make a model version of its parts; return its name."""
    neighbourhood = read_neighbourhood(warehouse, parameters)

    def build(folder: Path) -> dict[str, Any]:
        started = time.perf_counter()
        facts = save_index(folder / INDEX_FILE, parts.users, neighbourhood)
        seconds = parts.user_seconds + time.perf_counter() - started
        save_item_model(folder, parts.items, neighbourhood.catalogue.movie_ids)
        item_model = {
            "method": parameters.user_method,
            "films": len(parts.items.weights),
            "seconds": round(parts.item_seconds, 3),
        }
        return {**facts, "seconds": round(seconds, 3), "item_model": item_model}

    return make_model(warehouse, parameters, build)


def _describe(warehouse: Warehouse, key: dg.AssetKey, version: str) -> dict[str, Any]:
    """Metadata of the index or the item model of a model version."""
    folder = warehouse.home.model_folder(version)
    manifest = read_model_manifest(folder)
    facts = {"model_version": version, "folder": dg.MetadataValue.path(str(folder))}
    if key == ITEM_MODELS.key:
        preview = "SELECT model_version, method, films, seconds FROM model.item_models ORDER BY 1 DESC LIMIT 8"
        found = table_metadata(warehouse.con, "model.item_models", preview)
        return found | facts | {"films": manifest["item_model"]["films"]}
    preview = (
        "SELECT model_version, items, dimensions, trees, recall, seconds FROM model.annoy_indexes "
        "ORDER BY 1 DESC LIMIT 8"
    )
    found = table_metadata(warehouse.con, "model.annoy_indexes", preview)
    return found | facts | {"recall": manifest["recall"], "items": manifest["items"]}


ASSETS = [likes, film_likes, user_model]
