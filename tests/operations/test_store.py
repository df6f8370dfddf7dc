"""Releases in object storage: published, fetched, damaged, raced for and killed; against a real S3 server."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pytest

from tests.campaigns import forks
from tests.command import marquee, marquee_json, start_marquee
from tests.homes import copy_home
from tests.object_server import BUCKET, ObjectServer
from tests.relay import relay
from warehouse.faults import FETCH_STEPS, KILL_VARIABLE, STORE_STEPS
from warehouse.files import TEMPORARY
from warehouse.home import Home
from warehouse.releases.registry import live_release
from warehouse.store.cache import StoreCache
from warehouse.store.client import STORE_VARIABLE, open_store

PLENTY = 10**9


@pytest.fixture
def store(s3: ObjectServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """An address of the test's own, set for every command as a user would set it."""
    url = f"s3://{BUCKET}/{request.node.name.split('[')[0]}"
    with patch.dict(os.environ, {**s3.environment(), STORE_VARIABLE: url}):
        yield url


def document(url: str, name: str) -> dict[str, Any]:
    return dict(json.loads(bytes(open_store(url).get(name).bytes())))


def objects(url: str) -> set[str]:
    return {item["path"] for batch in open_store(url).list() for item in batch}


def live(folder: Path) -> str:
    """The release a folder has live, by what its database says."""
    path = (folder / "current.duckdb").resolve(strict=True)
    with duckdb.connect(str(path), read_only=True) as con:
        rows = con.execute("SELECT release FROM release").fetchall()
    assert rows == [(path.stem,)]
    return path.stem


def followed(url: str, folder: Path, limit: int = PLENTY) -> StoreCache:
    """A cache after one look at its store."""
    cache = StoreCache(url, folder, limit)
    cache.look()
    return cache


