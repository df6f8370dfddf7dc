"""What a store holds: one pointer, and for each release a prefix of its own with a manifest of its files.

::

    current.json                the pointer: which release is live, and the sha256 of its manifest
    <release>/manifest.json     every file of the release with its size and sha256
    <release>/published/...     database, pack and report, named as they are below the home
    <release>/models/...        the model
    <release>/sources/...       the manifest of the source, for the lineage

Belongs here: names, and the two documents. They come from elsewhere, so they are validated: a file can only have a name
inside the folder it is fetched to. Nothing below a release's prefix ever changes. Does not belong here: reading or
writing objects.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from warehouse.files import SHA256, bytes_sha256, file_sha256
from warehouse.home import VERSION, Home
from warehouse.ingest.import_manifest import MANIFEST_NAME

POINTER = "current.json"
MANIFEST = "manifest.json"

ReleaseName = Annotated[str, Field(pattern=VERSION)]
Sha256 = Annotated[str, Field(pattern=SHA256)]
_PLAIN = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"
FileName = Annotated[str, Field(pattern=rf"^(published|models|sources)(/{_PLAIN}){{1,2}}$")]


class _Document(BaseModel):
    """A JSON document of the store; the same values are the same bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encoded(self) -> bytes:
        """Bytes of the object."""
        return self.model_dump_json(indent=2).encode() + b"\n"


class Pointer(_Document):
    """Which release is live, the sha256 of its manifest, and since when (ISO 8601, UTC)."""

    release: ReleaseName
    manifest_sha256: Sha256
    promoted_at: str


class StoredFile(_Document):
    """A file of a release: its name below the home, its size and sha256."""

    name: FileName
    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Manifest(_Document):
    """The files of a release."""

    release: ReleaseName
    files: tuple[StoredFile, ...]

    @property
    def sha256(self) -> str:
        """What the pointer says of this manifest."""
        return bytes_sha256(self.encoded())

    def key(self, file: StoredFile) -> str:
        """Object that holds a file."""
        return f"{self.release}/{file.name}"


def files_of(home: Home, release: str, model_version: str, source_fingerprint: str) -> list[Path]:
    """Files of a release in a home, those that somebody elsewhere needs to answer as the home would."""
    found = [
        home.release_file(release),
        home.report_file(release),
        home.source_folder(source_fingerprint) / MANIFEST_NAME,
    ]
    for folder in (home.pack_folder(release), home.model_folder(model_version)):
        found += sorted(folder.glob("[!.]*"))
    return [path for path in found if path.exists()]


def describe(home: Home, release: str, paths: list[Path]) -> Manifest:
    """Make the manifest of a release, from the files as they are now."""
    files = (
        StoredFile(name=path.relative_to(home.root).as_posix(), bytes=path.stat().st_size, sha256=file_sha256(path))
        for path in paths
    )
    return Manifest(release=release, files=tuple(files))
