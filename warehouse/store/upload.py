"""Publishing to a store: the live release goes there, then the pointer is replaced, then what was retired is deleted,
and events that machines elsewhere have sent are taken in.

Belongs here: the order of these steps. Each is skipped where it is done already, so a publication that ended in the
middle is completed by the next one; until the pointer is replaced readers see what they saw before. Nothing here waits
for a writer of the home or changes it. Does not belong here: what goes live (`warehouse.releases.promotion`).
"""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from warehouse.faults import step
from warehouse.home import Home
from warehouse.locks import writer_lock
from warehouse.releases.registry import ReleaseError, deciding_event, list_releases, live_release
from warehouse.store.client import NoObjectError, StoreError, open_store, store_errors
from warehouse.store.events import take_in_events
from warehouse.store.layout import MANIFEST, Manifest, Pointer, describe, files_of
from warehouse.store.pointer import Found, read_manifest, read_pointer, replace_pointer

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES = 16 * 2**20
PARTS_AT_ONCE = 4
LARGEST_COPY = 5 * 10**9
"""Bytes that stores copy in one request (Amazon's limit); a larger file is sent again."""

WAIT_SECONDS = 900.0


class PublishError(StoreError):
    """A release could not be published; the message says that it is live all the same, and how to try again."""


class Published(NamedTuple):
    """What a publication did.

    Attributes
    ----------
    release : str
    changed : bool
        Whether the pointer was replaced.
    files, bytes : int
        Sent.
    copied : int
        Files taken over from another release inside the store.
    retired : list of str
        Releases deleted.
    events : int
        Taken in from service machines.
    seconds : float
    """

    release: str
    changed: bool
    files: int
    bytes: int
    copied: int
    retired: list[str]
    events: int
    seconds: float


def publish(home: Home, url: str, notify: Callable[[str], None] | None = None) -> Published:
    """Bring a store in line with a home: its live release, the pointer, no retired releases.

    Two publications of one home wait for each other. Of two homes that publish to one address at the same time only one
    succeeds.

    Raises
    ------
    ReleaseError
        If nothing is live, or a file of the release is damaged.
    PublishError
        If the store cannot be read or written, or another home was faster.
    """
    objects = open_store(url, make_folder=True)
    with writer_lock(home.publish_lock, f"publish to {url}", wait_seconds=WAIT_SECONDS, notify=notify):
        release = live_release(home)
        if release is None:
            raise ReleaseError(f"nothing is live in {home.root}, so there is nothing to publish; see: marquee releases")
        entries = {entry["release"]: entry for entry in list_releases(home)}
        if release not in entries:
            raise ReleaseError(f"{release} is live but not recorded yet; try again when its run has ended")
        manifest = _described(home, entries[release])
        try:
            return _publish(objects, url, home, manifest, entries)
        except StoreError as error:
            raise PublishError(
                f"{error}. {release} is live here all the same; send it again with: marquee publish"
            ) from error


def _publish(
    objects: "ObjectStore", url: str, home: Home, manifest: Manifest, entries: dict[str, dict[str, Any]]
) -> Published:
    started = time.perf_counter()
    try:
        seen = read_pointer(objects, url)
    except NoObjectError:
        seen = None
    with store_errors(url, "written"):
        files, sent, copied = _send(objects, url, home, manifest, seen)
    promoted_at = str(deciding_event(entries[manifest.release])["at"])
    new = Pointer(release=manifest.release, manifest_sha256=manifest.sha256, promoted_at=promoted_at)
    changed = seen is None or seen.pointer != new
    if changed:
        replace_pointer(objects, url, new, seen)
    gone = {name for name, entry in entries.items() if entry["state"] == "retired"}
    with store_errors(url, "cleared of retired releases"):
        retired = _delete(objects, gone - {manifest.release})
    events = take_in_events(home, url)
    seconds = round(time.perf_counter() - started, 3)
    return Published(manifest.release, changed, files, sent, copied, retired, events, seconds)


def _described(home: Home, entry: dict[str, Any]) -> Manifest:
    """Manifest of a release whose files are still what was recorded of them."""
    release, model = entry["release"], entry["model_version"]
    manifest = describe(home, release, files_of(home, release, model, entry["source_fingerprint"]))
    recorded = {home.release_file(release): entry["sha256"]}
    for folder in (home.pack_folder(release), home.model_folder(model)):
        if folder.exists():
            files = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
            recorded |= {folder / name: facts["sha256"] for name, facts in files.items()}
    found = {home.root / file.name: file.sha256 for file in manifest.files}
    for path, sha256 in recorded.items():
        if found.get(path) != sha256:
            what = "damaged" if path in found else "gone"
            raise ReleaseError(f"{path} is {what}, so {release} is not published; see: marquee doctor")
    return manifest


def _send(objects: "ObjectStore", url: str, home: Home, manifest: Manifest, seen: Found | None) -> tuple[int, int, int]:
    """Send what is missing, the manifest last; return files and bytes sent, and files copied inside the store."""
    there = _sizes(objects, manifest.release)
    at = _kept_before(objects, url, manifest.release, seen)
    at |= {file.sha256: manifest.key(file) for file in manifest.files if there.get(manifest.key(file)) == file.bytes}
    files = sent = copied = 0
    for file in manifest.files:
        key = manifest.key(file)
        if there.get(key) == file.bytes:
            continue
        if file.sha256 in at and file.bytes <= LARGEST_COPY:
            objects.copy(at[file.sha256], key)
            copied += 1
        else:
            objects.put(key, home.root / file.name, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
            files, sent = files + 1, sent + file.bytes
        at[file.sha256] = key
        step("store_file_sent")
    step("store_files_sent")
    known = seen is not None and seen.pointer.manifest_sha256 == manifest.sha256
    if not known or there.get(f"{manifest.release}/{MANIFEST}") != len(manifest.encoded()):
        objects.put(f"{manifest.release}/{MANIFEST}", manifest.encoded())
    step("store_manifest_sent")
    return files, sent, copied


def _sizes(objects: "ObjectStore", release: str) -> dict[str, int]:
    """Bytes of the objects of a release. An object appears whole or not at all, so a right size is a right object."""
    return {item["path"]: item["size"] for batch in objects.list(f"{release}/") for item in batch}


def _kept_before(objects: "ObjectStore", url: str, release: str, seen: Found | None) -> dict[str, str]:
    """Objects of the release that is live there, by sha256: a refresh keeps the model, so it is not sent again."""
    if seen is None or seen.pointer.release == release:
        return {}
    try:
        before = read_manifest(objects, url, seen.pointer)
    except StoreError:  # damaged; what is sent now does not depend on it
        return {}
    there = _sizes(objects, before.release)
    return {file.sha256: before.key(file) for file in before.files if there.get(before.key(file)) == file.bytes}


def _delete(objects: "ObjectStore", releases: set[str]) -> list[str]:
    """Delete releases, the manifest of each first: what is half deleted has none."""
    present = {prefix.strip("/") for prefix in objects.list_with_delimiter()["common_prefixes"]}
    for release in sorted(present & releases):
        keys = [item["path"] for batch in objects.list(f"{release}/") for item in batch]
        first = f"{release}/{MANIFEST}"
        if first in keys:
            objects.delete(first)
        step("store_retirement_begun")
        objects.delete([key for key in keys if key != first])
    return sorted(present & releases)
