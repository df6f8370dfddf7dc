"""`marquee retire --keep 1` while readers read: whoever resolved the link gets a complete release, old or new."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from serving.answers import answer, asked_list
from serving.releases.follower import LiveReleases
from tests.campaigns import forks
from tests.campaigns.faults import Platform
from warehouse.files import point_link
from warehouse.home import Home
from warehouse.releases.reader import open_release
from warehouse.releases.registry import live_release


def read_tables(home: Home) -> str:
    """Read the live release whole; return its name."""
    with open_release(home) as con:
        release, recorded = con.execute("SELECT release, row_counts FROM release").fetchall()[0]
        for table, expected in json.loads(recorded).items():
            assert con.execute(f"SELECT count(*) FROM {table}").fetchone() == (expected,), table
    return str(release)


def follow(home: Home, stop: Any, results: Any) -> None:
    """Body of a process that reads as the command line does, and another way as the service does."""
    served = LiveReleases(home)
    films: list[int] = []
    seen, errors, reads = set(), [], 0
    while not stop.is_set():
        try:
            seen.add(read_tables(home))
            with open_release(home) as con:
                films = [row[0] for row in con.execute("SELECT movie_id FROM signup_movies LIMIT 2").fetchall()]
            seen.add(answer(home, asked_list("recommend", (), ids=films, num=3))["release"])
            served.look()
            assert served.champion is not None
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
        reads += 1
    results.put((sorted(seen), errors, reads))


@pytest.mark.campaign
def test_readers_and_retirements_to_one_release_in_a_loop(tiny_platform: Platform) -> None:
    platform = tiny_platform
    stop, results = forks.Event(), forks.Queue()
    readers = [forks.Process(target=follow, args=(platform.home, stop, results)) for _ in range(2)]
    for reader in readers:
        reader.start()
    made = {live_release(platform.home)}
    for _ in range(4):
        assert platform.run("publish") == 0
        assert platform.run("retire", "--keep", "1") == 0
        made.add(live_release(platform.home))
        assert [path.stem for path in platform.home.published.glob("*Z-*.duckdb")] == [live_release(platform.home)]
    time.sleep(1)
    stop.set()
    found = [results.get(timeout=120) for _ in readers]
    for reader in readers:
        reader.join()
    assert [error for _, errors, _ in found for error in errors] == []
    assert len(made) == 5
    assert {name for seen, _, _ in found for name in seen} <= made
    assert all(len(seen) > 1 for seen, _, _ in found)


def replace_live_release(home: Home, stop: Any) -> None:
    """Body of a process that makes release after release live and deletes the one before at once."""
    content = home.current.resolve()
    kept = home.root / "kept.duckdb"
    os.link(content, kept)
    number = 0
    while not stop.is_set():
        number += 1
        file = home.release_file(f"20260101T{number:06d}Z-00000000")
        os.link(kept, file)
        before = home.current.resolve()
        point_link(home.current, file.name)
        before.unlink()
        time.sleep(0.03)  # a release that lives shorter than it takes to open one could not be read by anybody


def open_carelessly(home: Home) -> None:
    """Resolve and open, as a reader does that knows nothing of retirements."""
    duckdb.connect(str(home.current.resolve()), read_only=True).close()


def open_with_care(home: Home) -> None:
    with open_release(home) as con:
        con.execute("SELECT release FROM release").fetchall()


@pytest.mark.parametrize(("read", "fails"), [(open_carelessly, True), (open_with_care, False)])
def test_a_release_retired_between_resolving_and_opening_is_looked_up_again(
    small_home: Path, read: Callable[[Home], None], fails: bool
) -> None:
    """The careless reader shows that the race is really run."""
    home, stop, errors = Home(small_home), forks.Event(), []
    writer = forks.Process(target=replace_live_release, args=(home, stop))
    writer.start()
    for _ in range(300):
        try:
            read(home)
        except duckdb.IOException as error:
            errors.append(str(error))
    stop.set()
    writer.join()
    assert bool(errors) == fails, errors[:3]
