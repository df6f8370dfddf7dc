"""POST /events: acknowledged when it is on the disk, counted once, refused by name, through the real service."""

import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from serving.http.app import create_app
from serving.settings import ServingSettings
from tests.serving.conftest import TestClient, TwoReleases, running
from tests.serving.test_http import exchange
from warehouse.events.database import FILE
from warehouse.events.journal import Journal


@pytest.fixture
def service(releases: TwoReleases) -> Iterator[TestClient]:
    settings = ServingSettings(deployment="test", request_log=False, most_event_bytes=300_000, seal_seconds=0.2)
    with TestClient(create_app(releases.home, settings)) as client:
        yield client


def film_of(client: Any, at: str = "") -> int:
    return int(client.get(f"{at}/signup-movies").json()["movies"][0]["movie_id"])


def rating(name: str, film: int, **other: Any) -> dict[str, Any]:
    return {"event_id": name, "type": "rating", "user_id": 99_999, "movie_id": film, "rating": 4.5} | other


def kept(releases: TwoReleases) -> list[str]:
    return [row.event.event_id for row in Journal(releases.home.events).since(0)]


def test_events_are_kept_once_and_the_wrong_ones_are_named(service: TestClient, releases: TwoReleases) -> None:
    film = film_of(service)
    sent = [
        rating("a", film),
        rating("b", 2_000_000_000),
        rating("a", film),
        {"event_id": "c", "type": "click", "user_id": 1, "movie_id": film, "answer_id": "f00", "position": 2},
        rating("d", film, rating=6),
        rating("e", film, at="9999-01-01T00:00:00Z"),
        {"event_id": "nul\0", "type": "play", "user_id": 1, "movie_id": film},
        rating("f", film, user_id=10**30),
        rating("g", film, secret="x"),
        "nothing",
        rating("h", film, at="2020-01-01T00:00:00Z"),
    ]
    response = service.post("/events", json={"events": sent})
    found = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert response.headers["marquee-release"] == releases.second
    assert list(found) == ["accepted", "duplicates", "refused"]
    assert (found["accepted"], found["duplicates"]) == (2, 1)
    assert [(refused["index"], refused["reason"].split()[0]) for refused in found["refused"]] == [
        (1, "movie_id"), (4, "rating"), (5, "at"), (6, "event_id"), (7, "user_id"), (8, "event"), (9, "event"),
        (10, "at"),
    ]  # fmt: skip
    assert kept(releases) == ["a", "c"]
    again = service.post("/events", json={"events": sent[:4]}).json()
    assert (again["accepted"], again["duplicates"]) == (0, 3)
    assert service.post("/events", json={"events": []}).json() == {"accepted": 0, "duplicates": 0, "refused": []}
    metrics = service.get("/metrics").text
    for line in (
        'marquee_events_total{door="http",fate="accepted"}',
        'marquee_events_refused_total{door="http",reason="movie_id"}',
        "marquee_events_commit_seconds_count",
        "marquee_events_unsealed_seconds",
    ):
        assert line in metrics
    assert "secret" not in metrics


@pytest.mark.parametrize(
    ("body", "status", "parameter"),
    [
        (b"", 422, "body"),
        (b"{", 422, "body"),
        (b"[]", 422, "body"),
        (b"\xff\xfe", 422, "body"),
        (b'{"events": NaN}', 422, "body"),
        (b'"\\ud800"', 422, "body"),
        (b"[" * 100_000, 422, "body"),
        (b"{}", 422, "events"),
        (b'{"events": {}}', 422, "events"),
        (b'{"events": null}', 422, "events"),
        (b'{"events": [], "user": 1}', 422, "user"),
        (json.dumps({"events": [{}] * 1001}).encode(), 422, "events"),
        (b" " * 300_001, 413, "body"),
    ],
)
def test_a_body_that_is_no_list_of_events_is_refused(
    service: TestClient, body: bytes, status: int, parameter: str
) -> None:
    response = service.post("/events", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["parameter"]) == (status, parameter)
    assert response.headers["content-type"] == "application/problem+json"


