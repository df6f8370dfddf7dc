"""The model's parameters: one typed, documented value object, its presets, and how text becomes one.

Belongs here: every number or choice that changes what is recommended, with its range, default and meaning.
Does not belong here: paths, schedules, retention, or anything that only changes how fast or where the work is done.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recommender.errors import UsageError
from recommender.weightings import WEIGHTINGS, meanings

if TYPE_CHECKING:
    Weighting = str
else:
    Weighting = Literal[tuple(WEIGHTINGS)]
"""Names of the weightings of film vectors."""

UserMethod = Literal["ease", "rp3beta"]
"""Ways to score films for existing users; `items.model` computes them."""

OF_LISTS = {"user_method", "user_films", "user_regularization", "per_user", "per_movie"}
"""Parameters of the lists for users and films, on which pairs do not depend."""


class ParameterError(UsageError):
    """A parameter is unknown, malformed or out of range; the message names it and what is allowed."""


class ModelParameters(BaseModel):
    """Everything that decides the recommendations, apart from the data. Immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    genome_source: Literal["auto", "scores", "tags"] = Field(
        default="auto",
        description="Film vectors from genome-scores.csv (scores) or derived from tags.csv and genres (tags); "
        "auto takes scores where the source has the file.",
    )
    like_threshold: float = Field(
        default=4.0, ge=0.5, le=5.0, description="Stars from which on a rating counts as a like."
    )
    min_likes: int = Field(default=3, ge=1, le=1_000_000, description="Likes a user needs to be anybody's neighbour.")
    top_movies: int = Field(
        default=1000, ge=2, le=20_000, description="Sign-up films: the most liked films that have a vector."
    )
    # weighting, liked_bonus and neighbours were chosen by `marquee evaluate --sweep`; see docs/evaluation.md.
    weighting: Weighting = Field(
        default="tfidf",
        description=f"Film vectors: {meanings()}.",
    )
    liked_bonus: float = Field(
        default=0.5,
        ge=0.0,
        le=10.0,
        description="Added to a user's cosine to each film of the pair if the user likes that film; 0 is plain cosine.",
    )
    neighbours: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Nearest users whose likes vote; 0: one and a half times the square root of the number of users "
        "who can be neighbours, at least 10, at most max_neighbours.",
    )
    neighbour_step: int = Field(
        default=10, ge=1, le=10_000, description="Neighbours added at a time while fewer than per_pair films are found."
    )
    max_neighbours: int = Field(default=90, ge=1, le=10_000, description="Neighbours a pair can have at most.")
    # The exponents and the weight of companions were chosen by the evaluation too.
    voter_exponent: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="A voter weighs likes^-voter_exponent: who likes few films says more by each; 0: all alike.",
    )
    companion_weight: float = Field(
        default=2.0,
        ge=0.0,
        le=10.0,
        description="What the users who like the named films like besides, P(f|a), counts so many times as much as the "
        "neighbours' votes; in steps of 0.001, 0: votes alone.",
    )
    popularity_exponent: float = Field(
        default=0.15,
        ge=0.0,
        le=0.5,
        description="Scores are divided by (share of users who like the film)^popularity_exponent: what everybody "
        "likes anyway comes a little later; 0: undivided.",
    )
    per_pair: int = Field(default=10, ge=1, le=1000, description="Recommended films kept for a pair.")
    # user_method, user_films and user_regularization were chosen by the evaluation of long profiles.
    user_method: UserMethod = Field(
        default="ease",
        description="What scores films for an existing user by all films the user likes: ease (linear item model in "
        "closed form) or rp3beta (walks from film to user to film).",
    )
    user_films: int = Field(
        default=4000,
        ge=10,
        le=20_000,
        description="Films of the item model: the most liked ones, of those that five users like. Other films have no "
        "score for a user and follow, most liked first.",
    )
    user_regularization: float = Field(
        default=300.0, gt=0.0, le=1e9, description="Regularization of ease: added to each film's likes."
    )
    per_user: int = Field(default=50, ge=1, le=1000, description="Recommended films kept for a user.")
    per_movie: int = Field(default=20, ge=1, le=1000, description="Similar films kept for a film.")
    engine: Literal["exact", "annoy"] = Field(
        default="exact", description="Who finds the neighbours of a pair: exact search or the Annoy index."
    )
    annoy_components: int = Field(
        default=64, ge=2, le=1128, description="Principal components of the user vectors that the index holds."
    )
    annoy_trees: int = Field(default=12, ge=1, le=1000, description="Trees of the Annoy index.")
    annoy_candidates: int = Field(
        default=150, ge=1, le=100_000, description="Users taken from the index and re-ranked exactly."
    )
    annoy_search_k: int = Field(
        default=12_000,
        ge=1,
        le=100_000_000,
        description="Nodes of the index inspected per question; never fewer than annoy_candidates x annoy_trees.",
    )
    annoy_seed: int = Field(default=42, ge=1, le=2**31 - 1, description="Seed of the Annoy index and projection.")

    @model_validator(mode="after")
    def _neighbours_fit(self) -> "ModelParameters":
        if self.neighbours > self.max_neighbours:
            raise ValueError(
                f"neighbours ({self.neighbours}) must not exceed max_neighbours ({self.max_neighbours}); "
                "raise max_neighbours or lower neighbours"
            )
        return self

    def neighbours_among(self, users: int) -> int:
        """Say how many neighbours vote where so many users can be neighbours.

        Growing with the square root is the usual rule of thumb for nearest neighbours (Duda, Hart & Stork 2001, 4.5):
        with more users the poll grows, and its voters are still nearer. The factor comes from the evaluation.

        Parameters
        ----------
        users : int
            Eligible users.

        Returns
        -------
        int
        """
        return self.neighbours or min(max(10, math.floor(1.5 * math.sqrt(users) + 0.5)), self.max_neighbours)


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "book": {
        "like_threshold": 4.0,
        "min_likes": 1,
        "top_movies": 1000,
        "weighting": "none",
        "liked_bonus": 0.0,
        "neighbours": 10,
        "neighbour_step": 10,
        "max_neighbours": 90,
        "voter_exponent": 0.0,
        "companion_weight": 0.0,
        "popularity_exponent": 0.0,
        "per_pair": 3,
    },
}
"""Named sets of values. `book` is the baseline: the rules of the textbook chapter this system grew out of."""


