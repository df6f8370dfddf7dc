"""One pandera model per table: the single source of columns, types, nullability, ranges, uniqueness and foreign keys.

Belongs here: declarations, nothing that runs. `warehouse.schemas.conditions` turns what bounds one row into SQL: for
the door, which turns bad rows away before they are committed, and for `checks.tables.conformance`, which looks at whole
tables afterwards. docs/data-model.md is generated from them.

Bounds of a column are written as `ge`, `le`, `isin`, `str_length` or `str_matches`, because exactly these have an SQL
form; what binds columns of one row together stands in `Config.metadata` under `rows`, as SQL that both polars and
DuckDB read; what needs the whole table is declared as `unique` or in `Config.metadata` under `foreign_keys`.

Vectors are as wide as the source has tags. Their models pin the type and the range of the elements; the width is that
of `raw.genome_tags`, and `checks.tables.conformance` holds the SQL type against it.
"""

from datetime import datetime
from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl

INT32_MAX = 2**31 - 1
MOST_ROWS = 2**53
FINITE = 1e308
FIRST_MONTH = "1995-01-01"
"""MovieLens collected its first rating in January 1995; anything older is a damaged timestamp."""

SHA256 = "^[0-9a-f]{64}$"
VERSION = "^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$"
FINGERPRINT = "^[0-9a-f]{16}$"
TAGS_WIDE = "FLOAT[n_tags]"


class Table(pa.DataFrameModel):
    """Common configuration: exactly these columns, in this order, no silent coercion."""

    class Config:
        """Strict and ordered, never coerced."""

        strict = True
        ordered = True
        coerce = False


def _rows_hold(model: type[Table], data: Any) -> pl.LazyFrame:
    """Rows that meet every condition of `Config.metadata["rows"]`."""
    metadata: dict[str, dict[str, str]] = vars(model.Config)["metadata"]
    conditions = [pl.sql_expr(condition) for condition in metadata["rows"].values()]
    return data.lazyframe.select(pl.all_horizontal(conditions))


def _id(description: str, **options: Any) -> Any:
    return pa.Field(ge=1, le=INT32_MAX, description=description, **options)


def _count(description: str, **options: Any) -> Any:
    return pa.Field(ge=0, le=MOST_ROWS, description=description, **options)


def _text(description: str, **options: Any) -> Any:
    return pa.Field(str_length={"min_value": 1}, description=description, **options)


def _matching(pattern: str, description: str, **options: Any) -> Any:
    return pa.Field(str_matches=pattern, description=description, **options)


def _json(description: str) -> Any:
    return pa.Field(str_matches=r"^\{", description=description, metadata={"sql": "JSON"})


# -- raw: what came in -------------------------------------------------------------------------------------------------


class SourceFiles(Table):
    """One row per file of the source."""

    name: pl.String = _text("File name.", unique=True)
    bytes: pl.Int64 = _count("Size.")
    sha256: pl.String = _matching(SHA256, "Hash of the content.")
    data_rows: pl.Int64 = _count("Rows after the header.")
    accepted: pl.Int64 = _count("Rows taken in.")
    rejected: pl.Int64 = _count("Rows turned away; they are in raw.rejected_rows.")

    class Config:
        """Every row is accounted for."""

        metadata: ClassVar = {"rows": {"every row was taken in or turned away": "accepted + rejected = data_rows"}}

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return _rows_hold(cls, data)  # type: ignore[arg-type]


class RatingFiles(Table):
    """One row per file of new ratings taken in since the source was loaded; each content once."""

    fingerprint: pl.String = _matching(FINGERPRINT, "Folder of the import.", unique=True)
    name: pl.String = _text("File name.")
    sha256: pl.String = _matching(SHA256, "Hash of the content.")
    bytes: pl.Int64 = _count("Size.")
    data_rows: pl.Int64 = _count("Rows after the header.")
    accepted: pl.Int64 = _count("Rows taken in.")
    rejected: pl.Int64 = _count("Rows turned away; they are in raw.rejected_rows.")
    ingested_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]

    class Config:
        """Every row is accounted for."""

        metadata: ClassVar = {"rows": {"every row was taken in or turned away": "accepted + rejected = data_rows"}}

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return _rows_hold(cls, data)  # type: ignore[arg-type]


