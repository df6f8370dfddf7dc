"""Which model is whose: every table of the sources, of the working database and of a release by its name.

Belongs here: the three lists. Does not belong here: the models (`raw`, `model`, `recs`, `ops`, `published`).
"""

from warehouse.schemas.experiments import ExperimentEvents, Experiments
from warehouse.schemas.model import AnnoyIndexes, Evaluation, FilmLikes, ItemModels, Likes, UserVectors
from warehouse.schemas.ops import (
    CheckResults,
    EventFiles,
    Events,
    ReleaseEvents,
    Releases,
    RequestFiles,
    SchemaVersions,
    ServedRequests,
    Source,
    TableVersions,
)
from warehouse.schemas.published import Checks, PublishedMovies, PublishedRejectedRows, PublishedSourceFiles, Release
from warehouse.schemas.raw import (
    Genome,
    GenomeScores,
    GenomeTags,
    Movies,
    RatingFiles,
    RatingMonths,
    Ratings,
    RejectedRows,
    SourceFiles,
    Tags,
)
from warehouse.schemas.recs import (
    PairRecommendations,
    PopularMovies,
    SignupMovies,
    SimilarMovies,
    UserRecommendations,
    UserStates,
)
from warehouse.schemas.table import Table

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
    "model.item_models": ItemModels,
    "model.evaluation": Evaluation,
    "recs.signup_movies": SignupMovies,
    "recs.pair_recommendations": PairRecommendations,
    "recs.user_recommendations": UserRecommendations,
    "recs.user_states": UserStates,
    "recs.similar_movies": SimilarMovies,
    "recs.popular_movies": PopularMovies,
    "ops.schema_versions": SchemaVersions,
    "ops.source": Source,
    "ops.table_versions": TableVersions,
    "ops.releases": Releases,
    "ops.release_events": ReleaseEvents,
    "ops.check_results": CheckResults,
    "ops.request_files": RequestFiles,
    "ops.served_requests": ServedRequests,
    "ops.event_files": EventFiles,
    "ops.events": Events,
    "ops.experiments": Experiments,
    "ops.experiment_events": ExperimentEvents,
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
    "user_recommendations": UserRecommendations,
    "similar_movies": SimilarMovies,
    "popular_movies": PopularMovies,
    "evaluation": Evaluation,
    "checks": Checks,
    "source_files": PublishedSourceFiles,
    "rejected_rows": PublishedRejectedRows,
}
"""Models of a release's tables: the public contract."""
