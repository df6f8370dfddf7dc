"""The recs group: the sign-up films and the recommendations of every pair of them."""

from collections.abc import Callable, Iterator
from functools import partial

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from assets.common import OWNERS, Stopwatch, result, table_metadata
from assets.partitions import shards
from recommender.ann.bound import bind
from recommender.ann.index import open_index
from recommender.ann.pairs import recommend_pairs_by_index
from recommender.data.model_data import Neighbourhood
from recommender.neighbours.exact import recommend_pairs
from recommender.pairs import PairRecommendations
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.releases.model_folder import INDEX_FILE, latest_model
from warehouse.tables.model_inputs import read_neighbourhood, require
from warehouse.tables.recommendations import (
    pairs_version,
    shard_movies,
    signup_version,
    stale_shards,
    write_pairs,
    write_signup_movies,
)
from warehouse.tables.versions import table_version


@dg.asset(
    key=["recs", "signup_movies"],
    group_name="recs",
    kinds={"duckdb"},
    owners=OWNERS,
    code_version="1",
    deps=[["model", "film_likes"], ["raw", "genome"]],
)
def signup_movies(
    parameters: dg.ResourceParam[ModelParameters], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """Films a new user chooses from: the `top_movies` most liked that have a vector, one row per position."""
    watch = Stopwatch()
    version = signup_version(warehouse.con, parameters)
    changed = table_version(warehouse.con, "recs.signup_movies") != version
    if changed:
        movie_ids = read_neighbourhood(warehouse, parameters).signup_movies()
        with warehouse.transaction() as con:
            write_signup_movies(con, movie_ids, parameters)
    preview = (
        "SELECT position, title, s.likes FROM recs.signup_movies s JOIN raw.movies USING (movie_id) ORDER BY 1 LIMIT 8"
    )
    return result(watch, table_metadata(warehouse.con, "recs.signup_movies", preview), version=version, changed=changed)


@dg.asset(
    key=["recs", "pair_recommendations"],
    group_name="recs",
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    code_version="1",
    partitions_def=shards,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[["recs", "signup_movies"], ["model", "likes"], ["model", "annoy_indexes"]],
)
def pair_recommendations(
    context: dg.AssetExecutionContext,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    """Recommended films of every pair of sign-up films: one row per pair and rank, sharded by the smaller movie_id."""
    watch = Stopwatch()
    chosen = sorted(int(key) for key in context.partition_keys)
    require(
        warehouse.con, "recs.signup_movies", signup_version(warehouse.con, parameters), "materialize recs/signup_movies"
    )
    version = pairs_version(warehouse.con, parameters, latest_model(warehouse.con)["model_version"])
    changed = bool(stale_shards(warehouse.con, version, chosen))
    summary = {}
    if changed:
        neighbourhood = read_neighbourhood(warehouse, parameters)
        first = shard_movies(warehouse.con, chosen)
        chunks = _engine(warehouse, neighbourhood)(first)
        with warehouse.transaction() as con:
            summary = write_pairs(con, chosen, chunks, version, parameters)
    preview = """
        SELECT a.title AS film_a, b.title AS film_b, rank, m.title AS recommended, score, votes
        FROM (FROM recs.pair_recommendations ORDER BY movie_a, movie_b, rank LIMIT 8) p
        JOIN raw.movies a ON a.movie_id = movie_a JOIN raw.movies b ON b.movie_id = movie_b
        JOIN raw.movies m ON m.movie_id = p.movie_id
        ORDER BY movie_a, movie_b, rank
    """
    metadata = table_metadata(warehouse.con, "recs.pair_recommendations", preview)
    return result(watch, metadata | summary, version=version, changed=changed)


def _engine(
    warehouse: Warehouse, neighbourhood: Neighbourhood
) -> Callable[[NDArray[np.int32]], Iterator[PairRecommendations]]:
    """What finds the neighbours: exact search, or the index of the newest model."""
    if neighbourhood.parameters.engine == "exact":
        return partial(recommend_pairs, neighbourhood)
    folder = warehouse.home.model_folder(latest_model(warehouse.con)["model_version"])
    return partial(recommend_pairs_by_index, bind(open_index(folder / INDEX_FILE), neighbourhood))


ASSETS = [signup_movies, pair_recommendations]
