"""Limits on how much one remote address or one key may ask, kept in memory only.

Belongs here: the token bucket. Does not belong here: whose it is, and what a refused request is told
(`serving.access.admission`).
"""

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from cachetools import LRUCache

MOST_BUCKETS = 10_000
"""Addresses or keys remembered; the least recently seen is forgotten first."""


@lru_cache(maxsize=MOST_BUCKETS)
def is_loopback(address: str) -> bool:
    """Whether an address belongs to this machine; an unreadable one (a unix socket's) does."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return True


class Rate(NamedTuple):
    """How much may be asked: tokens that come back in a second, and tokens that can be saved up."""

    per_second: float
    burst: float


class RateLimit:
    """A token bucket for each of those who ask."""

    def __init__(self) -> None:
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(MOST_BUCKETS)

    def wait(self, who: str, rate: Rate, now: float) -> float:
        """Take a token; return 0, or the seconds until there is one again.

        Parameters
        ----------
        who : str
            An address, or the name of a key.
        rate : Rate
        now : float
            A monotonic time in seconds.
        """
        tokens, since = self._buckets.get(who, (rate.burst, now))
        tokens = min(rate.burst, tokens + (now - since) * rate.per_second)
        taken = tokens >= 1.0
        self._buckets[who] = (tokens - 1.0 if taken else tokens, now)
        return 0.0 if taken else (1.0 - tokens) / rate.per_second
