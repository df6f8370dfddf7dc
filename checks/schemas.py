"""One pandera model per table: the single source of columns, types, nullability, ranges, uniqueness and foreign keys.

Belongs here: declarations, nothing that runs. `checks.door` derives the row rules of the importer from them,
`checks.tables` the asset checks, and docs/data-model.md is generated from them. Ranges that bound one row are written
as `ge`, `le`, `isin` or `str_length`, because the door can turn exactly these into SQL; what needs the whole table is
declared as `unique` or in `Config.metadata` (`foreign_keys`).

Two kinds of column are declared `object`-free but open in size: the genome's `relevance` has as many components as the
source has tags, so its model pins the element type and the range and leaves the width to the check on the whole table.
"""

from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl

INT32_MAX = 2**31 - 1
FIRST_MONTH = "1995-01-01"
"""MovieLens collected its first rating in January 1995; anything older is a damaged timestamp."""


class Table(pa.DataFrameModel):
    """Common configuration: exactly these columns, in this order, no silent coercion."""

    class Config:
        """Strict and ordered, never coerced."""

        strict = True
        ordered = True
        coerce = False


def _id(description: str, **options: Any) -> Any:
    return pa.Field(ge=1, le=INT32_MAX, description=description, **options)


class Movies(Table):
    """One row per film of the source."""

    movie_id: pl.Int32 = _id("MovieLens id of the film.", unique=True)
    title: pl.String = pa.Field(str_length={"min_value": 1}, description="Title as in the source, year included.")
    year: pl.Int16 = pa.Field(
        ge=1870, le=2100, nullable=True, description="Year of release, parsed from the title; NULL if it has none."
    )
    genres: pl.List(pl.String) = pa.Field(description="Genres; an empty list if the source names none.")  # type: ignore[valid-type]


class Ratings(Table):
    """One row per user and film: the user's latest rating of it."""

    user_id: pl.Int32 = _id("The user.")
    movie_id: pl.Int32 = _id("The film.")
    rating: pl.Float32 = pa.Field(ge=0.5, le=5.0, description="Stars, 0.5 to 5.")
    rated_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["user_id", "movie_id"]
        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class Tags(Table):
    """One row per tag a user gave a film (only in sources without genome scores does anything depend on it)."""

    user_id: pl.Int32 = _id("The user.")
    movie_id: pl.Int32 = _id("The film.")
    tag: pl.String = pa.Field(str_length={"min_value": 1}, description="The tag as typed.")
    tagged_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]


class GenomeTags(Table):
    """One row per tag of the genome."""

    tag_id: pl.Int32 = _id("Position of the tag in every vector, from 1.", unique=True)
    tag: pl.String = pa.Field(str_length={"min_value": 1}, description="The tag.")


class GenomeScores(Table):
    """One row per film and tag of genome-scores.csv; gathered to `raw.genome`."""

    movie_id: pl.Int32 = _id("The film.")
    tag_id: pl.Int32 = _id("The tag.")
    relevance: pl.Float32 = pa.Field(ge=0.0, le=1.0, description="How much the tag says about the film, 0 to 1.")


SOURCE_TABLES: dict[str, type[Table]] = {
    "movies": Movies,
    "ratings": Ratings,
    "tags": Tags,
    "genome_tags": GenomeTags,
    "genome_scores": GenomeScores,
}
"""Models of the rows that come in from files, by the name the importer uses for them."""
