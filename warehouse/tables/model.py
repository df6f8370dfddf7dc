"""Tables derived from the raw ones: likes, user vectors, the index registry, sign-up films and pair recommendations.

Belongs here: SQL and array transfer between DuckDB and the maths; which versions a table follows from. Does not belong
here: the maths itself (`recommender`). Writers take the connection of an open transaction.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, make_catalogue, weighted_catalogue
from recommender.data.likes import Likes, likes_from_pairs
from recommender.data.model_data import Neighbourhood, make_neighbourhood
from recommender.errors import MarqueeError
from recommender.pairs import PairRecommendations
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.schemas.definitions import WORKING_TABLES
from warehouse.tables.versions import code_version, digest, set_table_version, table_version

PAIR_COLUMNS = ("movie_a", "movie_b", "rank", "movie_id", "votes")

SHARDS = 8
"""Partitions of recs.pair_recommendations: a pair is in shard ``movie_a % SHARDS``."""


class StaleTableError(MarqueeError):
    """A table was made from other inputs than this run has; the message names it and the asset to materialize."""


def require(con: duckdb.DuckDBPyConnection, table: str, version: str, remedy: str) -> None:
    """Raise unless a table is of the version expected.

    Raises
    ------
    StaleTableError
    """
    found = table_version(con, table)
    if found != version:
        state = "empty" if found is None else "out of date: its ratings, genome or parameters have changed since"
        raise StaleTableError(f"{table} is {state}; {remedy}")


def likes_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> str:
    """Version that model.likes has when it is up to date with the ratings as they are now."""
    return digest("likes", table_version(con, "raw.ratings"), parameters.like_threshold)


def make_likes(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> bool:
    """Rebuild model.likes from the ratings; False if it was up to date."""
    version = likes_version(con, parameters)
    if table_version(con, "model.likes") == version:
        return False
    con.execute("CREATE OR REPLACE TABLE model.likes (user_id INTEGER, movie_id INTEGER)")
    con.execute(
        "INSERT INTO model.likes SELECT user_id, movie_id FROM raw.ratings WHERE rating >= $threshold "
        "ORDER BY user_id, movie_id",
        {"threshold": parameters.like_threshold},
    )
    set_table_version(con, "model.likes", version, _count(con, "model.likes"))
    return True


def make_film_likes(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> bool:
    """Count likes per film, films nobody likes included with 0; False if it was up to date."""
    likes = likes_version(con, parameters)
    require(con, "model.likes", likes, "materialize model/likes")
    version = digest("film_likes", likes, table_version(con, "raw.movies"))
    if table_version(con, "model.film_likes") == version:
        return False
    con.execute("DELETE FROM model.film_likes")
    con.execute(
        """
        INSERT INTO model.film_likes
        SELECT movie_id, CAST(coalesce(likes, 0) AS INTEGER)
        FROM raw.movies LEFT JOIN (SELECT movie_id, count(*) AS likes FROM model.likes GROUP BY 1) USING (movie_id)
        ORDER BY movie_id
        """
    )
    set_table_version(con, "model.film_likes", version, _count(con, "model.film_likes"))
    return True


def inputs_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> str:
    """Version of everything the recommender reads: likes, films and genome, all of them up to date.

    Raises
    ------
    StaleTableError
        If one of them is not.
    """
    likes = likes_version(con, parameters)
    remedy = "run the job retrain_model, or marquee run"
    require(con, "model.likes", likes, remedy)
    require(con, "model.film_likes", digest("film_likes", likes, table_version(con, "raw.movies")), remedy)
    genome = table_version(con, "raw.genome")
    if genome is None:
        raise StaleTableError(f"raw.genome is empty; {remedy}")
    return digest("inputs", likes, table_version(con, "raw.movies"), genome)


def read_neighbourhood(warehouse: Warehouse, parameters: ModelParameters) -> Neighbourhood:
    """Read likes, films and genome into arrays and encode the users; kept for the next step of the same run.

    Raises
    ------
    StaleTableError
        If a table is not up to date.
    """
    version = digest(inputs_version(warehouse.con, parameters), parameters.model_dump())

    def read() -> Neighbourhood:
        catalogue = weighted_catalogue(read_catalogue(warehouse.con), parameters)
        return make_neighbourhood(read_likes(warehouse.con, catalogue), catalogue, parameters)

    found = warehouse.keep("neighbourhood", version, read)
    assert isinstance(found, Neighbourhood)
    return found


def read_catalogue(con: duckdb.DuckDBPyConnection) -> Catalogue:
    """Films with their like counts and raw vectors (before weighting)."""
    films = con.execute("SELECT movie_id, likes FROM model.film_likes ORDER BY movie_id").fetchnumpy()
    genome = con.sql("SELECT movie_id, relevance FROM raw.genome ORDER BY movie_id").to_arrow_table()
    relevance = genome.column("relevance").combine_chunks()
    width = relevance.type.list_size
    vectors = relevance.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return make_catalogue(films["movie_id"], films["likes"], genome.column("movie_id").to_numpy(), vectors)


def read_likes(con: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> Likes:
    """Likes as lists of catalogue positions per user."""
    pairs = con.execute("SELECT user_id, movie_id FROM model.likes").fetchnumpy()
    return likes_from_pairs(pairs["user_id"], pairs["movie_id"], catalogue)


@dataclass(frozen=True)
class UserVectorBlock:
    """Unit vectors of consecutive users: user_ids int32 (n,), vectors float32 (n, tags), two int32 (n,) counts."""

    user_ids: NDArray[np.int32]
    vectors: NDArray[np.float32]
    likes: NDArray[np.int32]
    likes_with_vector: NDArray[np.int32]


def write_user_vectors(con: duckdb.DuckDBPyConnection, blocks: Iterable[UserVectorBlock], width: int) -> int:
    """Replace model.user_vectors, streaming the blocks through one statement; return its rows.

    The vectors are stored uncompressed: they do not compress (a fiftieth is saved), and trying takes half the time.
    """
    con.execute(
        f"CREATE OR REPLACE TABLE model.user_vectors (user_id INTEGER, vector FLOAT[{width}], likes INTEGER, "
        "likes_with_vector INTEGER)"
    )
    schema = pa.schema(
        [
            ("user_id", pa.int32()),
            ("vector", pa.list_(pa.float32(), width)),
            ("likes", pa.int32()),
            ("likes_with_vector", pa.int32()),
        ]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for block in blocks:
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.vectors.reshape(-1)), width)
            arrays = [pa.array(block.user_ids), vectors, pa.array(block.likes), pa.array(block.likes_with_vector)]
            yield pa.record_batch(arrays, schema=schema)

    con.register("incoming", pa.RecordBatchReader.from_batches(schema, batches()))
    con.execute("SET force_compression = 'uncompressed'")
    try:
        con.execute("INSERT INTO model.user_vectors SELECT * FROM incoming")
    finally:
        con.execute("RESET force_compression")
        con.unregister("incoming")
    return _count(con, "model.user_vectors")


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
    values = parameters.model_dump()
    return digest("pairs", signup_version(con, parameters), values, index, code_version())


def stale_shards(con: duckdb.DuckDBPyConnection, version: str, shards: Iterable[int]) -> list[int]:
    """Those of the shards that were not made from this version of the inputs."""
    return [shard for shard in shards if table_version(con, shard_name(shard)) != version]


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
        columns = WORKING_TABLES["recs.pair_recommendations"]
        con.execute(f"CREATE OR REPLACE TABLE recs.pair_recommendations ({columns})")
    else:
        con.execute(
            "DELETE FROM recs.pair_recommendations WHERE list_contains($shards, movie_a % $all)",
            {"shards": list(shards), "all": SHARDS},
        )
    rows_of = dict.fromkeys(shards, 0)
    for chunk in chunks:
        incoming = pa.table({name: getattr(chunk, name) for name in PAIR_COLUMNS})
        con.register("incoming", incoming)
        con.execute("INSERT INTO recs.pair_recommendations SELECT * FROM incoming")
        con.unregister("incoming")
        summary["rows"] += len(chunk.rank)
        summary["pairs"] += len(chunk.pair_a)
        summary["short_lists"] += int((chunk.films_found < parameters.per_pair).sum())
        if len(chunk.pair_a):
            summary["most_neighbours"] = max(summary["most_neighbours"], int(chunk.neighbours_used.max()))
        for shard, count in zip(*np.unique(chunk.movie_a % SHARDS, return_counts=True), strict=True):
            rows_of[int(shard)] += int(count)
    for shard, count in rows_of.items():
        set_table_version(con, shard_name(shard), version, count)
    return summary


def pairs_row_count(con: duckdb.DuckDBPyConnection) -> int:
    """Rows of recs.pair_recommendations."""
    return _count(con, "recs.pair_recommendations")


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])
