"""What may be asked: the parameters of each question as pydantic models, strict, for HTTP and the command line alike.

Belongs here: the form of parameters, which no release changes; the OpenAPI document is made from them. Does not belong
here: whether a release knows a film (`serving.answers`).
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema, WithJsonSchema

from serving.problems import Problem, bad_parameter

MOST_FILMS = 100
MOST_ANSWERS = 100
MOST_EXCLUDED = 500
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
PairNum = Annotated[int, Field(ge=1, le=MOST_ANSWERS), BeforeValidator(_digits_only)]
Client = Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,64}$")] | SkipJsonSchema[None]


class NoParameters(BaseModel):
    """A question without parameters: any is rejected, because a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _years(text: object) -> object:
    """Read 1999 or 1990-1999 as (first, last)."""
    if isinstance(text, str):
        found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{4}))?", text, re.ASCII)
        if found is None:
            raise ValueError("input should be a year or two, like 1999 or 1990-1999")
        text = (int(found[1]), int(found[2] or found[1]))
        if text[0] > text[1]:
            raise ValueError(f"the first year comes after the last; ask for {text[1]}-{text[0]}")
    return text


Years = Annotated[
    tuple[int, int],
    BeforeValidator(_years),
    WithJsonSchema({"type": "string", "pattern": "^(18|19|20)[0-9]{2}(-(18|19|20)[0-9]{2})?$", "example": "1990-1999"}),
]


class ListQuestion(NoParameters):
    """What all lists can be asked: how much of them, from where, and of which films."""

    num: WholeNumber = Field(default=10, ge=1, le=MOST_ANSWERS, description="Films to recommend at most.")
    cursor: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{40,120}$")] | SkipJsonSchema[None] = Field(
        default=None, description="Where to go on: `cursor` of the answer before; all else but num as it was there."
    )
    genre: Annotated[str, Field(min_length=1, max_length=40)] | SkipJsonSchema[None] = Field(
        default=None, description="Only films of this genre.", json_schema_extra={"example": "Comedy"}
    )
    years: Years | SkipJsonSchema[None] = Field(default=None, description="Only films of this year or these years.")
    exclude: Annotated[list[FilmId], BeforeValidator(_split), AfterValidator(_distinct)] = Field(
        default=[],
        min_length=1,
        max_length=MOST_EXCLUDED,
        description="Films to leave out, separated by commas.",
        json_schema_extra={"uniqueItems": True},
    )

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return self.genre is not None or self.years is not None or bool(self.exclude)

    @cached_property
    def identity(self) -> tuple[object, ...]:
        """Everything a list depends on but for the engine, and not what of it is shown; hashable."""
        return tuple(
            tuple(value) if isinstance(value, list) else value
            for name, value in self
            if name not in ("num", "cursor", "engine")
        )


Seen = Literal["drop", "keep"]
Fallback = Literal["popular", "no"]

SEEN: Any = Field(default="drop", description="keep: films somebody named, rated or liked may be recommended too.")
FALLBACK: Any = Field(
    default="popular", description="What answers where this list has nothing: popular films (source says so), or no."
)


class RecommendQuestion(ListQuestion):
    """Which films somebody likes, and how many to recommend."""

    ids: Annotated[list[FilmId], BeforeValidator(_split), AfterValidator(_distinct)] = Field(
        min_length=1,
        max_length=MOST_FILMS,
        description="Films somebody likes, separated by commas; ids=1&ids=2 works as well.",
        json_schema_extra={"uniqueItems": True, "example": [4993, 41566]},
    )
    engine: Engine | SkipJsonSchema[None] = Field(
        default=None,
        description="exact compares all users, annoy those an index proposes. Default: the service's choice.",
    )
    seen: Seen = SEEN
    fallback: Fallback = FALLBACK


class PairQuestion(ListQuestion):
    """What can be asked about a pair."""

    num: PairNum | SkipJsonSchema[None] = Field(  # type: ignore[assignment]
        default=None, description="Films to recommend at most; default: all the table has."
    )
    seen: Seen = SEEN


class UserQuestion(ListQuestion):
    """What can be asked about a user's list."""

    seen: Seen = SEEN
    fallback: Fallback = FALLBACK


class SimilarQuestion(ListQuestion):
    """What can be asked about films similar to one."""

    fallback: Fallback = FALLBACK


class PopularQuestion(ListQuestion):
    """What can be asked about popular films."""

    list: str = Field(
        default="all",
        min_length=1,
        max_length=60,
        description="all, recent (likes of the data's own last 90 days), genre:Comedy, decade:1990.",
        json_schema_extra={"example": "genre:Comedy"},
    )


class DrawQuestion(NoParameters):
    """How many users to draw."""

    num: WholeNumber = Field(default=10, ge=1, le=MOST_ANSWERS, description="Users to draw at most.")


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
