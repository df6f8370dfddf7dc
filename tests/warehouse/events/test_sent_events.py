"""Events of service machines reach the home through a store, each once, wherever either side is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.campaigns.deployment import remote_service
from tests.command import ROOT, marquee_json
from tests.warehouse.events.test_segments import landed, numbers, some
from warehouse.events.journal import Journal
from warehouse.events.segments import seal
from warehouse.faults import SENT_EVENT_STEPS
from warehouse.home import Home
from warehouse.store.client import STORE_VARIABLE, StoreError
from warehouse.store.events import send_events, take_in_events

SCRIPT = """
import sys
from pathlib import Path
from warehouse.events.journal import Journal
from warehouse.home import Home
from warehouse.store.events import send_events, take_in_events
folder = Path(sys.argv[1])
send_events(Journal(folder / "one" / "events"), sys.argv[2])
take_in_events(Home(folder / "home"), sys.argv[2])
"""


def machine(folder: Path, first: int, count: int) -> Journal:
    """A machine with two segments."""
    folder.mkdir()
    journal = Journal(folder / "events")
    for start in (first, first + count):
        journal.append(some(start, count), "http")
        seal(journal, None, seconds=0)
    return journal


@pytest.mark.parametrize("step", ["", *SENT_EVENT_STEPS])
def test_each_event_is_taken_in_once_wherever_a_side_is_killed(tmp_path: Path, step: str) -> None:
    home, url = Home(tmp_path / "home"), f"file://{tmp_path}/store"
    home.root.mkdir()
    one, other = machine(tmp_path / "one", 1, 15), machine(tmp_path / "other", 21, 10)  # 21 to 30 are of both
    assert not list(tmp_path.rglob("landing"))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), url]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "MARQUEE_KILL_AT": step})
    assert done.returncode == (-signal.SIGKILL if step else 0)
    Journal(home.events).append(some(1, 3), "http")  # some came to the home itself, too
    for _ in range(2):
        send_events(one, url)
        send_events(other, url)
        take_in_events(home, url)
        journal = Journal(home.events)
        assert sorted(numbers(journal)) == list(range(1, 41))
        assert not list((tmp_path / "store").rglob("*.parquet"))
    assert {row.door for row in journal.since(0)} <= {"store", "http"}
    times = {row.event.event_id: row.event.at for row in journal.since(0)}
    assert [times[row.event.event_id] for row in other.since(10)] == [row.event.at for row in other.since(10)]
    seal(journal, home.landing, seconds=0)
    assert landed(home.landing) == list(range(3, 41, 3))


def test_a_file_that_is_none_of_events_is_named_and_left(tmp_path: Path) -> None:
    home, url = Home(tmp_path / "home"), f"file://{tmp_path}/store"
    home.root.mkdir()
    folder = tmp_path / "store" / "events" / ("0" * 16)
    folder.mkdir(parents=True)
    (folder / "1-2.parquet").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"1-2\.parquet is damaged"):
        take_in_events(home, url)
    assert (folder / "1-2.parquet").exists()


def test_events_sent_to_a_machine_elsewhere_are_taken_in_by_publishing(
    small_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/store"
    monkeypatch.setenv(STORE_VARIABLE, url)
    marquee_json(small_home, "publish")
    release = Home(small_home).current.resolve().stem
    environment = {"MARQUEE_HOME": str(tmp_path / "elsewhere")}
    with remote_service(url, tmp_path, environment, seal_seconds=0.2) as service:
        service.serves(release)
        film = httpx.get(f"{service.address}/signup-movies").json()["movies"][0]["movie_id"]
        events = [{"event_id": str(n), "type": "play", "user_id": 1, "movie_id": film} for n in range(20)]
        assert httpx.post(f"{service.address}/events", json={"events": events}).json()["accepted"] == 20
    assert marquee_json(small_home, "publish")["events"] == 20
    assert marquee_json(small_home, "publish")["events"] == 0
    assert len(Journal(small_home / "events").since(0)) == 20
