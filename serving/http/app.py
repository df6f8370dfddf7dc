"""The HTTP application: endpoints, and nothing in them but passing questions on and sending replies.

Belongs here: routes, status codes, response headers. Does not belong here: what may be asked (`serving.questions`), the
content of answers (`serving.answers`), limits (`serving.http.middleware`), processes and sockets
(`serving.http.server`).
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints
from urllib.parse import parse_qsl

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError, create_model
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serving.access.admission import Admission
from serving.access.keyring import KeyRing
from serving.answers import drawn_users, release_answer
from serving.events import Films
from serving.http import openapi as documents
from serving.http.compact import PageFiles, respond, respond_once
from serving.http.middleware import Guard, too_large
from serving.http.openapi import documented, openapi_document
from serving.metrics import REFUSED, metrics_text
from serving.pages import Asked
from serving.problems import MEDIA_TYPE, Problem, bad_parameter, to_json
from serving.questions import (
    Client,
    DrawQuestion,
    FilmId,
    NoParameters,
    PairQuestion,
    PopularQuestion,
    RecommendQuestion,
    SearchQuestion,
    SimilarQuestion,
    UserQuestion,
    refusal,
)
from serving.releases.follower import Chosen
from serving.service import Reply, Service
from serving.settings import ServingSettings
from warehouse.home import Home

STATIC = Path(__file__).parent / "static"
VERSION = "1"

DESCRIPTION = """Film recommendations of the live release: precomputed for pairs of sign-up films, computed live for any
list of films. Every answer names its release, model and deployment, in the body and in the headers `Marquee-Release`,
`Marquee-Model-Version`, `Marquee-Deployment` and `Marquee-Variant`. Refusals are problem details (RFC 9457)."""


def create_app(
    home: Home, settings: ServingSettings | None = None, workers: int = 1, own: Home | None = None
) -> FastAPI:
    """Make the application over a home's live releases, for `workers` processes side by side.

    It loads when it starts up (its lifespan); `app.state.service` is its Service. `own` is the home of its keys
    and events; another one than `home` where that is a store's cache.
    """
    chosen_settings = settings or ServingSettings()
    ring = KeyRing(own or home, chosen_settings.poll_seconds) if chosen_settings.require_keys else None
    service = Service(home, chosen_settings, workers, own)

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
    app.router.route_class = StrictRoute
    app.state.service = service
    app.exception_handler(Problem)(_problem_response)
    app.exception_handler(RequestValidationError)(_bad_request)
    app.exception_handler(HTTPException)(_http_problem)
    _add_answers(app, service)
    _add_events(app, service)
    _add_operations(app, service, bool(ring))
    _add_pages(app)
    app.add_middleware(Guard, settings=chosen_settings, admission=Admission(chosen_settings, ring))
    return app


async def _problem_response(request: Request, problem: Problem) -> Response:
    REFUSED.labels(problem.kind).inc()
    headers = {**problem.headers, "Cache-Control": "no-store"}
    return Response(problem.encoded(), problem.status, headers, MEDIA_TYPE)


async def _bad_request(request: Request, error: RequestValidationError) -> Response:
    return await _problem_response(request, refusal(error.errors()))


async def _http_problem(request: Request, error: HTTPException) -> Response:
    """Turn the framework's own refusals (no such path, wrong method) into problem details."""
    kinds = {404: "no-such-path", 405: "wrong-method"}
    details = {
        404: "there is nothing at this path; /openapi.json lists what there is",
        405: f"{request.method[:20]} is not possible here",
    }
    kind, detail = kinds.get(error.status_code, "refused"), details.get(error.status_code, str(error.detail))
    return await _problem_response(request, Problem(error.status_code, kind, detail, headers=dict(error.headers or {})))