def test_what_is_live_here_is_live_there(store: str, home_of_two: Path, tmp_path: Path):
    first, second = sorted(path.stem for path in (home_of_two / "published").glob("2*.duckdb"))
    before = marquee_json(home_of_two, "status")["store"]
    assert (before["address"], before["release"]) == (store, None)
    assert "nothing is published" in before["problem"]
    sent = marquee_json(home_of_two, "publish")
    assert f"store      {store}: {second}\n" in marquee(home_of_two, "status").stdout
    assert (sent["release"], sent["changed"], sent["retired"]) == (second, True, [])
    pointer, manifest = document(store, "current.json"), document(store, f"{second}/manifest.json")
    raw = bytes(open_store(store).get(f"{second}/manifest.json").bytes())
    assert pointer["release"] == second
    assert pointer["manifest_sha256"] == hashlib.sha256(raw).hexdigest()
    names = {file["name"] for file in manifest["files"]}
    assert objects(store) == {"current.json", f"{second}/manifest.json"} | {f"{second}/{name}" for name in names}
    for file in manifest["files"]:
        content = bytes(open_store(store).get(f"{second}/{file['name']}").bytes())
        assert content == (home_of_two / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert {f"published/{second}.duckdb", f"published/{second}.report.html"} < names
    assert {"users.ann", "vectors.npy"} < {name.split("/")[-1] for name in names}

    again = marquee_json(home_of_two, "publish")
    assert (again["files"], again["copied"], again["changed"]) == (0, 0, False)
    assert "is live in s3://" in marquee(home_of_two, "rollback").stdout
    assert document(store, "current.json")["release"] == first
    assert {name.split("/")[0] for name in objects(store)} == {"current.json", first, second}
    marquee(home_of_two, "promote", second, "--why", "once more")
    assert f"deleted there: {first}" in marquee(home_of_two, "retire", "--keep", 1).stdout
    assert {name.split("/")[0] for name in objects(store)} == {"current.json", second}

    pulled = marquee_json(tmp_path, "pull", "--from", store, tmp_path / "pulled")
    size = (home_of_two / "published" / f"{second}.duckdb").stat().st_size
    assert (pulled["release"], pulled["bytes"], live(tmp_path / "pulled")) == (second, size, second)
    assert "there already" in marquee(tmp_path, "pull", tmp_path / "pulled").stdout


def test_a_fetch_goes_on_where_it_stopped(store: str, s3: ObjectServer, small_home: Path, tmp_path: Path):
    marquee(small_home, "publish")
    database = next((small_home / "published").glob("2*.duckdb"))
    size, folder = database.stat().st_size, tmp_path / "pulled"
    folder.mkdir()
    part = folder / f"{TEMPORARY}{database.name}"
    part.write_bytes(database.read_bytes()[:1_000_000])
    assert marquee_json(tmp_path, "pull", folder)["bytes"] == size - 1_000_000
    database_there = folder / database.name
    assert database_there.read_bytes() == database.read_bytes()
    database_there.unlink()
    part.write_bytes(b"x" * 1_000_000)  # of something else: fetched anew instead of blaming the object
    assert marquee_json(tmp_path, "pull", folder)["bytes"] == size
    assert database_there.read_bytes() == database.read_bytes()
    database_there.unlink()
    with relay(s3.ports["s3.port"]) as wire, patch.dict(os.environ, AWS_ENDPOINT=f"http://127.0.0.1:{wire.port}"):
        wire.answer_bytes = 300_000
        assert "cannot be read" in marquee(tmp_path, "pull", folder, expect=1).stderr
        assert not database_there.exists()
        got = part.stat().st_size
        wire.answer_bytes = None
        assert marquee_json(tmp_path, "pull", folder)["bytes"] == size - got
    assert live(folder) == database.stem


def test_what_is_damaged_is_named_and_never_live(store: str, home_of_two: Path, tmp_path: Path):
    """Objects too long, too short, of other content, gone; each is repaired by deleting it and publishing again."""
    first, second = sorted(path.stem for path in (home_of_two / "published").glob("2*.duckdb"))
    marquee(home_of_two, "rollback")
    followed(store, tmp_path / "of first")
    marquee(home_of_two, "promote", second)
    there, key = open_store(store), f"{second}/published/{second}.duckdb"
    right = bytes(there.get(key).bytes())
    for number, (wrong, told) in enumerate(
        (
            (right[:-1] + bytes([right[-1] ^ 1]), "sha256"),
            (right[:-100], f"{len(right) - 100} bytes instead of {len(right)}"),
            (right + b"more", f"{len(right) + 4} bytes instead of {len(right)}"),
        )
    ):
        there.put(key, wrong)
        cache = followed(store, Path(shutil.copytree(tmp_path / "of first", tmp_path / str(number), symlinks=True)))
        problem = cache.last().problem
        assert f"{store}/{key} is damaged" in problem
        assert told in problem
        assert "delete that object, then send it again with: marquee publish" in problem
        assert live(cache.home.published) == first
        before = cache.last().failures
        cache.look()  # the pointer, but not the object: there is a pause before it is paid for again
        assert (cache.last().failures, cache.last().problem) == (before, problem)
    there.delete(key)
    cache = followed(store, tmp_path / "cache")
    assert f"{second}.duckdb is not there" in cache.last().problem
    assert not cache.home.current.exists()
    assert marquee_json(home_of_two, "publish")["files"] == 1
    cache.look()
    assert (cache.last().problem, live(cache.home.published)) == ("", second)

    there.put(f"{second}/manifest.json", b"{}")
    pulled = marquee(tmp_path, "pull", tmp_path / "pulled", expect=1)
    assert "manifest.json is damaged: its sha256 is not that of current.json" in pulled.stderr
    marquee(home_of_two, "publish")
    marquee(tmp_path, "pull", tmp_path / "pulled")
    there.put("current.json", b"not a pointer")
    assert "current.json cannot be understood" in marquee(tmp_path, "pull", tmp_path / "pulled", expect=1).stderr
    assert live(tmp_path / "pulled") == second
    vectors = next((home_of_two / "published").glob(f"{second}.pack/vectors.npy"))
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"!")
    assert f"vectors.npy is damaged, so {second} is not published" in marquee(home_of_two, "publish", expect=1).stderr


