"""An API key: its text, what is kept of it, and whether the two belong together.

Belongs here: making and checking one key. Does not belong here: the file of a home's keys (`warehouse.keys.file`), or
what a scope opens (`serving.access`).

The text is ``mq_<id>_<secret>``. The id finds the record and is no secret; the secret has 192 random bits and is
kept as a salted scrypt hash only.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Scope(StrEnum):
    """What a key opens; none includes another."""

    READ = "read"
    EVENTS = "events"
    ADMIN = "admin"


TEXT = re.compile("mq_([0-9a-f]{12})_([0-9a-f]{48})")
"""What a key looks like; its parts are the id and the secret."""

NAME = "^(?!mq_)[A-Za-z0-9._-]{1,64}$"
"""Names of keys; no key is one, so that a key given in place of its name is never shown."""

COST = 2**12
"""Rounds of scrypt of new keys: 4 MB and about 10 ms. See docs/decisions/api-keys.md."""


class Key(BaseModel):
    """What is kept of a key.

    Attributes
    ----------
    id : str
        Part of the key's text.
    name : str
        Whose it is. Several keys have the same name while one replaces the other.
    scopes : tuple of str
    per_second : float, optional
        Requests a second on average; without it the service's own limit holds.
    created_at : datetime
    valid_until : datetime, optional
        When it ends.
    salt, hash : str
        Of the secret, as hex.
    cost : int
        Rounds of scrypt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern="^[0-9a-f]{12}$")
    name: str = Field(pattern="^[A-Za-z0-9._-]{1,64}$")
    scopes: tuple[Scope, ...]
    per_second: float | None = Field(default=None, gt=0)
    created_at: AwareDatetime
    valid_until: AwareDatetime | None = None
    salt: str = Field(pattern="^[0-9a-f]{32}$")
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    cost: int = Field(default=COST, ge=2, le=2**20)

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not ended."""
        return self.valid_until is None or now < self.valid_until

    def fits(self, secret: str) -> bool:
        """Whether a secret is this key's; takes as long for a wrong one as for the right one."""
        return hmac.compare_digest(_hash(secret, self.salt, self.cost), self.hash)


def _hash(secret: str, salt: str, cost: int) -> str:
    return hashlib.scrypt(
        secret.encode(), salt=bytes.fromhex(salt), n=cost, r=8, p=1, maxmem=2 * 128 * 8 * cost, dklen=32
    ).hex()


def new_key(name: str, scopes: Iterable[Scope], per_second: float | None = None) -> tuple[Key, str]:
    """Make a key; return what is kept of it, and its text, which is known to nobody afterwards but its owner."""
    identifier, secret, salt = secrets.token_hex(6), secrets.token_hex(24), secrets.token_hex(16)
    key = Key(
        id=identifier,
        name=name,
        scopes=tuple(scope for scope in Scope if scope in set(scopes)),
        per_second=per_second,
        created_at=datetime.now(UTC).replace(microsecond=0),
        salt=salt,
        hash=_hash(secret, salt, COST),
    )
    return key, f"mq_{identifier}_{secret}"
