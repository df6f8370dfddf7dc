"""Models of the recs tables: what is recommended."""

from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl

from warehouse.schemas.table import INT32_MAX, Table, count_field, id_field, rows_hold, text_field


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


class UserRecommendations(Table):
    """One row per user with at least `min_likes` likes and rank: films for the user, none of which is already rated."""

    user_id: pl.Int32 = id_field("The user.")
    rank: pl.Int16 = pa.Field(ge=1, le=1000, description="Place in the list, from 1.")
    movie_id: pl.Int32 = id_field("The recommended film.")
    score: pl.Float64 = pa.Field(
        ge=0,
        le=1e6,
        description="What decides its place: the sum over the films the user likes of what liking each says about this "
        "film; a whole number of millionths. 0: none of them says anything, and it is there because many like it.",
    )

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["user_id", "rank"]
        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class UserStates(Table):
    """One row per user who rated anything: the ratings that the user's list was made from."""

    user_id: pl.Int32 = id_field("The user.", unique=True)
    fingerprint: pl.Int64 = pa.Field(
        ge=0, description="Hash of the films the user rated and of which of them the user likes."
    )


class SimilarMovies(Table):
    """One row per film with a vector or five likes and rank: a film that is like it."""

    movie_id: pl.Int32 = id_field("The film.")
    rank: pl.Int16 = pa.Field(ge=1, le=1000, description="Place in the list, from 1.")
    similar_id: pl.Int32 = id_field("The similar film.")
    score: pl.Float64 = pa.Field(
        ge=1e-6,
        le=1e6,
        description="What decides its place: how often the film's users like it too, over a power of its popularity, "
        "in the light of the tags of both; a whole number of millionths.",
    )

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["movie_id", "rank"]
        metadata: ClassVar = {
            "foreign_keys": {"movie_id": "raw.movies.movie_id", "similar_id": "raw.movies.movie_id"},
            "rows": {"no film is similar to itself": "movie_id <> similar_id"},
        }

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return rows_hold(cls, data)  # type: ignore[arg-type]


class PopularMovies(Table):
    """One row per list and rank: the most liked films, for everybody of whom nothing is known."""

    list: pl.String = text_field(
        "all; recent (the 90 days up to the newest rating); genre:<genre>; decade:<its first year>."
    )
    rank: pl.Int16 = pa.Field(ge=1, le=100, description="Place in the list, from 1.")
    movie_id: pl.Int32 = id_field("The film.")
    score: pl.Float64 = pa.Field(ge=1, le=INT32_MAX, description="Likes counted, all or those of that time.")

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["list", "rank"]
        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}
