"""The recs group: the sign-up films and the lists of their pairs, lists of users, similar and popular films."""

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
from recommender.items.similar import SimilarFilms
from recommender.neighbours.exact import recommend_pairs
from recommender.pairs import PairRecommendations
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.releases.model_folder import INDEX_FILE, items_hash, latest_model, open_item_model
from warehouse.tables.film_lists import (
    popular_version,
    similar_version,
    write_popular_movies,
    write_similar_movies,
)
from warehouse.tables.model_inputs import read_neighbourhood, require
from warehouse.tables.recommendations import (
    pairs_version,
    shard_movies,
    signup_version,
    stale_shards,
    write_pairs,
    write_signup_movies,
)
from warehouse.tables.user_lists import read_rated, stale_buckets, users_base, users_version, write_users
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


@dg.asset(
    key=["recs", "user_recommendations"],
    group_name="recs",
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    code_version="1",
    partitions_def=shards,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[["model", "item_models"], ["model", "likes"]],
)
def user_recommendations(
    context: dg.AssetExecutionContext,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    """Recommended films of every user with `min_likes` likes: one row per user and rank, in buckets by a hash of the
    user. Made with the item model of the last retrain; of users whose ratings have changed since, the rest stays."""
    watch = Stopwatch()
    chosen = sorted(int(key) for key in context.partition_keys)
    folder = warehouse.home.model_folder(latest_model(warehouse.con)["model_version"])
    base = users_base(items_hash(folder), parameters)
    changed = bool(stale_buckets(warehouse.con, users_version(warehouse.con, base), chosen))
    summary = {"users_computed": 0, "buckets_replaced": 0}
    if changed:
        neighbourhood = read_neighbourhood(warehouse, parameters)
        movie_ids = neighbourhood.catalogue.movie_ids
        items, rated = open_item_model(folder, movie_ids), read_rated(warehouse, neighbourhood.catalogue)
        with warehouse.transaction() as con:
            summary = write_users(con, chosen, base, items, neighbourhood.likes, rated, movie_ids, parameters)
            step("user_lists_committing")
    preview = """
        SELECT user_id, rank, title, score
        FROM (FROM recs.user_recommendations WHERE rank <= 4 LIMIT 8) JOIN raw.movies USING (movie_id)
        ORDER BY user_id, rank
    """
    metadata = table_metadata(warehouse.con, "recs.user_recommendations", preview)
    return result(watch, metadata | summary, version=users_version(warehouse.con, base), changed=changed)


@dg.asset(
    key=["recs", "similar_movies"],
    group_name="recs",
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    code_version="1",
    deps=[["model", "likes"], ["model", "film_likes"], ["raw", "genome"]],
)
def similar_movies(
    parameters: dg.ResourceParam[ModelParameters], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """Films that are like a film: one row per film with a vector or five likes and rank. Rebuilt whole."""
    watch = Stopwatch()
    version = similar_version(warehouse.con, parameters)
    changed = table_version(warehouse.con, "recs.similar_movies") != version
    if changed:
        neighbourhood = read_neighbourhood(warehouse, parameters)
        films, scores = SimilarFilms(neighbourhood).lists(parameters.per_movie)
        with warehouse.transaction() as con:
            write_similar_movies(con, neighbourhood.catalogue.movie_ids, films, scores, parameters)
    preview = """
        SELECT a.title AS film, rank, b.title AS similar, score
        FROM recs.similar_movies s JOIN raw.movies a USING (movie_id) JOIN raw.movies b ON b.movie_id = similar_id
        WHERE s.movie_id = (SELECT movie_id FROM recs.signup_movies WHERE position = 1) ORDER BY rank LIMIT 8
    """
    metadata = table_metadata(warehouse.con, "recs.similar_movies", preview)
    return result(watch, metadata, version=version, changed=changed)


@dg.asset(
    key=["recs", "popular_movies"],
    group_name="recs",
    kinds={"duckdb"},
    owners=OWNERS,
    code_version="1",
    deps=[
        ["model", "film_likes"],
        dg.AssetDep(["raw", "ratings"], partition_mapping=dg.AllPartitionMapping()),
        ["raw", "rating_files"],
        ["raw", "movies"],
    ],
)
def popular_movies(
    parameters: dg.ResourceParam[ModelParameters], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """The most liked films, of all time, lately, by genre and by decade: one row per list and rank. Rebuilt whole."""
    watch = Stopwatch()
    version = popular_version(warehouse.con, parameters)
    changed = table_version(warehouse.con, "recs.popular_movies") != version
    if changed:
        with warehouse.transaction() as con:
            write_popular_movies(con, parameters)
    preview = "SELECT list, rank, title, score FROM recs.popular_movies JOIN raw.movies USING (movie_id) LIMIT 8"
    metadata = table_metadata(warehouse.con, "recs.popular_movies", preview)
    return result(watch, metadata, version=version, changed=changed)


ASSETS = [signup_movies, pair_recommendations, user_recommendations, similar_movies, popular_movies]
