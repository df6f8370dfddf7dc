"""Thresholds of the checks: one typed value object, each with its default and meaning, and a file that may change them.

Belongs here: every number a check holds a measurement against. Does not belong here: what makes a row good
(`warehouse.schemas`), which is not negotiable, or parameters of the model (`recommender.parameters`).

An installation changes thresholds in `checks.toml` in its home, one `name = value` per line; every run reads it,
whoever starts it. A single run is given others in the Launchpad (resource `check_settings`).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recommender.errors import UsageError

SETTINGS_FILE = "checks.toml"


class SettingsError(UsageError):
    """A threshold is unknown or out of range; the message names it and the file it stands in."""


class CheckSettings(BaseModel):
    """What is still good enough. `warn` thresholds give a warning, `error` thresholds block promotion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rejected_share_warn: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of the rows of an input, or of a file of new ratings, rejected: warn.",
    )
    rejected_share_error: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="The same: block, of an input; of a file of new ratings, its check fails.",
    )
    likes_with_vector_warn: float = Field(
        default=0.8, ge=0, le=1, description="Share of likes whose film has a vector, at least: warn below."
    )
    likes_with_vector_error: float = Field(
        default=0.5, ge=0, le=1, description="Share of likes whose film has a vector, at least: block below."
    )
    incomplete_films_warn: float = Field(
        default=0.0, ge=0, le=1, description="Share of the genome's films left out because tags are missing: warn."
    )
    incomplete_films_error: float = Field(
        default=0.05, ge=0, le=1, description="Share of the genome's films left out because tags are missing: block."
    )
    norm_tolerance: float = Field(
        default=1e-3, gt=0, le=0.1, description="How far the length of a user vector may be from 1: block beyond."
    )
    zero_vectors_warn: float = Field(
        default=0.2, ge=0, le=1, description="Share of users none of whose films has a vector: warn."
    )
    month_ratio_warn: float = Field(
        default=10.0,
        ge=1,
        description="Ratings of the last whole month against the median of the 12 before, up or down: warn beyond.",
    )
    one_rating_warn: float = Field(default=0.6, ge=0, le=1, description="Share of the most frequent rating: warn.")
    one_rating_error: float = Field(default=0.9, ge=0, le=1, description="Share of the most frequent rating: block.")
    ratings_age_days_warn: float = Field(
        default=30.0, gt=0, description="Age of the newest rating, once files of new ratings come in: warn beyond."
    )
    index_recall_warn: float = Field(default=0.95, ge=0, le=1, description="Recall@10 of the index: warn below.")
    index_recall_error: float = Field(default=0.8, ge=0, le=1, description="Recall@10 of the index: block below.")
    recomputed_pairs: int = Field(
        default=25, ge=1, le=10_000, description="Random pairs of a release that are computed again, another way."
    )
    recomputed_agreement_annoy: float = Field(
        default=0.8, ge=0, le=1, description="With engine annoy: films in common with the exact answer, at least."
    )
    coverage_error: float = Field(
        default=0.0005, ge=0, le=1, description="Share of liked films that are recommended to some pair: block below."
    )
    coverage_warn: float = Field(
        default=0.005, ge=0, le=1, description="Share of liked films that are recommended to some pair: warn below."
    )
    popular_share_warn: float = Field(
        default=0.7, ge=0, le=1, description="Share of all list places that the most liked films take: warn."
    )
    popular_share_error: float = Field(
        default=0.97, ge=0, le=1, description="Share of all list places that the most liked films take: block."
    )
    most_frequent_film_warn: float = Field(
        default=0.85, ge=0, le=1, description="Share of the lists that the most frequent film is in: warn beyond."
    )
    frequent_films_share_warn: float = Field(
        default=0.55, ge=0, le=1, description="Share of all places that the ten most frequent films take: warn beyond."
    )
    signup_films_unrecommended_warn: float = Field(
        default=0.75, ge=0, le=1, description="Share of the sign-up films that no pair is recommended: warn beyond."
    )
    overlap_warn: float = Field(
        default=0.5, ge=0, le=1, description="Mean overlap of a pair's films with the live release: warn below."
    )
    overlap_error: float = Field(
        default=0.1, ge=0, le=1, description="The same, if source and parameters are the live ones: block below."
    )
    drift_warn: float = Field(
        default=0.1, ge=0, description="Population stability index against the live release: warn beyond."
    )
    drift_error: float = Field(default=0.5, ge=0, description="The same, if the source is the live one: block beyond.")
    evaluation_margin: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="How far NDCG@10 may fall below what is live, both asked the same cases: block beyond.",
    )


def load_settings(root: Path, overrides: Mapping[str, Any] | None = None) -> CheckSettings:
    """Thresholds of a home: its `checks.toml` over the defaults, and `overrides` over both.

    Parameters
    ----------
    root : Path
        The home's folder.
    overrides : mapping, optional

    Raises
    ------
    SettingsError
    """
    path = root / SETTINGS_FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return CheckSettings(**{**values, **(overrides or {})})
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{path}: {name}: {first['msg']}; known are {', '.join(CheckSettings.model_fields)}"
        ) from None
