"""The HTTP application: endpoints, and nothing in them but reading parameters and sending replies.

Belongs here: routes, status codes, response headers. Does not belong here: what an answer contains (`serving.answers`),
limits (`serving.http.middleware`), processes and sockets (`serving.http.server`).
"""

import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from serving.answers import release_answer
from serving.http import openapi as documents
from serving.http.middleware import Gate
from serving.http.openapi import CLIENT, ENGINE, IDS, LIMIT, NUM, QUERY, path_film, refusals
from serving.http.parameters import (
    LARGEST_ID,
    answers_wanted,
    client_key,
    engine_wanted,
    film_ids,
    only_known,
    single,
    title_wanted,
    whole_number,
)
from serving.http.problems import MEDIA_TYPE, Problem
from serving.metrics import REFUSED, metrics_text
from serving.service import Chosen, Reply, Service, to_json
from serving.settings import ServingSettings
from warehouse.home import Home

STATIC = Path(__file__).parent / "static"
VERSION = "1"

DESCRIPTION = """Film recommendations of the live release: precomputed for pairs of sign-up films, computed live for any
list of films. Every answer names its release, model and deployment, in the body and in the headers `Marquee-Release`,
`Marquee-Model-Version`, `Marquee-Deployment` and `Marquee-Variant`. Refusals are problem details (RFC 9457)."""


