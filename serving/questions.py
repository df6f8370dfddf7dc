"""What may be asked: the parameters of each question as pydantic models, strict, for HTTP and the command line alike.

Belongs here: the form of parameters, which no release changes; the OpenAPI document is made from them. Does not belong
here: whether a release knows a film (`serving.answers`).
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from serving.problems import Problem, bad_parameter

MOST_FILMS = 100
MOST_ANSWERS = 100
LARGEST_ID = 2**31 - 1

Engine = Literal["exact", "annoy"]


def _digits_only(value: object) -> object:
    """Reject signs, spaces, exponents and digits of other scripts, which pydantic would read as numbers."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        raise ValueError("input should be a whole number")
    return value


def _split(values: Sequence[str | int]) -> list[str | int]:
    """Split at commas: ids=1,2 means the same as ids=1&ids=2."""
    return [part for value in values for part in (value.split(",") if isinstance(value, str) else [value])]


def _distinct(ids: list[int]) -> list[int]:
    seen: set[int] = set()
    for movie in ids:
        if movie in seen:
            raise ValueError(f"film {movie} was named twice; name each film once")
        seen.add(movie)
    return ids


WholeNumber = Annotated[int, BeforeValidator(_digits_only)]
FilmId = Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(_digits_only)]
Client = Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,64}$")] | SkipJsonSchema[None]


class NoParameters(BaseModel):
    """A question without parameters: any is rejected, because a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecommendQuestion(NoParameters):
    """Which films somebody likes, and how many to recommend."""

    ids: Annotated[list[FilmId], BeforeValidator(_split), AfterValidator(_distinct)] = Field(
        min_length=1,
        max_length=MOST_FILMS,
        description="Films somebody likes, separated by commas; ids=1&ids=2 works as well.",
        json_schema_extra={"uniqueItems": True, "example": [4993, 41566]},
    )
    num: WholeNumber = Field(default=10, ge=1, le=MOST_ANSWERS, description="Films to recommend at most.")
    engine: Engine | SkipJsonSchema[None] = Field(
        default=None,
        description="exact compares all users, annoy those an index proposes. Default: the service's choice.",
    )


class SearchQuestion(NoParameters):
    """Words of a title."""

    q: str = Field(
        min_length=1,
        max_length=100,
        description="Words of a title, a year; case, accents, order of articles and small slips do not matter.",
        json_schema_extra={"example": "the matrix"},
    )
    limit: WholeNumber = Field(default=10, ge=1, le=50, description="Films to return at most.")


def refusal(errors: Sequence[Any]) -> Problem:
    """Turn pydantic's errors into a refusal that names one parameter: an unknown one, else the first bad one.

    Parameters
    ----------
    errors : sequence of pydantic_core.ErrorDetails
        At least one. Routes put ``question``, FastAPI ``query``, ``path`` or ``header`` in front of the location.
    """
    error = min(errors, key=lambda error: error["type"] != "extra_forbidden")
    place = [str(part) for part in error["loc"] if part not in ("query", "path", "header", "question")]
    name = place[0][:40] if place else "query"
    if error["type"] == "extra_forbidden":
        return Problem(422, "unknown-parameter", f"there is no parameter {name!r}; see /openapi.json", name)
    if error["type"] == "missing":
        return bad_parameter(name, f"{name} is missing; see /openapi.json")
    given = error["input"]
    text = error["msg"].removeprefix("Value error, ")
    but = f", not {str(given)[:40]!r}" if isinstance(given, str | int) else ""
    return bad_parameter(name, f"{name}: {text[0].lower()}{text[1:]}{but}")
