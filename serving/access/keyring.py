"""The keys of a home in one process: follows their file, and says whose key a text is.

Belongs here: checking a key, and remembering that it was right. Does not belong here: the file (`warehouse.keys`), what
a key opens (`serving.access.admission`).

A key is found by its id, which is no secret, and hashed once. Then a keyed digest of its text is remembered, so that
the next request costs microseconds. All comparisons take the same time wherever two texts differ.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from datetime import UTC, datetime

from serving.metrics import KEYS_PROBLEM
from serving.problems import Problem
from warehouse.home import Home
from warehouse.keys.file import KeyFileError, read_keys
from warehouse.keys.key import TEXT, Key

MOST_WAITING = 64
"""Keys that may wait for their hash. Only one is hashed at a time, so that wrong keys cannot keep a core busy."""

logger = logging.getLogger("marquee.serving")


class KeyRing:
    """Keys of a home, as this process knows them.

    Parameters
    ----------
    home : Home
    poll_seconds : float
        How often the file is looked at: a change holds after that time at the latest.
    """

    def __init__(self, home: Home, poll_seconds: float) -> None:
        self._home, self._poll_seconds = home, poll_seconds
        self._secret = secrets.token_bytes(32)  # of this process: a digest is of no use anywhere else
        self._keys: dict[str, Key] = {}
        self._digests: dict[str, bytes] = {}
        self._version: tuple[int, ...] | None = None
        self._look_at = 0.0
        self._problem = ""
        self._hashing = asyncio.Lock()
        self._waiting = 0

    def remembered(self, text: str) -> Key | None:
        """The key a text belongs to, if that is known; None: it has to be verified."""
        self._look()
        key, secret = self._find(text)
        if key is None or not hmac.compare_digest(self._digests.get(key.id, b""), self._digest(secret)):
            return None
        return key

    async def verify(self, text: str) -> Key | None:
        """The key a text belongs to; None if it is wrong, revoked or has ended.

        Raises
        ------
        Problem
            429, if too many keys are waiting already.
        """
        if self._find(text)[0] is None:
            return None
        if self._waiting >= MOST_WAITING:
            raise Problem(429, "busy", "too many keys are being checked; try again", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._hashing:
                if found := self.remembered(text):  # a request beside this one had the same key
                    return found
                key, secret = self._find(text)
                if key is None or not await asyncio.to_thread(key.fits, secret) or self._keys.get(key.id) is not key:
                    return None
                self._digests[key.id] = self._digest(secret)
                return key
        finally:
            self._waiting -= 1

    def _find(self, text: str) -> tuple[Key | None, str]:
        """The valid key with the id of a text, and the secret of the text."""
        parts = TEXT.fullmatch(text)
        key = self._keys.get(parts[1]) if parts else None
        if parts is None or key is None or not key.is_valid(datetime.now(UTC)):
            return None, ""
        return key, parts[2]

    def _digest(self, secret: str) -> bytes:
        return hashlib.blake2b(secret.encode(), key=self._secret, digest_size=32).digest()

    def _look(self) -> None:
        """Read the file again if it was replaced since the last look; at most every `poll_seconds`."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + self._poll_seconds
        try:
            found = self._home.keys.stat()
            version: tuple[int, ...] = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            version = ()
        if version == self._version and not self._problem:
            return
        self._version = version
        try:
            self._keys = {key.id: key for key in read_keys(self._home)}
            self._digests, problem = {}, ""
        except KeyFileError as error:  # the keys of before go on: a mistake of an operator locks nobody out
            problem = str(error)
            if problem != self._problem:
                logger.error("%s; the keys read before still hold", problem)
        self._problem = problem
        KEYS_PROBLEM.set(bool(problem))
