"""Models of the model tables: what a retrain makes."""

from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl

from warehouse.files import SHA256
from warehouse.home import VERSION
from warehouse.schemas.table import (
    FINGERPRINT,
    INT32_MAX,
    TAGS_WIDE,
    Table,
    id_field,
    json_field,
    matching_field,
    rows_hold,
    text_field,
    utc_field,
)


class Likes(Table):
    """One row per user and film the user likes: rated `like_threshold` stars or more."""

    user_id: pl.Int32 = id_field("The user.")
    movie_id: pl.Int32 = id_field("The film.")

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["user_id", "movie_id"]
        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class FilmLikes(Table):
    """One row per film: how many users like it."""

    movie_id: pl.Int32 = id_field("The film.", unique=True)
    likes: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Users who like it; 0 if nobody does.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class UserVectors(Table):
    """One row per user who likes something, as of the last retrain."""

    user_id: pl.Int32 = id_field("The user.", unique=True)
    vector: pl.List(pl.Float32) = pa.Field(  # type: ignore[valid-type]
        description="Sum of the liked films' vectors, scaled to length 1; zeros if none of them has one.",
        metadata={"sql": TAGS_WIDE},
    )
    likes: pl.Int32 = id_field("Films the user likes.")
    likes_with_vector: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Those of them that have a vector.")

    class Config:
        """Columns that belong together."""

        metadata: ClassVar = {"rows": {"no more films with a vector than films": "likes_with_vector <= likes"}}

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return rows_hold(cls, data)  # type: ignore[arg-type]


class AnnoyIndexes(Table):
    """One row per model version: its index and what it was made from."""

    model_version: pl.String = matching_field(VERSION, "Name of the model.", unique=True)
    file: pl.String = text_field("Path of the index below the home.")
    sha256: pl.String = matching_field(SHA256, "Hash of that file.")
    dimensions: pl.Int32 = pa.Field(ge=1, le=100_000, description="Components of the vectors in the index.")
    trees: pl.Int32 = pa.Field(ge=1, le=100_000, description="Trees.")
    seed: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Seed it was built with.")
    items: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Users in it.")
    recall: pl.Float64 = pa.Field(
        ge=0.0, le=1.0, description="Share of the true nearest 10 users found, over pairs of sign-up films."
    )
    seconds: pl.Float64 = pa.Field(ge=0.0, le=1e9, description="Time it took to build.")
    created_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    content_hash: pl.String = matching_field(SHA256, "Hash of everything that determines the model.")
    source_fingerprint: pl.String = matching_field(FINGERPRINT, "The source.")
    ratings_fingerprint: pl.String = matching_field(FINGERPRINT, "The ratings as they were.")
    parameters: pl.String = json_field("The model's parameters.")
    code_version: pl.String = text_field("Hash of the code that made it.")


class ItemModels(Table):
    """One row per model version: its item model, from which the lists of existing users are made."""

    model_version: pl.String = matching_field(VERSION, "Name of the model.", unique=True)
    file: pl.String = text_field("Path of its weights below the home.")
    sha256: pl.String = matching_field(SHA256, "Hash of that file.")
    method: pl.String = text_field("How it was made: user_method.")
    films: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Films in the item set.")
    seconds: pl.Float64 = pa.Field(ge=0.0, le=1e9, description="Time it took to make.")


class Evaluation(Table):
    """One row per way of holding out users, slice of the cases, method and metric: how good the lists are."""

    split: pl.String = pa.Field(
        isin=["held-out users", "later users", "later likes"],
        description="What the model has not seen: users drawn at random, users who came after a date; or the latest "
        "fifth of what each user likes, which the lists of users are asked for.",
    )
    slice: pl.String = pa.Field(
        isin=["all", "popular", "rare"],
        description="All pairs, or the third of them whose less liked film has most (fewest) likes.",
    )
    method: pl.String = text_field("current: the parameters in force; a baseline; or the preset book.")
    metric: pl.String = text_field("What was measured, and over how many places of the list.")
    value: pl.Float64 = pa.Field(ge=0, le=1000, description="The mean over the cases.")
    ci_low: pl.Float64 = pa.Field(nullable=True, ge=0, le=1000, description="95% interval over users, from.")
    ci_high: pl.Float64 = pa.Field(nullable=True, ge=0, le=1000, description="95% interval over users, to.")
    cases: pl.Int32 = pa.Field(ge=1, le=INT32_MAX, description="Pairs that were asked; of later likes, users.")
    ahead: pl.Float64 = pa.Field(nullable=True, ge=-1, le=1, description="How far current is ahead on the same cases.")
    ahead_low: pl.Float64 = pa.Field(nullable=True, ge=-1, le=1, description="95% interval of that, from.")
    ahead_high: pl.Float64 = pa.Field(nullable=True, ge=-1, le=1, description="95% interval of that, to.")

    class Config:
        """One number per combination."""

        unique: ClassVar = ["split", "slice", "method", "metric"]
