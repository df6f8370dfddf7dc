"""Models of the raw tables: what came in."""

from datetime import datetime
from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl

from warehouse.files import SHA256
from warehouse.schemas.table import (
    FINGERPRINT,
    FIRST_MONTH,
    MOST_ROWS,
    TAGS_WIDE,
    Table,
    count_field,
    id_field,
    matching_field,
    rows_hold,
    text_field,
    utc_field,
)


class SourceFiles(Table):
    """One row per file of the source."""

    name: pl.String = text_field("File name.", unique=True)
    bytes: pl.Int64 = count_field("Size.")
    sha256: pl.String = matching_field(SHA256, "Hash of the content.")
    data_rows: pl.Int64 = count_field("Rows after the header.")
    accepted: pl.Int64 = count_field("Rows in use.")
    rejected: pl.Int64 = count_field("Rows that cannot be used; they are in raw.rejected_rows.")
    superseded: pl.Int64 = count_field("Ratings replaced by another file's; in raw.rejected_rows without line.")

    class Config:
        """Every row is accounted for."""

        metadata: ClassVar = {"rows": {"every row is accounted for": "accepted + superseded + rejected = data_rows"}}

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return rows_hold(cls, data)  # type: ignore[arg-type]


class RatingFiles(Table):
    """One row per file of new ratings ingested since the source was loaded; each content once."""

    fingerprint: pl.String = matching_field(FINGERPRINT, "Folder of the import.", unique=True)
    name: pl.String = text_field("File name.")
    sha256: pl.String = matching_field(SHA256, "Hash of the content.")
    bytes: pl.Int64 = count_field("Size.")
    data_rows: pl.Int64 = count_field("Rows after the header.")
    accepted: pl.Int64 = count_field("Rows in use.")
    rejected: pl.Int64 = count_field("Rows that cannot be used; they are in raw.rejected_rows.")
    ingested_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    superseded: pl.Int64 = count_field("Ratings replaced by another file's; in raw.rejected_rows without line.")

    class Config:
        """Every row is accounted for."""

        metadata: ClassVar = {"rows": {"every row is accounted for": "accepted + superseded + rejected = data_rows"}}

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return rows_hold(cls, data)  # type: ignore[arg-type]


class RejectedRows(Table):
    """One row per input row that is not in use: it cannot be used, or another row replaces it. Nothing is lost."""

    source: pl.String = text_field("File it came in.")
    line: pl.Int64 = pa.Field(
        ge=1,
        le=MOST_ROWS,
        nullable=True,
        description="Line in that file, from 1; the header is line 1. NULL if a rating in another file replaces it.",
    )
    raw: pl.String = pa.Field(description="The row as it came; of a replaced rating its values.")
    reason: pl.String = text_field("Why it is not in use.")


class Movies(Table):
    """One row per film of the source."""

    movie_id: pl.Int32 = id_field("MovieLens id of the film.", unique=True)
    title: pl.String = text_field("Title as in the source, year included.")
    year: pl.Int16 = pa.Field(
        ge=1870, le=2100, nullable=True, description="Year of release, parsed from the title; NULL if it has none."
    )
    genres: pl.List(pl.String) = pa.Field(description="Genres; an empty list if the source names none.")  # type: ignore[valid-type]


class Ratings(Table):
    """One row per user and film: the user's latest rating of it."""

    user_id: pl.Int32 = id_field("The user.")
    movie_id: pl.Int32 = id_field("The film.")
    rating: pl.Float32 = pa.Field(ge=0.5, le=5.0, description="Stars, 0.5 to 5.")
    rated_at: pl.Datetime("us") = pa.Field(ge=datetime.fromisoformat(FIRST_MONTH), description="When, UTC.")  # type: ignore[valid-type]

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["user_id", "movie_id"]
        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class RatingMonths(Table):
    """One row per month that has ratings: how many, and a fingerprint of their content."""

    month: pl.Date = pa.Field(
        ge=datetime.fromisoformat(FIRST_MONTH).date(), unique=True, description="First day of the month, UTC."
    )
    ratings: pl.Int64 = pa.Field(ge=1, le=MOST_ROWS, description="Ratings of the month.")
    fingerprint: pl.String = matching_field("^[0-9a-f]+-[0-9a-f]+$", "Of the content, whatever the order of the rows.")


class Tags(Table):
    """One row per tag a user gave a film (only in sources without genome scores does anything depend on it)."""

    user_id: pl.Int32 = id_field("The user.")
    movie_id: pl.Int32 = id_field("The film.")
    tag: pl.String = text_field("The tag as typed.")
    tagged_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]


class GenomeTags(Table):
    """One row per tag of the genome."""

    tag_id: pl.Int32 = id_field("Position of the tag in every vector, from 1.", unique=True)
    tag: pl.String = text_field("The tag.")


class GenomeScores(Table):
    """One row per film and tag of genome-scores.csv; gathered to `raw.genome`."""

    movie_id: pl.Int32 = id_field("The film.")
    tag_id: pl.Int32 = id_field("The tag.")
    relevance: pl.Float32 = pa.Field(ge=0.0, le=1.0, description="How much the tag says about the film, 0 to 1.")


class Genome(Table):
    """One row per film that has a vector."""

    movie_id: pl.Int32 = id_field("The film.", unique=True)
    relevance: pl.List(pl.Float32) = pa.Field(  # type: ignore[valid-type]
        description="How much each tag says about the film, 0 to 1; element i belongs to tag_id i.",
        metadata={"sql": TAGS_WIDE, "elements": (0, 1)},
    )

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}

    @pa.check("relevance", name="elements_between")
    def _elements(cls, data: Any) -> pl.LazyFrame:
        inside = pl.element().is_between(0, 1).fill_null(False)
        return data.lazyframe.select(pl.col(data.key).list.eval(inside).list.all())
