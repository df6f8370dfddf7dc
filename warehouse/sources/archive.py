"""Taking the few files of a data set out of a zip from anywhere.

Belongs here: what may be unpacked and what makes an archive unacceptable. Archives come from the network, so nothing in
one decides where a file is written or how much of the disk it fills. Does not belong here: which files a data set
consists of (`warehouse.sources.resolve`).
"""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from warehouse.errors import SourceError

MOST_MEMBERS = 10_000
MOST_BYTES = 32 << 30
MOST_RATIO = 200
"""Unpacked to packed size. MovieLens' files shrink to a third or a fifth; a bomb is a thousand times its size."""
SMALL = 10 << 20
"""Files of up to this size may shrink as much as they like: nothing is gained by refusing them."""

_ASK = "get the archive again from where it comes from"


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip, or raise SourceError."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError):
        raise SourceError(f"{path}: not a zip, or cut short; {_ASK}") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from None


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name or ":" in (inside.parts or ("",))[0]:
        raise SourceError(f"{path}: {name!r} points outside of the archive; {_ASK}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise SourceError(f"{path}: {name!r} is a link, not a file; {_ASK}")


def find_members(archive: zipfile.ZipFile, path: Path, wanted: Callable[[str], bool]) -> dict[str, zipfile.ZipInfo]:
    """Find the wanted files at the archive's root or else in its only top folder that has any.

    Parameters
    ----------
    path : Path
        Of the archive, for messages.
    wanted : callable
        Whether a file of this name (without folder) is to be taken.

    Returns
    -------
    dict of str to ZipInfo
        Members by file name.

    Raises
    ------
    SourceError
        If the archive is not one to unpack: paths that lead out of it, links, passwords, sizes beyond the limits.
    """
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise SourceError(
            f"{path}: {len(members):,} files are more than the {MOST_MEMBERS:,} allowed; unpack it yourself"
        )
    by_folder: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for member in members:
        _check_member(path, member)
        *folders, name = PurePosixPath(member.filename).parts or ("",)
        if member.is_dir() or len(folders) > 1 or not wanted(name):
            continue
        found = by_folder.setdefault("/".join(folders), {})
        if name in found:
            raise SourceError(f"{path}: {member.filename!r} is in it twice; {_ASK}")
        found[name] = member
    folder = _choose_folder(path, by_folder)
    _check_sizes(path, by_folder[folder])
    return by_folder[folder]


def _choose_folder(path: Path, by_folder: dict[str, dict[str, zipfile.ZipInfo]]) -> str:
    """The root if it has CSV files, else the one folder that has."""
    with_data = [folder for folder, found in by_folder.items() if any(name.endswith(".csv") for name in found)]
    if "" in with_data:
        return ""
    if len(with_data) == 1:
        return with_data[0]
    if with_data:
        raise SourceError(
            f"{path}: there are data sets in {', '.join(sorted(with_data))}; unpack it and name one of them"
        )
    raise SourceError(f"{path}: there is no ratings.csv at its root or in its top folder; is it a MovieLens archive?")


def _check_sizes(path: Path, members: dict[str, zipfile.ZipInfo]) -> None:
    for name, member in members.items():
        if member.flag_bits & 1:
            raise SourceError(f"{path}: {name} is encrypted; unpack it yourself and name the folder")
        if member.file_size > SMALL and member.file_size > MOST_RATIO * max(member.compress_size, 1):
            raise SourceError(
                f"{path}: {name} would grow from {member.compress_size:,} to {member.file_size:,} bytes, "
                f"more than {MOST_RATIO} times; if that is meant, unpack it yourself and name the folder"
            )
    if sum(member.file_size for member in members.values()) > MOST_BYTES:
        raise SourceError(f"{path}: it would unpack to more than {MOST_BYTES >> 30} GB; unpack it yourself")


def unpack(path: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Write the wanted files of a zip to a folder; see `find_members` for which and for what is refused."""
    with open_archive(path) as archive:
        members = find_members(archive, path, wanted)
        needed, free = sum(member.file_size for member in members.values()), shutil.disk_usage(folder).free
        if needed > free:
            raise SourceError(f"{path}: unpacking takes {needed:,} bytes, {folder} has {free:,}; make room")
        for name, member in members.items():
            try:
                with archive.open(member) as packed, (folder / name).open("xb") as file:
                    _copy(packed, file, member.file_size)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
                raise SourceError(f"{path}: {name} is damaged ({error}); {_ASK}") from None


def _copy(packed: IO[bytes], file: IO[bytes], size: int) -> None:
    """Copy not more than the archive's directory declared, whatever the stream holds."""
    written = 0
    while block := packed.read(1 << 20):
        written += len(block)
        if written > size:
            raise zipfile.BadZipFile(f"it holds more than the {size:,} bytes declared")
        file.write(block)
    if written != size:
        raise zipfile.BadZipFile(f"it holds {written:,} of the {size:,} bytes declared")