class StrictRoute(APIRoute):
    """A route that validates a request in one pass, against one model made of its endpoint's parameters.

    The framework's own reading of parameters costs more than most answers, and takes one in silence of what is given
    twice. The document is made from the same annotations. Page and health read no parameters.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Read path, query and header, refuse what is wrong, call the endpoint."""
        hints = get_type_hints(self.endpoint, include_extras=True)
        if "question" not in hints:
            return super().get_route_handler()
        question = hints["question"].__origin__
        several = {name for name, field in question.model_fields.items() if get_origin(field.annotation) is list}
        places = {name: (hint, ...) for name, hint in hints.items() if name not in ("request", "return", "client")}
        model = create_model("Parameters", **places, client=(ClientKey, None))  # type: ignore[call-overload]
        names, endpoint = tuple(model.model_fields), self.endpoint

        async def strict(request: Request) -> Response:
            values: dict[str, Any] = {}
            for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
                if name in several:
                    values.setdefault(name, []).append(value)
                elif name in values:
                    raise bad_parameter(name[:40], f"{name[:40]} was given more than once; give it once")
                else:
                    values[name] = value
            given = {**request.path_params, "question": values}
            keys = request.headers.getlist("marquee-client")
            if len(keys) > 1:
                raise bad_parameter("Marquee-Client", f"Marquee-Client was given {len(keys)} times; give it once")
            if keys:
                given["Marquee-Client"] = keys[0]
            try:
                found = model.model_validate(given)
            except ValidationError as error:
                raise refusal(error.errors()) from None
            return await endpoint(request, **{name: getattr(found, name) for name in names})

        return strict


ClientKey = Annotated[
    Client,
    Header(
        alias="Marquee-Client",
        description="Key of a client, which then always meets the same variant (champion or challenger).",
    ),
]
SignupFilmId = Annotated[FilmId, PathParameter(description="A sign-up film.")]


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


def _response(request: Request, reply: Reply, deployment: str) -> Response:
    return respond(request, reply.body, "application/json", _origin(reply.chosen, deployment))


async def _list(request: Request, service: Service, client: str | None, asked: Asked) -> Response:
    """Answer with a list, which has an id of its own each time."""
    reply = await service.recommend(client, asked)
    headers = {**_origin(reply.chosen, service.settings.deployment), "Marquee-Engine": reply.engine}
    return respond_once(request, reply.body, "application/json", headers)


def _add_answers(app: FastAPI, service: Service) -> None:
    """Add the endpoints that answer from a release."""
    deployment = service.settings.deployment

    @app.get("/recommend", **documented(documents.Recommendation, 404, 409, 410))
    async def recommend(
        request: Request, question: Annotated[RecommendQuestion, Query()], client: ClientKey = None
    ) -> Response:
        """Recommend films to somebody who likes these, computed live from the release's model."""
        return await _list(request, service, client, Asked("recommend", (), question))

    @app.get("/pairs/{a}/{b}", **documented(documents.Recommendation, 404, 410))
    async def pairs(
        request: Request,
        a: SignupFilmId,
        b: SignupFilmId,
        question: Annotated[PairQuestion, Query()],
        client: ClientKey = None,
    ) -> Response:
        """Recommend films to somebody who likes two sign-up films, from the precomputed table."""
        return await _list(request, service, client, Asked("pairs", (a, b), question))

    @app.get("/users", **documented(documents.DrawnUsers))
    async def draw(request: Request, question: Annotated[DrawQuestion, Query()], client: ClientKey = None) -> Response:
        """Draw users who have a list, at random, to look at."""
        chosen = service.choose(client)
        values = drawn_users(chosen.snapshot, deployment, question.num)
        return _response(request, Reply(to_json(values), chosen), deployment)

    @app.get("/users/{user_id}/recommendations", **documented(documents.Recommendation, 404, 410))
    async def users(
        request: Request,
        user_id: Annotated[FilmId, PathParameter(description="A user of the ratings.")],
        question: Annotated[UserQuestion, Query()],
        client: ClientKey = None,
    ) -> Response:
        """Recommend films to a user, from all they like, without what they have rated."""
        return await _list(request, service, client, Asked("users", (user_id,), question))

    @app.get("/movies/{movie_id}/similar", **documented(documents.Recommendation, 404, 410))
    async def similar(
        request: Request,
        movie_id: Annotated[FilmId, PathParameter(description="A film.")],
        question: Annotated[SimilarQuestion, Query()],
        client: ClientKey = None,
    ) -> Response:
        """List films similar to one: liked by the same users, and with the same tags."""
        return await _list(request, service, client, Asked("similar", (movie_id,), question))

    @app.get("/popular", **documented(documents.Recommendation, 404, 410))
    async def popular(
        request: Request, question: Annotated[PopularQuestion, Query()], client: ClientKey = None
    ) -> Response:
        """List the most liked films: of all, of late, of a genre, of a decade."""
        return await _list(request, service, client, Asked("popular", (), question))

    @app.get("/movies", **documented(documents.FoundFilms))
    async def movies(
        request: Request, question: Annotated[SearchQuestion, Query()], client: ClientKey = None
    ) -> Response:
        """Find films by title."""
        return _response(request, await service.search(service.choose(client), question), deployment)

    @app.get("/signup-movies", **documented(documents.SignupFilms))
    async def signup_movies(
        request: Request, question: Annotated[NoParameters, Query()], client: ClientKey = None
    ) -> Response:
        """List the films of the sign-up page, most liked first."""
        return _response(request, service.signup_movies(service.choose(client)), deployment)

    @app.get("/release", **documented(documents.Lineage))
    async def release(
        request: Request, question: Annotated[NoParameters, Query()], client: ClientKey = None
    ) -> Response:
        """Tell what the live release was made of, down to source files and their sha256."""
        chosen = service.choose(client)
        return _response(request, Reply(to_json(release_answer(chosen.snapshot, deployment)), chosen), deployment)


