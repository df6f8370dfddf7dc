"""What is kept of an answer once it is given: counts for Prometheus and a row of the request log.

Belongs here: which counts and which row an answer makes. Does not belong here: the metrics (`serving.metrics`), the
files of the log (`serving.request_log`).
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serving.metrics import ANSWERS, EMPTY, UNKNOWN
from serving.problems import to_json
from serving.releases.follower import Chosen
from serving.request_log import LoggedRequest, RequestLog
from serving.settings import ServingSettings
from warehouse.home import Home


@dataclass(frozen=True)
class RecordedAnswer:
    """An answer as bytes, with what the log wants to know of it: ids of the films, who made the list."""

    body: bytes
    known: list[int]
    unknown: list[int]
    recommended: list[int]
    engine: str

    @classmethod
    def of(cls, values: dict[str, Any], known: list[int], unknown: list[int], engine: str) -> "RecordedAnswer":
        """Encode an answer and note its films."""
        recommended = [film["movie_id"] for film in values.get("recommendations", ())]
        return cls(to_json(values), known, unknown, recommended, engine)


class Recorder:
    """Counts answers and logs them, from the event loop only."""

    def __init__(self, home: Home, settings: ServingSettings) -> None:
        self._home, self._settings = home, settings
        self._log: RequestLog | None = None

    def start(self) -> None:
        """Open the log, if the settings want one."""
        settings = self._settings
        if settings.request_log:
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
        endpoint: str,
        chosen: Chosen,
        num: int,
        answer: RecordedAnswer,
        started: float,
        *,
        status: int = 200,
        cached: bool = False,
    ) -> None:
        """Count an answer and log it; `started` is the performance counter when its request arrived."""
        snapshot, variant = chosen
        if status == 200:
            ANSWERS.labels(snapshot.release, variant, answer.engine).inc()
            if not answer.recommended:
                EMPTY.labels(snapshot.release).inc()
        UNKNOWN.inc(len(answer.unknown))
        if self._log is None:
            return
        self._log.append(
            LoggedRequest(
                requested_at=datetime.now(UTC).replace(tzinfo=None),
                endpoint=endpoint,
                status=status,
                release=snapshot.release,
                model_version=snapshot.model_version,
                deployment=self._settings.deployment,
                variant=variant,
                engine=answer.engine,
                num=num,
                known_ids=answer.known,
                unknown_ids=answer.unknown,
                recommended_ids=answer.recommended,
                latency_ms=1000 * (time.perf_counter() - started),
                cached=cached,
            )
        )