def test_what_the_request_itself_must_be(service: TestClient, releases: TwoReleases) -> None:
    good = json.dumps({"events": [rating("a", film_of(service))]}).encode()
    asked = [
        ({"Content-Type": "text/plain"}, "/events", 415, "Content-Type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "/events", 415, "Content-Encoding"),
        ({"Content-Type": "application/json"}, "/events?dry=1", 422, "dry"),
        ({"Content-Type": "application/json", "Marquee-Client": "a b"}, "/events", 422, "Marquee-Client"),
    ]
    for headers, path, status, parameter in asked:
        response = service.post(path, content=good, headers=headers)
        assert (response.status_code, response.json()["parameter"]) == (status, parameter)
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert service.request(method, "/events").status_code == 405
    assert kept(releases) == []
    chunks = (b" " * 1000 for _ in range(400))  # a size that was not announced
    assert service.post("/events", content=chunks, headers={"Content-Type": "application/json"}).status_code == 413
    with TestClient(create_app(releases.home, ServingSettings(request_log=False, limit_loopback=True, rate_burst=2,
                                                              rate_per_second=0.01))) as limited:  # fmt: skip
        limited.headers["Content-Type"] = "application/json"
        statuses = [limited.post("/events", content=b'{"events": []}').status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_ratings_land_and_nothing_is_lost_at_the_end(service: TestClient, releases: TwoReleases) -> None:
    film = film_of(service)
    releases.home.landing.mkdir(exist_ok=True)
    assert service.post("/events", json={"events": [rating("a", film)]}).json()["accepted"] == 1
    deadline = time.monotonic() + 20
    while not (releases.home.landing / "events-1-1.parquet").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_journal_that_cannot_be_written_acknowledges_nothing(
    service: TestClient, releases: TwoReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.events.database.WAIT_SECONDS", 0.1)
    body = {"events": [rating("a", film_of(service))]}
    releases.home.events.mkdir()
    with closing(sqlite3.connect(releases.home.events / FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = service.post("/events", json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["type"] == "urn:marquee:problem:journal"
        other.execute("ROLLBACK")
    assert service.post("/events", json=body).json()["accepted"] == 1
    assert kept(releases) == ["a"]


def test_requests_at_once_from_two_workers_are_each_told_of_their_own(releases: TwoReleases) -> None:
    with running(releases.home, workers=2, request_log=False) as address, httpx.Client() as client:
        film = film_of(client, address)

        def send(number: int) -> tuple[int, int, int]:
            events = [rating(f"{number}-{n}", film) for n in range(number % 5 + 1)]
            events += [rating("everybody's", film), rating("x", 2_000_000_000)]
            found = httpx.post(f"{address}/events", json={"events": events}).json()
            assert [refused["index"] for refused in found["refused"]] == [len(events) - 1]
            return number % 5 + 1, found["accepted"], found["duplicates"]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(send, range(80)))
        assert sum(accepted - own for own, accepted, _ in found) == 1
        assert sum(duplicates for *_, duplicates in found) == 79
        half = f"POST /events HTTP/1.1\r\nHost: {address[7:]}\r\nContent-Type: application/json\r\nContent-Length: 9"
        with running(releases.home, request_log=False, request_seconds=0.5) as hasty:
            assert exchange(hasty, f"{half}\r\n\r\n{{", seconds=30).startswith(b"HTTP/1.1 408")
    names = kept(releases)
    assert sorted(names) == sorted({f"{n}-{i}" for n in range(80) for i in range(n % 5 + 1)} | {"everybody's"})


def test_logs_name_nobody(releases: TwoReleases, capfd: pytest.CaptureFixture[str]) -> None:
    with TestClient(create_app(releases.home, ServingSettings(request_log=False))) as client:
        secret = rating("secret-id", film_of(client), user_id=77_777_777, answer_id="secret-answer")
        client.post("/events", json={"events": [secret, secret | {"rating": 7}, {"secret-field": 1}]})
    said = capfd.readouterr()
    assert "secret" not in said.out + said.err
    assert "77777777" not in said.out + said.err
