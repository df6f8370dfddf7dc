"""The file of a home's API keys: read by the service, changed by `marquee keys`.

Belongs here: reading it, and adding, replacing and revoking keys. Does not belong here: checking the key of a request
(`serving.access.keyring`).

It is replaced as a whole, so a reader sees all keys of before or all of after; only its owner can read it.
"""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from recommender.errors import MarqueeError
from warehouse.files import TEMPORARY, appear
from warehouse.home import Home
from warehouse.keys.key import Key, Scope, new_key
from warehouse.locks import writer_lock

LOCK_SECONDS = 10.0


class KeyFileError(MarqueeError):
    """The file of the keys cannot be read; the message names it."""


class KeyNameError(MarqueeError):
    """There is no key of this name, or there is one already; the message names it."""


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[Key, ...]


def read_keys(home: Home) -> tuple[Key, ...]:
    """All keys of a home, also those that ended; none if there is no file.

    Raises
    ------
    KeyFileError
        If the file cannot be read, or holds something else. Nothing of its content is in the message.
    """
    try:
        return _KeyFile.model_validate_json(home.keys.read_bytes()).keys
    except FileNotFoundError:
        return ()
    except OSError as error:
        text = f"{home.keys} cannot be read ({error.strerror}); it has to belong to the account that serves"
        raise KeyFileError(text) from None
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
        text = f"{home.keys} is damaged at {place}; restore it, or delete it and make new keys: marquee keys add"
        raise KeyFileError(text) from None


def add_key(home: Home, name: str, scopes: Iterable[Scope], per_second: float | None) -> str:
    """Make the first key of a name; return its text, which is nowhere else.

    Raises
    ------
    KeyNameError
        If there is a key of this name.
    """
    made, text = new_key(name, scopes, per_second)

    def changed(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(key.name == name for key in keys):
            raise KeyNameError(f"there is a key {name}; replace it: marquee keys rotate {name}")
        return (*keys, made)

    _change(home, changed)
    return text


def rotate_key(home: Home, name: str, old_until: datetime) -> str:
    """Make another key of a name; those before it end at `old_until` at the latest. Return its text.

    Raises
    ------
    KeyNameError
        If there is no key of this name.
    """
    text = ""

    def changed(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        nonlocal text
        newest = _of_name(keys, name)[-1]
        made, text = new_key(name, newest.scopes, newest.per_second)
        ended = [
            key.model_copy(update={"valid_until": min(key.valid_until or old_until, old_until)})
            if key.name == name else key
            for key in keys
        ]  # fmt: skip
        return (*ended, made)

    _change(home, changed)
    return text


def revoke_keys(home: Home, name: str) -> int:
    """Take all keys of a name away; return how many.

    Raises
    ------
    KeyNameError
        If there is no key of this name.
    """
    revoked = 0

    def changed(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        nonlocal revoked
        revoked = len(_of_name(keys, name))
        return tuple(key for key in keys if key.name != name)

    _change(home, changed)
    return revoked


def _of_name(keys: tuple[Key, ...], name: str) -> list[Key]:
    found = [key for key in keys if key.name == name]
    if not found:
        raise KeyNameError(f"there is no key {name}; see: marquee keys list")
    return found


def _change(home: Home, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    """Replace the file by what `change` makes of its keys, without those that ended."""
    with writer_lock(home.keys_lock, "change the keys", wait_seconds=LOCK_SECONDS):
        now = datetime.now(UTC)
        kept = tuple(key for key in change(read_keys(home)) if key.is_valid(now))
        _write(home.keys, _KeyFile(keys=kept).model_dump_json(indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read; the owner is that of the folder, if root may say so."""
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600, exist_ok=False)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(temporary, folder.st_uid, folder.st_gid)
    temporary.write_text(text, encoding="utf-8")
    appear(temporary, path)
