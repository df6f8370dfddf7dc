"""Where Parquet files are put: a folder of this machine, or a prefix of a bucket.

Belongs here: files and the pointer by name. Does not belong here: which files there are (`parquet_files`).

A file appears complete; the pointer is replaced at once. In a folder a lock keeps a second exporter out. A bucket has
no locks: whoever comes second finds the pointer changed, and loses.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from warehouse.exports.address import Address, ExportError
from warehouse.files import TEMPORARY, appear, file_sha256, flush_to_disk, write_text
from warehouse.locks import WriterBusyError, writer_lock
from warehouse.store.client import NoObjectError, open_store, store_errors

POINTER = "current.json"
"""Names the live release."""


class Place(Protocol):
    """A folder or a prefix of a bucket; names are relative to it and have slashes."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other exporters out while the block runs, as far as the place can."""

    def put(self, local: Path, name: str) -> None:
        """Move a complete local file there."""

    def put_text(self, name: str, text: str) -> None:
        """Write a small file."""

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None if it is not there."""

    def sha256(self, name: str) -> str:
        """SHA-256 of what is there, read again."""

    def swap(self, name: str, text: str) -> None:
        """Replace a small file at once, unless somebody else has since the block began."""

    def folders(self) -> list[str]:
        """Names of the folders there."""

    def delete(self, folder: str, first: str) -> None:
        """Delete a folder, this file of it first."""


class Folder:
    """A folder of this machine."""

    def __init__(self, address: Address) -> None:
        text = address.resolved()
        self.root = Path(text.removeprefix("file://")).expanduser().absolute()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold a lock on a file there; the kernel frees it when the process ends."""
        with ExitStack() as stack:
            try:
                stack.enter_context(writer_lock(self.root / ".export.lock", "export", wait_seconds=0))
            except WriterBusyError:
                raise ExportError(f"{self.root}: another export is running; try again when it has ended") from None
            yield

    def put(self, local: Path, name: str) -> None:
        """Copy beside the final name, then rename."""
        final = self.root / name
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.parent / f"{TEMPORARY}{final.name}"
        shutil.move(local, temporary)
        appear(temporary, final)

    def put_text(self, name: str, text: str) -> None:
        """Write beside the final name, then rename."""
        write_text(self.root / name, text)

    def read(self, name: str) -> bytes | None:
        """Content of a file, if it is there."""
        path = self.root / name
        return path.read_bytes() if path.exists() else None

    def sha256(self, name: str) -> str:
        """Hash of the file as it is on disk."""
        return file_sha256(self.root / name)

    def swap(self, name: str, text: str) -> None:
        """Rename; the lock keeps others out."""
        self.put_text(name, text)

    def folders(self) -> list[str]:
        """Sub-folders."""
        return [path.name for path in self.root.iterdir() if path.is_dir()]

    def delete(self, folder: str, first: str) -> None:
        """Delete a sub-folder."""
        (self.root / folder / first).unlink(missing_ok=True)
        flush_to_disk(self.root / folder)
        shutil.rmtree(self.root / folder)


class Bucket:
    """A prefix of a bucket; endpoint and credentials come from the environment."""

    def __init__(self, address: Address) -> None:
        self._url = address.resolved().rstrip("/")
        self._objects = open_store(self._url)
        self._version: dict[str, Any] | None = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Note the version of the pointer, which has to be the same when it is replaced."""
        try:
            with store_errors(self._url, "read"):
                found = self._objects.head(POINTER)
            self._version = {name: found[name] for name in ("e_tag", "version") if found[name]}
        except NoObjectError:
            self._version = None
        yield

    def put(self, local: Path, name: str) -> None:
        """Send a file, in parts if it is large; it appears complete."""
        with store_errors(self._url, "written"):
            self._objects.put(name, local)
        local.unlink()

    def put_text(self, name: str, text: str) -> None:
        """Write an object."""
        with store_errors(self._url, "written"):
            self._objects.put(name, text.encode())

    def read(self, name: str) -> bytes | None:
        """Content of an object, if it is there."""
        try:
            with store_errors(self._url, "read"):
                return bytes(self._objects.get(name).bytes())
        except NoObjectError:
            return None

    def sha256(self, name: str) -> str:
        """Hash of the object as it comes back."""
        digest = hashlib.sha256()
        with store_errors(self._url, "read"):
            for chunk in self._objects.get(name).stream():
                digest.update(chunk)
        return digest.hexdigest()

    def swap(self, name: str, text: str) -> None:
        """A conditional write: only over the version that was there when the export began."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with store_errors(self._url, "written"):
            try:
                self._objects.put(name, text.encode(), mode=self._version or "create")  # type: ignore[arg-type]
            except (AlreadyExistsError, PreconditionError):
                raise ExportError(
                    f"{self._url}: another export has switched readers meanwhile, and this one has not; if it should, "
                    "export again"
                ) from None

    def folders(self) -> list[str]:
        """Names up to the next slash."""
        with store_errors(self._url, "read"):
            found = self._objects.list_with_delimiter()["common_prefixes"]
        return [prefix.rstrip("/").rpartition("/")[2] for prefix in found]

    def delete(self, folder: str, first: str) -> None:
        """Delete the objects below a name."""
        with store_errors(self._url, "written"):
            self._objects.delete(f"{folder}/{first}")
            for batch in self._objects.list(f"{folder}/"):
                self._objects.delete([item["path"] for item in batch])


def open_place(address: Address) -> Place:
    """The folder or bucket of an address."""
    return Bucket(address) if address.scheme in {"s3", "gs", "az"} else Folder(address)