class RejectedRows(Table):
    """One row per input row that was turned away: nothing that came in is lost."""

    source: pl.String = _text("File it came in.")
    line: pl.Int64 = pa.Field(ge=1, le=MOST_ROWS, description="Line in that file, from 1; the header is line 1.")
    raw: pl.String = pa.Field(description="The row as it came.")
    reason: pl.String = _text("What is wrong with it.")


class Movies(Table):
    """One row per film of the source."""

    movie_id: pl.Int32 = _id("MovieLens id of the film.", unique=True)
    title: pl.String = _text("Title as in the source, year included.")
    year: pl.Int16 = pa.Field(
        ge=1870, le=2100, nullable=True, description="Year of release, parsed from the title; NULL if it has none."
    )
    genres: pl.List(pl.String) = pa.Field(description="Genres; an empty list if the source names none.")  # type: ignore[valid-type]


class Ratings(Table):
    """One row per user and film: the user's latest rating of it."""

    user_id: pl.Int32 = _id("The user.")
    movie_id: pl.Int32 = _id("The film.")
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
    fingerprint: pl.String = _matching("^[0-9a-f]+-[0-9a-f]+$", "Of the content, whatever the order of the rows.")


class Tags(Table):
    """One row per tag a user gave a film (only in sources without genome scores does anything depend on it)."""

    user_id: pl.Int32 = _id("The user.")
    movie_id: pl.Int32 = _id("The film.")
    tag: pl.String = _text("The tag as typed.")
    tagged_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]


class GenomeTags(Table):
    """One row per tag of the genome."""

    tag_id: pl.Int32 = _id("Position of the tag in every vector, from 1.", unique=True)
    tag: pl.String = _text("The tag.")


class GenomeScores(Table):
    """One row per film and tag of genome-scores.csv; gathered to `raw.genome`."""

    movie_id: pl.Int32 = _id("The film.")
    tag_id: pl.Int32 = _id("The tag.")
    relevance: pl.Float32 = pa.Field(ge=0.0, le=1.0, description="How much the tag says about the film, 0 to 1.")


class Genome(Table):
    """One row per film that has a vector."""

    movie_id: pl.Int32 = _id("The film.", unique=True)
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


# -- model: what a retrain makes ---------------------------------------------------------------------------------------


class Likes(Table):
    """One row per user and film the user likes: rated `like_threshold` stars or more."""

    user_id: pl.Int32 = _id("The user.")
    movie_id: pl.Int32 = _id("The film.")

    class Config:
        """Keys across rows and tables."""

        unique: ClassVar = ["user_id", "movie_id"]
        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class FilmLikes(Table):
    """One row per film: how many users like it."""

    movie_id: pl.Int32 = _id("The film.", unique=True)
    likes: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Users who like it; 0 if nobody does.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class UserVectors(Table):
    """One row per user who likes something, as of the last retrain."""

    user_id: pl.Int32 = _id("The user.", unique=True)
    vector: pl.List(pl.Float32) = pa.Field(  # type: ignore[valid-type]
        description="Sum of the liked films' vectors, scaled to length 1; zeros if none of them has one.",
        metadata={"sql": TAGS_WIDE},
    )
    likes: pl.Int32 = _id("Films the user likes.")
    likes_with_vector: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Those of them that have a vector.")

    class Config:
        """Columns that belong together."""

        metadata: ClassVar = {"rows": {"no more films with a vector than films": "likes_with_vector <= likes"}}

    @pa.dataframe_check(name="rows")
    def _rows(cls, data: Any) -> pl.LazyFrame:
        return _rows_hold(cls, data)  # type: ignore[arg-type]


