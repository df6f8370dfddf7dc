"""The service against its own OpenAPI document, by schemathesis: no error of the server, no surprise in an answer.

MARQUEE_SCHEMA_CASES sets the number of cases for each operation and mode; 520 make more than 5,000 in all.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from tests.homes import copy_home
from tests.serving.conftest import TestClient, running
from warehouse.home import Home

CASES = int(os.environ.get("MARQUEE_SCHEMA_CASES", "25"))

LISTS = ["/users", "/users/{user_id}/recommendations", "/movies/{movie_id}/similar", "/popular"]
PATHS = [
    "/recommend",
    "/pairs/{a}/{b}",
    *LISTS,
    "/movies",
    "/signup-movies",
    "/release",
    "/health/live",
    "/health/ready",
]
EVENTS = "/events"


@pytest.fixture(scope="module")
def schema(two_releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    home = Home(copy_home(two_releases, tmp_path_factory.mktemp("schema")))  # of its own: events are written to it
    with running(home, request_log=False) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize(
    ("path", "mode"),
    # What takes no parameter cannot be asked wrongly.
    [(path, mode) for path in [*PATHS, EVENTS] for mode in GenerationMode if mode.is_positive or "health" not in path],
)
def test_the_service_keeps_to_its_document(schema: schemathesis.BaseSchema, path: str, mode: GenerationMode) -> None:
    """Well-formed requests are answered as documented, malformed ones refused as documented; with -s it counts them."""
    statuses: Counter[int] = Counter()
    operation = schema[path]["POST" if path == EVENTS else "GET"]

    @settings(
        max_examples=CASES,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        if mode.is_positive:  # what a schema cannot say: years in order, cursors that were given out
            first, _, last = str((case.query or {}).get("years", "")).partition("-")
            assume(not last or first <= last)
            (case.query or {}).pop("cursor", None)
        response = case.call()
        statuses[response.status_code] += 1
        # An event that is wrong is refused alone: its request is answered.
        case.validate_response(response, excluded_checks=[negative_data_rejection] if path == EVENTS else [])

    check()
    print(f"\n{path} {mode.name}: {statuses.total()} cases by status: {dict(sorted(statuses.items()))}")
    assert statuses.total() >= (1 if "health" in path else CASES)
    assert max(statuses) < 500


def test_the_document_names_every_public_path(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {*PATHS, EVENTS}
    for path, operations in document["paths"].items():
        ((method, operation),) = operations.items()
        assert method == ("post" if path == EVENTS else "get")
        assert operation["summary"], path
        assert operation["description"], path
        assert {"200", "503"} <= set(operation["responses"])
    assert "ProblemDetails" in document["components"]["schemas"]
