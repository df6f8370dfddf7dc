"""`marquee stream` with a real broker: each event once, what is none is kept, and whatever is away is waited for."""

import fcntl
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.releases.snapshot import Snapshot
from tests.broker import Broker, broker
from tests.campaigns.stream import StreamProcess, journal_ids, run_campaign
from tests.command import marquee
from tests.object_server import BUCKET, ObjectServer
from tests.servers import free_port
from tests.serving.conftest import TwoReleases
from warehouse.events.journal import Journal
from warehouse.home import Home

USER = 7_654_321


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    """A broker for the tests of this file; each uses a topic of its own."""
    with broker() as started:
        yield started


class Reading:
    """A stream, and what can be seen of it."""

    def __init__(self, releases: TwoReleases, kafka: Broker, topic: str, *options: object) -> None:
        self.home, self.port = releases.home, free_port()
        log = releases.home.root / "stream.log"
        metrics = ("--metrics", f"127.0.0.1:{self.port}")
        self.process = StreamProcess(self.home, kafka.address, log, topic, *metrics, *options)

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels; -1 while there is none."""
        try:
            text = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text
        except httpx.TransportError:
            return -1.0
        found = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found)) if found else -1.0

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something."""
        deadline = time.monotonic() + 60
        while not holds():
            assert self.process.process.poll() is None, self.process.said()
            assert time.monotonic() < deadline, self.process.said()
            time.sleep(0.05)

    def journaled(self) -> dict[str, int]:
        """How often each event is in the journal."""
        return dict(journal_ids(self.home))


def event(number: int, movie: int, **other: Any) -> bytes:
    return json.dumps(
        {"event_id": f"e{number}", "type": "rating", "user_id": USER, "movie_id": movie, "rating": 4.5, **other}
    ).encode()


def test_each_event_comes_in_once_and_what_is_none_is_kept(
    releases: TwoReleases, kafka: Broker, snapshot: Snapshot
) -> None:
    film = snapshot.films.signup_ids[0]
    kafka.make("films", 3)
    poison = [
        (b"{", "event is not JSON"),
        (b"\xff\x00\x01", "event is not JSON"),
        (b"[" * 5000, "event is not JSON"),
        (None, "event is missing"),
        (b"[]", "event is not a JSON object"),
        (event(900, film, rating=9), "rating is missing or not a number from"),
        (event(901, 2_000_000_000), f"movie_id is unknown to the live release, {releases.second}"),
        (event(902, film, at="9999-01-01T00:00:00Z"), "at lies in the future"),
        (event(903, film, password="x" * 70_000), "event has 70"),
    ]
    kafka.send("films", [(number % 3, event(number, film)) for number in range(300)])
    kafka.send("films", [(1, value) for value, _ in poison])
    kafka.send("films", [(2, event(number, film)) for number in range(290, 310)])
    reading = Reading(releases, kafka, "films")
    reading.until(lambda: len(reading.journaled()) == 310)
    reading.until(lambda: reading.metric("marquee_stream_lag_messages") == 0)
    assert set(reading.journaled().values()) == {1}
    assert reading.metric("marquee_events_total") == 320
    assert reading.metric("marquee_events_refused_total") == len(poison)
    assert reading.metric("marquee_stream_problem") == 0

    second = StreamProcess(releases.home, kafka.address, releases.home.root / "second.log", "films")
    assert second.process.wait(60) == 1
    assert "stream of films" in second.said()

    reading.process.kill()
    journal = Journal(releases.home.events)
    refused = journal.refused()
    assert [(message.partition, message.offset) for message in refused] == [(1, 100 + n) for n in range(len(poison))]
    for message, (value, reason) in zip(refused, poison, strict=True):
        assert message.reason.startswith(reason), message
        assert message.raw == (value or b"")[:16_384]
    assert journal.offsets(refused[0].topic) == {0: 100, 1: 100 + len(poison), 2: 120}
    journal.close()

    kafka.send("films", [(0, event(500, film)), (1, event(300, film))])
    reading.process.start()
    reading.until(lambda: len(reading.journaled()) == 311)
    reading.process.stop()
    assert set(reading.journaled().values()) == {1}
    assert len(Journal(releases.home.events).refused()) == len(poison)
    assert str(USER) not in reading.process.said()
    assert "offset 100: event is not JSON" in reading.process.said()


