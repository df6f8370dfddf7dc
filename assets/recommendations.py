"""The recs group: the sign-up films and the lists of their pairs, lists of users, similar and popular films."""

from collections.abc import Iterator

import dagster as dg

from assets.common import OWNERS, Stopwatch, result, table_metadata, table_spec
from assets.partitions import shards
from recommender.parameters import ModelParameters
from warehouse.compute.workers import Workers
from warehouse.database import Warehouse
from warehouse.recommending import Asked, recommend, versions_now
from warehouse.tables.film_lists import make_popular_movies, popular_version
from warehouse.tables.recommendations import make_signup_movies, signup_version
from warehouse.tables.versions import table_version


@dg.asset(
    key=["recs", "signup_movies"],
    group_name="recs",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[["model", "film_likes"], ["raw", "genome"]],
)
def signup_movies(
    parameters: dg.ResourceParam[ModelParameters], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """Films a new user chooses from: the `top_movies` most liked that have a vector, one row per position."""
    watch = Stopwatch()
    version = signup_version(warehouse.con, parameters)
    changed = make_signup_movies(warehouse, parameters)
    preview = (
        "SELECT position, title, s.likes FROM recs.signup_movies s JOIN raw.movies USING (movie_id) ORDER BY 1 LIMIT 8"
    )
    return result(watch, table_metadata(warehouse.con, "recs.signup_movies", preview), version=version, changed=changed)


PAIRS = table_spec(
    "recs",
    "pair_recommendations",
    "Recommended films of every pair of sign-up films: one row per pair and rank, sharded by the smaller movie_id.",
    [["recs", "signup_movies"], ["model", "likes"], ["model", "annoy_indexes"]],
    {"duckdb", "numpy"},
).replace_attributes(partitions_def=shards)
USERS = table_spec(
    "recs",
    "user_recommendations",
    "Recommended films of every user with `min_likes` likes: one row per user and rank, in buckets by a hash of the "
    "user. Made with the item model of the last retrain; of users whose ratings have changed since, the rest stays.",
    [["model", "item_models"], ["model", "likes"]],
    {"duckdb", "numpy"},
).replace_attributes(partitions_def=shards)
SIMILAR = table_spec(
    "recs",
    "similar_movies",
    "Films that are like a film: one row per film with a vector or five likes and rank. Rebuilt whole with every item "
    "model, and carried over until the next one.",
    [["model", "item_models"], ["model", "likes"], ["model", "film_likes"], ["raw", "genome"]],
    {"duckdb", "numpy"},
)
PREVIEWS = {
    PAIRS.key: """
        SELECT a.title AS film_a, b.title AS film_b, rank, m.title AS recommended, score, votes
        FROM (FROM recs.pair_recommendations ORDER BY movie_a, movie_b, rank LIMIT 8) p
        JOIN raw.movies a ON a.movie_id = movie_a JOIN raw.movies b ON b.movie_id = movie_b
        JOIN raw.movies m ON m.movie_id = p.movie_id
        ORDER BY movie_a, movie_b, rank
    """,
    USERS.key: """
        SELECT user_id, rank, title, score
        FROM (FROM recs.user_recommendations WHERE rank <= 4 LIMIT 8) JOIN raw.movies USING (movie_id)
        ORDER BY user_id, rank
    """,
    SIMILAR.key: """
        SELECT a.title AS film, rank, b.title AS similar, score
        FROM recs.similar_movies s JOIN raw.movies a USING (movie_id) JOIN raw.movies b ON b.movie_id = similar_id
        WHERE s.movie_id = (SELECT movie_id FROM recs.signup_movies WHERE position = 1) ORDER BY rank LIMIT 8
    """,
}


@dg.multi_asset(
    name="recommendations",
    specs=[PAIRS, USERS, SIMILAR],
    backfill_policy=dg.BackfillPolicy.single_run(),
    can_subset=True,
)
def recommendations(
    context: dg.AssetExecutionContext,
    parameters: dg.ResourceParam[ModelParameters],
    warehouse: dg.ResourceParam[Warehouse],
    workers: dg.ResourceParam[Workers],
) -> Iterator[dg.MaterializeResult]:
    """Recompute the lists of pairs, users and films that are out of date. Others may write the warehouse meanwhile.

    One step, because the lists of a release follow from the same ratings: what came in while one of two steps computed
    would leave the other one's table behind.
    """
    watch = Stopwatch()
    wanted = [spec.key for spec in (PAIRS, USERS, SIMILAR) if spec.key in context.selected_asset_keys]
    partitioned = PAIRS.key in wanted or USERS.key in wanted
    chosen = sorted(int(key) for key in context.partition_keys) if partitioned else []
    pairs, users = (chosen if key in wanted else () for key in (PAIRS.key, USERS.key))
    asked = Asked(pairs, users, SIMILAR.key in wanted)
    done = recommend(warehouse, parameters, asked, workers, context.log.info)
    units = {"units_computed": done.computed, "units_reused": done.reused}
    now = versions_now(warehouse, parameters)
    similar = table_version(warehouse.con, "recs.similar_movies")
    versions = {PAIRS.key: now.pairs, USERS.key: now.users, SIMILAR.key: similar}
    for key, table in ((PAIRS.key, "pairs"), (USERS.key, "users"), (SIMILAR.key, "similar")):
        if key in wanted:
            metadata = table_metadata(warehouse.con, ".".join(key.path), PREVIEWS[key]) | units
            facts = done.facts.get(table)
            yield result(watch, metadata | (facts or {}), key=key, version=versions[key], changed=facts is not None)


@dg.asset(
    key=["recs", "popular_movies"],
    group_name="recs",
    kinds={"duckdb"},
    owners=OWNERS,
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
    changed = make_popular_movies(warehouse, parameters)
    preview = "SELECT list, rank, title, score FROM recs.popular_movies JOIN raw.movies USING (movie_id) LIMIT 8"
    metadata = table_metadata(warehouse.con, "recs.popular_movies", preview)
    return result(watch, metadata, version=version, changed=changed)


ASSETS = [signup_movies, recommendations, popular_movies]
