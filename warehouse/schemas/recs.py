"""Models of the recs tables: what is recommended."""

from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl

from warehouse.schemas.table import Table, count_field, id_field, rows_hold


class SignupMovies(Table):
    """One row per film a new user can choose, most liked first."""

    position: pl.Int32 = id_field("Place in the list, from 1.", unique=True)
    movie_id: pl.Int32 = id_field("The film.", unique=True)
    likes: pl.Int32 = id_field("Users who like it.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class PairRecommendations(Table):
    """One row per pair of sign-up films and rank: what is recommended to somebody who likes both."""

    movie_a: pl.Int32 = id_field("The pair's film with the smaller movie_id.")
    movie_b: pl.Int32 = id_field("The other one.")
    rank: pl.Int16 = pa.Field(ge=1, le=1000, description="Place in the list, from 1.")
    movie_id: pl.Int32 = id_field("The recommended film.")
    score: pl.Float64 = pa.Field(
        ge=1e-6,
        le=1e6,
        description="What decides its place: weighted votes and what the two films' fans like besides, divided by a "
        "power of its popularity; a whole number of millionths.",
    )
    votes: pl.Int32 = count_field("How many of the pair's neighbours like it.")

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["movie_a", "movie_b", "rank"]
        metadata: ClassVar = {
            "foreign_keys": {
                "movie_a": "recs.signup_movies.movie_id",
                "movie_b": "recs.signup_movies.movie_id",
                "movie_id": "raw.movies.movie_id",
            },
            "rows": {
                "movie_a is smaller than movie_b": "movie_a < movie_b",
                "no film is recommended to those who named it": "movie_id <> movie_a AND movie_id <> movie_b",
            },
        }

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return rows_hold(cls, data)  # type: ignore[arg-type]