def test_a_cache_holds_no_more_than_it_may(store: str, home_of_two: Path, tmp_path: Path):
    first, second = sorted(path.stem for path in (home_of_two / "published").glob("2*.duckdb"))
    marquee(home_of_two, "rollback")
    folder = tmp_path / "cache"
    one = followed(store, folder)
    size = sum(file["bytes"] for file in document(store, f"{first}/manifest.json")["files"])
    assert live(one.home.published) == first
    marquee(home_of_two, "promote", second)
    tight = followed(store, folder, limit=int(1.2 * size))
    assert f"{second} does not fit into {folder}" in tight.last().problem
    assert "raise cache_bytes" in tight.last().problem
    assert live(folder / "published") == first
    assert not list(folder.rglob(f"{TEMPORARY}*"))
    wide = StoreCache(store, folder, PLENTY)
    with patch("time.time", return_value=tight.last().retry_at + 1):  # the pause is over
        wide.look()
    assert (wide.last().problem, live(folder / "published")) == ("", second)
    assert {path.stem for path in (folder / "published").glob("2*.duckdb")} == {first, second}
    marquee(home_of_two, "rollback")
    wide.look()
    assert live(folder / "published") == first
    (folder / "models" / "of-nobody").mkdir()
    (folder / "models" / "of-nobody" / "users.ann").write_bytes(b"left")
    marquee(home_of_two, "promote", second)
    wide.look()
    assert not (folder / "models" / "of-nobody").exists()
    assert live(folder / "published") == second


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk needs a file system of its own, and root to mount it")
def test_a_full_disk_is_told_and_nothing_is_lost(store: str, small_home: Path, tmp_path: Path):
    marquee(small_home, "publish")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine mounts no file systems")
    try:
        cache = followed(store, disk / "cache")
        assert f"does not fit into {disk / 'cache'}" in cache.last().problem
        with patch("shutil.disk_usage", return_value=shutil.disk_usage("/")):  # others fill it meanwhile
            full = StoreCache(store, disk / "other", PLENTY)
            full.look()
        assert "No space left on device; free space there" in full.last().problem
        assert not list((disk / "other").rglob("*.npy"))
        assert "No space left" in marquee(tmp_path, "pull", disk / "pulled", expect=1).stderr
        assert not (disk / "pulled" / "current.duckdb").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_of_two_publishers_at_the_same_time_one_loses(
    store: str, s3: ObjectServer, small_live: Path, home_of_two: Path, tmp_path: Path
):
    """The slower one is held at the write of the pointer until the faster one is done."""
    other = copy_home(small_live, tmp_path / "other")
    for first_ever in (True, False):
        with relay(s3.ports["s3.port"]) as wire:
            wire.held = b"PUT /" + f"{store.removeprefix('s3://')}/current.json".encode()
            slow = start_marquee(home_of_two, "publish", AWS_ENDPOINT=f"http://127.0.0.1:{wire.port}")
            assert wire.reached.wait(60)
            if not first_ever:  # what the pointer named before is not what it names now
                marquee(other, "promote", marquee_json(other, "publish")["release"])
                open_store(store).put("current.json", json.dumps(
                    document(store, "current.json") | {"promoted_at": "2026-01-01 00:00:00"}).encode())  # fmt: skip
            else:
                marquee(other, "publish")
            wire.let_go.set()
            said = slow.communicate(timeout=60)[1]
        assert slow.returncode == 1, said
        assert f"another publisher made {live(other / 'published')} live in {store}" in said
        assert f"{live(home_of_two / 'published')} is live here all the same" in said
        assert document(store, "current.json")["release"] == live(other / "published")
        marquee(tmp_path, "pull", tmp_path / "pulled")
    assert marquee_json(home_of_two, "publish")["changed"]


