"""recs.user_recommendations: the lists of existing users, in buckets; who of them needs a new one; what users rated.

Belongs here: writing lists bucket by bucket, or of the users whose ratings have changed alone, and reading them back as
arrays. Writers take the connection of an open transaction. Does not belong here: the maths (`recommender.items`).

A list follows from the item model and the user's own ratings, from nothing else. So a bucket has a *base*, a hash of
the model and the parameters. As long as that is the same, only users whose ratings have another fingerprint than in
recs.user_states get new lists, and the others would get the same again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.likes import Likes, film_positions
from recommender.data.rated import Rated, make_rated
from recommender.items.model import ItemModel
from recommender.items.ranking import rank_users
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.queries import insert_rows
from warehouse.schemas.definitions import create_table
from warehouse.tables.film_lists import arrays_of_lists, rows_of_lists
from warehouse.tables.recommendations import SHARDS
from warehouse.tables.versions import code_version, digest, set_table_version, table_notes, table_version

TABLE = "recs.user_recommendations"
STATES = "recs.user_states"

BUCKETS = SHARDS
"""Partitions of recs.user_recommendations."""

BUCKET = f"(user_id::BIGINT * 2654435761 % 4294967296 * {BUCKETS} // 4294967296)"
"""SQL: bucket of a user, by a multiplicative hash of the user_id (Knuth)."""

AT_ONCE = 65_536
"""Users whose lists are made and written at a time: 3.3 million rows."""


@dataclass(frozen=True)
class ChangedUsers:
    """Users whose lists are to be replaced, and the buckets that are replaced as a whole."""

    buckets: list[int]
    user_ids: NDArray[np.int32]


def users_base(items_hash: str, parameters: ModelParameters) -> str:
    """What all lists follow from besides each user's ratings."""
    values = (parameters.per_user, parameters.min_likes, parameters.like_threshold)
    return digest("users", items_hash, values, code_version())


def users_version(con: duckdb.DuckDBPyConnection, base: str) -> str:
    """Version that every bucket of recs.user_recommendations has when it is up to date."""
    return digest(base, [table_version(con, table) for table in ("raw.ratings", "raw.movies")])


def bucket_name(bucket: int) -> str:
    """Name under which the version of a bucket is recorded."""
    return f"{TABLE}/{bucket}"


def stale_buckets(con: duckdb.DuckDBPyConnection, version: str, buckets: Iterable[int]) -> list[int]:
    """Those of the buckets that were not made from this version of the inputs."""
    return [bucket for bucket in buckets if table_version(con, bucket_name(bucket)) != version]


def read_rated(warehouse: Warehouse, catalogue: Catalogue) -> Rated:
    """Read which films every user has rated; kept for the next step of the same run."""
    con = warehouse.con
    version = digest(table_version(con, "raw.ratings"), digest(catalogue.movie_ids.tolist()))

    def read() -> Rated:
        rows = con.execute("SELECT user_id, movie_id FROM raw.ratings").fetchnumpy()
        return make_rated(np.asarray(rows["user_id"]), film_positions(np.asarray(rows.pop("movie_id")), catalogue))

    found = warehouse.keep("rated", version, read)
    assert isinstance(found, Rated)
    return found


