"""Bad requests: refused with the name of the parameter, never an error of the server."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.access.rate_limit import Rate, RateLimit, is_loopback
from serving.http.app import create_app
from serving.questions import RecommendQuestion, refusal
from serving.releases.snapshot import Snapshot
from serving.settings import ServingSettings
from tests.serving.conftest import TestClient, TwoReleases

BAD = [
    ("/recommend", "ids"),
    ("/recommend?ids=", "ids"),
    ("/recommend?ids=,", "ids"),
    ("/recommend?ids=1,,2", "ids"),
    ("/recommend?ids=1,1", "ids"),
    ("/recommend?ids=1&ids=1", "ids"),
    ("/recommend?ids=0", "ids"),
    ("/recommend?ids=-5", "ids"),
    ("/recommend?ids=%2B5", "ids"),
    ("/recommend?ids=1.5", "ids"),
    ("/recommend?ids=1e3", "ids"),
    ("/recommend?ids=abc", "ids"),
    ("/recommend?ids=%D9%A1", "ids"),
    ("/recommend?ids=%00", "ids"),
    ("/recommend?ids=2147483648", "ids"),
    ("/recommend?ids=99999999999999999999999999", "ids"),
    ("/recommend?ids=1%3BDROP%20TABLE%20movies", "ids"),
    ("/recommend?ids=1%27%20OR%201=1--", "ids"),
    ("/recommend?ids=" + ",".join(map(str, range(1, 102))), "ids"),
    ("/recommend?ids=1&num=0", "num"),
    ("/recommend?ids=1&num=101", "num"),
    ("/recommend?ids=1&num=-1", "num"),
    ("/recommend?ids=1&num=ten", "num"),
    ("/recommend?ids=1&num=", "num"),
    ("/recommend?ids=1&num=1&num=2", "num"),
    ("/recommend?ids=1&engine=magic", "engine"),
    ("/recommend?ids=1&engine=", "engine"),
    ("/recommend?id=1", "id"),
    ("/pairs/1/x", "b"),
    ("/pairs/-1/2", "a"),
    ("/pairs/1'%20OR/2", "a"),
    ("/pairs/99999999999999/2", "a"),
    ("/pairs/1/2?x=1", "x"),
    ("/pairs/1/2?num=0", "num"),
    ("/recommend?ids=1&years=1999-1990", "years"),
    ("/recommend?ids=1&years=99", "years"),
    ("/recommend?ids=1&years=1990-", "years"),
    ("/recommend?ids=1&years=1990&years=1991", "years"),
    ("/recommend?ids=1&genre=", "genre"),
    ("/recommend?ids=1&exclude=x", "exclude"),
    ("/recommend?ids=1&exclude=3,3", "exclude"),
    ("/recommend?ids=1&seen=maybe", "seen"),
    ("/recommend?ids=1&fallback=yes", "fallback"),
    ("/recommend?ids=1&cursor=", "cursor"),
    ("/recommend?ids=1&cursor=" + "A" * 55, "cursor"),
    ("/recommend?ids=1&cursor=%F0%9F%98%80", "cursor"),
    ("/users/x/recommendations", "user_id"),
    ("/users/0/recommendations", "user_id"),
    ("/users/1/recommendations?num=101", "num"),
    ("/movies/-1/similar", "movie_id"),
    ("/movies/1/similar?seen=keep", "seen"),
    ("/popular?list=", "list"),
    ("/popular?fallback=no", "fallback"),
    ("/movies", "q"),
    ("/movies?q=", "q"),
    ("/movies?q=" + "a" * 101, "q"),
    ("/movies?q=a&q=b", "q"),
    ("/movies?q=a&limit=0", "limit"),
    ("/movies?q=a&limit=51", "limit"),
    ("/movies?q=a&limit=+5", "limit"),
    ("/recommend?ids=1&num=1_0", "num"),
    ("/recommend?ids=1&num=10.0", "num"),
    ("/signup-movies?page=2", "page"),
    ("/signup-movies?page=2&page=3", "page"),
    ("/release?release=x", "release"),
]


@pytest.mark.parametrize(("path", "parameter"), BAD)
def test_a_bad_parameter_is_named(client: TestClient, path: str, parameter: str) -> None:
    response = client.get(path)
    body = response.json()
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert body["parameter"] == parameter
    assert body["status"] == 422
    assert body["type"].startswith("urn:marquee:problem:")
    assert body["title"]
    assert len(body["detail"]) < 300


def test_what_the_release_does_not_know_is_not_found(client: TestClient, snapshot: Snapshot) -> None:
    signup = snapshot.films.signup_ids[0]
    other = next(movie for movie in snapshot.films.movie_ids if movie not in snapshot.films.signup_rank)
    for path, parameter in (
        ("/recommend?ids=2000000000&fallback=no", "ids"),
        (f"/recommend?ids={signup}&genre=Nonsense", "genre"),
        (f"/pairs/{signup}/{snapshot.films.signup_ids[1]}?genre=Nonsense", "genre"),
        ("/users/2000000000/recommendations?fallback=no", "user_id"),
        ("/movies/2000000000/similar?fallback=no", "movie_id"),
        ("/popular?list=unheard-of", "list"),
        ("/popular?list=genre:Nonsense", "list"),
        (f"/pairs/{signup}/2000000000", "b"),
        (f"/pairs/2000000000/{signup}", "a"),
        (f"/pairs/{other}/{signup}", "a"),
        (f"/pairs/{signup}/{signup}", "b"),
    ):
        response = client.get(path)
        assert (response.status_code, response.json()["parameter"]) == (404, parameter)


def test_a_film_without_vector_alone_is_explained(client: TestClient, snapshot: Snapshot) -> None:
    bare = next(
        movie for movie, has in zip(snapshot.films.movie_ids, snapshot.films.has_vector, strict=True) if not has
    )
    response = client.get(f"/recommend?ids={bare}&fallback=no")
    assert (response.status_code, response.json()["type"]) == (404, "urn:marquee:problem:no-vector")
    both = client.get(f"/recommend?ids={bare},{snapshot.films.signup_ids[0]}").json()
    assert [film["movie_id"] for film in both["input"]] == [bare, snapshot.films.signup_ids[0]]
    assert bare not in {film["movie_id"] for film in both["recommendations"]}


def test_wrong_paths_and_methods_are_problems_too(client: TestClient) -> None:
    for method, path, status in (("GET", "/nope", 404), ("POST", "/recommend", 405), ("DELETE", "/pairs/1/2", 405)):
        response = client.request(method, path)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404


def test_sizes_are_limited(client: TestClient) -> None:
    long = client.get("/movies?limit=1&q=" + "a" * 9000)
    assert (long.status_code, long.json()["parameter"]) == (422, "q")
    assert client.get("/release", headers={"X-Long": "a" * 40_000}).status_code == 431
    assert client.request("GET", "/release", content=b"x" * 70_000).status_code == 413
    assert client.get("/release", headers={"Marquee-Client": "a b"}).json()["parameter"] == "Marquee-Client"


def test_every_response_carries_safe_headers(client: TestClient) -> None:
    for path in ("/", "/static/app.js", "/recommend?ids=x", "/nope", "/health/live", "/movies?q=" + "a" * 9000):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


def test_a_failure_of_ours_shows_nothing_of_the_inside(built: TwoReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret path /home/someone")

    monkeypatch.setattr("serving.service.find", broken)
    app = create_app(built.home, ServingSettings(request_log=False))
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/pairs/1/2")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text


def test_one_address_cannot_ask_without_end(built: TwoReleases) -> None:
    limits = ServingSettings(request_log=False, limit_loopback=True, rate_per_second=0.5, rate_burst=3)
    with TestClient(create_app(built.home, limits), client=("203.0.113.9", 1)) as client:
        statuses = [client.get("/health/live").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        refused = client.get("/health/live")
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert refused.headers["content-type"] == "application/problem+json"


def test_tokens_come_back_and_addresses_do_not_share_them() -> None:
    limit, rate = RateLimit(), Rate(2.0, 2)
    assert [limit.wait("a", rate, 0.0), limit.wait("a", rate, 0.0)] == [0.0, 0.0]
    assert limit.wait("a", rate, 0.0) == pytest.approx(0.5)
    assert limit.wait("b", rate, 0.0) == 0.0
    assert limit.wait("a", rate, 0.5) == 0.0
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("192.0.2.1")


@settings(max_examples=300)
@given(st.lists(st.text(max_size=30), max_size=4))
def test_ids_are_read_or_refused_but_nothing_else(values: list[str]) -> None:
    try:
        found = RecommendQuestion.model_validate({"ids": values}).ids
    except ValidationError as error:
        problem = refusal(error.errors())
        assert (problem.status, problem.parameter) == (422, "ids")
    else:
        assert all(re.fullmatch(r"[0-9]+", text) for value in values for text in value.split(","))
        assert len(set(found)) == len(found)


@settings(max_examples=150)
@given(st.text(min_size=1, max_size=100))
def test_any_text_can_be_searched_for(client: TestClient, text: str) -> None:
    response = client.get("/movies", params={"q": text})
    assert response.status_code == 200
    assert response.json()["query"] == text or not text.isprintable()
