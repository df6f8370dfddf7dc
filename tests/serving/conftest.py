"""A home with two releases, made once by the command line, and the service over it: in process or as a real server."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette import testclient

from serving.http.app import create_app
from serving.releases.snapshot import Snapshot, load_snapshot
from serving.settings import SETTINGS_VARIABLE, ServingSettings
from tests.command import ROOT
from tests.servers import free_port
from warehouse.files import point_link
from warehouse.home import Home
from warehouse.keys.key import TEXT


@dataclass(frozen=True)
class TwoReleases:
    """A home with two releases that recommend differently; the second is live."""

    home: Home
    first: str
    second: str

    def switch(self, release: str) -> None:
        """Put a release live, the way promotion and rollback do."""
        point_link(self.home.current, f"{release}.duckdb")


class TestClient(testclient.TestClient):
    """The service in this process, under a name it answers to."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, base_url="http://127.0.0.1", **options)


@pytest.fixture(scope="session")
def built(small_live: Path, two_releases: Path) -> TwoReleases:
    """Both releases, for reading only."""
    home = Home(two_releases)
    first, second = (Home(root).current.resolve().stem for root in (small_live, home.root))
    assert first != second
    return TwoReleases(home, first, second)


@pytest.fixture
def releases(built: TwoReleases, tmp_path: Path) -> TwoReleases:
    """Both releases in a home of one's own."""
    shutil.copytree(built.home.root / "published", tmp_path / "home" / "published", symlinks=True)
    for folder in ("models", "sources"):
        (tmp_path / "home" / folder).symlink_to(built.home.root / folder)
    return TwoReleases(Home(tmp_path / "home"), built.first, built.second)


@pytest.fixture(scope="session")
def snapshot(built: TwoReleases) -> Snapshot:
    return load_snapshot(built.home, built.home.release_file(built.second))


@pytest.fixture(scope="session")
def settings() -> ServingSettings:
    return ServingSettings(deployment="test", request_log=False, poll_seconds=0.05)


@pytest.fixture(scope="session")
def client(built: TwoReleases, settings: ServingSettings) -> Iterator[TestClient]:
    """The service in this process, over both releases."""
    with TestClient(create_app(built.home, settings)) as client:
        yield client


@contextlib.contextmanager
def running(home: Home, *, workers: int = 1, **settings: object) -> Iterator[str]:
    """Run `marquee serve` as a user would and yield its address once it answers."""
    port = free_port()
    chosen = ServingSettings(**{"poll_seconds": 0.1, **settings})  # type: ignore[arg-type]
    command = [str(Path(sys.executable).parent / "marquee"), "--home", str(home.root), "serve"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", str(workers)],
        cwd=ROOT,
        env={**os.environ, SETTINGS_VARIABLE: chosen.model_dump_json()},
        stderr=subprocess.PIPE,
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{address}/health/live").raise_for_status()
                break
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        errors = process.communicate(timeout=30)[1]
        assert "Traceback" not in errors, errors
        assert not TEXT.search(errors), "a key was logged"


@pytest.fixture
def serve() -> Callable[..., contextlib.AbstractContextManager[str]]:
    return running
