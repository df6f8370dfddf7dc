"""A folder that follows a store: it looks like a home's published releases, and holds at most so many bytes.

Belongs here: looking at the pointer, making room, switching the link, and what is known of the last look. Whoever
serves from the folder serves as from a home. Of several processes that follow into one folder one looks at a time, the
others find what it fetched. Does not belong here: fetching (`warehouse.store.download`), serving.

::

    published/, models/, sources/   as in a home; published/current.duckdb is switched once everything is there
    manifests/<release>.json        files of the releases kept: the live one and the one before it
    store.json                      the last look: when, what the pointer named, and what was wrong
"""

import errno
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from recommender.errors import UsageError
from warehouse.faults import step
from warehouse.files import point_link, replace_content, write_text
from warehouse.home import Home
from warehouse.locks import WriterBusyError, writer_lock
from warehouse.releases.registry import live_release
from warehouse.store.client import StoreError, open_store
from warehouse.store.download import DamagedObjectError, Fetch, part_of
from warehouse.store.layout import Manifest, StoredFile
from warehouse.store.pointer import read_manifest, read_pointer

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FOLDERS = ("published", "models", "sources")
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds before what cannot be fetched is tried again: doubled each time, because every try is paid for."""


class CacheError(UsageError):
    """A folder cannot be the cache of this store; the message names it."""


class CacheFullError(StoreError):
    """A release does not fit; the message says how much is needed."""


@dataclass(frozen=True)
class Look:
    """What is known of a store since the last look.

    Attributes
    ----------
    store : str
        Its address.
    tried_at, looked_at : float
        When the pointer was asked for last, and when the answer came last; seconds since 1970.
    release, etag : str
        What it named, when that was fetched completely, and the ETag that goes with it.
    before : str
        The release before that one.
    problem : str
        Why the last look failed; empty if it did not.
    failed_etag : str
        Pointer whose release could not be fetched; `failures` times, not to be tried before `retry_at`.
    """

    store: str
    tried_at: float = 0.0
    looked_at: float = 0.0
    release: str = ""
    etag: str = ""
    before: str = ""
    problem: str = ""
    failed_etag: str = ""
    failures: int = 0
    retry_at: float = 0.0


class StoreCache:
    """A folder that follows a store.

    Parameters
    ----------
    url : str
    folder : Path
        Made if it is not there.
    limit : int
        Bytes that the files of releases may take.
    notify : callable, optional
        Told what was fetched, and each problem once.

    Raises
    ------
    UsageError
        If the address is none, the library is missing, or the folder is something else.
    """

    def __init__(self, url: str, folder: Path, limit: int, notify: Callable[[str], None] | None = None) -> None:
        with suppress(StoreError):  # of the address and the library only; whether the store answers is seen later
            open_store(url)
        self.url, self.home, self.limit = url, Home(folder), limit
        self.stopping = Event()
        self._notify = notify or (lambda text: None)
        self._note = folder / "store.json"
        if folder.exists() and not self._note.exists() and any(folder.iterdir()):
            raise CacheError(f"{folder} is not empty and no cache of a store; choose an empty folder with --cache")
        if self._note.exists() and self.last().store != url:
            raise CacheError(f"{folder} is the cache of {self.last().store}; choose another one with --cache")
        self.home.published.mkdir(parents=True, exist_ok=True)
        (folder / "manifests").mkdir(exist_ok=True)
        if not self._note.exists():
            self._remember(Look(url))

    def last(self) -> Look:
        """What the last look found, by whichever process."""
        try:
            return Look(**json.loads(self._note.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # lost by a power cut, or of another version
            return Look(self.url)

    def look(self, every: float = 0.0) -> None:
        """Look at the pointer, if nobody did in the last `every` seconds; fetch what it names and switch to it.

        Nothing that can go wrong with a store or a disk is raised: it is remembered, and the next look tries again.
        """
        lock = self.home.root / "store.lock"
        with suppress(WriterBusyError), writer_lock(lock, f"follow {self.url}", wait_seconds=0):
            last = self.last()
            if not 0 <= time.time() - last.tried_at < every:  # also where a clock was put back
                now = self._looked(replace(last, tried_at=time.time()))
                self._remember(now)
                if now.problem != last.problem:
                    self._notify(now.problem or f"{self.url} is followed again")

    def _looked(self, look: Look) -> Look:
        """Look; return what is known afterwards."""
        complete = look.etag and live_release(self.home) == look.release and self.home.current.exists()
        try:
            objects = open_store(self.url)
            found = read_pointer(objects, self.url, look.etag if complete else None)
        except StoreError as error:
            return replace(look, problem=str(error))
        look = replace(look, looked_at=time.time())
        if found is None:
            return replace(look, problem="")
        etag = str(found.version["e_tag"])
        if etag == look.failed_etag and 0 < look.retry_at - time.time() <= LONGEST_PAUSE:
            return look
        try:
            before = live_release(self.home)
            manifest = read_manifest(objects, self.url, found.pointer)
            wanted = self._make_room(manifest, {before, look.before}, {before})
            self._fetch(objects, manifest, wanted)
            self._switch(manifest, before)
        except (StoreError, OSError) as error:
            return self._failed(look, etag, error)
        release = manifest.release
        before = look.before if before == release else before or ""
        return Look(self.url, look.tried_at, look.looked_at, release, etag, before)

    def _failed(self, look: Look, etag: str, error: Exception) -> Look:
        """Remember a fetch that failed, and when to try it again; one that was merely interrupted goes on at once."""
        problem = str(error)
        if isinstance(error, OSError):
            problem = f"{self.home.root}: {error.strerror or error}; free space there, or serve from another --cache"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._sweep({live_release(self.home), look.before})
        elif not isinstance(error, DamagedObjectError | CacheFullError):
            return replace(look, problem=problem)
        failures = look.failures + 1 if etag == look.failed_etag else 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1))
        return replace(look, problem=problem, failed_etag=etag, failures=failures, retry_at=time.time() + pause)

    def _fetch(self, objects: "ObjectStore", manifest: Manifest, wanted: dict[Path, StoredFile]) -> None:
        """Get what is not there yet."""
        have = {file.sha256: path for path, file in self._files_of(self._kept()) if path.exists()}
        started = time.perf_counter()
        fetched = Fetch(objects, self.url, manifest, self.stopping).fetch(wanted, have)
        if wanted:
            seconds = time.perf_counter() - started
            self._notify(f"fetched {manifest.release}: {fetched / 1e6:.1f} MB in {seconds:.1f} s")

    def _switch(self, manifest: Manifest, before: str | None) -> None:
        """Make a release that is complete the live one, and drop those before the one before it."""
        release = manifest.release
        write_text(self.home.root / "manifests" / f"{release}.json", manifest.encoded().decode())
        if before != release:
            point_link(self.home.current, f"{release}.duckdb")
            self._sweep({release, before})
        step("cache_swept")

    def _make_room(self, manifest: Manifest, *keep: set[str | None]) -> dict[Path, StoredFile]:
        """Drop releases until a new one fits; return its files that are not there yet.

        Raises
        ------
        CacheFullError
            If it does not fit beside the live one, which stays.
        """
        for kept in keep:
            self._sweep(kept, manifest)
            there = {file.sha256: path for path, file in self._files_of(self._kept()) if path.exists()}
            wanted = {path: file for path, file in self._paths(manifest) if not _has(path, file.bytes)}
            missing = {file.sha256: (path, file) for path, file in wanted.items() if file.sha256 not in there}
            needed = sum(file.bytes - _bytes(part_of(path)) for path, file in missing.values())
            free = min(self.limit - _used(self.home.root), shutil.disk_usage(self.home.root).free)
            if needed <= free:
                return wanted
        raise CacheFullError(
            f"{manifest.release} does not fit into {self.home.root}: {needed / 1e6:.1f} MB are needed, "
            f"{max(free, 0) / 1e6:.1f} MB are free; make room on the disk, or raise cache_bytes "
            f"({self.limit / 1e6:.1f} MB), which must hold the live release and the next one"
        )

    def _sweep(self, keep: Iterable[str | None], coming: Manifest | None = None) -> None:
        """Delete every file that belongs neither to these releases nor to the one that is coming."""
        for path in (self.home.root / "manifests").glob("*.json"):
            if path.stem not in keep:
                path.unlink()
        named = {path for path, _ in self._files_of(self._kept())}
        if coming is not None:
            named |= {name for path, _ in self._paths(coming) for name in (path, part_of(path))}
        for path in _files(self.home.root):
            if path not in named and not path.is_symlink():
                path.unlink()
                with suppress(OSError):  # not empty yet
                    path.parent.rmdir()
        self.home.published.mkdir(exist_ok=True)

    def _kept(self) -> list[Manifest]:
        """Manifests of the releases that are there."""
        paths = (self.home.root / "manifests").glob("*.json")
        return [Manifest.model_validate_json(path.read_bytes()) for path in paths]

    def _files_of(self, manifests: Iterable[Manifest]) -> Iterator[tuple[Path, StoredFile]]:
        return ((path, file) for manifest in manifests for path, file in self._paths(manifest))

    def _paths(self, manifest: Manifest) -> Iterator[tuple[Path, StoredFile]]:
        """Where each file of a release belongs."""
        return ((self.home.root / file.name, file) for file in manifest.files)

    def _remember(self, look: Look) -> None:
        replace_content(self._note, json.dumps(asdict(look)).encode())


def _files(root: Path) -> list[Path]:
    return [path for folder in FOLDERS for path in (root / folder).rglob("*") if not path.is_dir()]


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _has(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size == size


def _used(root: Path) -> int:
    """Bytes of the files of releases; what has two names counts once."""
    return sum({found.st_ino: found.st_size for found in (path.lstat() for path in _files(root))}.values())
