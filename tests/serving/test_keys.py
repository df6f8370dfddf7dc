"""API keys, from the command that makes one to the request that is refused: real servers, two processes each."""

import asyncio
import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from marquee.client import Client, ClientError
from serving.access.keyring import KeyRing
from serving.settings import SETTINGS_VARIABLE
from tests.campaigns.deployment import remote_service
from tests.command import marquee, marquee_json, start_marquee
from tests.serving.conftest import TwoReleases, running
from warehouse.home import Home
from warehouse.keys.file import add_key
from warehouse.keys.key import Scope
from warehouse.store.client import STORE_VARIABLE

OPEN = ("/", "/static/app.js", "/health/live", "/health/ready", "/openapi.json")
READ = ("/popular", "/signup-movies", "/movies?q=a", "/release", "/users", "/nope")
POLL = 0.1


@dataclass
class Keyed:
    """A service that requires keys, its home, and three keys by the scope each has."""

    address: str
    home: Path
    keys: dict[str, str]

    def make(self, *arguments: object) -> str:
        """Make a key by the command and return it."""
        return str(marquee_json(self.home, "keys", *arguments)["key"])

    def ask(self, path: str, key: str = "", method: str = "GET", **options: Any) -> httpx.Response:
        """Ask by a connection of its own, which may meet either process."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.request(method, self.address + path, headers=headers, **options)

    def everywhere(self, key: str, status: int) -> None:
        """Wait until both processes answer a key so, then see that they keep to it."""
        deadline = time.monotonic() + 20
        seen = 0
        while seen < 20:
            seen = seen + 1 if self.ask("/popular", key).status_code == status else 0
            assert time.monotonic() < deadline, status


@pytest.fixture(scope="module")
def keyed(built: TwoReleases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    home = tmp_path_factory.mktemp("keyed") / "home"
    home.mkdir()
    for folder in ("published", "models", "sources"):
        (home / folder).symlink_to(built.home.root / folder)
    keys = {scope: marquee_json(home, "keys", "add", f"for-{scope}", "--scope", scope)["key"] for scope in Scope}
    with running(Home(home), workers=2, request_log=False, require_keys=True, poll_seconds=POLL) as address:
        yield Keyed(address, home, keys)


def test_each_scope_opens_its_own_paths_and_no_other(keyed: Keyed) -> None:
    paths = {Scope.READ: [("GET", path) for path in READ], Scope.EVENTS: [("POST", "/events")]}
    paths[Scope.ADMIN] = [("GET", "/metrics")]
    for needed, asked in paths.items():
        for method, path in asked:
            for scope, key in keyed.keys.items():
                response = keyed.ask(path, key, method)
                if scope == needed:
                    assert response.status_code not in (401, 403), path
                else:
                    assert response.status_code == 403, (path, scope)
                    assert response.json()["type"] == "urn:marquee:problem:missing-scope"
                    assert f"for-{scope} has not the scope {needed}" in response.json()["detail"]
                    assert f'scope="{needed}"' in response.headers["www-authenticate"]
            refused = keyed.ask(path, method=method)
            assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
            assert refused.headers["www-authenticate"] == 'Bearer realm="marquee"'
            assert refused.json()["parameter"] == "Authorization"
    for path in OPEN:
        assert keyed.ask(path).status_code == 200
        assert keyed.ask(path, "mq_no").status_code == 200


def test_what_is_no_key_of_this_home_is_refused_alike(keyed: Keyed, built: TwoReleases, tmp_path: Path) -> None:
    good = keyed.keys[Scope.READ]
    other = Home(tmp_path)
    elsewhere = add_key(other, "for-read", [Scope.READ], None)
    revoked = keyed.make("add", "gone", "--scope", "read")
    keyed.everywhere(revoked, 200)
    marquee(keyed.home, "keys", "revoke", "gone")
    keyed.everywhere(revoked, 401)
    wrong = {
        "secret": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "id": f"mq_{'0' * 12}{good[15:]}",
        "another home's": elsewhere,
        "revoked": revoked,
        "upper case": good.upper(),
        "cut": good[:-1],
        "longer": good + "0",
        "digits of another script": good.replace("0", "\u0660"),
        "spaces": good.replace("_", " "),
        "long": "mq_" + "0" * 8000,
        "hash": json.loads((keyed.home / "keys.json").read_text())["keys"][0]["hash"],
    }
    answers = set()
    for what, text in wrong.items():
        header = {"Authorization": b"Bearer " + text.encode()}
        response = httpx.get(f"{keyed.address}/popular", headers=header)  # type: ignore[arg-type]
        assert response.status_code == 401, what
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
        answers.add(response.text)
    assert len(answers) == 1, "nobody learns why a key does not hold"
    for header in ("", good, f"Basic {good}", f"Bearer{good}", "Bearer"):
        response = httpx.get(f"{keyed.address}/popular", headers={"Authorization": header})
        assert (response.status_code, "needs a key" in response.text) == (401, True), header
    twice = [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")]
    assert httpx.get(f"{keyed.address}/popular", headers=twice).status_code == 401
    assert httpx.get(f"{keyed.address}/popular", headers={"authorization": f"bearer {good}"}).status_code == 200
    assert httpx.get(f"{keyed.address}/popular?key={good}").status_code == 401


def test_keys_come_change_and_go_without_a_restart(keyed: Keyed) -> None:
    first = keyed.make("add", "shop", "--scope", "read", "--scope", "events")
    keyed.everywhere(first, 200)
    assert "there is a key shop" in marquee(keyed.home, "keys", "add", "shop", "--scope", "read", expect=1).stderr
    second = keyed.make("rotate", "shop", "--old-hours", 4 / 3600)
    keyed.everywhere(second, 200)
    keyed.everywhere(first, 401)
    listed = [key for key in marquee_json(keyed.home, "keys", "list")["keys"] if key["name"] == "shop"]
    assert [(key["id"], key["scopes"]) for key in listed] == [(second[3:15], ["read", "events"])]
    third = keyed.make("rotate", "shop", "--old-hours", 1)
    keyed.everywhere(third, 200)
    keyed.everywhere(second, 200)
    assert "2 keys of shop revoked" in marquee(keyed.home, "keys", "revoke", "shop").stdout
    keyed.everywhere(second, 401)
    keyed.everywhere(third, 401)
    assert "there is no key shop" in marquee(keyed.home, "keys", "revoke", "shop", expect=1).stderr


def test_each_key_has_a_limit_of_its_own(keyed: Keyed) -> None:
    """Both processes count for themselves, so one connection is kept."""
    slow, fast = (
        keyed.make("add", name, "--scope", "read", "--per-second", rate) for name, rate in (("slow", 0.5), ("fast", 50))
    )
    keyed.everywhere(fast, 200)
    with httpx.Client(base_url=keyed.address) as client:
        statuses = {
            key: [client.get("/popular", headers={"Authorization": f"Bearer {key}"}).status_code for _ in range(6)]
            for key in (slow, fast)
        }
        assert statuses == {slow: [200, 200, 429, 429, 429, 429], fast: [200] * 6}
        refused = client.get("/popular", headers={"Authorization": f"Bearer {slow}"})
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert client.get("/health/live", headers={"Authorization": f"Bearer {slow}"}).status_code == 200
    text = keyed.ask("/metrics", keyed.keys[Scope.ADMIN]).text
    assert 'marquee_key_requests_total{key="slow",status="200"} 2.0' in text
    assert 'marquee_key_requests_total{key="slow",status="429"} 5.0' in text


def test_a_damaged_file_locks_nobody_out(keyed: Keyed) -> None:
    def problem() -> bool:
        text = keyed.ask("/metrics", keyed.keys[Scope.ADMIN]).text
        return "marquee_keys_problem 1.0" in text

    path = keyed.home / "keys.json"
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    wait_until(problem)
    keyed.everywhere(keyed.keys[Scope.READ], 200)
    said = marquee(keyed.home, "keys", "list", expect=1).stderr
    assert said.startswith(f"marquee: {path} is damaged")
    path.write_bytes(content)
    wait_until(lambda: not any(problem() for _ in range(10)))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_client_sends_its_key(keyed: Keyed) -> None:
    with Client(keyed.address, key=keyed.keys[Scope.READ]) as client:
        assert len(client.get_top_movies()) == 40
    with Client(keyed.address) as client, pytest.raises(ClientError, match="needs a key"):
        client.get_top_movies()
    with pytest.raises(ClientError) as raised:
        Client(keyed.address, key=keyed.keys[Scope.READ] + "\n")
    assert keyed.keys[Scope.READ] not in str(raised.value)


def test_the_document_says_which_scope_is_needed(keyed: Keyed) -> None:
    """Schemathesis asks with the key, without it and with a wrong one, and compares with the document."""
    document = keyed.ask("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            needed = None if path in OPEN else [{"key": ["events" if path == "/events" else "read"]}]
            assert operation.get("security") == needed, path
            assert ({"401", "403"} <= set(operation["responses"])) is bool(needed), path
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=keyed.address)

    @settings(max_examples=15, database=None, suppress_health_check=list(HealthCheck), deadline=None)
    @given(schema["/popular"]["GET"].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def check(case: schemathesis.Case) -> None:
        (case.query or {}).pop("cursor", None)
        (case.query or {}).pop("years", None)
        case.call_and_validate(headers={"Authorization": f"Bearer {keyed.keys[Scope.READ]}"})

    check()


def test_only_hashes_are_kept_and_only_for_the_owner(keyed: Keyed) -> None:
    path = keyed.home / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = [path.read_text(), *(marquee(keyed.home, "keys", "list", *more).stdout for more in ((), ("--json",)))]
    for text in said:
        assert not any(key.rsplit("_", 1)[1] in text for key in keyed.keys.values())
    refused = marquee(keyed.home, "keys", "revoke", keyed.keys[Scope.READ], expect=2)
    assert keyed.keys[Scope.READ].rsplit("_", 1)[1] not in refused.stderr + refused.stdout


def test_a_key_is_hashed_once_and_then_remembered(tmp_path: Path) -> None:
    """A hundred requests at once with a new key cost one hash (10 ms and more), and no later one."""
    text = add_key(Home(tmp_path), "web", [Scope.READ], None)

    async def ask() -> None:
        ring = KeyRing(Home(tmp_path), 0.0)
        assert ring.remembered(text) is None
        started = time.process_time()
        found = await asyncio.gather(*(ring.verify(text) for _ in range(60)))
        first = time.process_time() - started
        assert {key.name for key in found if key} == {"web"}
        started = time.process_time()
        assert all(ring.remembered(text) for _ in range(600))
        assert time.process_time() - started < 10 * first
        assert ring.remembered(text[:-1] + "x") is None

    asyncio.run(ask())


START = ("serve", "--port", 0)


def test_no_address_that_others_reach_is_served_without_keys(releases: TwoReleases) -> None:
    home = releases.home.root
    outside = (*START, "--host", "0.0.0.0")
    assert "keys add NAME --scope read" in marquee(home, *outside, expect=2).stderr
    assert "keys are required" in marquee(home, *START, "--host", "0", expect=2).stderr, "another way to say 0.0.0.0"
    off = {SETTINGS_VARIABLE: json.dumps({"require_keys": False, "request_log": False})}
    on = {SETTINGS_VARIABLE: json.dumps({"require_keys": True, "request_log": False})}
    assert "keys are required" in _fails(home, *START, **on)
    assert "require_keys is off" in _fails(home, *outside, **off)
    assert "contradict" in _fails(home, *outside, "--insecure", **on)
    with _started(home, *outside, "--insecure", **off) as (said, address):
        assert "INSECURE" in said
        assert httpx.get(f"{address}/popular").status_code == 200
    key = marquee_json(home, "keys", "add", "web", "--scope", "read")["key"]
    with _started(home, *outside) as (said, address):
        assert "INSECURE" not in said
        assert httpx.get(f"{address}/popular").status_code == 401
        assert httpx.get(f"{address}/popular", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with _started(home, *START) as (_, address):
        assert httpx.get(f"{address}/popular").status_code == 200


def _fails(home: Path, *arguments: object, **environment: str) -> str:
    process = start_marquee(home, *arguments, **environment)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2, said
    assert len(said.strip().splitlines()) == 1, said
    return said


class _started:
    """A server of one's own; what it said until it told its address, and that address on loopback."""

    def __init__(self, home: Path, *arguments: object, **environment: str) -> None:
        self._process: subprocess.Popen[str] = start_marquee(home, *arguments, **environment)

    def __enter__(self) -> tuple[str, str]:
        assert self._process.stderr is not None
        said = ""
        while not (found := re.search(r"http://[\w.]+:(\d+)/", said)):
            line = self._process.stderr.readline()
            assert line, said
            said += line
        address = f"http://127.0.0.1:{found[1]}"
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{address}/health/ready").raise_for_status()
                return said, address
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


