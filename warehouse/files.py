"""Files that are there whole or not at all: hashing, flushing to disk, atomic appearance.

Belongs here: operations on any file or folder. Does not belong here: which files a release or model consists of.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warehouse.faults import step

TEMPORARY = ".incoming-"
"""Prefix of whatever is not complete yet; the next writer deletes what it finds under such a name."""

DAMAGED = ".damaged-"
"""What follows the name of something damaged that was put aside; nothing deletes it."""

SHA256 = "^[0-9a-f]{64}$"
"""What `file_sha256` and `bytes_sha256` return."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_sha256(content: bytes) -> str:
    """SHA-256 of some bytes, 64 hex characters."""
    return hashlib.sha256(content).hexdigest()


def flush_to_disk(path: Path) -> None:
    """Force a file's content, or a folder's list of names, to disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def appear(temporary: Path, final: Path) -> None:
    """Give a complete file or folder its final name, durably: content first, then the name.

    A file at the final name is replaced; a folder must not exist there yet.
    """
    if temporary.is_dir():
        for path in temporary.iterdir():
            flush_to_disk(path)
    flush_to_disk(temporary)
    temporary.replace(final)
    flush_to_disk(final.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that never changes a second name, or copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    temporary.write_text(text, encoding="utf-8")
    appear(temporary, path)


def replace_content(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new; not flushed, so a power cut may damage it."""
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    temporary.write_bytes(content)
    temporary.replace(path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file so that a reader sees the old content or the new, never a part."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def point_link(link: Path, target: str) -> None:
    """Make a symlink point to another name in the same folder, atomically."""
    temporary = link.parent / f"{TEMPORARY}{link.name}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    step("link_prepared")
    temporary.replace(link)
    step("link_swapped")
    flush_to_disk(link.parent)


def put_aside(path: Path) -> Path | None:
    """Give a damaged file or folder another name beside it, and return that; None if it is not there."""
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}{DAMAGED}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    path.rename(aside)
    return aside


def remove_leftovers(folder: Path) -> list[str]:
    """Delete what writers that died left half done; return the names. Only the holder of the writer's lock may."""
    names = []
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        names.append(path.name)
    return names
