"""The service against its own OpenAPI document, by schemathesis: no error of the server, no surprise in an answer.

MARQUEE_SCHEMA_CASES sets the number of cases for each operation and mode; 520 make more than 5,000 in all.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode

from tests.serving.conftest import TestClient, TwoReleases, running

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


@pytest.fixture(scope="module")
def schema(built: TwoReleases) -> Iterator[schemathesis.BaseSchema]:
    with running(built.home, request_log=False) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize(
    ("path", "mode"),
    # What takes no parameter cannot be asked wrongly.
    [(path, mode) for path in PATHS for mode in GenerationMode if mode.is_positive or "health" not in path],
)
def test_the_service_keeps_to_its_document(schema: schemathesis.BaseSchema, path: str, mode: GenerationMode) -> None:
    """Well-formed requests are answered as documented, malformed ones refused as documented; with -s it counts them."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=CASES,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @given(schema[path]["GET"].as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        if mode.is_positive:  # what a schema cannot say: years in order, cursors that were given out
            first, _, last = str((case.query or {}).get("years", "")).partition("-")
            assume(not last or first <= last)
            (case.query or {}).pop("cursor", None)
        response = case.call()
        statuses[response.status_code] += 1
        case.validate_response(response)

    check()
    print(f"\n{path} {mode.name}: {statuses.total()} cases by status: {dict(sorted(statuses.items()))}")
    assert statuses.total() >= (1 if "health" in path else CASES)
    assert max(statuses) < 500


def test_the_document_names_every_public_path(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == set(PATHS)
    for path, operations in document["paths"].items():
        assert operations["get"]["summary"], path
        assert operations["get"]["description"], path
        assert {"200", "503"} <= set(operations["get"]["responses"])
    assert "ProblemDetails" in document["components"]["schemas"]
