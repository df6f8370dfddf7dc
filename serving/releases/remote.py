"""Releases from a store: a thread that keeps the folder this service answers from in step with it.

Belongs here: the thread, and what operators are told of its last look. What it fetches becomes visible as in a home,
by the link (`serving.releases.follower`). Does not belong here: fetching and room (`warehouse.store.cache`).
"""

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from serving.metrics import STORE_LOOKED, STORE_PROBLEM
from serving.settings import ServingSettings
from warehouse.home import Home
from warehouse.store.cache import StoreCache

STOP_SECONDS = 10.0

logger = logging.getLogger("marquee.serving")


class RemoteReleases:
    """Follows the store of the settings into a folder."""

    def __init__(self, home: Home, settings: ServingSettings) -> None:
        self._cache = StoreCache(settings.store, home.root, settings.cache_bytes, logger.info)
        self._seconds = settings.store_seconds
        # A daemon: whatever is being fetched when the process has to end goes on with the next one.
        self._thread = threading.Thread(target=self._follow, name="store", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End, also in the middle of a file."""
        self._cache.stopping.set()
        self._thread.join(STOP_SECONDS)

    def _follow(self) -> None:
        while not self._cache.stopping.is_set():
            try:
                self._cache.look(self._seconds)
            except OSError as error:
                logger.error("%s: %s", self._cache.home.root, error)
            except Exception:  # no caller hears of an error in a thread
                logger.exception("the store cannot be followed")
            self._cache.stopping.wait(min(1.0, self._seconds))

    def state(self) -> dict[str, Any]:
        """What the last look of any process found; sets the metrics."""
        last = self._cache.last()
        STORE_LOOKED.set(last.looked_at)
        STORE_PROBLEM.set(bool(last.problem))
        looked = last.looked_at or None
        return {
            "address": last.store,
            "looked_at": looked and datetime.fromtimestamp(looked, UTC).isoformat(timespec="seconds"),
            "age_seconds": looked and round(time.time() - looked, 1),
            "problem": last.problem,
        }