def test_what_is_away_is_waited_for(releases: TwoReleases, snapshot: Snapshot) -> None:
    """No broker, no topic, no release, no journal; then a topic made anew, with more partitions than before."""
    film = snapshot.films.signup_ids[0]
    live = releases.home.current.readlink()
    releases.home.current.unlink()
    with broker() as kafka:
        kafka.stop()
        reading = Reading(releases, kafka, "later")
        reading.until(lambda: reading.metric("marquee_stream_problem") == 1)
        kafka.start()
        kafka.make("later", 2)
        kafka.send("later", [(number % 2, event(number, film)) for number in range(40)])
        reading.until(lambda: "nothing is live" in reading.process.said())
        assert reading.journaled() == {}
        releases.home.current.symlink_to(live)
        reading.until(lambda: len(reading.journaled()) == 40)

        with (releases.home.events / "journal.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kafka.send("later", [(0, event(number, film)) for number in range(40, 50)])
            reading.until(lambda: reading.metric("marquee_stream_problem") == 1)
        reading.until(lambda: len(reading.journaled()) == 50)
        reading.until(lambda: reading.metric("marquee_stream_problem") == 0)

        kafka.stop()  # one in memory forgets its topics
        reading.until(lambda: reading.metric("marquee_stream_problem") == 1)
        kafka.start()
        kafka.make("later", 5)
        kafka.send("later", [(number % 5, event(number, film)) for number in range(40, 60)])
        reading.until(lambda: len(reading.journaled()) == 60)
        reading.process.stop()
    assert set(reading.journaled().values()) == {1}
    assert "was the topic made anew?" in reading.process.said()
    assert Journal(releases.home.events).offsets("tansu_cluster/later") == dict.fromkeys(range(5), 4)
    assert reading.process.said().count("waits: ") <= 12, "each reason is told once"


def test_what_cannot_be_asked_is_wrong_usage(small_live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> str:
        return marquee(small_live, "stream", *arguments, expect=2).stderr

    for url in ("kafka://127.0.0.1", "http://127.0.0.1/films", "kafka://127.0.0.1:9092/", "kafka:///films"):
        assert "kafka://host:port/topic" in refused(url)
    said = refused("kafka://me:of-my-own@127.0.0.1:9092/films")
    assert "--config FILE" in said
    assert "of-my-own" not in said
    properties = tmp_path / "client.properties"
    address = "kafka://127.0.0.1:9/films"
    for text, wrong in (
        ("group.id=mine", "line 1: group.id cannot be set"),
        ("# a comment\n\nsasl.password of-my-own", "line 3: not name=value"),
        ("no.such.property=of-my-own", "no.such.property"),
    ):
        properties.write_text(text)
        said = refused(address, "--config", properties)
        assert wrong in said
        assert "of-my-own" not in said
    for metrics in ("9105", ":9105", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:x"):
        assert "is not like 127.0.0.1:9105" in refused(address, "--metrics", metrics)
    assert "cannot be read" in refused(address, "--config", tmp_path / "gone")
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    assert "pip install 'marquee[kafka]'" in refused(address)


@pytest.mark.campaign
def test_consumer_and_broker_killed_in_turn(releases: TwoReleases, s3: ObjectServer) -> None:
    with broker(f"s3://{BUCKET}/", s3.environment("admin")) as messages:
        report = run_campaign(Home(releases.home.root), messages, events=6_000, kills=6, per_second=1_000)
    assert report.failures == []
    assert (report.consumer_kills, report.broker_kills) == (3, 3)
    assert report.in_journal == report.acknowledged == report.sent == 6_000
