"""Limits on how much one remote address may ask, kept in memory only.

Belongs here: the token bucket. Does not belong here: what a refused request is told (`serving.http.middleware`).
"""

import ipaddress
from functools import lru_cache

from cachetools import LRUCache

MOST_ADDRESSES = 10_000
"""Addresses remembered; the least recently seen is forgotten first."""


@lru_cache(maxsize=MOST_ADDRESSES)
def is_loopback(address: str) -> bool:
    """Whether an address belongs to this machine; an unreadable one (a unix socket's) does."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return True


class RateLimit:
    """Token bucket for each address.

    Parameters
    ----------
    per_second : float
        Tokens that come back in a second.
    burst : int
        Tokens an address can save up.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second, self.burst = per_second, burst
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(MOST_ADDRESSES)

    def wait(self, address: str, now: float) -> float:
        """Take a token; return 0, or the seconds until there is one again.

        Parameters
        ----------
        address : str
        now : float
            A monotonic time in seconds.
        """
        tokens, since = self._buckets.get(address, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - since) * self.per_second)
        taken = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if taken else tokens, now)
        return 0.0 if taken else (1.0 - tokens) / self.per_second
