"""The service in one process: follows the live releases and turns a question into an answer ready to send.

Belongs here: what lives as long as the process: snapshots, caches, the threads that compute. Does not belong here: HTTP
(`serving.http.app`), the content of answers (`serving.answers`), counts and log (`serving.recorder`).
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

from cachetools import LRUCache

from recommender.kernels.threads import thread_count
from serving.answers import list_answer, new_answer_id, search_answer, signup_answer
from serving.cursors import read_cursor
from serving.events import EventDoor
from serving.journal_reader import JournalReader
from serving.metrics import CACHE, LOAD_PROBLEMS, SERVED, SWITCHES
from serving.pages import Asked, find, is_stored
from serving.problems import Problem, no_release, to_json
from serving.questions import SearchQuestion
from serving.recent_ratings import LAST, NOTHING, Recent
from serving.recorder import Heard, RecordedAnswer, Recorder
from serving.releases.follower import Chosen, LiveReleases, Variant
from serving.releases.remote import RemoteReleases
from serving.releases.snapshot import Snapshot
from serving.settings import ServingSettings
from serving.sources import choose_engine
from warehouse.home import Home

EVENT_SECONDS = 0.2
"""How often the journal of events is looked at; costs microseconds when nothing is new."""

logger = logging.getLogger("marquee.serving")


@dataclass(frozen=True)
class Reply:
    """An answer as it is sent.

    Attributes
    ----------
    body : bytes
        JSON.
    chosen : Chosen
    engine : str
        exact, annoy, table or live, for recommendations; else empty.
    """

    body: bytes
    chosen: Chosen
    engine: str = ""


class Service:
    """Answers questions from the releases a home has live.

    Parameters
    ----------
    home : Home
    settings : ServingSettings
    workers : int
        Processes that share the machine; each gets its part of the cores for live recommendations.
    own : Home, optional
        Home of the events; another one than `home` where that is a store's cache, which may be deleted.
    """

    def __init__(self, home: Home, settings: ServingSettings, workers: int = 1, own: Home | None = None) -> None:
        self.settings = settings
        self.releases = LiveReleases(home, self._changed)
        self.remote = RemoteReleases(home, settings) if settings.store else None
        self.recorder = Recorder(home, settings)
        self.events = JournalReader(own or home, self._served)
        self.door = EventDoor(own or home, settings)
        self._caches: dict[str, LRUCache[tuple[object, ...], Any]] = {}
        self._threads = max(1, thread_count() // workers)
        self._waiting = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load what is live and keep following the links."""
        self.recorder.start()
        self.door.start()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="answers")
        if self.remote is not None:
            self.remote.start()
        self._look()
        self.events.read()
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._read_events())]

    async def stop(self) -> None:
        """Stop following, write the rest of the log and of the events."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self.remote is not None:
            await asyncio.to_thread(self.remote.stop)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.events.close()
        self.recorder.close()
        await asyncio.to_thread(self.door.stop)
        gc.unfreeze()

    def _look(self) -> None:
        started = time.perf_counter()
        if self.releases.look():
            logger.info("loaded in %.0f ms", 1000 * (time.perf_counter() - started))
            gc.freeze()  # what lives as long as the process or the release: searching it would stop every answer
        LOAD_PROBLEMS.set(bool(self.releases.problem))
        for snapshot in self._served():
            self._pool.submit(snapshot.prepare)

    def _served(self) -> list[Snapshot]:
        """The releases that answer now, the champion first."""
        return [found for found in (self.releases.champion, self.releases.challenger) if found is not None]

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            self.releases.forget()
            self.recorder.flush_if_old()
            self.store_state()
            if self.releases.behind():
                await asyncio.to_thread(self._look)

    async def _read_events(self) -> None:
        while True:
            await asyncio.sleep(EVENT_SECONDS)
            await asyncio.to_thread(self.events.read)

    def store_state(self) -> dict[str, Any] | None:
        """What is known of the store that releases come from; None if they are the home's own."""
        return None if self.remote is None else self.remote.state()

    def _changed(self, variant: Variant, old: Snapshot | None, new: Snapshot | None) -> None:
        """Keep caches and counts in step with what is served."""
        if new is not None:
            self._caches.setdefault(new.release, LRUCache(self.settings.cached_answers))
            SERVED.labels(new.release, variant).set(1)
        if old is not None:
            SERVED.labels(old.release, variant).set(0)
            if all(snapshot.release != old.release for snapshot in self._served()):
                self._caches.pop(old.release, None)
        SWITCHES.labels(variant).inc()
        logger.info("%s: %s instead of %s", variant, new and new.release, old and old.release)

    def choose(self, client: str | None) -> Chosen:
        """Pick what answers a request.

        Raises
        ------
        Problem
            503, if nothing is live.
        """
        chosen = self.releases.choose(client)
        if chosen is None:
            problem, store = self.releases.problem, self.store_state()
            raise no_release(
                f"the live release cannot be loaded: {problem}" if problem else
                store["problem"] or "the first release is being fetched" if store else
                "no release is live yet; make one with: marquee run"
            )  # fmt: skip
        return chosen

    async def recommend(self, client: str | None, asked: Asked) -> Reply:
        """Answer with a page of a list: stored, computed now, or cached.

        Raises
        ------
        Problem
        """
        started = time.perf_counter()
        chosen = self.choose(client)
        if asked.question.cursor is not None:
            chosen = await self._continued(chosen, asked.question.cursor)
        snapshot, question = chosen.snapshot, asked.question
        recent = self._recent(snapshot, asked)
        engine = getattr(question, "engine", None)
        key = (asked.kind, asked.subject, question.num, question.cursor, engine, question.identity, recent.seq)
        cached = found = self._cached(snapshot, key)
        heard = Heard(asked.kind, question.num or 0, client, started)
        if found is None:
            try:
                stored = is_stored(snapshot, asked) and not recent.seq
                found = self._answer(snapshot, asked, recent) if stored else await self._compute(
                    lambda: self._answer(snapshot, asked, recent)
                )  # fmt: skip
            except Problem as problem:
                if problem.status == 404 and asked.kind == "recommend":
                    self.recorder.record(heard, chosen, self._unanswered(snapshot, asked), None, status=404)
                raise
            self._keep(snapshot, key, found)
        answer_id = new_answer_id()
        self.recorder.record(heard, chosen, found, answer_id, cached=cached is not None)
        return Reply(found.body(answer_id), chosen, found.engine)

    def _recent(self, snapshot: Snapshot, asked: Asked) -> Recent:
        """What the user of a question has rated since the release; up to what the cursor knows, if it has one."""
        if asked.kind != "users":
            return NOTHING
        cursor = asked.question.cursor
        return self.events.of(snapshot, asked.subject[0], LAST if cursor is None else read_cursor(cursor).seq)

    def _answer(self, snapshot: Snapshot, asked: Asked, recent: Recent) -> RecordedAnswer:
        settings = self.settings
        page = find(snapshot, asked, settings.engine, settings.exact_up_to_likes, recent)
        values = list_answer(snapshot, settings.deployment, page.found, page.skip, page.cursor)
        # The films of a user say who it is: they are not logged.
        known = [] if asked.kind == "users" else list(page.found.input)
        return RecordedAnswer.of(values, known, list(page.found.unknown), page.found.engine)

    def _unanswered(self, snapshot: Snapshot, asked: Asked) -> RecordedAnswer:
        """What the log keeps of a list nobody could answer."""
        ids = getattr(asked.question, "ids", [])
        known = [movie for movie in ids if movie in snapshot.films.row_of]
        settings = self.settings
        engine = choose_engine(
            snapshot, getattr(asked.question, "engine", None), settings.engine, settings.exact_up_to_likes
        )
        return RecordedAnswer(
            b"", b"", known, [movie for movie in ids if movie not in snapshot.films.row_of], [], engine
        )

    async def _continued(self, chosen: Chosen, text: str) -> Chosen:
        """What answers a page after the first: the release that answered the first, as long as its files are kept.

        Raises
        ------
        Problem
            410 naming `cursor`, if the release was retired; 422, if no release made the cursor.
        """
        cursor = read_cursor(text)
        if cursor.release == chosen.snapshot.release:
            return chosen
        for variant, snapshot in (("champion", self.releases.champion), ("challenger", self.releases.challenger)):
            if snapshot is not None and snapshot.release == cursor.release:
                return Chosen(snapshot, cast(Variant, variant))
        return Chosen(await self._compute(lambda: self.releases.kept(cursor)), chosen.variant)

    def signup_movies(self, chosen: Chosen) -> Reply:
        """List the sign-up films."""
        key = ("signup",)
        found = self._cached(chosen.snapshot, key)
        if found is None:
            body = to_json(signup_answer(chosen.snapshot, self.settings.deployment))
            found = self._keep(chosen.snapshot, key, body)
        return Reply(found, chosen)

    async def search(self, chosen: Chosen, question: SearchQuestion) -> Reply:
        """Search titles."""
        snapshot, deployment = chosen.snapshot, self.settings.deployment
        body = await self._compute(lambda: to_json(search_answer(snapshot, deployment, question.q, question.limit)))
        return Reply(body, chosen)

    async def _compute(self, work: Callable[[], Any]) -> Any:
        """Run work on the threads for it; refuse it if too much waits already."""
        if self._waiting >= self.settings.waiting_answers:
            text = "too many recommendations are being computed; try again"
            raise Problem(429, "busy", text, headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def _cached(self, snapshot: Snapshot, key: tuple[object, ...]) -> Any:
        cache = self._caches.get(snapshot.release)
        found = cache.get(key) if cache is not None else None
        CACHE.labels("miss" if found is None else "hit").inc()
        return found

    def _keep(self, snapshot: Snapshot, key: tuple[object, ...], answer: Any) -> Any:
        """Keep an answer as long as its release is served; answers of a release never change."""
        cache = self._caches.get(snapshot.release)
        if cache is not None and cache.maxsize:
            cache[key] = answer
        return answer
