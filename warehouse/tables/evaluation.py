"""The evaluation's data: ratings and films for it out of the raw tables, its measurements into a table and back.

Belongs here: transfer between DuckDB and `recommender.evaluation.evaluate`, and what the table follows from. Does not
belong here: how users are held out and what is measured, or what a bad measurement leads to (`checks.release.quality`).
"""

from collections.abc import Iterable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from recommender.data.catalogue import Catalogue, make_catalogue
from recommender.errors import MarqueeError
from recommender.evaluation.evaluate import CURRENT, NIGHTLY_CASES, Measurement, by_model, evaluate
from recommender.evaluation.splits import LIKED, Ratings
from recommender.parameters import ModelParameters
from warehouse.code import code_version
from warehouse.queries import count_rows, insert_rows
from warehouse.tables.versions import digest, set_table_version, table_notes, table_version

TABLE = "model.evaluation"

NIGHTLY = 2_500_000
"""Likes at most that every retrain measures on; from larger data it takes some users, always the same."""

WITHOUT_EFFECT = {"engine", "per_pair", "per_user", "per_movie", "genome_source"}
"""Parameters on which measurements do not depend: the exact engine is asked for ten films. (Nor do those of Annoy.)"""


class NothingToEvaluateError(MarqueeError):
    """The home holds no ratings or no film vectors; the message says what to do."""


def read_ratings(
    con: duckdb.DuckDBPyConnection, least: float, most: int | None = None, *, schema: str = "raw"
) -> Ratings:
    """Ratings of at least so many stars, by user and film.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
    schema : str
        ``raw`` in the working database, ``main`` in a release.
    least : float
        Stars.
    most : int, optional
        About how many rows at most: whole users are left out. Who stays is decided by a hash of the user_id
        (multiplicative, Knuth), so that when ratings are added nearly the same users stay.

    Returns
    -------
    Ratings

    Raises
    ------
    NothingToEvaluateError
        If there are none.
    """
    counted = con.execute(f"SELECT count(*) FROM {schema}.ratings WHERE rating >= ?", [least]).fetchone()
    share = 1.0 if most is None or counted is None else min(1.0, most / max(counted[0], 1))
    rows = con.execute(
        f"SELECT user_id, movie_id, rating, CAST(epoch(rated_at) AS BIGINT) AS rated_at FROM {schema}.ratings "
        "WHERE rating >= $least AND CAST(user_id AS BIGINT) * 2654435761 % 4294967296 < $share * 4294967296 "
        "ORDER BY user_id, movie_id",
        {"least": least, "share": share},
    ).fetchnumpy()
    if len(rows["user_id"]) == 0:
        raise NothingToEvaluateError("the home holds no ratings that could be likes; load some with: marquee run")
    return Ratings(
        np.asarray(rows["user_id"], dtype=np.int32),
        np.asarray(rows["movie_id"], dtype=np.int32),
        np.asarray(rows["rating"], dtype=np.float32),
        np.asarray(rows["rated_at"], dtype=np.int64),
    )


def read_films(con: duckdb.DuckDBPyConnection, *, schema: str = "raw") -> Catalogue:
    """All films with raw vectors and like counts of 0: the evaluation counts the likes of the users it may see.

    Raises
    ------
    NothingToEvaluateError
        If no film has a vector.
    """
    if schema == "raw" and table_version(con, "raw.genome") is None:
        raise NothingToEvaluateError("the home holds no film vectors yet; make them with: marquee run")
    movie_ids = con.execute(f"SELECT movie_id FROM {schema}.movies ORDER BY movie_id").fetchnumpy()["movie_id"]
    genome = con.sql(f"SELECT movie_id, relevance FROM {schema}.genome ORDER BY movie_id").to_arrow_table()
    relevance = genome.column("relevance").combine_chunks()
    vectors = relevance.flatten().to_numpy(zero_copy_only=False).reshape(len(genome), relevance.type.list_size)
    return make_catalogue(movie_ids, np.zeros(len(movie_ids)), genome.column("movie_id").to_numpy(), vectors)


def least_stars(*parameters: ModelParameters) -> float:
    """Stars from which on ratings matter to an evaluation of these parameters."""
    return min(LIKED, *(one.like_threshold for one in parameters))


def compare_nightly(
    release: duckdb.DuckDBPyConnection, parameters: ModelParameters, live: ModelParameters
) -> list[Measurement]:
    """Measure two sets of parameters (``current`` and ``live``) on the ratings of an open release file, as above."""
    ratings = read_ratings(release, least_stars(parameters, live), NIGHTLY, schema="main")
    films = read_films(release, schema="main")
    methods = {CURRENT: by_model(parameters), "live": by_model(live)}
    return evaluate(ratings, films, parameters, methods=methods, folds=1, most=NIGHTLY_CASES)


def same_model(one: ModelParameters, other: ModelParameters) -> bool:
    """Whether measurements of the two are the same."""
    return _deciding(one.model_dump()) == _deciding(other.model_dump())


def evaluation_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> str:
    """Version that model.evaluation has when it is up to date."""
    return evaluation_of(con, table_version(con, "raw.ratings"), parameters)


def evaluation_of(con: duckdb.DuckDBPyConnection, ratings: str | None, parameters: ModelParameters) -> str:
    """Version it had when the ratings had this fingerprint; films and genome as they are."""
    raw = [ratings, *(table_version(con, table) for table in ("raw.movies", "raw.genome"))]
    return digest("evaluation", raw, _deciding(parameters.model_dump()), code_version())


def write_evaluation(
    con: duckdb.DuckDBPyConnection, parts: Iterable[pa.Table], parameters: ModelParameters, version: str
) -> int:
    """Replace model.evaluation by its rows, in parts; return how many they are. Call it inside a transaction."""
    con.execute(f"DELETE FROM {TABLE}")
    for part in parts:
        insert_rows(con, TABLE, part)
    rows = count_rows(con, TABLE)
    notes = {"parameters": _deciding(parameters.model_dump())}
    set_table_version(con, TABLE, version, rows, notes)
    return rows


def read_evaluation(con: duckdb.DuckDBPyConnection) -> list[Measurement]:
    """Read the measurements in a release file or in the working database; none from files that have no such table."""
    found = con.execute(
        "SELECT schema_name FROM duckdb_tables() WHERE table_name = 'evaluation' AND schema_name IN ('main', 'model') "
        "AND database_name = current_database()"
    ).fetchone()
    if found is None:
        return []
    rows = con.execute(f"SELECT {', '.join(Measurement.__dataclass_fields__)} FROM {found[0]}.evaluation").fetchall()
    return [Measurement(*row) for row in rows]


def evaluation_to_publish(con: duckdb.DuckDBPyConnection, parameters: dict[str, Any]) -> str:
    """Query for the measurements that belong into a release with these parameters.

    They are as of the last retrain. If that was of other parameters, the release has none rather than somebody else's.
    """
    measured = table_notes(con, TABLE).get("parameters")
    return f"FROM {TABLE} WHERE {str(measured == _deciding(parameters)).lower()}"


def _deciding(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters on which measurements depend."""
    return {k: v for k, v in values.items() if k not in WITHOUT_EFFECT and not k.startswith("annoy_")}
