"""The service's state in one process, and how a request becomes an answer, a row of the log and a few counts.

Belongs here: what lives as long as the process: snapshots, caches, the log, the threads that compute. Does not belong
here: HTTP (`serving.http.app`), the content of answers (`serving.answers`).
"""

import asyncio
import contextlib
import gc
import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from recommender.kernels.threads import thread_count
from serving.answer_cache import AnswerCache, CachedAnswer
from serving.answers import (
    FilmList,
    default_engine,
    live_answer,
    pair_answer,
    require_engine,
    search_answer,
    signup_answer,
    sort_out,
)
from serving.http.problems import Problem, no_release
from serving.metrics import ANSWERS, CACHE, EMPTY, LOAD_PROBLEMS, SERVED, SWITCHES, UNKNOWN
from serving.releases.follower import LiveReleases, Variant
from serving.releases.snapshot import Snapshot
from serving.request_log import LoggedRequest, RequestLog
from serving.settings import ServingSettings
from warehouse.home import Home

logger = logging.getLogger("marquee.serving")


@dataclass(frozen=True)
class Chosen:
    """What answers one request, from its beginning to its end.

    Attributes
    ----------
    snapshot : Snapshot
    variant : {'champion', 'challenger'}
    """

    snapshot: Snapshot
    variant: Variant


@dataclass(frozen=True)
class Reply:
    """An answer as it is sent.

    Attributes
    ----------
    body : bytes
        JSON.
    chosen : Chosen
    engine : str or None
        exact, annoy or table, for recommendations.
    """

    body: bytes
    chosen: Chosen
    engine: str | None = None


