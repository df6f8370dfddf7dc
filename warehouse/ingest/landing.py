"""The landing folder: which files are complete, and where they go once they are ingested or refused.

Belongs here: names, sizes and moves of dropped files. Nothing moves before its ratings are committed; what a row must
be is decided by `acceptance`, when the folder is looked at by a sensor
(`orchestration.sensors`)."""

import time
from collections.abc import Iterable
from pathlib import Path

from warehouse.files import bytes_sha256, file_sha256

SUFFIXES = {".csv", ".parquet", ".pq"}
UNFINISHED_NAMES = (".", "~", "_")
"""First characters of names that programs give to files they are still writing."""

INGESTED, REFUSED = "ingested", "refused"

SETTLED_SECONDS = 10.0
"""A file changed less long ago may still be being written: it is neither moved nor refused."""

Signature = tuple[int, int, int]
"""Inode, bytes and time of the last change (ns): equal at two moments if nothing was written in between."""


def landed_files(landing: Path) -> list[Path]:
    """Files waiting in the landing folder, by name; hidden and temporary ones are still being written."""
    return sorted(
        path
        for path in landing.glob("*")
        if path.suffix.lower() in SUFFIXES and path.name[0] not in UNFINISHED_NAMES and path.is_file()
    )


def signature(path: Path) -> Signature | None:
    """Signature of a file as it is now; None if it is gone."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def batch_key(files: Iterable[tuple[str, Signature]]) -> str:
    """Name of a set of files in a given state."""
    return bytes_sha256(repr(sorted(files)).encode())[:16]


def is_settled(path: Path, before: Signature | None, now: float | None = None) -> bool:
    """Whether a file is what it was at `before` and has been left alone for a while since."""
    present = signature(path)
    if present is None or present != before:
        return False
    return (time.time() if now is None else now) - present[2] / 1e9 >= SETTLED_SECONDS


def put_away(path: Path, fingerprint: str) -> Path:
    """Move a file whose ratings are committed to ``ingested/``; one of that name there already is kept."""
    return _move(path, path.parent / INGESTED, fingerprint)


def refuse(path: Path, reason: str) -> Path:
    """Move a file that is no table of ratings to ``refused/``, with the reason in a text file beside it."""
    folder = path.parent / REFUSED
    folder.mkdir(exist_ok=True)
    target = _free_name(folder, path, file_sha256(path)[:16])
    # The reason comes first: should the move fail, the file is still waiting and is looked at again.
    target.with_name(f"{target.name}.reason.txt").write_text(reason + "\n", encoding="utf-8")
    path.rename(target)
    return target


def _move(path: Path, folder: Path, mark: str) -> Path:
    folder.mkdir(exist_ok=True)
    target = _free_name(folder, path, mark)
    path.rename(target)
    return target


def _free_name(folder: Path, path: Path, mark: str) -> Path:
    """A name in a folder that is not taken by other content."""
    target = folder / path.name
    return target if not target.exists() else folder / f"{path.stem}-{mark}{path.suffix}"
