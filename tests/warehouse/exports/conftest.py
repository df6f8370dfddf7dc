"""What the tests of all targets share: releases to export, their rows by plain SQL, and kills."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.campaigns.faults import Platform
from tests.command import marquee_json
from warehouse.home import Home

TABLES = {
    "release": "release",
    "movies": "movie_id",
    "signup_movies": "position",
    "pair_recommendations": "movie_a, movie_b, rank",
    "user_recommendations": "user_id, rank",
    "similar_movies": "movie_id, rank",
    "popular_movies": "list, rank",
}
"""What is exported, and what each table is sorted by."""

Exporter = Callable[..., dict[str, Any]]


def rows_of(home: Path, release: str, query: str) -> list[tuple[Any, ...]]:
    """Rows of a release file."""
    with duckdb.connect(str(Home(home).release_file(release)), read_only=True) as con:
        return con.execute(query).fetchall()


def releases_of(home: Path) -> list[str]:
    """Names of the releases that are there, oldest first."""
    return sorted(path.stem for path in (home / "published").glob("*Z-*.duckdb"))


def enlarge(home: Path, users: int) -> str:
    """Give the live release lists for that many more users, so that loading it takes a while; return its name."""
    release = releases_of(home)[-1]
    path = Home(home).release_file(release)
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute(
            "INSERT INTO user_recommendations SELECT u, r, 1 + (u + 7 * r) % 90000, (u + r) / 1000000 "
            "FROM range(1000000, 1000000 + ?) users(u), range(1, 51) ranks(r) ORDER BY ALL",
            [users],
        )
    path.chmod(0o444)
    return release


@pytest.fixture
def killed(tmp_path: Path, two_releases: Path) -> Callable[[str, str, str], str]:
    """Have an export of a release to a target die at a step; return what it said."""
    platform = Platform(tmp_path / "platform")
    shutil.copytree(two_releases, platform.home.root, symlinks=True)

    def kill(target: str, release: str, at: str) -> str:
        process = platform.start(["export", target, "--release", release, "--keep", "1"], at)
        process.join(120)
        assert process.exitcode == -9, (at, platform.log.read_text())
        return platform.log.read_text()

    return kill


@pytest.fixture
def export() -> Exporter:
    """Call the command with --json."""

    def call(home: Path, target: object, *arguments: object) -> dict[str, Any]:
        return marquee_json(home, "export", target, *arguments)

    return call


@pytest.fixture(autouse=True)
def no_passwords() -> None:
    """Tests give passwords themselves."""
    for name in ("PGPASSWORD", "REDIS_PASSWORD", "REDISCLI_AUTH"):
        os.environ.pop(name, None)
