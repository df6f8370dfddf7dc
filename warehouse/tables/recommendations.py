"""Tables of recommendations: the sign-up films and the lists of their pairs, in shards; and which versions they have.

Belongs here: writing recs.signup_movies and recs.pair_recommendations from the recommender's arrays. Writers take the
connection of an open transaction. Does not belong here: the maths (`recommender`) or what they are made from
(`model_inputs`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.pairs import PairRecommendations
from recommender.parameters import OF_LISTS, ModelParameters
from warehouse.queries import insert_rows
from warehouse.schemas.definitions import create_table
from warehouse.tables.model_inputs import inputs_version
from warehouse.tables.versions import code_version, digest, set_table_version, table_notes, table_version

PAIR_COLUMNS = ("movie_a", "movie_b", "rank", "movie_id", "score", "votes")

SHARDS = 16
"""Partitions of recs.pair_recommendations: a pair is in shard ``movie_a % SHARDS``. As many as there are buckets of
users: assets that one job makes have the same partitions."""


def signup_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> str:
    """Version that recs.signup_movies has when it is up to date."""
    return digest("signup", inputs_version(con, parameters), parameters.top_movies)


def write_signup_movies(
    con: duckdb.DuckDBPyConnection, movie_ids: NDArray[np.int32], parameters: ModelParameters
) -> int:
    """Replace recs.signup_movies with these films, most liked first; return its rows."""
    con.execute("DELETE FROM recs.signup_movies")
    con.register(
        "incoming", pa.table({"position": np.arange(1, len(movie_ids) + 1, dtype=np.int32), "movie_id": movie_ids})
    )
    con.execute(
        "INSERT INTO recs.signup_movies SELECT position, movie_id, likes FROM incoming JOIN model.film_likes "
        "USING (movie_id) ORDER BY position"
    )
    con.unregister("incoming")
    set_table_version(con, "recs.signup_movies", signup_version(con, parameters), len(movie_ids))
    return len(movie_ids)


def pairs_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters, model_version: str) -> str:
    """Version that every shard of recs.pair_recommendations has when it is up to date.

    The index matters only to the engine that asks it; the exact engine's answer does not depend on the last retrain.
    """
    index = model_version if parameters.engine == "annoy" else None
    values = parameters.model_dump(exclude=OF_LISTS)
    return digest("pairs", signup_version(con, parameters), values, index, code_version())


def stale_shards(con: duckdb.DuckDBPyConnection, version: str, shards: Iterable[int]) -> list[int]:
    """Those of the shards that were not made from this version of the inputs."""
    return [shard for shard in shards if table_version(con, shard_name(shard)) != version]


def changed_parameters(con: duckdb.DuckDBPyConnection, shards: Iterable[int], parameters: ModelParameters) -> list[str]:
    """Parameters that differ from those some of the shards were made with, each with both values."""
    changes: dict[str, None] = {}
    for shard in shards:
        before = table_notes(con, shard_name(shard)).get("parameters", {})
        for name, now in parameters.model_dump(exclude=OF_LISTS).items():
            if before.get(name, now) != now:
                changes[f"{name} {before[name]} -> {now}"] = None
    return list(changes)


def shard_name(shard: int) -> str:
    """Name under which the version of a shard is recorded."""
    return f"recs.pair_recommendations/{shard}"


def shard_movies(con: duckdb.DuckDBPyConnection, shards: Sequence[int]) -> NDArray[np.int32]:
    """Sign-up films whose pairs (as the smaller movie_id) belong to these shards; int32, ascending."""
    found = con.execute(
        "SELECT movie_id FROM recs.signup_movies WHERE list_contains($shards, movie_id % $all) ORDER BY movie_id",
        {"shards": list(shards), "all": SHARDS},
    ).fetchnumpy()
    return np.asarray(found["movie_id"], dtype=np.int32)


def write_pairs(
    con: duckdb.DuckDBPyConnection,
    shards: Sequence[int],
    chunks: Iterable[PairRecommendations],
    version: str,
    parameters: ModelParameters,
) -> dict[str, Any]:
    """Replace the rows of some shards; other shards are not touched.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    shards : sequence of int
    chunks : iterable of PairRecommendations
        All pairs of these shards, sorted.
    version : str
        What they were made from.
    parameters : ModelParameters

    Returns
    -------
    dict
        ``rows``, ``pairs``, ``short_lists`` (pairs with fewer than per_pair films, because all neighbours allowed
        like no more) and ``most_neighbours`` (how many voted for a pair at most).
    """
    summary = {"rows": 0, "pairs": 0, "short_lists": 0, "most_neighbours": 0}
    if len(set(shards)) == SHARDS:
        # Not "AS FROM ... LIMIT 0": after a large insert, DuckDB 2.0.0 then finds no rows when asked to ORDER BY.
        con.execute(create_table("recs.pair_recommendations"))
    else:
        con.execute(
            "DELETE FROM recs.pair_recommendations WHERE list_contains($shards, movie_a % $all)",
            {"shards": list(shards), "all": SHARDS},
        )
    rows_of = dict.fromkeys(shards, 0)
    for chunk in chunks:
        incoming = pa.table({name: getattr(chunk, name) for name in PAIR_COLUMNS})
        insert_rows(con, "recs.pair_recommendations", incoming)
        summary["rows"] += len(chunk.rank)
        summary["pairs"] += len(chunk.pair_a)
        summary["short_lists"] += int((chunk.films_found < parameters.per_pair).sum())
        if len(chunk.pair_a):
            summary["most_neighbours"] = max(summary["most_neighbours"], int(chunk.neighbours_used.max()))
        for shard, count in zip(*np.unique(chunk.movie_a % SHARDS, return_counts=True), strict=True):
            rows_of[int(shard)] += int(count)
    for shard, count in rows_of.items():
        set_table_version(con, shard_name(shard), version, count, {"parameters": parameters.model_dump()})
    return summary
