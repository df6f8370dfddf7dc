"""Whether one request may come in: its key, what that key is for, and how often its owner or address asked already.

Belongs here: which path needs which scope, and the refusals. Does not belong here: checking a key
(`serving.access.keyring`), counting tokens (`serving.access.rate_limit`).

Where keys are required, every path needs one but those in `OPEN`. A request with a key is limited by the name of
the key, one without (or with a wrong one) by its address. Where none are required, no key is read.
"""

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from serving.access.keyring import KeyRing
from serving.access.rate_limit import Rate, RateLimit, is_loopback
from serving.problems import Problem
from serving.settings import ServingSettings
from warehouse.keys.key import Key, Scope

OPEN = {"/", "/health/live", "/health/ready", "/openapi.json"}
"""Paths that need no key, beside the files of the page: they tell nothing of films or users."""

BURST_SECONDS = 4.0
"""Seconds whose requests a key may make at once."""


def needed_scope(path: str) -> Scope | None:
    """Scope that opens a path; None: it is open."""
    if path in OPEN or path.startswith("/static/"):
        return None
    if path == "/metrics":
        return Scope.ADMIN
    return Scope.EVENTS if path == "/events" else Scope.READ


class Admission:
    """Decides about requests.

    Parameters
    ----------
    settings : ServingSettings
    ring : KeyRing, optional
        Keys that are required; without it none are.
    """

    def __init__(self, settings: ServingSettings, ring: KeyRing | None) -> None:
        self._settings, self._ring = settings, ring
        self._rate = Rate(settings.rate_per_second, settings.rate_burst)
        self._addresses, self._names = RateLimit(), RateLimit()

    async def identify(self, scope: Mapping[str, Any]) -> Key | None:
        """The key of a request; None where none is needed.

        Raises
        ------
        Problem
            401 without a key that holds; 429, if the address asked too much.
        """
        if self._ring is None or needed_scope(scope["path"]) is None:
            self._limit_address(scope)
            return None
        text = _bearer(scope["headers"])
        key = self._ring.remembered(text)
        if key is None:
            self._limit_address(scope)
            key = await self._ring.verify(text)
        if key is None:
            raise _no_key(text)
        return key

    def require(self, key: Key, path: str) -> None:
        """Refuse what a key does not open, and what its owner asks too often.

        Raises
        ------
        Problem
            403 naming the scope, or 429.
        """
        needed = needed_scope(path)
        if needed not in key.scopes:
            detail = f"the key {key.name} has not the scope {needed}, which this path needs"
            challenge = f'Bearer realm="marquee", error="insufficient_scope", scope="{needed}"'
            raise Problem(403, "missing-scope", detail, "Authorization", {"WWW-Authenticate": challenge})
        per_second = key.per_second or self._settings.key_rate_per_second
        _require_token(self._names, key.name, Rate(per_second, max(1.0, BURST_SECONDS * per_second)))

    def _limit_address(self, scope: Mapping[str, Any]) -> None:
        address = (scope.get("client") or ("",))[0]
        if self._settings.limit_loopback or not is_loopback(address):
            _require_token(self._addresses, address, self._rate)


def _require_token(limit: RateLimit, who: str, rate: Rate) -> None:
    wait = limit.wait(who, rate, time.monotonic())
    if wait > 0:
        seconds = str(math.ceil(wait))
        text = f"more than {rate.per_second:g} requests a second; try again in {seconds} s"
        raise Problem(429, "rate-limit", text, headers={"Retry-After": seconds})


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The key of a request; empty without one, or if there are several."""
    found = [value for name, value in headers if name == b"authorization"]
    scheme, _, text = found[0].decode("latin-1").partition(" ") if len(found) == 1 else ("", "", "")
    return text.strip() if scheme.lower() == "bearer" else ""


def _no_key(text: str) -> Problem:
    """Refuse a request without a key, or with one that opens nothing; why a key does not hold is told to nobody."""
    if not text:
        detail = "this path needs a key; send it once, as Authorization: Bearer KEY"
        challenge = 'Bearer realm="marquee"'
    else:
        detail = "this key does not hold here: it is wrong, was revoked or has ended; ask for a new one"
        challenge = 'Bearer realm="marquee", error="invalid_token"'
    return Problem(401, "no-key", detail, "Authorization", {"WWW-Authenticate": challenge})
