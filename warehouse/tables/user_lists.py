"""recs.user_recommendations: the lists of existing users, in buckets; who of them needs a new one; what users rated.

Belongs here: who needs a list, writing lists of whole buckets or of the users whose ratings have changed alone, and
reading them back as arrays. Writers take the connection of an open transaction. Does not belong here: the maths
(`recommender.items`).

A list follows from the item model and the user's own ratings, from nothing else. So a bucket has a *base*, a hash of
the model and the parameters. As long as that is the same, only users whose ratings have another fingerprint than in
recs.user_states get new lists, and the others would get the same again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue
from recommender.data.likes import Likes, film_positions
from recommender.data.rated import Rated, make_rated
from recommender.parameters import ModelParameters
from warehouse.code import code_version
from warehouse.compute.units import SHARDS
from warehouse.database import Warehouse
from warehouse.queries import insert_rows
from warehouse.schemas.definitions import create_table
from warehouse.tables.film_lists import arrays_of_lists
from warehouse.tables.versions import digest, set_table_version, table_notes, table_version

TABLE = "recs.user_recommendations"
STATES = "recs.user_states"

BUCKETS = SHARDS
"""Partitions of recs.user_recommendations."""

BUCKET = f"(user_id::BIGINT * 2654435761 % 4294967296 * {BUCKETS} // 4294967296)"
"""SQL: bucket of a user, as `compute.units.bucket_of`."""


@dataclass(frozen=True)
class ChangedUsers:
    """Users whose lists are to be replaced, the buckets that are replaced as a whole, and what all follow from now.

    Attributes
    ----------
    buckets : list of int
        Those compared.
    whole : list of int
        Those of them that are replaced as a whole.
    user_ids : int32 array
        Ascending.
    states : pyarrow.Table
        The rows of recs.user_states of the buckets, as they are to be.
    """

    buckets: list[int]
    whole: list[int]
    user_ids: NDArray[np.int32]
    states: pa.Table

    def to_list(self, likes: Likes, parameters: ModelParameters) -> NDArray[np.int64]:
        """User indices of those of them who get a list: with `min_likes` likes; ascending."""
        eligible = np.diff(likes.indptr) >= parameters.min_likes
        return np.flatnonzero(eligible & np.isin(likes.user_ids, self.user_ids))


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
    """Compare the users of some buckets with what their lists were made from.

    Returns
    -------
    ChangedUsers
        Buckets of another base, with all their users; of the others, users who are new, gone or have other ratings.
    """
    whole = [bucket for bucket in buckets if table_notes(con, bucket_name(bucket)).get("base") != base]
    given = {"buckets": list(buckets), "threshold": parameters.like_threshold}
    rows = con.execute(
        "SELECT user_id, CAST(bit_xor(hash(movie_id, rating >= $threshold)) >> 1 AS BIGINT) AS fingerprint "
        f"FROM raw.ratings WHERE list_contains($buckets, {BUCKET}) GROUP BY user_id ORDER BY user_id",
        given,
    ).fetchnumpy()
    states = pa.table({name: np.asarray(column) for name, column in rows.items()})
    con.register("incoming", states)
    found = con.execute(
        f"SELECT user_id FROM incoming WHERE list_contains($whole, {BUCKET}) UNION "
        "SELECT coalesce(now.user_id, before.user_id) FROM incoming AS now FULL JOIN "
        f"(FROM {STATES} WHERE list_contains($buckets, {BUCKET})) AS before USING (user_id) "
        "WHERE now.fingerprint IS DISTINCT FROM before.fingerprint ORDER BY 1",
        {"whole": whole, "buckets": list(buckets)},
    ).fetchnumpy()
    con.unregister("incoming")
    return ChangedUsers(list(buckets), whole, np.asarray(found["user_id"], dtype=np.int32), states)


def write_users(con: duckdb.DuckDBPyConnection, changed: ChangedUsers, base: str, parts: Iterable[pa.Table]) -> None:
    """Bring the buckets that were compared up to date; others are not touched.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    changed : ChangedUsers
    base : str
        `users_base`.
    parts : iterable of pyarrow.Table
        The lists of those who get one.
    """
    _delete(con, changed)
    for part in parts:
        insert_rows(con, TABLE, part)
    con.execute(f"DELETE FROM {STATES} WHERE list_contains($buckets, {BUCKET})", {"buckets": changed.buckets})
    insert_rows(con, STATES, changed.states)
    _record(con, changed.buckets, base)


def _delete(con: duckdb.DuckDBPyConnection, changed: ChangedUsers) -> None:
    """Delete the lists that are to be replaced."""
    if len(changed.whole) == BUCKETS:
        con.execute(create_table(TABLE))
        return
    con.register("incoming", pa.table({"user_id": changed.user_ids}))
    con.execute(
        f"DELETE FROM {TABLE} WHERE user_id IN (SELECT user_id FROM incoming) OR list_contains($whole, {BUCKET})",
        {"whole": changed.whole},
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
