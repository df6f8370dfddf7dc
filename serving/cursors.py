"""Cursors: where the next page of a list begins, as opaque text that is bound to one release and one question.

Belongs here: writing and reading the text. Does not belong here: finding the release (`serving.releases.follower`).

A cursor names its release, a digest of the question, the places before the page and the last event of the user that the
page before knew: later ones would move the films of the pages after it. It is sealed with a key that only
those know who have the release's files or an answer from it: a hash of its pack's manifest. So a cursor proves that the
release has been live, needs no secret of its own, and outlives restarts.
"""

import base64
import binascii
import hashlib
from typing import NamedTuple

from serving.problems import Problem, bad_parameter

_SEAL, _DIGEST, _PLACES, _SEQ = 8, 8, 2, 6


class Cursor(NamedTuple):
    """What a cursor says, before its seal is verified."""

    release: str
    places: int
    seq: int
    digest: bytes
    seal: bytes


def question_digest(question: object) -> bytes:
    """Digest of everything a list depends on, apart from the release; `question` is told apart by its repr."""
    return hashlib.blake2b(repr(question).encode("utf-8", "replace"), digest_size=_DIGEST).digest()


def _content(digest: bytes, places: int, seq: int, release: str) -> bytes:
    return digest + places.to_bytes(_PLACES, "big") + seq.to_bytes(_SEQ, "big") + release.encode()


def _seal(key: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, key=key, digest_size=_SEAL).digest()


def write_cursor(key: bytes, release: str, digest: bytes, places: int, seq: int = 0) -> str:
    """Make the text for the page that begins after some places, of a list that knows events up to a seq."""
    content = _content(digest, places, seq, release)
    return base64.urlsafe_b64encode(_seal(key, content) + content).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """Take a cursor apart.

    Raises
    ------
    Problem
        422 naming `cursor`, if this is no cursor.
    """
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        seal, digest, places = content[:_SEAL], content[_SEAL : _SEAL + _DIGEST], content[_SEAL + _DIGEST :]
        seq, release = places[_PLACES : _PLACES + _SEQ], places[_PLACES + _SEQ :].decode("ascii")
    except (ValueError, binascii.Error):
        raise no_cursor() from None
    if not release.replace("-", "").isalnum():
        raise no_cursor()
    return Cursor(release, int.from_bytes(places[:_PLACES], "big"), int.from_bytes(seq, "big"), digest, seal)


def require_seal(cursor: Cursor, key: bytes, digest: bytes) -> int:
    """Verify a cursor with its release's key, and that it belongs to the question; return the places before the page.

    Raises
    ------
    Problem
        422 naming `cursor`, if the release did not make it, or it belongs to another question.
    """
    require_own(cursor, key)
    if cursor.digest != digest:
        text = "this cursor belongs to another question; repeat all parameters but num as they were"
        raise bad_parameter("cursor", text)
    return cursor.places


def require_own(cursor: Cursor, key: bytes) -> None:
    """Verify a cursor with its release's key.

    Raises
    ------
    Problem
        422 naming `cursor`, if the release did not make it.
    """
    if cursor.seal != _seal(key, _content(cursor.digest, cursor.places, cursor.seq, cursor.release)):
        raise no_cursor()


def no_cursor() -> Problem:
    """Refuse what is no cursor of any release."""
    return bad_parameter("cursor", "this is not a cursor of this service; take it from the answer before, unchanged")


def gone(release: str) -> Problem:
    """Refuse to continue a list whose release is not kept any more."""
    text = f"release {release} of this cursor was retired; begin again without a cursor, from the release that is live"
    return Problem(410, "gone", text, "cursor")