def read_settings(preset: str | None = None, settings: Iterable[str] = ()) -> dict[str, Any]:
    """Values asked for on the command line, by parameter: those of a preset, and settings, which win.

    Parameters
    ----------
    preset : str, optional
        A key of `PRESETS`; ``default`` asks for the default of every parameter.
    settings : iterable of str
        ``key=value`` texts.

    Raises
    ------
    ParameterError
        If the preset is unknown or a text has no ``=``.
    """
    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"unknown preset {preset!r}; choose one of: {', '.join(sorted(PRESETS))}")
    values = ModelParameters().model_dump() if preset == "default" else dict(PRESETS[preset]) if preset else {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"cannot read the setting {text!r}; write it as key=value")
        values[key.strip()] = value.strip()
    return values


def make_parameters(preset: str = "default", settings: Iterable[str] | Mapping[str, Any] = ()) -> ModelParameters:
    """Combine a preset with explicit settings; settings win.

    Parameters
    ----------
    preset : str
        A key of `PRESETS`.
    settings : iterable of str, or mapping
        ``key=value`` texts as given on the command line, or a mapping of values.

    Returns
    -------
    ModelParameters

    Raises
    ------
    ParameterError
        If the preset or a key is unknown, a text has no ``=``, or a value is malformed or out of range.
    """
    values = read_settings(preset, () if isinstance(settings, Mapping) else settings)
    if isinstance(settings, Mapping):
        values.update(settings)
    unknown = sorted(set(values) - set(ModelParameters.model_fields))
    if unknown:
        raise ParameterError(
            f"unknown parameter {', '.join(unknown)}; known ones: {', '.join(ModelParameters.model_fields)}"
        )
    try:
        return ModelParameters(**values)
    except ValidationError as error:
        lines = [
            ": ".join(filter(None, [".".join(str(part) for part in item["loc"]), item["msg"]]))
            for item in error.errors()
        ]
        raise ParameterError("; ".join(lines)) from None


BEFORE_SCORES: Mapping[str, Any] = {"voter_exponent": 0.0, "companion_weight": 0.0, "popularity_exponent": 0.0}
"""What releases did whose parameters do not name these: they counted plain votes."""


def recorded_parameters(values: Mapping[str, Any]) -> ModelParameters:
    """Read the parameters written on a release, also on one from before the score of films."""
    return ModelParameters(**{**BEFORE_SCORES, **values})
