"""Exports to a real Redis server: contents, switch under readers, kills at every step, and what goes wrong."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.command import marquee, start_marquee
from tests.database_servers import PASSWORD, RedisServer, redis_server
from tests.warehouse.exports.conftest import TABLES, Exporter, enlarge, releases_of, rows_of
from warehouse.faults import EXPORT_STEPS


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def client(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """The empty database 0, and the password in the environment."""
    monkeypatch.setenv("REDIS_PASSWORD", PASSWORD)
    with server.connect() as connected:
        connected.flushall()
        yield connected


def expected(home: Path, release: str) -> dict[str, Any]:
    """Keys and values of a release, made from its rows in Python."""
    found: dict[str, Any] = defaultdict(list)
    for a, b, film, score, votes in rows_of(
        home,
        release,
        "SELECT movie_a, movie_b, movie_id, score, votes FROM pair_recommendations ORDER BY movie_a, movie_b, rank",
    ):
        found[f"pair:{a}:{b}"].append([film, score, votes])
    for kind, table, key, listed in (
        ("user", "user_recommendations", "user_id", "movie_id"),
        ("similar", "similar_movies", "movie_id", "similar_id"),
        ("popular", "popular_movies", "list", "movie_id"),
    ):
        for owner, film, score in rows_of(
            home, release, f"SELECT {key}, {listed}, score FROM {table} ORDER BY {key}, rank"
        ):
            found[f"{kind}:{owner}"].append([film, score])
    for film, title, year, genres, likes, has_vector in rows_of(home, release, "FROM movies"):
        found[f"movie:{film}"] = {"title": title, "year": year, "genres": genres, "likes": likes,
                                  "has_vector": has_vector}  # fmt: skip
    signup = rows_of(home, release, "SELECT movie_id, likes FROM signup_movies ORDER BY position")
    found["signup"] = [list(row) for row in signup]
    return dict(found)


def keys_of(client: redis.Redis, release: str) -> set[str]:
    return set(client.scan_iter(f"marquee:{release}:*", count=10_000))


def test_a_release_is_loaded_as_it_is_and_a_rollback_only_switches(
    home_of_two: Path, server: RedisServer, client: redis.Redis, export: Exporter
) -> None:
    older, newer = releases_of(home_of_two)
    first = export(home_of_two, server.url())
    assert (first["release"], first["seen"], first["loaded"]) == (newer, newer, list(TABLES))
    assert first["rows"] == {table: len(rows_of(home_of_two, newer, f"FROM {table}")) for table in TABLES}
    wanted = expected(home_of_two, newer)
    names = list(wanted)
    there = client.mget([f"marquee:{newer}:{name}" for name in names])
    assert {name: json.loads(value) for name, value in zip(names, there, strict=True)} == wanted
    assert keys_of(client, newer) == {f"marquee:{newer}:{name}" for name in [*wanted, "release"]}
    assert json.loads(client.get(f"marquee:{newer}:release"))["release"] == newer == client.get("marquee:live")

    marquee(home_of_two, "rollback", "--why", "a test")
    assert export(home_of_two, server.url())["seen"] == older == client.get("marquee:live")
    marquee(home_of_two, "promote", newer)
    back = export(home_of_two, server.url())
    assert (back["loaded"], back["switched"], back["seen"]) == ([], True, newer)
    assert export(home_of_two, server.url())["switched"] is False
    gone = export(home_of_two, server.url(), "--keep", 1)
    assert gone["retired"] == [older]
    assert all(0 < client.ttl(name) <= 3600 for name in keys_of(client, older))
    assert {client.ttl(name) for name in keys_of(client, newer)} == {-1}
    assert client.hkeys("marquee:releases") == [newer]
    # It comes back while its keys are on their way out: all are written again, and stay.
    assert export(home_of_two, server.url(), "--release", older)["loaded"] == list(TABLES)
    assert {client.ttl(name) for name in keys_of(client, older)} == {-1}


def test_readers_never_miss_a_key_of_the_live_release(
    home_of_two: Path, server: RedisServer, client: redis.Redis, export: Exporter
) -> None:
    older, newer = releases_of(home_of_two)
    wanted = {release: expected(home_of_two, release) for release in (older, newer)}
    pairs = [name for name in wanted[newer] if name.startswith("pair:")]
    export(home_of_two, server.url(), "--release", older)
    stopped, seen, problems = threading.Event(), set(), []

    def read() -> None:
        with server.connect() as own:
            while not stopped.is_set():
                release = str(own.get("marquee:live"))
                seen.add(release)
                for name in pairs[::40]:
                    value = own.get(f"marquee:{release}:{name}")
                    if value is None or json.loads(value) != wanted[release][name]:
                        problems.append((release, name, value))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(10):
        export(home_of_two, server.url(), "--release", (newer, older)[turn % 2], "--keep", 1 + turn // 4 % 2)
    stopped.set()
    reader.join(30)
    assert problems == []
    assert seen == {older, newer}


def test_an_export_killed_at_any_step_is_finished_by_the_next(
    two_releases: Path,
    server: RedisServer,
    client: redis.Redis,
    export: Exporter,
    killed: Callable[[str, str, str], str],
) -> None:
    older, newer = releases_of(two_releases)
    url = server.url(password=PASSWORD)
    for step in EXPORT_STEPS:
        client.flushall()
        export(two_releases, url, "--release", older)
        assert PASSWORD not in killed(url, newer, step)
        assert client.get("marquee:live") == (newer if step in {"export_switched", "export_retired"} else older)
        assert client.get("marquee:lock") is not None, "nobody freed it: the next export sees that its holder is gone"
        if step == "export_loaded":  # what was not finished does not count as a release that is kept
            assert export(two_releases, url, "--release", older, "--keep", 1)["retired"] == [newer]
        assert export(two_releases, url, "--release", newer, "--keep", 1)["seen"] == newer
        assert client.hkeys("marquee:releases") == [newer]
        assert {client.ttl(name) for name in keys_of(client, newer)} == {-1}
        assert all(client.ttl(name) > 0 for name in keys_of(client, older))
        assert client.get("marquee:lock") is None


def test_what_goes_wrong_is_told_in_one_line_without_the_password(
    home_of_two: Path, server: RedisServer, client: redis.Redis, export: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = releases_of(home_of_two)
    url = server.url()

    def said(url: str, code: int = 1) -> str:
        lines = marquee(home_of_two, "export", url, expect=code).stderr
        assert PASSWORD not in lines
        return lines.splitlines()[-1]

    export(home_of_two, url, "--release", older)
    client.client_setname("somebody")
    client.set("marquee:lock", "somebody")
    assert "another export is running" in said(url)
    client.delete("marquee:lock")

    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", used + 50_000)
    assert "maxmemory), or keep fewer releases" in said(url)
    client.config_set("maxmemory-policy", "allkeys-random")
    assert "does this Redis evict keys?" in said(url)
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")
    client.flushall()
    export(home_of_two, url, "--release", older)

    assert "Name or service not known" in said("redis://no.such.host.invalid/0")
    assert "Connection refused" in said("redis://127.0.0.1:1/0")
    assert "DB index is out of range" in said(server.url(99))
    assert "unexpected keyword argument 'colour'" in said(f"{url}?colour=blue", 2)
    assert "check REDIS_PASSWORD" in said(server.url(password="wrong-" + PASSWORD))
    monkeypatch.delenv("REDIS_PASSWORD")
    assert "check REDIS_PASSWORD" in said(url)
    monkeypatch.setenv("REDISCLI_AUTH", PASSWORD)
    assert client.get("marquee:live") == older

    enlarge(home_of_two, 20_000)
    process = start_marquee(home_of_two, "export", url)
    before = client.dbsize()
    while client.dbsize() < before + 5_000:
        assert process.poll() is None
        time.sleep(0.01)
    server.stop()
    _, lines = process.communicate(timeout=60)
    server.start()
    assert process.returncode == 1
    assert f"user_recommendations of {newer} could not be loaded, and readers have the release from before" in lines
    assert "Traceback" not in lines
    assert PASSWORD not in lines
    assert export(home_of_two, url)["seen"] == newer
