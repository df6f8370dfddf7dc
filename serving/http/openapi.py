"""The OpenAPI document: shapes of answers and refusals, as a client may rely on them.

Belongs here: what is written in the document beside the parameters, which FastAPI takes from `serving.questions`. Does
not belong here: making answers (`serving.answers`).
"""

from typing import Any, Literal

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from serving.access.admission import needed_scope
from serving.events import MOST_EVENTS
from serving.problems import MEDIA_TYPE
from serving.questions import LARGEST_ID
from warehouse.events.event import MOST_POSITION, TEXT


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


class Reason(_Document):
    """A film that speaks for a recommendation."""

    movie_id: int | None = Field(description="null: all films that are not named, together; the last entry.")
    title: str | None
    share: float = Field(gt=0, le=1, description="Its part of the score; the shares of a recommendation add up to 1.")


class RecommendedFilm(Film):
    """A recommendation."""

    rank: int = Field(ge=1)
    score: float = Field(ge=0, description="What decides the place in the list; of popular films: users who like it.")
    votes: int | None = Field(ge=0, description="Neighbours who like the film; null for lists without neighbours.")
    because: list[Reason] = Field(max_length=5, description="Films named or liked that speak for it, most first.")
    common_tags: list[str] = Field(max_length=3, description="Tags it has in common with these films.")


class Recommendation(_Answer):
    """A page of recommendations, whatever the kind of list."""

    answer_id: str = Field(pattern="^[0-9a-f]{24}$", description="What events call this answer; another each time.")
    source: Literal["pairs", "live", "users", "similar", "popular"] = Field(
        description="Where the list comes from; popular where nothing else could answer."
    )
    input: list[FilmName] = Field(description="Known films of the request; of a user, up to 20 films they like.")
    inputs: int = Field(ge=0, description="How many films were named or are liked.")
    unknown: list[int] = Field(description="Ids this release does not know; they were left out.")
    films_left: int | None = Field(description="Films the filters leave before the cut; null without filters.")
    events_until: str | None = Field(
        description="When the last event was received, of those since the release, that a user's list takes into "
        "account; null without any."
    )
    recommendations: list[RecommendedFilm]
    cursor: str | None = Field(description="Of the next page; null on the last.")


class DrawnUser(_Document):
    """A user of the ratings."""

    user_id: int


class DrawnUsers(_Answer):
    """Users who have a list, drawn at random."""

    users: list[DrawnUser]


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


class Store(_Document):
    """The store that releases come from, and the last look at it: when it succeeded, and why it did not since."""

    address: str
    looked_at: str | None
    age_seconds: float | None
    problem: str


class Health(_Document):
    """Whether the process is there; `release` only where it is ready to answer, `store` where it follows one."""

    status: str
    release: str | None = None
    deployment: str
    store: Store | None = None


class EventValues(_Document):
    """Something a user did. An event that is wrong is refused alone; the others of its request are kept."""

    event_id: str = Field(pattern=f"^{TEXT.pattern}$", description="The sender's name of it; each counts once.")
    type: Literal["rating", "shown", "click", "play", "dismiss"]
    user_id: int = Field(ge=1, le=LARGEST_ID, description="The user, known to the release or not.")
    movie_id: int = Field(ge=1, le=LARGEST_ID, description="A film of the live release.")
    rating: float | None = Field(default=None, ge=0.5, le=5, description="Stars: required of ratings, of these only.")
    at: str | float | None = Field(
        default=None,
        description="When it happened: RFC 3339 with a zone, or seconds since 1970; at most 30 days ago. Default: now.",
        json_schema_extra={"example": "2026-11-28T08:00:00Z"},
    )
    answer_id: str | None = Field(
        default=None, pattern=f"^{TEXT.pattern}$", description="`answer_id` of the answer that showed the film."
    )
    position: int | None = Field(default=None, ge=1, le=MOST_POSITION, description="Place of the film in that answer.")


class Events(_Document):
    """What people did."""

    events: list[EventValues] = Field(max_length=MOST_EVENTS)


class RefusedEvent(_Document):
    """An event that was not kept."""

    index: int = Field(ge=0, description="Its place in the request, from 0.")
    reason: str = Field(description="Begins with the field to blame.")


class EventsTaken(_Document):
    """What became of the events of a request. What is accepted is on the disk."""

    accepted: int = Field(ge=0, description="Kept now.")
    duplicates: int = Field(ge=0, description="Known by their ids, kept before.")
    refused: list[RefusedEvent]


EVENTS_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Events"}}},
    }
}


class ProblemDetails(_Document):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    parameter: str | None = Field(default=None, description="The parameter to blame.")


_MEANINGS = {
    401: "No key, or one that does not hold; `WWW-Authenticate` says which.",
    403: "The key has not the scope that this path needs.",
    408: "The request was not complete in time.",
    404: "The release does not know what was asked for.",
    409: "This release cannot answer in the way asked for.",
    410: "The release of the cursor was retired.",
    413: "The body is too large.",
    415: "The body is no plain JSON.",
    422: "A parameter is missing, unknown or malformed; `parameter` names it.",
    429: "Too many requests; Retry-After says when to come back.",
    503: "No release is live, or events cannot be kept now; Retry-After says when to come back.",
}


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": _MEANINGS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def documented(model: type, *statuses: int) -> dict[str, Any]:
    """Keyword arguments of a route: the shape of its answer, and its refusals beside those of every route."""
    refusals = {status: _refusal(status) for status in dict.fromkeys((*statuses, 422, 429, 503))}
    return {
        "responses": {200: {"model": model, "description": "The answer."}, **refusals},
        "response_class": Response,
    }


def openapi_document(app: FastAPI, keys_required: bool) -> dict[str, Any]:
    """Make the document of the application, once; with keys, where they are required."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document["components"]["schemas"]
        for model in (ProblemDetails, Events):
            shape = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= shape.pop("$defs", {})
            schemas[model.__name__] = shape
        for path, operations in document["paths"].items():
            for operation in operations.values():
                for parameter in operation.get("parameters", ()):
                    if parameter["schema"].get("type") == "array":  # separated by commas, which FastAPI cannot say
                        parameter |= {"style": "form", "explode": False}
                if keys_required:
                    _require_key(operation, path)
        if keys_required:
            document["components"]["securitySchemes"] = {KEY: _KEY_SCHEME}
        app.openapi_schema = document
    return app.openapi_schema


KEY = "key"
_KEY_SCHEME = {"type": "http", "scheme": "bearer", "description": "A key that `marquee keys add` made."}


def _require_key(operation: dict[str, Any], path: str) -> None:
    """Say of an operation that it needs a key with a scope, unless it is open."""
    scope = needed_scope(path)
    if scope is not None:
        operation["security"] = [{KEY: [scope]}]
        operation["responses"] |= {str(status): _refusal(status) for status in (401, 403)}
