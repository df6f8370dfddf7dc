"""Definitions of the tables of the working database and of a published release.

Belongs here: columns and SQL types. What their values must be is declared in `warehouse.schemas.models`; a test holds
the two against each other. Two tables are as wide as the source has tags and are created by whoever loads them:
`raw.genome` and `model.user_vectors`."""

_EVALUATION = (
    "split VARCHAR, slice VARCHAR, method VARCHAR, metric VARCHAR, value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, "
    "cases INTEGER, ahead DOUBLE, ahead_low DOUBLE, ahead_high DOUBLE"
)

WORKING_TABLES: dict[str, str] = {
    "raw.source_files": (
        "name VARCHAR, bytes BIGINT, sha256 VARCHAR, data_rows BIGINT, accepted BIGINT, rejected BIGINT"
    ),
    "raw.rating_files": (
        "fingerprint VARCHAR, name VARCHAR, sha256 VARCHAR, bytes BIGINT, data_rows BIGINT, accepted BIGINT, "
        "rejected BIGINT, ingested_at TIMESTAMP"
    ),
    "raw.rejected_rows": "source VARCHAR, line BIGINT, raw VARCHAR, reason VARCHAR",
    "raw.movies": "movie_id INTEGER, title VARCHAR, year SMALLINT, genres VARCHAR[]",
    "raw.ratings": "user_id INTEGER, movie_id INTEGER, rating FLOAT, rated_at TIMESTAMP",
    "raw.rating_months": "month DATE, ratings BIGINT, fingerprint VARCHAR",
    "raw.genome_tags": "tag_id INTEGER, tag VARCHAR",
    "model.likes": "user_id INTEGER, movie_id INTEGER",
    "model.film_likes": "movie_id INTEGER, likes INTEGER",
    "model.annoy_indexes": (
        "model_version VARCHAR, file VARCHAR, sha256 VARCHAR, dimensions INTEGER, trees INTEGER, seed INTEGER, "
        "items INTEGER, recall DOUBLE, seconds DOUBLE, created_at TIMESTAMP, content_hash VARCHAR, "
        "source_fingerprint VARCHAR, ratings_fingerprint VARCHAR, parameters JSON, code_version VARCHAR"
    ),
    "model.evaluation": _EVALUATION,
    "recs.signup_movies": "position INTEGER, movie_id INTEGER, likes INTEGER",
    "recs.pair_recommendations": ("movie_a INTEGER, movie_b INTEGER, rank SMALLINT, movie_id INTEGER, votes INTEGER"),
    "ops.source": "fingerprint VARCHAR, origin VARCHAR, genome_source VARCHAR, loaded_at TIMESTAMP, manifest JSON",
    "ops.table_versions": "table_name VARCHAR, version VARCHAR, row_count BIGINT, updated_at TIMESTAMP, notes JSON",
    "ops.releases": (
        "release VARCHAR, content_hash VARCHAR, model_version VARCHAR, created_at TIMESTAMP, source VARCHAR, "
        "source_fingerprint VARCHAR, ratings_fingerprint VARCHAR, genome_source VARCHAR, parameters JSON, "
        "code_version VARCHAR, row_counts JSON, bytes BIGINT, sha256 VARCHAR"
    ),
    "ops.release_events": "release VARCHAR, event VARCHAR, happened_at TIMESTAMP, who VARCHAR, why VARCHAR",
    "ops.check_results": (
        "subject VARCHAR, check_name VARCHAR, asset VARCHAR, passed BOOLEAN, severity VARCHAR, value DOUBLE, "
        "threshold DOUBLE, description VARCHAR, checked_at TIMESTAMP, details JSON"
    ),
    "ops.request_files": "name VARCHAR, requests BIGINT, loaded_at TIMESTAMP",
    "ops.served_requests": (
        "requested_at TIMESTAMP, endpoint VARCHAR, status SMALLINT, release VARCHAR, model_version VARCHAR, "
        "deployment VARCHAR, variant VARCHAR, engine VARCHAR, num SMALLINT, known_ids INTEGER[], "
        "unknown_ids INTEGER[], recommended_ids INTEGER[], latency_ms FLOAT, cached BOOLEAN"
    ),
}
"""Columns of every table of the working database whose shape is fixed, by ``schema.table``."""

PUBLISHED_TABLES: dict[str, str] = {
    "release": (
        "release VARCHAR, model_version VARCHAR, created_at TIMESTAMP, source VARCHAR, source_fingerprint VARCHAR, "
        "ratings_fingerprint VARCHAR, genome_source VARCHAR, parameters JSON, code_version VARCHAR, row_counts JSON"
    ),
    "movies": ("movie_id INTEGER, title VARCHAR, year SMALLINT, genres VARCHAR[], likes INTEGER, has_vector BOOLEAN"),
    "ratings": "user_id INTEGER, movie_id INTEGER, rating FLOAT, rated_at TIMESTAMP",
    "genome_tags": "tag_id INTEGER, tag VARCHAR",
    "genome": "movie_id INTEGER, relevance FLOAT[n_tags]",
    "signup_movies": "position INTEGER, movie_id INTEGER, likes INTEGER",
    "pair_recommendations": "movie_a INTEGER, movie_b INTEGER, rank SMALLINT, movie_id INTEGER, votes INTEGER",
    "evaluation": _EVALUATION,
    "checks": (
        "check_name VARCHAR, asset VARCHAR, passed BOOLEAN, severity VARCHAR, value DOUBLE, threshold DOUBLE, "
        "description VARCHAR"
    ),
}
"""Columns of a published release, by table."""


def create_statements() -> list[str]:
    """SQL that creates every missing schema, table and later added column of the working database."""
    schemas = sorted({name.split(".")[0] for name in WORKING_TABLES})
    return [
        *(f"CREATE SCHEMA IF NOT EXISTS {schema}" for schema in schemas),
        *(f"CREATE TABLE IF NOT EXISTS {name} ({columns})" for name, columns in WORKING_TABLES.items()),
        # Homes made before the column was added go on working.
        "ALTER TABLE ops.check_results ADD COLUMN IF NOT EXISTS details JSON DEFAULT '{}'",
    ]