class AnnoyIndexes(Table):
    """One row per model version: its index and what it was made from."""

    model_version: pl.String = _matching(VERSION, "Name of the model.", unique=True)
    file: pl.String = _text("Path of the index below the home.")
    sha256: pl.String = _matching(SHA256, "Hash of that file.")
    dimensions: pl.Int32 = pa.Field(ge=1, le=100_000, description="Components of the vectors in the index.")
    trees: pl.Int32 = pa.Field(ge=1, le=100_000, description="Trees.")
    seed: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Seed it was built with.")
    items: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Users in it.")
    recall: pl.Float64 = pa.Field(
        ge=0.0, le=1.0, description="Share of the true nearest 10 users found, over pairs of sign-up films."
    )
    seconds: pl.Float64 = pa.Field(ge=0.0, le=1e9, description="Time it took to build.")
    created_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]
    content_hash: pl.String = _matching(SHA256, "Hash of everything that determines the model.")
    source_fingerprint: pl.String = _matching(FINGERPRINT, "The source.")
    ratings_fingerprint: pl.String = _matching(FINGERPRINT, "The ratings as they were.")
    parameters: pl.String = _json("The model's parameters.")
    code_version: pl.String = _text("Hash of the code that made it.")


class Evaluation(Table):
    """One row per way of holding out users, slice of the cases, method and metric: how good the lists are."""

    split: pl.String = pa.Field(
        isin=["held-out users", "later users"],
        description="Users whom the model has not seen: drawn at random, or those who came after a date.",
    )
    slice: pl.String = pa.Field(
        isin=["all", "popular", "rare"],
        description="All pairs, or the third of them whose less liked film has most (fewest) likes.",
    )
    method: pl.String = pa.Field(
        isin=["current", "most_popular", "item_item", "book"],
        description="The parameters in force, a baseline, or the preset book.",
    )
    metric: pl.String = _text("What was measured, and over how many places of the list.")
    value: pl.Float64 = pa.Field(ge=0, le=1000, description="The mean over the cases.")
    ci_low: pl.Float64 = pa.Field(nullable=True, ge=0, le=1000, description="95% interval over users, from.")
    ci_high: pl.Float64 = pa.Field(nullable=True, ge=0, le=1000, description="95% interval over users, to.")
    cases: pl.Int32 = pa.Field(ge=1, le=INT32_MAX, description="Pairs that were asked.")
    ahead: pl.Float64 = pa.Field(nullable=True, ge=-1, le=1, description="How far current is ahead on the same cases.")
    ahead_low: pl.Float64 = pa.Field(nullable=True, ge=-1, le=1, description="95% interval of that, from.")
    ahead_high: pl.Float64 = pa.Field(nullable=True, ge=-1, le=1, description="95% interval of that, to.")

    class Config:
        """One number per combination."""

        unique: ClassVar = ["split", "slice", "method", "metric"]


# -- recs: what is recommended -----------------------------------------------------------------------------------------


class SignupMovies(Table):
    """One row per film a new user can choose, most liked first."""

    position: pl.Int32 = _id("Place in the list, from 1.", unique=True)
    movie_id: pl.Int32 = _id("The film.", unique=True)
    likes: pl.Int32 = _id("Users who like it.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"movie_id": "raw.movies.movie_id"}}


class PairRecommendations(Table):
    """One row per pair of sign-up films and rank: what is recommended to somebody who likes both."""

    movie_a: pl.Int32 = _id("The pair's film with the smaller movie_id.")
    movie_b: pl.Int32 = _id("The other one.")
    rank: pl.Int16 = pa.Field(ge=1, le=1000, description="Place in the list, from 1.")
    movie_id: pl.Int32 = _id("The recommended film.")
    votes: pl.Int32 = _id("How many of the pair's neighbours like it.")

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
        return _rows_hold(cls, data)  # type: ignore[arg-type]


# -- ops: the books ----------------------------------------------------------------------------------------------------


class Source(Table):
    """The source this home holds; one row."""

    fingerprint: pl.String = _matching(FINGERPRINT, "Folder of the import.", unique=True)
    origin: pl.String = _text("What the user named: a folder, a file, an address.")
    genome_source: pl.String = pa.Field(isin=["scores", "tags"], description="Where the film vectors come from.")
    loaded_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]
    manifest: pl.String = _json("The import's manifest: files, counts, what was turned away.")