def test_a_service_from_a_store_has_keys_and_events_in_its_own_home(home_of_two: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'store'}"
    process = start_marquee(home_of_two, "publish", **{STORE_VARIABLE: url})
    assert process.wait(60) == 0, process.communicate()
    refused = marquee(home_of_two, "serve", "--from", url, "--cache", tmp_path / "cache", expect=2).stderr
    assert f"{home_of_two} is the home of a pipeline" in refused
    marquee(tmp_path / "own", "home")
    key, writer = (
        marquee_json(tmp_path / "own", "keys", "add", scope, "--scope", scope)["key"] for scope in ("read", "events")
    )
    own = {"MARQUEE_HOME": str(tmp_path / "own")}
    with remote_service(url, tmp_path, {**os.environ, **own}, workers=1, require_keys=True) as service:
        service.until(lambda answer: answer.status_code == 200, "the first release")
        assert httpx.get(f"{service.address}/popular").status_code == 401
        answer = httpx.get(f"{service.address}/popular", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        film = answer.json()["recommendations"][0]["movie_id"]
        sent = {"event_id": "e1", "type": "rating", "user_id": 7, "movie_id": film, "rating": 4}
        with Client(service.address, key=writer) as client:
            assert client.send_events([sent, sent]).accepted == 1
    assert [path.name for path in (tmp_path / "store" / "events").glob("*/*")] == ["1-1.parquet"]
    assert not (tmp_path / "cache" / "events").exists()
