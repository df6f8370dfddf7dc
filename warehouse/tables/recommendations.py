"""Tables of recommendations: the sign-up films and the lists of their pairs, in shards; and which versions they have.

Belongs here: writing recs.signup_movies and recs.pair_recommendations from computed rows. Writers take the
connection of an open transaction. Does not belong here: the maths (`recommender`) or what they are made from
(`model_inputs`).
"""

from collections.abc import Iterable, Sequence

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.parameters import OF_LISTS, ModelParameters
from warehouse.code import code_version
from warehouse.compute.units import SHARDS, shards_of_rows
from warehouse.database import Warehouse
from warehouse.queries import insert_rows
from warehouse.schemas.definitions import create_table
from warehouse.tables.model_inputs import inputs_version, read_neighbourhood
from warehouse.tables.versions import digest, set_table_version, table_notes, table_version


def make_signup_movies(warehouse: Warehouse, parameters: ModelParameters) -> bool:
    """Rebuild recs.signup_movies; False if it was up to date.

    Raises
    ------
    StaleTableError
        If a table it is made from is not up to date.
    """
    if table_version(warehouse.con, "recs.signup_movies") == signup_version(warehouse.con, parameters):
        return False
    movie_ids = read_neighbourhood(warehouse, parameters).signup_movies()
    with warehouse.transaction() as con:
        write_signup_movies(con, movie_ids, parameters)
    return True


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


def write_pairs(
    con: duckdb.DuckDBPyConnection,
    shards: Sequence[int],
    parts: Iterable[pa.Table],
    version: str,
    parameters: ModelParameters,
) -> int:
    """Replace the rows of some shards; other shards are not touched.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    shards : sequence of int
    parts : iterable of pyarrow.Table
        All rows of these shards.
    version : str
        What they were made from.
    parameters : ModelParameters

    Returns
    -------
    int
        Rows written.
    """
    if len(set(shards)) == SHARDS:
        # Not "AS FROM ... LIMIT 0": after a large insert, DuckDB 2.0.0 then finds no rows when asked to ORDER BY.
        con.execute(create_table("recs.pair_recommendations"))
    else:
        con.execute(
            "DELETE FROM recs.pair_recommendations WHERE list_contains($shards, movie_a % $all)",
            {"shards": list(shards), "all": SHARDS},
        )
    rows_of = dict.fromkeys(shards, 0)
    for part in parts:
        insert_rows(con, "recs.pair_recommendations", part)
        for shard, count in zip(*np.unique(shards_of_rows("pairs", part), return_counts=True), strict=True):
            rows_of[int(shard)] += int(count)
    for shard, count in rows_of.items():
        set_table_version(con, shard_name(shard), version, count, {"parameters": parameters.model_dump()})
    return sum(rows_of.values())
