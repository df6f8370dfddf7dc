"""Models of the tables that only a release has; the others are those of the working database."""

from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl

from warehouse.files import SHA256
from warehouse.home import VERSION
from warehouse.schemas.raw import Movies
from warehouse.schemas.table import (
    FINGERPRINT,
    FINITE,
    INT32_MAX,
    MOST_ROWS,
    Table,
    count_field,
    json_field,
    matching_field,
    rows_hold,
    text_field,
)


class Release(Table):
    """What this release is and what it was made from; one row."""

    release: pl.String = matching_field(VERSION, "Name of the release; sorts by time.", unique=True)
    model_version: pl.String = matching_field(VERSION, "The model it was made with.")
    created_at: pl.Datetime("us") = pa.Field(description="When it was staged, UTC.")  # type: ignore[valid-type]
    source: pl.String = text_field("Where the ratings came from, as the user named it.")
    source_fingerprint: pl.String = matching_field(FINGERPRINT, "The import of the source.")
    ratings_fingerprint: pl.String = matching_field(FINGERPRINT, "The ratings, those ingested since included.")
    genome_source: pl.String = pa.Field(
        isin=["scores", "tags"], description="Film vectors from genome-scores.csv, or derived from tags and genres."
    )
    parameters: pl.String = json_field("The model's parameters.")
    code_version: pl.String = text_field("Hash of the code that made it.")
    row_counts: pl.String = json_field("Rows by table.")


class PublishedMovies(Movies):
    """One row per film."""

    likes: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Users who like it.")
    has_vector: pl.Boolean = pa.Field(description="Whether it has a row in genome.")


class Checks(Table):
    """One row per check of this release and of the tables it was made from."""

    check_name: pl.String = text_field("The check.")
    asset: pl.String = text_field("What it is about, as schema/table.")
    passed: pl.Boolean = pa.Field(description="How it came out.")
    severity: pl.String = pa.Field(isin=["error", "warn"], description="A failed error blocks promotion.")
    value: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What was measured.")
    threshold: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What it was held against.")
    description: pl.String = text_field("What it means, with the facts of this outcome.")

    class Config:
        """One result per check."""

        unique: ClassVar = ["check_name", "asset"]


class PublishedSourceFiles(Table):
    """One row per file that the release was made from: those of the source, and the files of ratings ingested since."""

    name: pl.String = text_field("File name.")
    sha256: pl.String = matching_field(SHA256, "Hash of the content.")
    bytes: pl.Int64 = count_field("Size.")
    rows: pl.Int64 = count_field("Rows after the header.")
    rejected: pl.Int64 = count_field("Rows not in use, replaced ratings included; they are in rejected_rows.")

    class Config:
        """Columns that belong together."""

        metadata: ClassVar = {"rows": {"no more rejected rows than rows": "rejected <= rows"}}

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return rows_hold(cls, data)  # type: ignore[arg-type]


class PublishedRejectedRows(Table):
    """One row per input row that is not in use: it cannot be used, or another row replaces it."""

    file: pl.String = text_field("File it came in.")
    line: pl.Int64 = pa.Field(
        ge=1,
        le=MOST_ROWS,
        nullable=True,
        description="Line in that file, from 1; the header is line 1. NULL if a rating in another file replaces it.",
    )
    raw: pl.String = pa.Field(description="The row as it came; of a replaced rating its values.")
    reason: pl.String = text_field("Why it is not in use.")
