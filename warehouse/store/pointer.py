"""The pointer of a store, `current.json`: read it, and replace it unless somebody else did meanwhile.

Belongs here: the conditional read and the conditional write, and the manifest that a pointer names. Does not belong
here: what is sent before it is replaced (`warehouse.store.upload`), or what a reader does with it
(`warehouse.store.cache`).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from warehouse.faults import step
from warehouse.files import bytes_sha256
from warehouse.store.client import NoObjectError, StoreError, store_errors
from warehouse.store.layout import MANIFEST, POINTER, Manifest, Pointer

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ObjectStore


class LostRaceError(StoreError):
    """Another publisher replaced the pointer first; the message names what it points to now."""


class Found(NamedTuple):
    """A pointer as it was read, and the version of the object (ETag and the like) that a write can require."""

    pointer: Pointer
    version: "UpdateVersion"


def read_pointer(objects: "ObjectStore", url: str, unless: str | None = None) -> Found | None:
    """Read the pointer; None if its ETag is still `unless`.

    Raises
    ------
    NoObjectError
        If nothing was published there yet.
    StoreError
    """
    from obstore.exceptions import NotModifiedError

    try:
        with store_errors(url, "read"):
            try:
                answer = objects.get(POINTER, options={"if_none_match": unless} if unless else None)
                content = bytes(answer.bytes())
            except NotModifiedError:
                return None
    except NoObjectError:
        raise NoObjectError(f"nothing is published in {url} yet: it has no {POINTER}") from None
    try:
        pointer = Pointer.model_validate_json(content)
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise StoreError(f"{url}/{POINTER} cannot be understood ({what}); delete it, then: marquee publish") from None
    version: UpdateVersion = {"e_tag": answer.meta["e_tag"]}
    if answer.meta["version"] is not None:  # Google's
        version["version"] = answer.meta["version"]
    return Found(pointer, version)


def read_manifest(objects: "ObjectStore", url: str, pointer: Pointer) -> Manifest:
    """Read the manifest that a pointer names.

    Raises
    ------
    NoObjectError
        If the release is not there any more: the pointer names another one by now.
    StoreError
        If it is not the manifest that was published.
    """
    key = f"{pointer.release}/{MANIFEST}"
    with store_errors(url, "read"):
        content = bytes(objects.get(key).bytes())
    if bytes_sha256(content) != pointer.manifest_sha256:
        raise StoreError(
            f"{url}/{key} is damaged: its sha256 is not that of {POINTER}; delete it, then: marquee publish"
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise StoreError(f"{url}/{key} cannot be understood ({what}); is this version older than it?") from None


def replace_pointer(objects: "ObjectStore", url: str, new: Pointer, seen: Found | None) -> None:
    """Replace the pointer that was seen, or make the first one.

    Raises
    ------
    LostRaceError
        If it is another one by now, and not this one.
    StoreError
    """
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    step("store_pointer_replacing")
    try:
        with store_errors(url, "written"):
            try:
                _put_if_unchanged(objects, new.encoded(), seen)
            except (AlreadyExistsError, PreconditionError):
                now = read_pointer(objects, url)
                if now is None or now.pointer != new:  # else a try before this one was successful after all
                    raise LostRaceError(
                        f"another publisher made {now and now.pointer.release} live in {url} at the same time; "
                        f"{new.release} did not go live there"
                    ) from None
    except NoObjectError:
        raise LostRaceError(f"somebody deleted {POINTER} in {url} at the same time") from None
    step("store_pointer_replaced")


def _put_if_unchanged(objects: "ObjectStore", content: bytes, seen: Found | None) -> None:
    from obstore.exceptions import PreconditionError
    from obstore.store import LocalStore

    if seen is None:
        objects.put(POINTER, content, mode="create")
    elif not isinstance(objects, LocalStore):
        objects.put(POINTER, content, mode=seen.version)
    else:  # obstore writes no file conditionally
        with _folder_lock(Path(str(objects.prefix))):
            if objects.head(POINTER)["e_tag"] != seen.version["e_tag"]:
                raise PreconditionError(POINTER)
            objects.put(POINTER, content)


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Keep other publishers to a folder out of this block."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