def _add_events(app: FastAPI, service: Service) -> None:
    """Add the endpoint that takes in what people did."""
    settings = service.settings

    @app.post("/events", **documented(documents.EventsTaken, 408, 413, 415), openapi_extra=documents.EVENTS_BODY)
    async def events(
        request: Request, question: Annotated[NoParameters, Query()], client: ClientKey = None
    ) -> Response:
        """Take in what people did: ratings, and what became of recommendations. Each event counts once by its id."""
        chosen = service.choose(None)
        films = Films(chosen.snapshot.release, chosen.snapshot.films.row_of)
        taken = await service.door.take(await _body(request, settings.most_event_bytes), films)
        headers = {**_origin(chosen, settings.deployment), "Cache-Control": "no-store"}
        return Response(to_json(taken._asdict()), headers=headers, media_type="application/json")


async def _body(request: Request, most: int) -> bytes:
    """Read a JSON body; its type must be declared, so that no page elsewhere can send one without being asked."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "media-type", "send application/json, and say so in Content-Type", "Content-Type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "media-type", "send the body as it is, without Content-Encoding", "Content-Encoding")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise too_large(most)
    except ClientDisconnect:
        raise Problem(408, "late", "the body was not complete in time", "body") from None
    return bytes(body)


def _add_operations(app: FastAPI, service: Service, keys_required: bool) -> None:
    """Add what operators and their tools ask."""
    deployment = service.settings.deployment

    @app.get("/health/live", **documented(documents.Health))
    async def live() -> Response:
        """Tell that the process is there."""
        return Response(to_json({"status": "live", "deployment": deployment}), media_type="application/json")

    @app.get("/health/ready", **documented(documents.Health))
    async def ready() -> Response:
        """Tell whether a release is loaded."""
        chosen = service.choose(None)
        body: dict[str, Any] = {"status": "ready", "release": chosen.snapshot.release, "deployment": deployment}
        store = service.store_state()
        if store is not None:
            body["store"] = store
        return Response(to_json(body), headers=_origin(chosen, deployment), media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        text, media_type = metrics_text()
        return Response(text, media_type=media_type)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        """Serve this document."""
        return Response(to_json(openapi_document(app, keys_required)), media_type="application/json")


def _add_pages(app: FastAPI) -> None:
    """Add the sign-up page and its files."""
    files = PageFiles(STATIC)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        """Serve the sign-up page."""
        return respond(request, files.index, "text/html; charset=utf-8", {"Cache-Control": "no-cache"})

    @app.get("/static/{name}", include_in_schema=False)
    @app.get("/static/{version}/{name}", include_in_schema=False)
    async def static(request: Request, name: str, version: str | None = None) -> Response:
        """Serve a file of the page."""
        found = files.respond(request, version, name)
        if found is None:
            raise HTTPException(404)
        return found
