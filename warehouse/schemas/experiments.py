"""Models of the tables of experiments: what was planned, and everything that happened."""

from typing import ClassVar

import pandera.polars as pa
import polars as pl

from warehouse.home import VERSION
from warehouse.schemas.table import Table, json_field, matching_field, text_field, utc_field

NAME = "^[a-z0-9][a-z0-9._-]{0,63}$"
"""Of an experiment. It is also the salt by which its clients are chosen, so a name is used once."""

METRICS = ("plays_per_answer", "clicks_per_answer", "likes_per_answer")

EVENTS = ("started", "looked", "promoted", "withdrawn", "violated")
"""What happens to an experiment; the last three end it."""


class Experiments(Table):
    """One row per experiment: what was planned. Never changed; how it goes is in the events."""

    experiment: pl.String = matching_field(NAME, "Name, and the salt by which its clients are chosen.", unique=True)
    challenger: pl.String = matching_field(VERSION, "The release that is tried.")
    share: pl.Float64 = pa.Field(ge=0.0, le=1.0, description="Share of the clients who meet it.")
    metric: pl.String = pa.Field(isin=list(METRICS), description="What is compared.")
    margin: pl.Float64 = pa.Field(ge=0.0, le=1.0, description="Share of the champion's metric that does not matter.")
    like_threshold: pl.Float64 = pa.Field(ge=0.5, le=5.0, description="Stars from which a rating is a like.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"challenger": "ops.releases.release"}}


class ExperimentEvents(Table):
    """One row per thing that happened to an experiment; a look that found nothing new is not one."""

    experiment: pl.String = matching_field(NAME, "The experiment.")
    event: pl.String = pa.Field(isin=list(EVENTS), description="What happened.")
    happened_at: pl.Datetime("us") = utc_field()  # type: ignore[valid-type]
    who: pl.String = text_field("Account and machine.")
    why: pl.String = pa.Field(description="The reason given; of a look, what it says.")
    found: pl.String = json_field("Of a look and of the end: the figures of both variants, and the decision.")

    class Config:
        """Keys across tables."""

        metadata: ClassVar = {"foreign_keys": {"experiment": "ops.experiments.experiment"}}
