"""Fetching files of a release: each goes on where it stopped, and has its name only once its sha256 is right.

Belongs here: getting bytes and verifying them. Does not belong here: which release is wanted, how much room there is
and what becomes live (`warehouse.store.cache`, `warehouse.store.pull`).
"""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from warehouse.faults import step
from warehouse.files import TEMPORARY, appear, link_or_copy
from warehouse.store.client import StoreError, store_errors
from warehouse.store.layout import Manifest, StoredFile

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FILES_AT_ONCE = 4
CHUNK_BYTES = 4 * 2**20


class DamagedObjectError(StoreError):
    """An object is not what its manifest says; the message names it."""


class Fetch:
    """The fetching of one release.

    Parameters
    ----------
    objects : obstore store
    url : str
        Its address, for messages.
    manifest : Manifest
    stopping : threading.Event, optional
        Once it is set, what is under way ends with an error; the next fetch goes on from there.
    """

    def __init__(self, objects: "ObjectStore", url: str, manifest: Manifest, stopping: Event | None = None) -> None:
        self._objects, self._url, self._manifest = objects, url, manifest
        self._stopping = stopping or Event()

    def fetch(self, wanted: Mapping[Path, StoredFile], have: Mapping[str, Path]) -> int:
        """Get files; what is there already under another name, or wanted twice, is linked. Return the bytes that came.

        Parameters
        ----------
        wanted : mapping of Path to StoredFile
            Where each file goes.
        have : mapping of str to Path
            Files that are there, by sha256.

        Raises
        ------
        StoreError
        OSError
            If the disk is full, say.
        """
        sources = dict(have)
        first = {}
        for path, file in wanted.items():
            if file.sha256 not in sources:
                sources[file.sha256] = path
                first[path] = file
        pool = ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="fetch")
        try:
            fetched = sum(pool.map(self._fetch_one, first, first.values()))
        finally:
            pool.shutdown(cancel_futures=True)
        for path, file in wanted.items():
            if path not in first:
                path.parent.mkdir(parents=True, exist_ok=True)
                part_of(path).unlink(missing_ok=True)
                link_or_copy(sources[file.sha256], part_of(path))
                appear(part_of(path), path)
        step("files_fetched")
        return fetched

    def _fetch_one(self, path: Path, file: StoredFile) -> int:
        """Get a file, from where an earlier try stopped; return the bytes that came."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part, key = part_of(path), self._manifest.key(file)
        digest = hashlib.sha256()
        with part.open("a+b") as out:
            out.seek(0)
            while chunk := out.read(CHUNK_BYTES):
                digest.update(chunk)
            began = out.tell()
            for chunk in self._rest(key, file, began):
                out.write(chunk)
                digest.update(chunk)
            size = out.tell()
        if size < file.bytes:
            raise StoreError(f"{self._url}/{key} ended after {size} of {file.bytes} bytes; the next try goes on there")
        if size > file.bytes or digest.hexdigest() != file.sha256:
            part.unlink()
            if began:  # what an earlier try left may be to blame
                return self._fetch_one(path, file)
            raise self._damaged(key, f"sha256 {digest.hexdigest()} instead of {file.sha256}")
        appear(part, path)
        step("file_fetched")
        return size - began

    def _rest(self, key: str, file: StoredFile, offset: int) -> Iterator[bytes]:
        """Bytes of an object from an offset on."""
        if offset >= file.bytes > 0:
            return
        with store_errors(self._url, "read"):
            size = self._objects.head(key)["size"]
            if size != file.bytes:
                raise self._damaged(key, f"it has {size} bytes instead of {file.bytes}")
            answer = self._objects.get(key, options={"range": {"offset": offset}} if offset else None)
            for chunk in answer.stream(CHUNK_BYTES):
                if self._stopping.is_set():
                    raise StoreError(f"stopped while fetching {key}; the next try goes on there")
                yield chunk

    def _damaged(self, key: str, how: str) -> DamagedObjectError:
        return DamagedObjectError(
            f"{self._url}/{key} is damaged: {how}; delete that object, then send it again with: marquee publish"
        )


def part_of(path: Path) -> Path:
    """Where a file is while it is not complete; always the same, so that the next try finds it."""
    return path.parent / f"{TEMPORARY}{path.name}"
