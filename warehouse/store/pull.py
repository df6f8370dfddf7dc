"""The database of the newest release, once: for analysts, who need neither the pack nor the model.

Belongs here: a folder with the file and a link to it. Does not belong here: following a store
(`warehouse.store.cache`).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from warehouse.files import point_link
from warehouse.locks import writer_lock
from warehouse.store.client import NoObjectError, open_store
from warehouse.store.download import Fetch
from warehouse.store.pointer import read_manifest, read_pointer

ATTEMPTS = 3
"""Looks at the pointer: a release that is retired while it is fetched is not the live one any more."""


class Pulled(NamedTuple):
    """What was pulled: the release, its file, the bytes that had to be fetched, and how long that took."""

    release: str
    file: Path
    bytes: int
    seconds: float


def pull(url: str, folder: Path, notify: Callable[[str], None] | None = None) -> Pulled:
    """Fetch the live release's database as `<release>.duckdb`, and point `current.duckdb` to it.

    Older files stay: they are complete, and somebody may have them open.

    Raises
    ------
    StoreError
    """
    objects = open_store(url)
    folder.mkdir(parents=True, exist_ok=True)
    with writer_lock(folder / ".pull.lock", f"pull from {url}", wait_seconds=600.0, notify=notify):
        started = time.perf_counter()
        for attempt in range(ATTEMPTS):
            found = read_pointer(objects, url)
            assert found is not None
            release = found.pointer.release
            try:
                manifest = read_manifest(objects, url, found.pointer)
                (file,) = (file for file in manifest.files if file.name == f"published/{release}.duckdb")
                path = folder / f"{release}.duckdb"
                there = path.exists() and path.stat().st_size == file.bytes
                fetched = 0 if there else Fetch(objects, url, manifest).fetch({path: file}, {})
                break
            except NoObjectError:
                if attempt == ATTEMPTS - 1:
                    raise
        point_link(folder / "current.duckdb", path.name)
    return Pulled(release, path, fetched, round(time.perf_counter() - started, 3))
