"""What the recommender reads: likes, counts of likes, the catalogue with its vectors; and which versions they have.

Belongs here: making model.likes and model.film_likes, and the transfer of likes, films and genome to the arrays of
`recommender.data`. Writers take the connection of an open transaction. Does not belong here: the maths (`recommender`),
users' vectors (`user_vectors`), what is made of all this (`recommendations`).
"""

import duckdb

from recommender.data.catalogue import Catalogue, make_catalogue, weighted_catalogue
from recommender.data.likes import Likes, likes_from_pairs
from recommender.data.model_data import Neighbourhood, make_neighbourhood
from recommender.errors import MarqueeError
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.queries import count_rows
from warehouse.schemas.definitions import create_table
from warehouse.tables.versions import digest, set_table_version, table_version


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
    return _likes_of(table_version(con, "raw.ratings"), parameters)


def _likes_of(ratings: str | None, parameters: ModelParameters) -> str:
    return digest("likes", ratings, parameters.like_threshold)


def make_likes(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> bool:
    """Rebuild model.likes from the ratings; False if it was up to date."""
    version = likes_version(con, parameters)
    if table_version(con, "model.likes") == version:
        return False
    con.execute(create_table("model.likes"))
    con.execute(
        "INSERT INTO model.likes SELECT user_id, movie_id FROM raw.ratings WHERE rating >= $threshold "
        "ORDER BY user_id, movie_id",
        {"threshold": parameters.like_threshold},
    )
    set_table_version(con, "model.likes", version, count_rows(con, "model.likes"))
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
    set_table_version(con, "model.film_likes", version, count_rows(con, "model.film_likes"))
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
    if table_version(con, "raw.genome") is None:
        raise StaleTableError(f"raw.genome is empty; {remedy}")
    return inputs_of(con, table_version(con, "raw.ratings"), parameters)


def inputs_of(con: duckdb.DuckDBPyConnection, ratings: str | None, parameters: ModelParameters) -> str:
    """Version of what the recommender read when the ratings had this fingerprint; films and genome as they are."""
    films, genome = table_version(con, "raw.movies"), table_version(con, "raw.genome")
    return digest("inputs", _likes_of(ratings, parameters), films, genome)


def neighbourhood_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> str:
    """Version of the arrays that `read_neighbourhood` returns; StaleTableError if a table is not up to date."""
    return digest(inputs_version(con, parameters), parameters.model_dump())


def read_neighbourhood(warehouse: Warehouse, parameters: ModelParameters) -> Neighbourhood:
    """Read likes, films and genome into arrays and encode the users; kept for the next step of the same run.

    Raises
    ------
    StaleTableError
        If a table is not up to date.
    """
    version = neighbourhood_version(warehouse.con, parameters)

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