class TableVersions(Table):
    """One row per table (per shard of the pairs): what it was made from."""

    table_name: pl.String = _text("The table.", unique=True)
    version: pl.String = _matching("^[0-9a-f]{16,64}$", "Hash of its inputs, or of its content.")
    row_count: pl.Int64 = _count("Rows.")
    updated_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]
    notes: pl.String = _json("Facts that go with the version.")


class Releases(Table):
    """One row per release ever staged."""

    release: pl.String = _matching(VERSION, "Name.", unique=True)
    content_hash: pl.String = _matching(SHA256, "Hash of everything that determines the content.")
    model_version: pl.String = _matching(VERSION, "The model.")
    created_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]
    source: pl.String = _text("What the user named as the source.")
    source_fingerprint: pl.String = _matching(FINGERPRINT, "The source's import.")
    ratings_fingerprint: pl.String = _matching(FINGERPRINT, "The ratings, those taken in since included.")
    genome_source: pl.String = pa.Field(isin=["scores", "tags"], description="Where the film vectors come from.")
    parameters: pl.String = _json("The model's parameters.")
    code_version: pl.String = _text("Hash of the code that made it.")
    row_counts: pl.String = _json("Rows by table.")
    bytes: pl.Int64 = _count("Size of the file.")
    sha256: pl.String = _matching(SHA256, "Hash of the file.")


class ReleaseEvents(Table):
    """One row per thing that happened to a release."""

    release: pl.String = _matching(VERSION, "The release.")
    event: pl.String = pa.Field(
        isin=["staged", "promoted", "forced", "restored", "rolled_back", "retired", "challenger", "withdrawn"],
        description="What happened.",
    )
    happened_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]
    who: pl.String = _text("Account and machine.")
    why: pl.String = pa.Field(description="The reason given.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"release": "ops.releases.release"}}


class CheckResults(Table):
    """One row per check of a subject: a release, or a table at a version."""

    subject: pl.String = _text("Release, or table@version.")
    check_name: pl.String = _text("The check.")
    asset: pl.String = _text("What it is about, as schema/table.")
    passed: pl.Boolean = pa.Field(description="How it came out.")
    severity: pl.String = pa.Field(isin=["error", "warn"], description="A failed error blocks promotion.")
    value: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What was measured.")
    threshold: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What it was held against.")
    description: pl.String = _text("What it means, with the facts of this outcome.")
    checked_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]
    details: pl.String = _json("Shape, types, failing rows and other numbers.")

    class Config:
        """One result per subject and check."""

        unique: ClassVar = ["subject", "check_name", "asset"]


class RequestFiles(Table):
    """One row per file of the HTTP service's request log that was loaded."""

    name: pl.String = _text("File name.", unique=True)
    requests: pl.Int64 = pa.Field(ge=0, description="Requests in it.")
    loaded_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]


class ServedRequests(Table):
    """One row per request the HTTP service answered; no addresses, no client keys."""

    requested_at: pl.Datetime("us") = pa.Field(description="When, UTC.")  # type: ignore[valid-type]
    endpoint: pl.String = pa.Field(isin=["recommend", "pairs"], description="What was asked.")
    status: pl.Int16 = pa.Field(ge=0, le=599, description="HTTP status.")
    release: pl.String = _text("Release that answered.")
    model_version: pl.String = _text("Its model.")
    deployment: pl.String = _text("Start of the service that answered.")
    variant: pl.String = pa.Field(isin=["champion", "challenger"], description="Which of the two releases served.")
    engine: pl.String = pa.Field(isin=["exact", "annoy", "table"], description="Who found the neighbours.")
    num: pl.Int16 = pa.Field(ge=0, le=1000, description="Films asked for at most; 0: all of the table's.")
    known_ids: pl.List(pl.Int32) = pa.Field(description="Films asked about.")  # type: ignore[valid-type]
    unknown_ids: pl.List(pl.Int32) = pa.Field(description="Asked, but not in the release.")  # type: ignore[valid-type]
    recommended_ids: pl.List(pl.Int32) = pa.Field(description="The answer, best first.")  # type: ignore[valid-type]
    latency_ms: pl.Float32 = pa.Field(ge=0.0, le=3_600_000.0, description="Time to answer, in milliseconds.")
    cached: pl.Boolean = pa.Field(description="Whether the answer came from the cache.")


