"""Homes that several tests look at, made once per session; whoever changes one works on a copy."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage
from hypothesis import settings
from playwright.sync_api import Browser
from xdist.scheduler import LoadScopeScheduling

from tests.browser import chromium
from tests.command import HOME_VARIABLES, marquee, marquee_json
from tests.dagster_dev import Webserver, dagster_dev
from tests.homes import copy_home, made_once
from tests.object_server import ObjectServer, object_server

OTHER_LISTS, MORE_NEIGHBOURS = (
    ("--set", "top_movies=40", "--set", "per_pair=7", "--set", f"neighbours={number}") for number in (10, 13)
)
"""Parameters of the second release of `two_releases`, and of the third of `three_releases`."""

settings.register_profile("suite", deadline=None)  # the first call may compile, and machines are busy
settings.load_profile("suite")


class Scheduling(LoadScopeScheduling):
    """Tests of a file stay with one worker, which starts their server once; but long ones that share none are apart."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.startswith(("tests/operations/", "tests/test_")) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give work out in the order below, not by the number of tests in a file."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A worker more than cores: now and then one waits for a server or a schedule."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that computes kept reference results anew."""
    parser.addoption("--recompute", action="store_true", help="compute kept reference results anew; takes minutes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give campaigns the time they need on a busy machine, and begin with them: at the end no worker waits for one.

    A test that hangs is named all the same.
    """
    items.sort(key=lambda item: item.get_closest_marker("campaign") is None)
    for item in items:
        if item.get_closest_marker("campaign"):
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Leave no test a home that another one named.

    A command that runs in this process sets `DAGSTER_HOME`, and Dagster keeps the storage of the instance that was
    entered last in a context variable, which it reads when definitions are loaded.
    """
    with patch.dict(os.environ), set_defs_state_storage(None):
        for name in HOME_VARIABLES:
            os.environ.pop(name, None)
        yield


@pytest.fixture
def recompute(request: pytest.FixtureRequest) -> bool:
    """Whether kept reference results are to be computed anew."""
    return bool(request.config.getoption("--recompute"))


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the bundled sample, live with the book preset and the exact engine."""

    def make(folder: Path) -> None:
        report = marquee_json(folder / "home", "run", "--source", "sample", "--preset", "book", "--set", "engine=exact")
        assert report["state"] == "live", report

    return made_once(tmp_path_factory, "sample", make) / "home"


@pytest.fixture(scope="session")
def small_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated source with a real-shaped genome, small enough to run in seconds."""
    size = ("--users", 400, "--movies", 300, "--ratings", 12_000, "--genome-movies", 120)

    def make(folder: Path) -> None:
        marquee(folder / "unused", "synth", folder / "csv", *size)

    return made_once(tmp_path_factory, "small", make) / "csv"


@pytest.fixture(scope="session")
def small_live(small_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the small source, live with 40 sign-up films."""

    def make(folder: Path) -> None:
        report = marquee_json(folder / "home", "run", "--source", small_source, "--set", "top_movies=40")
        assert report["state"] == "live", report

    return made_once(tmp_path_factory, "live", make) / "home"


@pytest.fixture(scope="session")
def two_releases(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two releases that recommend differently, the second made by `OTHER_LISTS` and live."""

    def make(folder: Path) -> None:
        assert marquee_json(copy_home(small_live, folder), "run", *OTHER_LISTS)["state"] == "live"

    return made_once(tmp_path_factory, "two", make) / "home"


@pytest.fixture(scope="session")
def three_releases(two_releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three releases, the newest live."""

    def make(folder: Path) -> None:
        assert marquee_json(copy_home(two_releases, folder), "run", *MORE_NEIGHBOURS)["state"] == "live"

    return made_once(tmp_path_factory, "three", make) / "home"


@pytest.fixture
def small_home(small_live: Path, tmp_path: Path) -> Path:
    """A copy of the small home, to do anything with."""
    return copy_home(small_live, tmp_path)


@pytest.fixture
def home_of_two(two_releases: Path, tmp_path: Path) -> Path:
    """A copy of the home with two releases, to do anything with."""
    return copy_home(two_releases, tmp_path)


@pytest.fixture(scope="module")
def webserver(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webserver]:
    """`dagster dev` over a copy of the small home; tests of one module ask it, none relies on another's work."""
    with dagster_dev(copy_home(small_live, tmp_path_factory.mktemp("dev"))) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium for the tests of one file."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectServer]:
    """An S3 server for the tests of one file; each uses a prefix of its own."""
    with object_server() as server:
        yield server


@pytest.fixture
def edited_source(small_source: Path, tmp_path: Path) -> Callable[[], Path]:
    """Make a copy of the small source, to damage."""

    def copy() -> Path:
        folder = tmp_path / "edited"
        shutil.copytree(small_source, folder)
        return folder

    return copy
