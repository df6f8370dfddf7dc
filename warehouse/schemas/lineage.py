"""Where the columns of a table come from: columns of other tables, as Dagster shows them.

Belongs here: one entry for every column that follows from columns of other tables; columns that a step makes itself
(a rank, a file's size, a time) have none. Those of a release's tables follow from the working tables. Does not belong
here: keys that must match (`Config.metadata["foreign_keys"]` of the models), what a release was made from
(`warehouse.releases`).
"""

from warehouse.schemas.definitions import columns_of

Columns = dict[str, tuple[str, ...]]

_RATED = ("raw.ratings.user_id", "raw.ratings.movie_id", "raw.ratings.rating")
_FILMS = ("raw.genome.relevance",)
_LIKES = ("model.likes.user_id", "model.likes.movie_id")
_FILES = ("raw.source_files.sha256", "raw.rating_files.sha256")
_MEASURED = (*_RATED, "raw.ratings.rated_at", "raw.movies.movie_id", *_FILMS)

LINEAGE: dict[str, Columns] = {
    "raw.rejected_rows": {"source": ("raw.source_files.name",)},
    "raw.movies": dict.fromkeys(("movie_id", "title", "year", "genres"), ("raw.source_files.sha256",)),
    "raw.ratings": dict.fromkeys(("user_id", "movie_id", "rating", "rated_at"), _FILES),
    "raw.genome_tags": dict.fromkeys(("tag_id", "tag"), ("raw.source_files.sha256",)),
    "raw.genome": {
        "movie_id": ("raw.movies.movie_id",),
        "relevance": ("raw.source_files.sha256", "raw.genome_tags.tag_id", "raw.movies.genres"),
    },
    "model.likes": {"user_id": ("raw.ratings.user_id", *_RATED[2:]), "movie_id": _RATED[1:]},
    "model.film_likes": {"movie_id": ("raw.movies.movie_id",), "likes": _LIKES},
    "model.user_vectors": {
        "user_id": ("model.likes.user_id",),
        "vector": (*_LIKES, *_FILMS),
        "likes": _LIKES,
        "likes_with_vector": (*_LIKES, "raw.genome.movie_id"),
    },
    "model.annoy_indexes": {
        "items": ("model.likes.user_id",),
        "dimensions": _FILMS,
        "sha256": (*_LIKES, *_FILMS),
        "recall": (*_LIKES, *_FILMS),
    },
    "model.item_models": {"films": ("model.film_likes.likes",), "sha256": (*_LIKES, "model.film_likes.likes")},
    "model.evaluation": dict.fromkeys(("value", "ci_low", "ci_high", "ahead", "ahead_low", "ahead_high"), _MEASURED)
    | {"cases": _RATED},
    "recs.signup_movies": {
        "position": ("model.film_likes.likes", "model.film_likes.movie_id"),
        "movie_id": ("model.film_likes.movie_id", "raw.genome.movie_id"),
        "likes": ("model.film_likes.likes",),
    },
    "recs.pair_recommendations": {
        "movie_a": ("recs.signup_movies.movie_id",),
        "movie_b": ("recs.signup_movies.movie_id",),
        "movie_id": ("model.likes.movie_id",),
        "score": (*_LIKES, *_FILMS),
        "votes": (*_LIKES, *_FILMS),
    },
    "recs.user_recommendations": {
        "user_id": ("model.likes.user_id",),
        "movie_id": ("model.item_models.sha256", "raw.ratings.movie_id"),
        "score": ("model.item_models.sha256", *_LIKES),
    },
    "recs.similar_movies": {
        "movie_id": ("model.film_likes.movie_id",),
        "similar_id": ("model.likes.movie_id",),
        "score": (*_LIKES, "model.film_likes.likes", *_FILMS),
    },
    "recs.popular_movies": {
        "list": ("raw.movies.genres", "raw.movies.year"),
        "movie_id": ("model.film_likes.movie_id",),
        "score": ("model.film_likes.likes", *_RATED[1:], "raw.ratings.rated_at"),
    },
}
"""By table and column: ``schema.table.column``."""

PUBLISHED_FROM: dict[str, tuple[str, ...]] = {
    "release": ("ops.source",),
    "movies": ("raw.movies",),
    "ratings": ("raw.ratings",),
    "genome_tags": ("raw.genome_tags",),
    "genome": ("raw.genome",),
    "signup_movies": ("recs.signup_movies",),
    "pair_recommendations": ("recs.pair_recommendations",),
    "user_recommendations": ("recs.user_recommendations",),
    "similar_movies": ("recs.similar_movies",),
    "popular_movies": ("recs.popular_movies",),
    "evaluation": ("model.evaluation",),
    "checks": ("ops.check_results",),
    "source_files": ("raw.source_files", "raw.rating_files"),
    "rejected_rows": ("raw.rejected_rows",),
}
"""A release's tables, and the working tables whose columns they repeat under the same names."""

PUBLISHED_LINEAGE: dict[str, Columns] = {
    "release": {
        "model_version": ("model.annoy_indexes.model_version",),
        "source": ("ops.source.origin",),
        "source_fingerprint": ("ops.source.fingerprint",),
        "ratings_fingerprint": (*_RATED, "raw.ratings.rated_at"),
    },
    "movies": {"likes": ("model.film_likes.likes",), "has_vector": ("raw.genome.movie_id",)},
    "source_files": {
        "rows": ("raw.source_files.data_rows", "raw.rating_files.data_rows"),
        "rejected": tuple(
            f"raw.{table}.{column}"
            for table in ("source_files", "rating_files")
            for column in ("rejected", "superseded")
        ),
    },
    "rejected_rows": {"file": ("raw.rejected_rows.source",)},
}
"""Columns of a release's tables that are not repeated, or not under the same name."""


def sources_of(table: str) -> dict[str, list[tuple[str, str]]]:
    """By column of a table, of the working database or of a release: the tables and columns that it comes from."""
    lineage = LINEAGE.get(table, {}) if "." in table else _published(table)
    found = {}
    for column, sources in lineage.items():
        split = (source.rpartition(".") for source in sources)
        found[column] = [(owner, name) for owner, _, name in split]
    return found


def _published(table: str) -> Columns:
    """Columns of a release's table and where each comes from."""
    named = PUBLISHED_LINEAGE.get(table, {})
    owners = {owner: columns_of(owner) for owner in PUBLISHED_FROM[table]}
    repeated = {
        column: tuple(f"{owner}.{column}" for owner, columns in owners.items() if column in columns)
        for column in columns_of(table)
    }
    return {column: found for column, found in {**repeated, **named}.items() if found}
