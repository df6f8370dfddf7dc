"""The OpenAPI document: shapes of answers and refusals, and parameters, as a client may rely on them.

Belongs here: what is written in the document. Does not belong here: reading requests (`serving.http.parameters`, which
the tests hold against this), making answers (`serving.answers`)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serving.http.parameters import ENGINES, LARGEST_ID, LONGEST_QUERY, MOST_ANSWERS, MOST_FILMS
from serving.http.problems import MEDIA_TYPE


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Answer(_Document):
    release: str = Field(description="The release everything in this answer comes from.")
    model_version: str = Field(description="The model of that release.")
    deployment: str = Field(description="The start of the service that answered.")


class FilmName(_Document):
    """A film of the request."""

    movie_id: int
    title: str


class Film(_Document):
    """A film as it is shown."""

    movie_id: int
    title: str
    year: int | None
    genres: list[str]


class RecommendedFilm(Film):
    """A recommendation."""

    rank: int = Field(ge=1)
    votes: int = Field(ge=1, description="Neighbours who like the film.")


class Recommendation(_Answer):
    """Recommendations for a list of films, from the table or computed live."""

    input: list[FilmName] = Field(description="The known films of the request, in its order.")
    unknown: list[int] = Field(description="Ids this release does not know; they were left out.")
    recommendations: list[RecommendedFilm]


class SignupFilm(Film):
    """A film of the sign-up page."""

    position: int = Field(ge=1)
    likes: int = Field(ge=0)


class SignupFilms(_Answer):
    """All films of the sign-up page, most liked first."""

    movies: list[SignupFilm]


class FoundFilm(Film):
    """A film found by its title."""

    likes: int = Field(ge=0)
    has_vector: bool = Field(description="Whether it can shape recommendations.")
    signup: bool = Field(description="Whether it is a sign-up film.")


class FoundFilms(_Answer):
    """Films found by a title search, best first."""

    query: str
    movies: list[FoundFilm]


class SourceFile(_Document):
    """A file the ratings or films came from."""

    name: str
    bytes: int
    sha256: str
    rows: int


class Source(BaseModel):
    """Where the data came from."""

    name: str
    fingerprint: str
    files: list[SourceFile]


class Lineage(BaseModel):
    """Everything a release was made of."""

    release: str
    model_version: str
    deployment: str
    created_at: str
    source_fingerprint: str
    ratings_fingerprint: str
    genome_source: str
    parameters: dict[str, Any]
    code_version: str
    row_counts: dict[str, int]
    model: dict[str, Any]
    source: Source
    checks: list[dict[str, Any]]


class Health(_Document):
    """Whether the process is there; `release` only where it is ready to answer."""

    status: str
    release: str | None = None
    deployment: str


class ProblemDetails(_Document):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    parameter: str | None = Field(default=None, description="The parameter to blame.")


def _film_id() -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}


CLIENT = {
    "name": "Marquee-Client",
    "in": "header",
    "required": False,
    "description": "Key of a client, which then always meets the same variant (champion or challenger).",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}

IDS = {
    "name": "ids",
    "in": "query",
    "required": True,
    "style": "form",
    "explode": False,
    "description": "Films somebody likes, separated by commas; ids=1&ids=2 works as well.",
    "schema": {"type": "array", "items": _film_id(), "minItems": 1, "maxItems": MOST_FILMS, "uniqueItems": True},
    "example": [4993, 41566],
}

NUM = {
    "name": "num",
    "in": "query",
    "required": False,
    "description": "Films to recommend at most.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ANSWERS, "default": 10},
}

ENGINE = {
    "name": "engine",
    "in": "query",
    "required": False,
    "description": "exact compares all users, annoy those an index proposes. Default: the service's choice.",
    "schema": {"type": "string", "enum": list(ENGINES)},
}

QUERY = {
    "name": "q",
    "in": "query",
    "required": True,
    "description": "Words of a title, a year; case, accents, order of articles and small slips do not matter.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_QUERY},
    "example": "the matrix",
}

LIMIT = {
    "name": "limit",
    "in": "query",
    "required": False,
    "description": "Films to return at most.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
}


def path_film(name: str) -> dict[str, Any]:
    """Document a film id in the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": "A sign-up film.",
        "schema": _film_id(),
    }


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document refusals with these statuses, and those any endpoint can give."""
    meanings = {
        404: "The release does not know what was asked for.",
        409: "This release cannot answer in the way asked for.",
        422: "A parameter is missing, unknown or malformed; `parameter` names it.",
        429: "Too many requests; Retry-After says when to come back.",
        503: "No release is live.",
    }
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {"description": meanings[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in dict.fromkeys((*statuses, 422, 429, 503))
    }


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add what no endpoint returns by its model: the schema of refusals."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    return document
