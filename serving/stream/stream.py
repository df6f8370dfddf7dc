"""The stream: batches of messages become events of the journal, with the offsets they were read from.

Belongs here: the loop, what is refused, and what waits. Does not belong here: Kafka (`serving.stream.topic`), what an
event is and where it is kept (`warehouse.events`).

The events of a batch, the messages that are none, and the next offsets are one transaction. Killed at any moment, it
goes on behind the last batch that is on the disk. Nothing of a message is logged.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

import duckdb
import orjson

from serving.events import Films, Sealer
from serving.metrics import (
    EVENTS,
    EVENTS_COMMIT,
    EVENTS_REFUSED,
    STREAM_BATCH,
    STREAM_LAG,
    STREAM_PROBLEM,
    STREAM_SKIPPED,
)
from serving.stream.topic import Message, Topic
from warehouse.events.database import JournalError
from warehouse.events.event import Event, blamed
from warehouse.events.journal import Appended, Journal, Refused
from warehouse.events.segments import SEAL_SECONDS
from warehouse.home import Home
from warehouse.locks import writer_lock
from warehouse.logs import say
from warehouse.queries import utc_now
from warehouse.releases.reader import NoReleaseError, open_release, release_path

DOOR = "kafka"
MOST_MESSAGES = 5_000
"""Messages of one batch, which is one transaction."""

BATCH_SECONDS = 0.2
LOOK_SECONDS = 10.0
"""How often partitions are looked at, whether there are more."""

PROBLEM_SECONDS = 1.0
"""How often it is looked whether what is away is there again."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LOCK_SECONDS = 10.0
TOLD_SECONDS = 60.0
MOST_BYTES = 65_536
"""Longest message that can be an event."""


