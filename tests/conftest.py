"""Homes that several tests look at; whoever changes one works on a copy."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import marquee, marquee_json
from tests.dagster_dev import Webserver, dagster_dev


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the bundled sample, live with the book preset and the exact engine."""
    home = tmp_path_factory.mktemp("sample") / "home"
    report = marquee_json(home, "run", "--source", "sample", "--preset", "book", "--set", "engine=exact")
    assert report["state"] == "live"
    return home


@pytest.fixture(scope="session")
def small_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated source with a real-shaped genome, small enough to run in seconds."""
    folder = tmp_path_factory.mktemp("small") / "csv"
    size = ("--users", 400, "--movies", 300, "--ratings", 12_000, "--genome-movies", 120)
    marquee(folder.parent / "unused", "synth", folder, *size)
    return folder


@pytest.fixture(scope="session")
def small_live(small_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the small source, live with 40 sign-up films."""
    home = tmp_path_factory.mktemp("live") / "home"
    report = marquee_json(home, "run", "--source", small_source, "--set", "top_movies=40")
    assert report["state"] == "live"
    return home


@pytest.fixture
def small_home(small_live: Path, tmp_path: Path) -> Path:
    """A copy of the small home, to do anything with."""
    home = tmp_path / "home"
    shutil.copytree(small_live, home, symlinks=True)
    return home


@pytest.fixture(scope="module")
def live_copy(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small home for the tests of one module, which build on each other's work."""
    home = tmp_path_factory.mktemp("copy") / "home"
    shutil.copytree(small_live, home, symlinks=True)
    return home


@pytest.fixture(scope="module")
def webserver(live_copy: Path) -> Iterator[Webserver]:
    """`dagster dev` over that copy."""
    with dagster_dev(live_copy) as running:
        yield running


@pytest.fixture
def edited_source(small_source: Path, tmp_path: Path) -> Callable[[], Path]:
    """Make a copy of the small source, to damage."""

    def copy() -> Path:
        folder = tmp_path / "edited"
        shutil.copytree(small_source, folder)
        return folder

    return copy
