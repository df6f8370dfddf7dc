"""What HTTP itself asks of the service: HEAD, validators, compression, hosts, slow clients, ports and proxies."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from serving.http.app import create_app
from serving.http.compact import accepts_gzip
from serving.settings import ServingSettings
from tests.command import ROOT, marquee
from tests.serving.conftest import TestClient, TwoReleases, running


@pytest.fixture(scope="module")
def address(built: TwoReleases) -> Iterator[str]:
    with running(built.home, request_log=False, request_seconds=1.0) as address:
        yield address


def exchange(address: str, *parts: str, seconds: float = 10.0) -> bytes:
    """Send bytes as they are and read until the server closes the connection."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        for part in parts:
            connection.sendall(part.encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize("path", ["/", "/release", "/signup-movies", "/movies?q=a", "/health/live", "/static/app.js"])
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["etag"] == get.headers["etag"] if "health" not in path else True
    assert client.head("/recommend?ids=x").status_code == 422


def test_who_has_an_answer_already_is_not_sent_it_again(client: TestClient) -> None:
    for path in ("/", "/release", "/signup-movies", "/movies?q=a", "/static/app.js"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["x-content-type-options"] == "nosniff"
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_what_is_large_is_compressed_for_who_accepts_it(client: TestClient) -> None:
    for path in ("/", "/release", "/signup-movies", "/static/app.js", "/static/style.css"):
        zipped = client.get(path, headers={"Accept-Encoding": "br, gzip"})
        assert zipped.headers["content-encoding"] == "gzip", path
        assert "Accept-Encoding" in zipped.headers["vary"]
        for refusing in ("identity", "gzip;q=0", "xgzip", "*;q=0"):
            plain = client.get(path, headers={"Accept-Encoding": refusing})
            assert "content-encoding" not in plain.headers, (path, refusing)
            assert plain.content == zipped.content
    assert "content-encoding" not in client.get("/health/live").headers
    assert accepts_gzip("*")
    assert accepts_gzip("GZIP;q=0.5, *;q=0")
    assert not accepts_gzip("gzip;q=nonsense")


def test_files_of_the_page_are_kept_for_ever_under_their_version(client: TestClient) -> None:
    addresses = re.findall(r'"(/static/[^"]+)"', client.get("/").text)
    assert len(addresses) >= 8
    for path in addresses:
        response = client.get(path)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
    name = addresses[0].rpartition("/")[2]
    assert client.get(f"/static/{name}").headers["cache-control"] == "no-cache"
    assert client.get(f"/static/older/{name}").headers["cache-control"] == "no-cache"
    assert client.get("/static/nothing.js").status_code == 404


def test_only_names_of_the_service_are_answered_to(built: TwoReleases, client: TestClient) -> None:
    for host in ("127.0.0.1", "127.0.0.1:5000", "localhost:80", "[::1]:5000", "LOCALHOST"):
        assert client.get("/health/live", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.", "", "evil.example:5000"):
        refused = client.get("/health/live", headers={"Host": host})
        assert (refused.status_code, refused.json()["parameter"]) == (421, "Host"), host
    named = ServingSettings(request_log=False, allowed_hosts=("films.example",))
    with TestClient(create_app(built.home, named)) as other:
        assert other.get("/health/live", headers={"Host": "films.example:443"}).status_code == 200
        assert other.get("/health/live").status_code == 421


def test_a_request_has_one_host(address: str) -> None:
    two = exchange(address, "GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n")
    none = exchange(address, "GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert two.startswith(b"HTTP/1.1 400")
    assert none.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("begun", ["", "GET /health/live HTT", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: "])
def test_half_a_request_does_not_keep_a_connection(address: str, begun: str) -> None:
    started = time.monotonic()
    assert exchange(address, begun, seconds=30).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started >= 0.9
    whole = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    after = exchange(address, whole, begun or "G", seconds=30)
    assert after.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in after


def test_a_forwarded_address_is_believed_of_trusted_proxies_only(built: TwoReleases) -> None:
    def statuses(address: str) -> list[int]:
        headers = {"X-Forwarded-For": "203.0.113.9"}
        return [httpx.get(f"{address}/health/live", headers=headers).status_code for _ in range(6)]

    limits = {"request_log": False, "rate_per_second": 0.01, "rate_burst": 3}
    with running(built.home, **limits) as address:
        assert statuses(address) == [200] * 6
    with running(built.home, trusted_proxies=("127.0.0.1",), **limits) as address:
        assert statuses(address) == [200, 200, 200, 429, 429, 429]


def test_an_address_that_cannot_be_had_is_wrong_usage(built: TwoReleases) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments in (("--port", port), ("--host", "no.such.host.invalid"), ("--host", "203.0.113.77")):
            said = marquee(built.home.root, "serve", "--insecure", *arguments, expect=2).stderr
            assert "cannot listen on" in said
            assert "http://" not in said
            assert len(said.strip().splitlines()) == 1 or arguments[0] == "--host"


def test_what_the_server_says_at_its_start(built: TwoReleases) -> None:
    """The address can be followed, for IPv6 too, and times are in UTC."""
    command = [str(Path(sys.executable).parent / "marquee"), "--home", str(built.home.root), "serve"]
    process = subprocess.Popen([*command, "--host", "::1", "--port", "0"], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        if "cannot listen" in said:
            pytest.skip("this machine has no IPv6")
        address = re.search(r"http://\[::1\]:\d+/", said)
        assert address, said
        assert httpx.get(f"{address[0]}health/ready", timeout=120).status_code == 200
        logged = process.stderr.readline()
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", logged), logged
        assert abs(datetime.now(UTC) - datetime.fromisoformat(logged.split()[0])) < timedelta(minutes=5)
    finally:
        process.terminate()
        process.communicate(timeout=30)
