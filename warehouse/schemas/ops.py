"""Models of the ops tables: versions, registry of releases, check results, served requests, events."""

from typing import ClassVar

import pandera.polars as pa
import polars as pl

from warehouse.files import SHA256
from warehouse.home import VERSION
from warehouse.schemas.table import (
    FINGERPRINT,
    FINITE,
    INT32_MAX,
    Table,
    count_field,
    id_field,
    json_field,
    matching_field,
    text_field,
    utc_field,
)


class Source(Table):
    """The source this home holds; one row."""

    fingerprint: pl.String = matching_field(FINGERPRINT, "Folder of the import.", unique=True)
    origin: pl.String = text_field("What the user named: a folder, a file, an address.")
    genome_source: pl.String = pa.Field(isin=["scores", "tags"], description="Where the film vectors come from.")
    loaded_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    manifest: pl.String = json_field("The import's manifest: files, counts, what was rejected.")


class SchemaVersions(Table):
    """One row per version of the working database's tables that this home has had; the highest is in force."""

    version: pl.Int32 = id_field("Version of the tables.", unique=True)
    applied_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]


class TableVersions(Table):
    """One row per table (per shard of the pairs): what it was made from."""

    table_name: pl.String = text_field("The table.", unique=True)
    version: pl.String = matching_field("^[0-9a-f]{16,64}$", "Hash of its inputs, or of its content.")
    row_count: pl.Int64 = count_field("Rows.")
    updated_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    notes: pl.String = json_field("Facts that go with the version.")


class Releases(Table):
    """One row per release ever staged."""

    release: pl.String = matching_field(VERSION, "Name.", unique=True)
    content_hash: pl.String = matching_field(
        SHA256, "Hash of everything that determines the content; NULL if it was lost with its files.", nullable=True
    )
    model_version: pl.String = matching_field(VERSION, "The model.")
    created_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    source: pl.String = text_field("What the user named as the source.")
    source_fingerprint: pl.String = matching_field(FINGERPRINT, "The source's import.")
    ratings_fingerprint: pl.String = matching_field(FINGERPRINT, "The ratings, those ingested since included.")
    genome_source: pl.String = pa.Field(isin=["scores", "tags"], description="Where the film vectors come from.")
    parameters: pl.String = json_field("The model's parameters.")
    code_version: pl.String = text_field("Hash of the code that made it.")
    row_counts: pl.String = json_field("Rows by table.")
    bytes: pl.Int64 = count_field("Size of the file.")
    sha256: pl.String = matching_field(SHA256, "Hash of the file.")


class ReleaseEvents(Table):
    """One row per thing that happened to a release."""

    release: pl.String = matching_field(VERSION, "The release.")
    event: pl.String = pa.Field(
        isin=["staged", "promoted", "forced", "restored", "rolled_back", "retired", "challenger", "withdrawn"],
        description="What happened.",
    )
    happened_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    who: pl.String = text_field("Account and machine.")
    why: pl.String = pa.Field(description="The reason given.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"release": "ops.releases.release"}}


class CheckResults(Table):
    """One row per check of a subject: a release, or a table at a version."""

    subject: pl.String = text_field("Release, or table@version.")
    check_name: pl.String = text_field("The check.")
    asset: pl.String = text_field("What it is about, as schema/table.")
    passed: pl.Boolean = pa.Field(description="How it came out.")
    severity: pl.String = pa.Field(isin=["error", "warn"], description="A failed error blocks promotion.")
    value: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What was measured.")
    threshold: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What it was held against.")
    description: pl.String = text_field("What it means, with the facts of this outcome.")
    checked_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    details: pl.String = json_field("Shape, types, failing rows and other numbers.")
    conditions: pl.String = pa.Field(
        description="Of a release: hashes of the thresholds and of what was asked for, and the release compared with."
    )

    class Config:
        """One result per subject and check."""

        unique: ClassVar = ["subject", "check_name", "asset"]


class RequestFiles(Table):
    """One row per file of the HTTP service's request log that was loaded."""

    name: pl.String = text_field("File name.", unique=True)
    requests: pl.Int64 = pa.Field(ge=0, description="Requests in it.")
    loaded_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]


class ServedRequests(Table):
    """One row per request the HTTP service answered; no addresses, no keys of clients, no users."""

    requested_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    endpoint: pl.String = pa.Field(
        isin=["recommend", "pairs", "users", "similar", "popular"], description="What was asked."
    )
    status: pl.Int16 = pa.Field(ge=0, le=599, description="HTTP status.")
    release: pl.String = text_field("Release that answered.")
    model_version: pl.String = text_field("Its model.")
    deployment: pl.String = text_field("Start of the service that answered.")
    variant: pl.String = pa.Field(isin=["champion", "challenger"], description="Which of the two releases served.")
    engine: pl.String = pa.Field(isin=["exact", "annoy", "table", "live"], description="Who made the list.")
    num: pl.Int16 = pa.Field(ge=0, le=1000, description="Films asked for at most; 0: all of the table's.")
    known_ids: pl.List(pl.Int32) = pa.Field(description="Films asked about.")  # type: ignore[valid-type]
    unknown_ids: pl.List(pl.Int32) = pa.Field(description="Asked, but not in the release.")  # type: ignore[valid-type]
    recommended_ids: pl.List(pl.Int32) = pa.Field(description="The answer, best first.")  # type: ignore[valid-type]
    latency_ms: pl.Float32 = pa.Field(ge=0.0, le=3_600_000.0, description="Time to answer, in milliseconds.")
    cached: pl.Boolean = pa.Field(description="Whether the answer came from the cache.")
    answer_id: pl.String = text_field("What events call the answer; NULL of refusals.", nullable=True)
    client: pl.String = text_field("Hash of the client's key; NULL without a key.", nullable=True)
    experiment: pl.String = text_field("The experiment that chose the variant, if one did.", nullable=True)


class EventFiles(Table):
    """One row per file of events that was loaded."""

    name: pl.String = text_field("File name.", unique=True)
    events: pl.Int64 = pa.Field(ge=0, description="Events in it.")
    loaded_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]


class Events(Table):
    """One row per event: what somebody did, each event id once."""

    seq: pl.Int64 = pa.Field(ge=1, unique=True, description="Number in the journal, in the order of arrival.")
    event_id: pl.String = text_field("The sender's name of it.")
    type: pl.String = pa.Field(isin=["rating", "shown", "click", "play", "dismiss"], description="What was done.")
    user_id: pl.Int32 = id_field("The user.")
    movie_id: pl.Int32 = id_field("The film.")
    rating: pl.Float32 = pa.Field(nullable=True, ge=0.5, le=5.0, description="Stars, of ratings only.")
    happened_at: pl.Datetime("us") = utc_field("When it happened, UTC; as received where the sender did not say.")  # type: ignore[valid-type]
    answer_id: pl.String = text_field("The answer it follows from, if the sender said so.", nullable=True)
    position: pl.Int32 = pa.Field(nullable=True, ge=1, le=INT32_MAX, description="Place of the film there, from 1.")
    received_at: pl.Datetime("us") = utc_field("When it was received, UTC.")  # type: ignore[valid-type]
    door: pl.String = text_field("How it came in: http, kafka, store.")