def _publish(home: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    marquee(home, "publish")


def _follow(url: str, folder: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    followed(url, folder)


def _killed(target: Callable[..., None], *arguments: object) -> bool:
    """Whether a process that runs this was killed."""
    process = forks.Process(target=target, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode == -signal.SIGKILL


def test_whoever_is_killed_leaves_the_old_or_the_new(store: str, home_of_two: Path, tmp_path: Path):
    """A publisher at each of its steps, then a follower at each of its own."""
    first, second = sorted(path.stem for path in (home_of_two / "published").glob("2*.duckdb"))
    environment = {name: os.environ[name] for name in os.environ if name.startswith(("AWS_", STORE_VARIABLE))}
    folder = tmp_path / "cache"
    for at in STORE_STEPS:
        for name in objects(store):
            open_store(store).delete(name)
        marquee(home_of_two, "promote", first)
        if at == "store_retirement_begun":
            marquee(home_of_two, "promote", second)
            with patch.dict(os.environ, {STORE_VARIABLE: ""}):
                marquee(home_of_two, "retire", "--keep", 1)
        else:
            with patch.dict(os.environ, {STORE_VARIABLE: ""}):
                marquee(home_of_two, "promote", second)
        assert _killed(_publish, home_of_two, environment | {KILL_VARIABLE: at}), at
        replaced = STORE_STEPS.index(at) >= STORE_STEPS.index("store_pointer_replaced")
        cache = followed(store, folder)
        assert (cache.last().problem, live(folder / "published")) == ("", second if replaced else first), at
        marquee(home_of_two, "publish")
        cache.look()
        assert live(folder / "published") == second, at
    assert {name.split("/")[0] for name in objects(store)} == {"current.json", second}
    for at in (*FETCH_STEPS, "link_prepared", "link_swapped"):
        shutil.rmtree(folder)
        assert _killed(_follow, store, folder, environment | {KILL_VARIABLE: at}), at
        cache = followed(store, folder)
        assert (cache.last().problem, live(folder / "published")) == ("", second), at
        assert not [path for path in folder.rglob(f"{TEMPORARY}*") if not path.is_symlink()], at


def test_a_run_publishes_and_a_store_that_is_away_changes_nothing_here(store: str, small_home: Path, s3: ObjectServer):
    settings = ("--set", "top_movies=40", "--set", "per_pair=6")
    with patch.dict(os.environ, AWS_ENDPOINT="http://127.0.0.1:9"):
        report = marquee_json(small_home, "refresh", *settings, expect=1)
    assert report["state"] == "live"
    assert report["release"] == live(small_home / "published")
    (error,) = report["errors"]
    assert f"{store} cannot be read" in error
    assert "send it again with: marquee publish" in error
    again = marquee_json(small_home, "refresh", *settings)
    assert (again["state"], again["errors"]) == ("unchanged", [])
    assert document(store, "current.json")["release"] == report["release"]
    assert set(again["stages"]["published/stored_release"]) >= {"seconds", "unchanged"}
    with relay(s3.ports["s3.port"]) as wire:
        wire.held = f"/{store.removeprefix('s3://')}/current.json".encode()
        run = start_marquee(small_home, "refresh", *settings, AWS_ENDPOINT=f"http://127.0.0.1:{wire.port}")
        assert wire.reached.wait(120)
        with patch.dict(os.environ, {STORE_VARIABLE: ""}):
            marquee(small_home, "retire", "--keep", 5)  # writes while the run is busy with the store
        assert run.poll() is None
        wire.let_go.set()
        assert run.wait(120) == 0, run.communicate()


def test_wrong_usage_and_wrong_accounts_say_so(store: str, s3: ObjectServer, small_home: Path, tmp_path: Path):
    with patch.dict(os.environ, {STORE_VARIABLE: ""}):
        assert "MARQUEE_STORE=s3://bucket/prefix" in marquee(small_home, "publish", expect=2).stderr
        assert "--from s3://bucket/prefix" in marquee(small_home, "pull", tmp_path / "p", expect=2).stderr
    with patch.dict(os.environ, {STORE_VARIABLE: "releases"}):
        assert "releases is no store" in marquee(small_home, "publish", expect=2).stderr
    assert "nothing is published in" in marquee(small_home, "pull", tmp_path / "p", expect=1).stderr
    with patch.dict(os.environ, s3.environment("reader")):
        said = marquee(small_home, "publish", expect=1).stderr
        assert "AccessDenied" in said
        assert "check the credentials" in said
    marquee(small_home, "publish")
    with patch.dict(os.environ, s3.environment("reader")):
        marquee(small_home, "pull", tmp_path / "p")
    with patch.dict(os.environ, AWS_SECRET_ACCESS_KEY="a-wrong-secret"):
        said = marquee(small_home, "pull", tmp_path / "p", expect=1).stderr
        assert "SignatureDoesNotMatch" in said
        assert "a-wrong-secret" not in said
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    served = ("serve", "--from", store, "--port", 0, "--cache")
    assert "no cache of a store" in marquee(tmp_path, *served, tmp_path / "mine", expect=2).stderr
    assert (tmp_path / "mine" / "letter.txt").exists()
    followed(store, tmp_path / "theirs")
    elsewhere = ("serve", "--from", "s3://releases/elsewhere", "--port", 0, "--cache", tmp_path / "theirs")
    assert f"is the cache of {store}" in marquee(tmp_path, *elsewhere, expect=2).stderr
    assert live_release(Home(tmp_path / "theirs")) == live(small_home / "published")


def test_a_folder_is_a_store_too(home_of_two: Path, tmp_path: Path):
    first, second = sorted(path.stem for path in (home_of_two / "published").glob("2*.duckdb"))
    url = f"file://{tmp_path / 'shared'}"
    with patch.dict(os.environ, {STORE_VARIABLE: url}):
        assert "Unable to canonicalize" in marquee(tmp_path, "pull", tmp_path / "pulled", expect=1).stderr
        marquee(home_of_two, "publish")
        cache = followed(url, tmp_path / "cache")
        assert live(cache.home.published) == second
        marquee(home_of_two, "rollback")
        cache.look()
        assert live(cache.home.published) == first
        marquee(home_of_two, "promote", second)
        marquee(home_of_two, "retire", "--keep", 1)
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {"current.json", second}


def test_without_the_library_the_message_names_the_extra(small_home: Path):
    with (
        patch.dict("sys.modules", {"obstore": None, "obstore.store": None}),
        patch.dict(os.environ, {STORE_VARIABLE: "s3://b/x"}),
    ):
        assert "pip install 'marquee[store]'" in marquee(small_home, "publish", expect=2).stderr