# -- published: the contract -------------------------------------------------------------------------------------------


class Release(Table):
    """What this release is and what it was made from; one row."""

    release: pl.String = _matching(VERSION, "Name of the release; sorts by time.", unique=True)
    model_version: pl.String = _matching(VERSION, "The model it was made with.")
    created_at: pl.Datetime("us") = pa.Field(description="When it was staged, UTC.")  # type: ignore[valid-type]
    source: pl.String = _text("Where the ratings came from, as the user named it.")
    source_fingerprint: pl.String = _matching(FINGERPRINT, "The import of the source.")
    ratings_fingerprint: pl.String = _matching(FINGERPRINT, "The ratings, those taken in since included.")
    genome_source: pl.String = pa.Field(
        isin=["scores", "tags"], description="Film vectors from genome-scores.csv, or derived from tags and genres."
    )
    parameters: pl.String = _json("The model's parameters.")
    code_version: pl.String = _text("Hash of the code that made it.")
    row_counts: pl.String = _json("Rows by table.")


class PublishedMovies(Movies):
    """One row per film."""

    likes: pl.Int32 = pa.Field(ge=0, le=INT32_MAX, description="Users who like it.")
    has_vector: pl.Boolean = pa.Field(description="Whether it has a row in genome.")


class Checks(Table):
    """One row per check of this release and of the tables it was made from."""

    check_name: pl.String = _text("The check.")
    asset: pl.String = _text("What it is about, as schema/table.")
    passed: pl.Boolean = pa.Field(description="How it came out.")
    severity: pl.String = pa.Field(isin=["error", "warn"], description="A failed error blocks promotion.")
    value: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What was measured.")
    threshold: pl.Float64 = pa.Field(nullable=True, ge=-FINITE, le=FINITE, description="What it was held against.")
    description: pl.String = _text("What it means, with the facts of this outcome.")

    class Config:
        """One result per check."""

        unique: ClassVar = ["check_name", "asset"]


# -- which model is whose ----------------------------------------------------------------------------------------------

SOURCE_TABLES: dict[str, type[Table]] = {
    "movies": Movies,
    "ratings": Ratings,
    "tags": Tags,
    "genome_tags": GenomeTags,
    "genome_scores": GenomeScores,
}
"""Models of the rows that come in from files, by the name the importer uses for them."""

WORKING_MODELS: dict[str, type[Table]] = {
    "raw.source_files": SourceFiles,
    "raw.rating_files": RatingFiles,
    "raw.rejected_rows": RejectedRows,
    "raw.movies": Movies,
    "raw.ratings": Ratings,
    "raw.rating_months": RatingMonths,
    "raw.genome_tags": GenomeTags,
    "raw.genome": Genome,
    "model.likes": Likes,
    "model.film_likes": FilmLikes,
    "model.user_vectors": UserVectors,
    "model.annoy_indexes": AnnoyIndexes,
    "model.evaluation": Evaluation,
    "recs.signup_movies": SignupMovies,
    "recs.pair_recommendations": PairRecommendations,
    "ops.source": Source,
    "ops.table_versions": TableVersions,
    "ops.releases": Releases,
    "ops.release_events": ReleaseEvents,
    "ops.check_results": CheckResults,
    "ops.request_files": RequestFiles,
    "ops.served_requests": ServedRequests,
}
"""Models of the working database's tables."""

PUBLISHED_MODELS: dict[str, type[Table]] = {
    "release": Release,
    "movies": PublishedMovies,
    "ratings": Ratings,
    "genome_tags": GenomeTags,
    "genome": Genome,
    "signup_movies": SignupMovies,
    "pair_recommendations": PairRecommendations,
    "evaluation": Evaluation,
    "checks": Checks,
}
"""Models of a release's tables: the public contract."""