def changed_users(
    con: duckdb.DuckDBPyConnection, buckets: Sequence[int], base: str, parameters: ModelParameters
) -> ChangedUsers:
    """Compare the users of some buckets with what their lists were made from, and note what they are made from now.

    Returns
    -------
    ChangedUsers
        Buckets of another base, with all their users; of the others, users who are new, gone or have other ratings.
    """
    whole = [bucket for bucket in buckets if table_notes(con, bucket_name(bucket)).get("base") != base]
    given = {"buckets": list(buckets), "threshold": parameters.like_threshold}
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE states AS SELECT user_id, "
        "CAST(bit_xor(hash(movie_id, rating >= $threshold)) >> 1 AS BIGINT) AS fingerprint FROM raw.ratings "
        f"WHERE list_contains($buckets, {BUCKET}) GROUP BY user_id",
        given,
    )
    found = con.execute(
        f"SELECT user_id FROM states WHERE list_contains($whole, {BUCKET}) UNION "
        "SELECT coalesce(now.user_id, before.user_id) FROM states AS now FULL JOIN "
        f"(FROM {STATES} WHERE list_contains($buckets, {BUCKET})) AS before USING (user_id) "
        "WHERE now.fingerprint IS DISTINCT FROM before.fingerprint ORDER BY 1",
        {"whole": whole, "buckets": list(buckets)},
    ).fetchnumpy()
    con.execute(f"DELETE FROM {STATES} WHERE list_contains($buckets, {BUCKET})", {"buckets": list(buckets)})
    con.execute(f"INSERT INTO {STATES} SELECT user_id, fingerprint FROM states ORDER BY user_id")
    con.execute("DROP TABLE states")
    return ChangedUsers(whole, np.asarray(found["user_id"], dtype=np.int32))


def write_users(
    con: duckdb.DuckDBPyConnection,
    buckets: Sequence[int],
    base: str,
    items: ItemModel,
    likes: Likes,
    rated: Rated,
    movie_ids: NDArray[np.int32],
    parameters: ModelParameters,
) -> dict[str, Any]:
    """Bring some buckets up to date; others are not touched.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    buckets : sequence of int
    base : str
        `users_base`.
    items, likes, rated : ItemModel, Likes, Rated
    movie_ids : int32 array, shape (films,)
        In catalogue order.
    parameters : ModelParameters

    Returns
    -------
    dict
        ``users_computed`` (how many lists were made), ``buckets_replaced`` (as a whole).
    """
    changed = changed_users(con, buckets, base, parameters)
    _delete(con, changed)
    eligible = np.diff(likes.indptr) >= parameters.min_likes
    users = np.flatnonzero(eligible & np.isin(likes.user_ids, changed.user_ids))
    for low in range(0, len(users), AT_ONCE):
        chosen = users[low : low + AT_ONCE]
        films, scores = rank_users(items, likes, rated, chosen, parameters.per_user)
        lengths = (films >= 0).sum(axis=1)
        rows = {"user_id": np.repeat(likes.user_ids[chosen], lengths)} | rows_of_lists(
            movie_ids, films, scores, "movie_id"
        )
        insert_rows(con, TABLE, pa.table(rows))
    _record(con, buckets, base)
    return {"users_computed": len(users), "buckets_replaced": len(changed.buckets)}


def _delete(con: duckdb.DuckDBPyConnection, changed: ChangedUsers) -> None:
    """Delete the lists that are to be replaced."""
    if len(changed.buckets) == BUCKETS:
        con.execute(create_table(TABLE))
        return
    con.register("incoming", pa.table({"user_id": changed.user_ids}))
    con.execute(
        f"DELETE FROM {TABLE} WHERE user_id IN (SELECT user_id FROM incoming) OR list_contains($whole, {BUCKET})",
        {"whole": changed.buckets},
    )
    con.unregister("incoming")


def _record(con: duckdb.DuckDBPyConnection, buckets: Sequence[int], base: str) -> None:
    rows = dict(con.execute(f"SELECT {BUCKET}, count(*) FROM {TABLE} GROUP BY 1").fetchall())
    version = users_version(con, base)
    for bucket in buckets:
        set_table_version(con, bucket_name(bucket), version, rows.get(bucket, 0), {"base": base})


def read_user_lists(
    con: duckdb.DuckDBPyConnection, likes: Likes, catalogue: Catalogue, places: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Read recs.user_recommendations as arrays: int32, shape (users, places), -1 and 0 if empty."""
    rows = con.execute(f"SELECT user_id, rank, movie_id, score FROM {TABLE}").fetchnumpy()
    owners = np.searchsorted(likes.user_ids, rows["user_id"])
    return arrays_of_lists(rows, owners, "movie_id", catalogue, (len(likes.user_ids), places))