def create_app(home: Home, settings: ServingSettings | None = None, workers: int = 1) -> FastAPI:
    """Make the application over a home's live releases.

    Parameters
    ----------
    home : Home
    settings : ServingSettings, optional
    workers : int
        Processes that will run it side by side.

    Returns
    -------
    FastAPI
        Loads when it starts up (its lifespan); `app.state.service` is its Service.
    """
    chosen_settings = settings or ServingSettings()
    service = Service(home, chosen_settings, workers)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(
        title="Marquee",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # the usual pages load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.exception_handler(Problem)(_problem_response)
    app.exception_handler(HTTPException)(_http_problem)
    _add_answers(app, service)
    _add_operations(app, service)
    _add_pages(app)
    app.add_middleware(Gate, settings=chosen_settings)
    return app


async def _problem_response(request: Request, problem: Problem) -> Response:
    REFUSED.labels(problem.kind).inc()
    headers = {**problem.headers, "Cache-Control": "no-store"}
    return Response(problem.encoded(), problem.status, headers, MEDIA_TYPE)


async def _http_problem(request: Request, error: HTTPException) -> Response:
    """Turn the framework's own refusals (no such path, wrong method) into problem details."""
    kinds = {404: "no-such-path", 405: "wrong-method"}
    details = {
        404: "there is nothing at this path; /openapi.json lists what there is",
        405: f"{request.method[:20]} is not possible here",
    }
    kind, detail = kinds.get(error.status_code, "refused"), details.get(error.status_code, str(error.detail))
    return await _problem_response(request, Problem(error.status_code, kind, detail, headers=dict(error.headers or {})))


def _parameters(request: Request, *known: str) -> dict[str, list[str]]:
    """Query parameters by name, each with all its values; refuses names nobody reads."""
    values: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        values.setdefault(name, []).append(value)
    only_known(values, known)
    return values


def _chosen(request: Request, service: Service) -> Chosen:
    return service.choose(client_key(request.headers.getlist("marquee-client")))


def _origin(chosen: Chosen, deployment: str) -> dict[str, str]:
    """Headers that say where an answer comes from."""
    return {
        "Marquee-Release": chosen.snapshot.release,
        "Marquee-Model-Version": chosen.snapshot.model_version,
        "Marquee-Deployment": deployment,
        "Marquee-Variant": chosen.variant,
        "Cache-Control": "no-cache",
        "Vary": "Marquee-Client",
    }


def _response(reply: Reply, deployment: str) -> Response:
    headers = _origin(reply.chosen, deployment)
    if reply.engine:
        headers["Marquee-Engine"] = reply.engine
    return Response(reply.body, headers=headers, media_type="application/json")


@lru_cache(maxsize=8)
def _zipped(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


def _document(model: type, *parameters: dict[str, Any], statuses: Sequence[int] = ()) -> dict[str, Any]:
    """Keyword arguments that document a route."""
    return {
        "responses": {200: {"model": model, "description": "The answer."}, **refusals(*statuses)},
        "openapi_extra": {"parameters": list(parameters)} if parameters else None,
        "response_class": Response,
    }


def _add_answers(app: FastAPI, service: Service) -> None:
    """Add the endpoints that answer from a release."""
    deployment = service.settings.deployment

    @app.get("/recommend", **_document(documents.Recommendation, IDS, NUM, ENGINE, CLIENT, statuses=(404, 409, 422)))
    async def recommend(request: Request) -> Response:
        """Recommend films to somebody who likes these, computed live from the release's model."""
        values = _parameters(request, "ids", "num", "engine")
        ids = film_ids("ids", values.get("ids", []))
        num, engine = answers_wanted(values.get("num", [])), engine_wanted(values.get("engine", []))
        return _response(await service.recommend(_chosen(request, service), ids, num, engine), deployment)

    @app.get(
        "/pairs/{a}/{b}",
        **_document(documents.Recommendation, path_film("a"), path_film("b"), CLIENT, statuses=(404, 422)),
    )
    async def pairs(request: Request) -> Response:
        """Recommend films to somebody who likes two sign-up films, from the precomputed table."""
        _parameters(request)
        one, other = (whole_number(name, request.path_params[name], 1, LARGEST_ID) for name in ("a", "b"))
        return _response(service.pair(_chosen(request, service), one, other), deployment)

    @app.get("/movies", **_document(documents.FoundFilms, QUERY, LIMIT, CLIENT, statuses=(422,)))
    async def movies(request: Request) -> Response:
        """Find films by title."""
        values = _parameters(request, "q", "limit")
        question = title_wanted(values.get("q", []))
        limit = single("limit", values.get("limit", []))
        count = 10 if limit is None else whole_number("limit", limit, 1, 50)
        return _response(await service.search(_chosen(request, service), question, count), deployment)

    @app.get("/signup-movies", **_document(documents.SignupFilms, CLIENT, statuses=(422,)))
    async def signup_movies(request: Request) -> Response:
        """List the films of the sign-up page, most liked first."""
        _parameters(request)
        response = _response(service.signup_movies(_chosen(request, service)), deployment)
        response.headers["Vary"] = "Marquee-Client, Accept-Encoding"
        if "gzip" in request.headers.get("accept-encoding", ""):
            response.body = _zipped(bytes(response.body))
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Length"] = str(len(response.body))
        return response

    @app.get("/release", **_document(documents.Lineage, CLIENT, statuses=(422,)))
    async def release(request: Request) -> Response:
        """Tell what the live release was made of, down to source files and their sha256."""
        _parameters(request)
        chosen = _chosen(request, service)
        return _response(Reply(to_json(release_answer(chosen.snapshot, deployment)), chosen), deployment)


def _add_operations(app: FastAPI, service: Service) -> None:
    """Add what operators and their tools ask."""
    deployment = service.settings.deployment

    @app.get("/health/live", **_document(documents.Health))
    async def live() -> Response:
        """Tell that the process is there."""
        return Response(to_json({"status": "live", "deployment": deployment}), media_type="application/json")

    @app.get("/health/ready", **_document(documents.Health))
    async def ready() -> Response:
        """Tell whether a release is loaded."""
        chosen = service.choose(None)
        body = {"status": "ready", "release": chosen.snapshot.release, "deployment": deployment}
        return Response(to_json(body), headers=_origin(chosen, deployment), media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        text, media_type = metrics_text()
        return Response(text, media_type=media_type)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        """Serve this document."""
        return Response(to_json(openapi_document(app)), media_type="application/json")


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Make the OpenAPI document of the application."""
    if app.openapi_schema is None:
        app.openapi_schema = documents.complete(
            get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        )
    return app.openapi_schema


def _add_pages(app: FastAPI) -> None:
    """Add the sign-up page and its files."""
    index = (STATIC / "index.html").read_bytes()

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        """Serve the sign-up page."""
        return Response(index, headers={"Cache-Control": "no-cache"}, media_type="text/html")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
