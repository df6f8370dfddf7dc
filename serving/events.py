"""Events by HTTP: read from bodies, kept together in one commit, acknowledged when they are on the disk.

Belongs here: the thread that writes, and the one that seals (streams have one, too). Does not belong here: what an
event is and where it is kept (`warehouse.events`), reading bodies from the network (`serving.http.app`).

Requests that arrive while the disk is busy share the next transaction: its time is that of one fsync, however many
they are. Nothing of an event is logged.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Container
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from serving.metrics import EVENTS, EVENTS_COMMIT, EVENTS_REFUSED, EVENTS_SEALED, EVENTS_UNSEALED, EVENTS_WAITING
from serving.problems import Problem, bad_parameter
from serving.settings import ServingSettings
from warehouse.events.database import JournalError
from warehouse.events.event import Event, blamed, read_event
from warehouse.events.journal import Appended, Journal
from warehouse.events.segments import seal
from warehouse.home import Home
from warehouse.queries import utc_now
from warehouse.store.client import StoreError
from warehouse.store.events import send_events

MOST_EVENTS = 1_000
DOOR = "http"
TOGETHER = 5_000
"""Events of one transaction, more or less: a large one would keep the first of them waiting."""

SEAL_LOOK_SECONDS = 1.0
WARNING_SECONDS = 60.0

logger = logging.getLogger("marquee.serving")


class Films(NamedTuple):
    """The films that events may name: those of a release."""

    release: str
    known: Container[int]

    def read(self, values: Any, now: datetime) -> Event | str:
        """Read an event from decoded JSON, or say why it is none; one of a film that the release has not is none."""
        found = read_event(values, now)
        if not isinstance(found, str) and found.movie_id not in self.known:
            return f"movie_id is unknown to the live release, {self.release}"
        return found


class Taken(NamedTuple):
    """What became of the events of one request."""

    accepted: int
    duplicates: int
    refused: list[dict[str, Any]]


class _Request(NamedTuple):
    body: bytes
    films: Films
    answer: "asyncio.Future[Taken]"


class _Read(NamedTuple):
    """A request whose events were read."""

    request: _Request
    events: list[Event]
    refused: list[dict[str, Any]]


class EventDoor:
    """Takes events of one process into the journal of its home.

    Parameters
    ----------
    home : Home
    settings : ServingSettings
    """

    def __init__(self, home: Home, settings: ServingSettings) -> None:
        self.journal = Journal(home.events)
        landing = None if settings.store else home.landing
        self._sealer = Sealer(self.journal, landing, settings.seal_seconds, settings.store)
        self._settings = settings
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._waiting = 0
        self._next_warning = 0.0
        self._thread = threading.Thread(target=self._write_all, name="events", daemon=True)

    def start(self) -> None:
        """Begin to write and to seal; call it from the event loop that will ask."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._sealer.start()

    def stop(self) -> None:
        """Write what waits, seal what there is, close the journal. Takes as long as the disk does."""
        self._queue.put(None)
        self._thread.join()
        self._sealer.stop()
        self.journal.close()

    async def take(self, body: bytes, films: Films) -> Taken:
        """Keep the events of a request's body; they are on the disk when this returns.

        Raises
        ------
        Problem
            422 for a body that is no list of events, 429 if too many requests wait, 503 if nothing could be kept.
        """
        if self._waiting >= self._settings.waiting_events:
            raise Problem(429, "busy", "too many events wait for the disk; try again", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            request = _Request(body, films, self._loop.create_future())
            self._queue.put(request)
            return await request.answer
        finally:
            self._waiting -= 1

    def _write_all(self) -> None:
        going = True
        while going:
            read: list[_Read] = []
            request = self._queue.get()
            while request is not None:
                found = self._read(request)
                if found is not None:
                    read.append(found)
                if sum(len(found.events) for found in read) >= TOGETHER or self._queue.empty():
                    break
                request = self._queue.get()
            going = request is not None
            if read:
                self._write(read)

    def _read(self, request: _Request) -> _Read | None:
        try:
            return _Read(request, *read_events(request.body, request.films))
        except Exception as error:
            self._answer([(request, error)])
            return None

    def _write(self, read: list[_Read]) -> None:
        """Commit the events of some requests together, then answer them all."""
        started = time.perf_counter()
        answers: list[tuple[_Request, Taken | Exception]]
        try:
            if self._settings.store:  # such a service needs no home but for this
                self.journal.folder.parent.mkdir(parents=True, exist_ok=True)
            done = self.journal.append_groups([found.events for found in read], DOOR)
            answers = [(found.request, _taken(found, kept)) for found, kept in zip(read, done, strict=True)]
        except (JournalError, OSError) as error:
            self._warn(error)
            EVENTS_REFUSED.labels(DOOR, "journal").inc(sum(len(found.events) for found in read))
            text = "events cannot be kept now, none of this request was; send all of it again"
            answers = [(found.request, Problem(503, "journal", text, headers={"Retry-After": "5"})) for found in read]
        except Exception as error:
            answers = [(found.request, error) for found in read]
        EVENTS_COMMIT.observe(time.perf_counter() - started)
        self._answer(answers)

    def _answer(self, answers: "list[tuple[_Request, Taken | Exception]]") -> None:
        def deliver() -> None:
            for request, answer in answers:
                if request.answer.done():  # nobody waits for it any more
                    continue
                if isinstance(answer, Exception):
                    request.answer.set_exception(answer)
                else:
                    request.answer.set_result(answer)

        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(deliver)

    def _warn(self, error: Exception) -> None:
        """Log once a minute at most."""
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + WARNING_SECONDS
            logger.warning("events: %s", error)


class Sealer:
    """Moves events of the journal to files, on a thread, as every door does: one of them at a time.

    Parameters
    ----------
    journal : Journal
    landing : Path, optional
        Folder for the ratings among them.
    seconds : float
        Age of the oldest event at which that is done.
    store : str
        Address of the store that the files are sent to; empty: they stay.
    """

    def __init__(self, journal: Journal, landing: Path | None, seconds: float, store: str = "") -> None:
        self._journal, self._landing, self._seconds, self._store = journal, landing, seconds, store
        self._problem = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._seal_now_and_then, name="seal", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Seal what there is, and end."""
        self._stopping.set()
        self._thread.join()
        self._seal(0.0)

    def _seal_now_and_then(self) -> None:
        while not self._stopping.wait(SEAL_LOOK_SECONDS):
            self._seal(self._seconds)

    def _seal(self, seconds: float) -> None:
        problem = ""
        try:
            if seal(self._journal, self._landing, seconds):
                EVENTS_SEALED.set_to_current_time()
            if self._store:
                send_events(self._journal, self._store)
            waiting = self._journal.unsealed()
            EVENTS_UNSEALED.set(waiting.events)
            EVENTS_WAITING.set((utc_now() - waiting.since).total_seconds() if waiting.since else 0.0)
        except (JournalError, StoreError, OSError) as error:
            problem = str(error)
            if problem != self._problem:
                logger.warning("events: %s", error)
        self._problem = problem


def _taken(read: _Read, kept: Appended) -> Taken:
    EVENTS.labels(DOOR, "accepted").inc(kept.accepted)
    EVENTS.labels(DOOR, "duplicate").inc(kept.duplicates)
    return Taken(kept.accepted, kept.duplicates, read.refused)


def read_events(body: bytes, films: Films) -> tuple[list[Event], list[dict[str, Any]]]:
    """Read the events of a body, and say of each one that is refused where it is and why.

    Raises
    ------
    Problem
        If the body as a whole is no list of events.
    """
    events, refused = [], []
    now = utc_now()
    for index, values in enumerate(_listed(body)):
        found = films.read(values, now)
        if isinstance(found, str):
            EVENTS_REFUSED.labels(DOOR, blamed(found)).inc()
            refused.append({"index": index, "reason": found})
        else:
            events.append(found)
    return events, refused


def _listed(body: bytes) -> list[Any]:
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_parameter("body", f"the body is not JSON: {str(error)[:100]}") from None
    if not isinstance(values, dict):
        raise bad_parameter("body", 'the body is not an object like {"events": [...]}')
    for name in values:
        if name != "events":
            shown = name[:40]
            raise Problem(422, "unknown-parameter", f"the body has {shown!r}; it takes events only", shown)
    events = values.get("events")
    if not isinstance(events, list):
        raise bad_parameter("events", "events is missing or not a list")
    if len(events) > MOST_EVENTS:
        raise bad_parameter("events", f"events has {len(events)} entries; send at most {MOST_EVENTS} at a time")
    return events