class LiveFilms:
    """The films of the release that is live, which events may name."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._path: Path | None = None
        self.films = Films("", frozenset[int]())

    def look(self) -> None:
        """Read them anew if another release went live; costs two system calls if none did.

        Raises
        ------
        NoReleaseError
            If none is live.
        """
        path = release_path(self._home)
        if path == self._path:
            return
        with open_release(self._home, path.stem) as con:
            known = frozenset(film for (film,) in con.execute("SELECT movie_id FROM movies").fetchall())
        self._path, self.films = path, Films(path.stem, known)


class Stream:
    """Takes the events of a topic into the journal of a home.

    Parameters
    ----------
    home : Home
    topic : Topic
    name : str
        Of the topic.
    """

    def __init__(self, home: Home, topic: Topic, name: str) -> None:
        self._home, self._topic, self._name = home, topic, name
        self._journal, self._films = Journal(home.events), LiveFilms(home)
        self._sealer = Sealer(self._journal, home.landing, SEAL_SECONDS)
        self._partitions: set[int] = set()
        self._key = ""
        self._look_at = self._tell_at = 0.0
        self._problem = ""
        self._counts: Counter[str] = Counter()
        self.stopping = threading.Event()

    def run(self) -> None:
        """Read until `stopping` is set; the batch that is being kept is kept."""
        cluster = self._first_look()
        if cluster is None:
            return
        self._key = f"{cluster}/{self._name}"
        self._home.events.mkdir(exist_ok=True)
        lock = self._home.events / f"stream-{blake2b(self._key.encode(), digest_size=8).hexdigest()}.lock"
        with writer_lock(lock, f"stream of {self._name}", wait_seconds=LOCK_SECONDS, notify=say):
            self._sealer.start()
            while not self.stopping.is_set():
                self._go_on()
            self._topic.close()
            self._sealer.stop()
            self._journal.close()
            self._tell()

    def _first_look(self) -> str | None:
        """Wait for a broker; return the name of the cluster, or None if told to stop."""
        while not self.stopping.is_set():
            found = self._topic.look()
            self._report(self._topic.problem)
            if found is not None:
                return found[0]
            self.stopping.wait(PROBLEM_SECONDS)
        return None

    def _go_on(self) -> None:
        """Look at the partitions if it is time to, read a batch, keep it."""
        try:
            self._films.look()
            if time.monotonic() >= self._look_at:
                self._look()
        except (NoReleaseError, JournalError, duckdb.Error) as error:
            self._look_at = 0.0
            self._report(str(error))
            self.stopping.wait(PROBLEM_SECONDS)
            return
        messages = self._topic.read(MOST_MESSAGES, BATCH_SECONDS)
        if messages:
            self._keep(messages)
        self._watch()
        self._report(self._topic.problem)
        if time.monotonic() >= self._tell_at:
            self._tell()

    def _look(self) -> None:
        """Begin with partitions that are new, where the journal says or with their first message."""
        found = self._topic.look()
        self._look_at = time.monotonic() + (LOOK_SECONDS if found else PROBLEM_SECONDS)
        new = set(found[1] if found else ()) - self._partitions
        if new:
            known = self._journal.offsets(self._key)
            for partition in sorted(new):
                self._topic.begin(partition, known.get(partition))
            self._partitions |= new
            say(f"marquee: {self._name}: reads {len(self._partitions)} partitions")

    def _watch(self) -> None:
        """Note how far behind the stream is, and begin again with a partition that ends before what was read of it."""
        for partition, lag in self._topic.lag().items():
            if lag < 0:
                text = (
                    f"partition {partition} ends {-lag} messages before what was read of it: was the topic made anew?"
                )
                say(f"marquee: {self._name}: {text} It is read from its beginning; events count once", logging.WARNING)
                self._topic.begin(partition)
            STREAM_LAG.labels(self._name, partition).set(max(lag, 0))
            self._counts[f"lag {partition}"] = max(lag, 0)

    def _keep(self, messages: Sequence[Message]) -> None:
        """Put a batch into the journal; try until that succeeds, or the stream is told to stop."""
        events, refused = self._sorted(messages)
        offsets = {(self._key, message.partition): message.offset + 1 for message in messages}
        pause = FIRST_PAUSE
        while True:
            started = time.perf_counter()
            try:
                kept = self._journal.append(events, DOOR, offsets, refused)
                break
            except JournalError as error:
                self._report(str(error))
            if self.stopping.wait(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE)
        EVENTS_COMMIT.observe(time.perf_counter() - started)
        self._count(kept, refused)
        self._count_skipped(messages)

    def _sorted(self, messages: Sequence[Message]) -> tuple[list[Event], list[Refused]]:
        """Events of a batch, and its messages that are none, with the reason."""
        events, refused = [], []
        now = utc_now()
        for message in messages:
            found = _read(message.value, self._films.films, now)
            if isinstance(found, str):
                refused.append(Refused(self._key, message.partition, message.offset, found, message.value or b""))
            else:
                events.append(found)
        return events, refused

    def _count(self, kept: Appended, refused: Sequence[Refused]) -> None:
        EVENTS.labels(DOOR, "accepted").inc(kept.accepted)
        EVENTS.labels(DOOR, "duplicate").inc(kept.duplicates)
        self._counts["accepted"] += kept.accepted
        self._counts["duplicates"] += kept.duplicates
        self._counts["refused"] += len(refused)
        for message in refused:
            EVENTS_REFUSED.labels(DOOR, blamed(message.reason)).inc()
        if refused:
            first = refused[0]
            place = f"partition {first.partition}, offset {first.offset}: {first.reason}"
            say(f"marquee: {self._name}: {len(refused)} messages refused and kept; the first: {place}", logging.WARNING)
        STREAM_BATCH.labels(self._name).set_to_current_time()

    def _count_skipped(self, messages: Sequence[Message]) -> None:
        """Count offsets without a message; one or two are a mark of a transaction, more were deleted by age."""
        for message in messages:
            if message.skipped > 0:
                STREAM_SKIPPED.labels(self._name).inc(message.skipped)
            if message.skipped > 2:
                place = f"partition {message.partition}, before offset {message.offset}"
                text = f"{message.skipped} offsets have no message: deleted by age before they were read, or lost"
                say(f"marquee: {self._name}: {place}: {text}", logging.ERROR)

    def _report(self, problem: str) -> None:
        """Say what is wrong once, and that it is over."""
        if problem and problem != self._problem:
            say(f"marquee: {self._name}: waits: {problem}", logging.WARNING)
            self._look_at = 0.0
        elif self._problem and not problem:
            say(f"marquee: {self._name}: goes on")
        self._problem = problem
        STREAM_PROBLEM.labels(self._name).set(bool(problem))

    def _tell(self) -> None:
        """Say what came since the last time."""
        self._tell_at = time.monotonic() + TOLD_SECONDS
        lag = sum(self._counts.pop(name) for name in [name for name in self._counts if name.startswith("lag ")])
        if self._counts.total():
            told = ", ".join(f"{self._counts[name]:,} {name}" for name in ("accepted", "duplicates", "refused"))
            say(f"marquee: {self._name}: {told}; {lag:,} messages behind")
        self._counts.clear()


def _read(value: bytes | None, films: Films, now: datetime) -> Event | str:
    """Read a message."""
    if value is None or not value:
        return "event is missing: the message is empty"
    if len(value) > MOST_BYTES:
        return f"event has {len(value)} bytes; at most {MOST_BYTES} are read"
    try:
        return films.read(orjson.loads(value), now)
    except orjson.JSONDecodeError:
        return "event is not JSON"
