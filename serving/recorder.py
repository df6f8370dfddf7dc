"""What is kept of an answer once it is given: counts for Prometheus and a row of the request log.

Belongs here: which counts and which row an answer makes. Does not belong here: the metrics (`serving.metrics`), the
files of the log (`serving.request_log`).
"""

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from serving.clients import ClientNames
from serving.metrics import ANSWERS, EMPTY, UNKNOWN
from serving.problems import to_json
from serving.releases.follower import Chosen
from serving.request_log import LoggedRequest, RequestLog
from serving.settings import ServingSettings
from warehouse.home import Home

ANSWER_ID = b'"answer_id":"'


@dataclass(frozen=True)
class RecordedAnswer:
    """An answer as bytes around its id, with what the log wants to know of it: ids of the films, who made the list."""

    head: bytes
    tail: bytes
    known: list[int]
    unknown: list[int]
    recommended: list[int]
    engine: str

    @classmethod
    def of(cls, values: dict[str, Any], known: list[int], unknown: list[int], engine: str) -> "RecordedAnswer":
        """Encode an answer that has no id yet, and note its films."""
        recommended = [film["movie_id"] for film in values["recommendations"]]
        # A quotation mark inside of a text is escaped: what is before the mark cannot contain it.
        head, mark, tail = to_json(values).partition(ANSWER_ID)
        return cls(head + mark, tail, known, unknown, recommended, engine)

    def body(self, answer_id: str) -> bytes:
        """The answer with its id."""
        return b"".join((self.head, answer_id.encode(), self.tail))


class Heard(NamedTuple):
    """A request for a list: its endpoint, how many films, the client's key, the performance counter at its arrival."""

    endpoint: str
    num: int
    client: str | None
    started: float


class Recorder:
    """Counts answers and logs them, from the event loop only."""

    def __init__(self, home: Home, settings: ServingSettings) -> None:
        self._home, self._settings = home, settings
        self._log: RequestLog | None = None
        self._clients: ClientNames | None = None

    def start(self) -> None:
        """Open the log, if the settings want one."""
        settings = self._settings
        if settings.request_log:
            with contextlib.suppress(OSError):  # a home that cannot be written gets no log either; that is told then
                self._clients = ClientNames(self._home)
            self._log = RequestLog(self._home, settings.log_rows, settings.log_seconds, settings.log_bytes)

    def flush_if_old(self) -> None:
        """Have rows written that have waited long enough."""
        if self._log is not None:
            self._log.flush_if_old()

    def close(self) -> None:
        """Write the rest of the log."""
        if self._log is not None:
            self._log.close()

    def record(
        self,
        heard: Heard,
        chosen: Chosen,
        answer: RecordedAnswer,
        answer_id: str | None,
        *,
        status: int = 200,
        cached: bool = False,
    ) -> None:
        """Count an answer and log it; without an id it is a refusal."""
        snapshot, variant, experiment = chosen
        if status == 200:
            ANSWERS.labels(snapshot.release, variant, answer.engine).inc()
            if not answer.recommended:
                EMPTY.labels(snapshot.release).inc()
        UNKNOWN.inc(len(answer.unknown))
        if self._log is None:
            return
        client = self._clients.name(heard.client) if self._clients is not None and heard.client is not None else None
        self._log.append(
            LoggedRequest(
                requested_at=datetime.now(UTC).replace(tzinfo=None),
                endpoint=heard.endpoint,
                status=status,
                release=snapshot.release,
                model_version=snapshot.model_version,
                deployment=self._settings.deployment,
                variant=variant,
                engine=answer.engine,
                num=heard.num,
                known_ids=answer.known,
                unknown_ids=answer.unknown,
                recommended_ids=answer.recommended,
                latency_ms=1000 * (time.perf_counter() - heard.started),
                cached=cached,
                answer_id=answer_id,
                client=client,
                experiment=experiment,
            )
        )