class Service:
    """Answers requests from the releases a home has live.

    Parameters
    ----------
    home : Home
    settings : ServingSettings
    workers : int
        Processes that share the machine; each gets its part of the cores for live recommendations.
    """

    def __init__(self, home: Home, settings: ServingSettings, workers: int = 1) -> None:
        self.home, self.settings = home, settings
        self.releases = LiveReleases(home, settings.challenger_share, self._changed)
        self._caches: dict[str, AnswerCache] = {}
        cores = thread_count()
        self._threads = max(1, cores // workers)
        self._waiting = 0
        self._log: RequestLog | None = None
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is live and keep following the links."""
        if self.settings.request_log:
            self._log = RequestLog(
                self.home, self.settings.log_rows, self.settings.log_seconds, self.settings.log_bytes
            )
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="answers")
        self._look()
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following, write the rest of the log."""
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._log is not None:
            self._log.close()
        gc.unfreeze()

    def _look(self) -> None:
        started = time.perf_counter()
        if self.releases.look():
            logger.info("loaded in %.0f ms", 1000 * (time.perf_counter() - started))
            gc.freeze()  # a hundred thousand lists that live as long as the release: searching them stops every answer
        LOAD_PROBLEMS.set(bool(self.releases.problem))
        for snapshot in (self.releases.champion, self.releases.challenger):
            if snapshot is not None:
                self._pool.submit(lambda kept: kept.titles, snapshot)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            if self._log is not None:
                self._log.flush_if_old()
            if self.releases.behind():
                await asyncio.to_thread(self._look)

    def _changed(self, variant: Variant, old: Snapshot | None, new: Snapshot | None) -> None:
        """Keep caches and counts in step with what is served."""
        if new is not None:
            self._caches.setdefault(new.release, AnswerCache(self.settings.cached_answers))
            SERVED.labels(new.release, variant).set(1)
        if old is not None:
            SERVED.labels(old.release, variant).set(0)
            served = (self.releases.champion, self.releases.challenger)
            if all(snapshot is None or snapshot.release != old.release for snapshot in served):
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
            problem = self.releases.problem
            raise no_release(
                f"the live release cannot be loaded: {problem}" if problem else
                "no release is live yet; make one with: marquee run"
            )  # fmt: skip
        return Chosen(*chosen)

    async def recommend(self, chosen: Chosen, ids: Sequence[int], num: int, engine: str | None) -> Reply:
        """Recommend films for a list, computed now or remembered.

        Raises
        ------
        Problem
        """
        started = time.perf_counter()
        snapshot = chosen.snapshot
        engine = engine or default_engine(snapshot, self.settings.engine, self.settings.exact_up_to_likes)
        require_engine(snapshot, engine)
        key = ("recommend", tuple(ids), num, engine)
        found = self._remembered(snapshot, key)
        if found is None:
            try:
                films = sort_out(snapshot, ids)
            except Problem:
                known = [movie for movie in ids if movie in snapshot.films.row_of]
                nothing = CachedAnswer(b"", known, [movie for movie in ids if movie not in known], [])
                self._record("recommend", chosen, engine, num, nothing, started, status=404, cached=False)
                raise
            answer = await self._compute(
                lambda: encoded(live_answer(snapshot, self.settings.deployment, films, num, engine), films)
            )
            self._remember(snapshot, key, answer)
        self._record("recommend", chosen, engine, num, found or answer, started, status=200, cached=found is not None)
        return Reply((found or answer).body, chosen, engine)

    def pair(self, chosen: Chosen, one: int, other: int) -> Reply:
        """Recommend films for a pair from the table.

        Raises
        ------
        Problem
        """
        started = time.perf_counter()
        key = ("pairs", one, other)
        found = self._remembered(chosen.snapshot, key)
        if found is None:
            values = pair_answer(chosen.snapshot, self.settings.deployment, one, other)
            found = encoded(values, FilmList([one, other], []))
            self._remember(chosen.snapshot, key, found)
            cached = False
        else:
            cached = True
        self._record("pairs", chosen, "table", 0, found, started, status=200, cached=cached)
        return Reply(found.body, chosen, "table")

    def signup_movies(self, chosen: Chosen) -> Reply:
        """List the sign-up films."""
        key = ("signup",)
        found = self._remembered(chosen.snapshot, key)
        if found is None:
            found = encoded(signup_answer(chosen.snapshot, self.settings.deployment), FilmList([], []))
            self._remember(chosen.snapshot, key, found)
        return Reply(found.body, chosen)

    async def search(self, chosen: Chosen, question: str, limit: int) -> Reply:
        """Search titles."""
        body = await self._compute(
            lambda: to_json(search_answer(chosen.snapshot, self.settings.deployment, question, limit))
        )
        return Reply(body, chosen)

    async def _compute(self, work: Callable[[], Any]) -> Any:
        """Run work on the threads for it; turn the request away if too many wait already."""
        if self._waiting >= self.settings.waiting_answers:
            text = "too many recommendations are being computed; try again"
            raise Problem(429, "busy", text, headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def _remembered(self, snapshot: Snapshot, key: tuple[object, ...]) -> CachedAnswer | None:
        cache = self._caches.get(snapshot.release)
        found = cache.get(key) if cache is not None else None
        CACHE.labels("miss" if found is None else "hit").inc()
        return found

    def _remember(self, snapshot: Snapshot, key: tuple[object, ...], answer: CachedAnswer) -> None:
        cache = self._caches.get(snapshot.release)
        if cache is not None:
            cache.put(key, answer)

    def _record(
        self,
        endpoint: str,
        chosen: Chosen,
        engine: str,
        num: int,
        answer: CachedAnswer,
        started: float,
        *,
        status: int,
        cached: bool,
    ) -> None:
        """Count an answer and log it."""
        snapshot = chosen.snapshot
        if status == 200:
            ANSWERS.labels(snapshot.release, chosen.variant, engine).inc()
            if not answer.recommended:
                EMPTY.labels(snapshot.release).inc()
        UNKNOWN.inc(len(answer.unknown))
        if self._log is None:
            return
        self._log.append(
            LoggedRequest(
                datetime.now(UTC).replace(tzinfo=None),
                endpoint,
                status,
                snapshot.release,
                snapshot.model_version,
                self.settings.deployment,
                chosen.variant,
                engine,
                num,
                answer.known,
                answer.unknown,
                answer.recommended,
                1000 * (time.perf_counter() - started),
                cached,
            )
        )


def to_json(values: dict[str, Any]) -> bytes:
    """Encode an answer."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


def encoded(values: dict[str, Any], films: FilmList) -> CachedAnswer:
    """Encode an answer and note its films."""
    recommended = [film["movie_id"] for film in values.get("recommendations", ())]
    return CachedAnswer(to_json(values), films.known, films.unknown, recommended)
