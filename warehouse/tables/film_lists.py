"""Tables of lists that films have: recs.similar_movies and recs.popular_movies; and which versions they have.

Belongs here: writing them and reading them back as arrays. Writers take the connection of an open transaction. Does not
belong here: the maths of similar films (`recommender.items.similar`), lists of users (`user_lists`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.data.catalogue import Catalogue, positions_of
from recommender.data.likes import film_positions
from recommender.data.weights import SCORE_ONE
from recommender.parameters import ModelParameters
from warehouse.code import code_version
from warehouse.database import Warehouse
from warehouse.queries import count_rows, insert_rows
from warehouse.schemas.definitions import create_table
from warehouse.sql import sql
from warehouse.tables.versions import digest, set_table_version, table_notes, table_version

SIMILAR = "recs.similar_movies"
POPULAR = "recs.popular_movies"


def similar_base(con: duckdb.DuckDBPyConnection, items_hash: str, parameters: ModelParameters) -> str:
    """What similar films follow from besides the likes as they were when the lists were made.

    The item model is in it: lists are made once for each retrain, and carried over by the refreshes until the next one.
    Nothing a user does in a day changes what a film is like, and 15 s of a processor every hour would.
    """
    values = (parameters.per_movie, parameters.like_threshold, parameters.voter_exponent, parameters.weighting)
    return digest("similar", items_hash, table_version(con, "raw.genome"), values, code_version())


def similar_is_stale(con: duckdb.DuckDBPyConnection, base: str) -> bool:
    """Whether recs.similar_movies is not of this base."""
    return table_notes(con, SIMILAR).get("base") != base


def similar_inputs(con: duckdb.DuckDBPyConnection) -> str:
    """Version of the likes that recs.similar_movies was made from."""
    return str(table_notes(con, SIMILAR).get("inputs"))


def popular_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> str:
    """Version that recs.popular_movies has when it is up to date."""
    raw = [table_version(con, table) for table in ("raw.ratings", "raw.movies")]
    return digest("popular", raw, parameters.like_threshold, code_version())


def make_popular_movies(warehouse: Warehouse, parameters: ModelParameters) -> bool:
    """Rebuild recs.popular_movies; False if it was up to date."""
    if table_version(warehouse.con, POPULAR) == popular_version(warehouse.con, parameters):
        return False
    with warehouse.transaction() as con:
        write_popular_movies(con, parameters)
    return True


def similar_version(base: str, inputs: str) -> str:
    """Version of recs.similar_movies, of its base and the version of the likes it was made from."""
    return digest(base, inputs)


def write_similar_movies(con: duckdb.DuckDBPyConnection, parts: Iterable[pa.Table], base: str, inputs: str) -> int:
    """Replace recs.similar_movies by all its rows, in parts; return how many they are.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    parts : iterable of pyarrow.Table
    base, inputs : str
        What they were made from: `similar_base`, and the version of the likes.
    """
    con.execute(create_table(SIMILAR))
    for part in parts:
        insert_rows(con, SIMILAR, part)
    rows = count_rows(con, SIMILAR)
    set_table_version(con, SIMILAR, similar_version(base, inputs), rows, {"base": base, "inputs": inputs})
    return rows


def arrays_of_lists(
    rows: Mapping[str, Any], owners: NDArray[np.integer], name: str, catalogue: Catalogue, shape: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Bring rows of lists into arrays: `compute.units.rows_of_lists` turned around.

    Parameters
    ----------
    rows : mapping of str to array, shape (rows,)
        ``rank``, ``score`` and, under that name, the movie_ids on the lists; in any order.
    owners : integer array, shape (rows,)
        Which list each row belongs to.
    name : str
    catalogue : Catalogue
    shape : (int, int)
        Lists and places.

    Returns
    -------
    int32 array, and int32 array of that shape
        Catalogue positions and scores in units of 1 / `SCORE_ONE`; -1 and 0 where a list has no such place.
    """
    films, scores = np.full(shape, -1, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    at = owners, np.asarray(rows["rank"]) - 1
    films[at] = film_positions(np.asarray(rows[name]), catalogue)
    scores[at] = np.rint(np.asarray(rows["score"]) * SCORE_ONE)
    return films, scores


def write_popular_movies(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> int:
    """Replace recs.popular_movies; return its rows."""
    con.execute(f"DELETE FROM {POPULAR}")
    con.execute(f"INSERT INTO {POPULAR} {sql('popular_movies')}", {"threshold": parameters.like_threshold})
    rows = count_rows(con, POPULAR)
    set_table_version(con, POPULAR, popular_version(con, parameters), rows)
    return rows


def read_similar_movies(
    con: duckdb.DuckDBPyConnection, catalogue: Catalogue, places: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Read recs.similar_movies as arrays: positions and scores, int32, shape (films, places), -1 and 0 where empty."""
    rows = con.execute(f"SELECT movie_id, rank, similar_id, score FROM {SIMILAR}").fetchnumpy()
    owners = film_positions(np.asarray(rows["movie_id"]), catalogue)
    return arrays_of_lists(rows, owners, "similar_id", catalogue, (len(catalogue.movie_ids), places))


def read_popular_movies(
    con: duckdb.DuckDBPyConnection, catalogue: Catalogue
) -> dict[str, tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """Read recs.popular_movies: by list, catalogue positions in order, and likes counted."""
    rows = con.execute(f"SELECT list, movie_id, score FROM {POPULAR} ORDER BY list, rank").fetchall()
    found: dict[str, tuple[list[int], list[float]]] = {}
    for name, movie_id, score in rows:
        movies, counts = found.setdefault(name, ([], []))
        movies.append(movie_id)
        counts.append(score)
    return {
        name: (positions_of(catalogue.movie_ids, movies), np.array(counts, dtype=np.int64))
        for name, (movies, counts) in found.items()
    }
