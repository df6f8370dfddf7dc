"""The manifest of an import: which files it came from, what was accepted, what was rejected and why.

Belongs here: the record, its JSON form, and the test whether a folder still holds what its manifest says. Making an
import, and so filling a manifest in, is `warehouse.ingest.importer`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet

from recommender.errors import MarqueeError
from warehouse.files import file_sha256

MANIFEST_NAME = "manifest.json"


def is_fingerprint(name: str) -> bool:
    """Whether a folder below `sources/` is named as an import (``downloads``, say, is not)."""
    return re.fullmatch(r"[0-9a-f]{16}", name) is not None


class ManifestError(MarqueeError):
    """A folder is not a complete import; the message says what does not agree."""


@dataclass(frozen=True)
class ImportedFile:
    """One input file and the fate of its data rows; `accepted + rejected == data_rows` always.

    Attributes
    ----------
    name : str
        File name, without folder.
    bytes : int
        Size.
    sha256 : str
        Of the content, in hex.
    data_rows : int
        Physical lines after the header (rows, for Parquet).
    accepted : int
        Rows that are in the Parquet tables.
    rejected : int
        Rows that are not.
    rejected_by_reason : dict of str to int
        The same, by reason. Films left out of the genome count with all their lines here, although they have one
        line each in rejected_rows.parquet.
    notes : tuple of str
        Remarks that concern no single row: another encoding, no line end at the end.
    """

    name: str
    bytes: int
    sha256: str
    data_rows: int
    accepted: int
    rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def rejected_share(self) -> float:
        """Share of the rows that are rejected; 0 if there are none."""
        return self.rejected / self.data_rows if self.data_rows else 0.0

    @property
    def reasons(self) -> str:
        """The reasons for which rows were rejected, the most frequent first, each with its rows."""
        counts = sorted(self.rejected_by_reason.items(), key=lambda item: -item[1])
        return ", ".join(f"{reason}: {count:,}" for reason, count in counts)

    @property
    def useless(self) -> str:
        """Why nothing of the file is in use; empty if a row is, or if it has none."""
        if self.accepted or not self.data_rows:
            return ""
        return f"none of the {self.data_rows:,} rows of {self.name} can be used ({self.reasons})"


@dataclass(frozen=True)
class Output:
    """One Parquet file of an import.

    Attributes
    ----------
    rows, bytes : int
    sha256 : str or None
        Of the file; None in imports made before it was recorded.
    """

    rows: int
    bytes: int
    sha256: str | None = None


@dataclass(frozen=True)
class IncompleteFilms:
    """Films left out of the genome because not every tag has a score."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceManifest:
    """What `sources/<fingerprint>/` holds and where it came from.

    Attributes
    ----------
    kind : {'source', 'ratings'}
        A whole data set, or one landing file of ratings.
    fingerprint : str
        16 hex digits over the content of the input files; also the folder's name.
    format_version : int
        Version of the conversion that wrote the folder.
    origin : str
        What the user named: a folder, a file, an address.
    imported_at : str
        ISO 8601, UTC.
    files : tuple of ImportedFile
        The input files, sorted by name.
    tables : dict of str to Output
        The Parquet files in the folder by name without suffix: ``movies``, ``ratings``, ``tags``, ``genome_tags``,
        ``genome``, ``rejected_rows``.
    has_scores, has_tags : bool
        Whether vectors can come from genome scores; whether there are free tags to derive them from.
    n_tags : int
        Length of every vector in ``genome``; 0 without scores.
    incomplete_genome_films : IncompleteFilms
        How many films the genome names without all their tags, with a few examples.
    archive_sha256 : str or None
        Of the zip the files came from, so that the same zip is recognised without unpacking it.
    folder : Path
        Where it was written or read; not part of the JSON.
    """

    kind: Literal["source", "ratings"]
    fingerprint: str
    format_version: int
    origin: str
    imported_at: str
    files: tuple[ImportedFile, ...]
    tables: dict[str, Output]
    has_scores: bool = False
    has_tags: bool = False
    n_tags: int = 0
    incomplete_genome_films: IncompleteFilms = IncompleteFilms()
    archive_sha256: str | None = None
    folder: Path = Path()

    def table(self, name: str) -> Path:
        """Path of a Parquet table, e.g. ``table("ratings")``; KeyError if this import has none of that name."""
        if name not in self.tables:
            raise KeyError(f"import {self.fingerprint} has no table {name}; it has {', '.join(sorted(self.tables))}")
        return self.folder / f"{name}.parquet"

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return {name: output.rows for name, output in self.tables.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything but the folder as plain values, with the counts in words."""
        values = asdict(self)
        del values["folder"]
        return values | {"counts": self.counts}


def _from_values(values: Mapping[str, Any], folder: Path) -> SourceManifest:
    plain = {key: value for key, value in values.items() if key != "counts"}
    plain["files"] = tuple(ImportedFile(**(file | {"notes": tuple(file["notes"])})) for file in plain["files"])
    plain["tables"] = {name: Output(**output) for name, output in plain["tables"].items()}
    films = plain["incomplete_genome_films"]
    plain["incomplete_genome_films"] = IncompleteFilms(films["count"], tuple(films["examples"]))
    return SourceManifest(**plain, folder=folder)


def read_account(folder: Path) -> SourceManifest:
    """Read the manifest of an import, whose tables may be elsewhere.

    Raises
    ------
    ManifestError
        If the folder has no readable manifest, or is named otherwise.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = _from_values(json.loads(path.read_text(encoding="utf-8")), folder)
    except FileNotFoundError:
        raise ManifestError(f"{path} is missing") from None
    except (ValueError, TypeError, KeyError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from None
    if manifest.fingerprint != folder.name:
        raise ManifestError(f"{path} belongs to import {manifest.fingerprint}")
    return manifest


def read_manifest(folder: Path) -> SourceManifest:
    """Read and validate the manifest of an import.

    Raises
    ------
    ManifestError
        As of `read_account`, or if the folder lacks a table (or has one of another size).
    """
    manifest = read_account(folder)
    for name, output in manifest.tables.items():
        table = manifest.table(name)
        if not table.is_file() or table.stat().st_size != output.bytes:
            raise ManifestError(f"{table} is missing or not of {output.bytes} bytes")
    return manifest


def _table_problem(path: Path, output: Output) -> str | None:
    """What is wrong with a Parquet file of an import, if anything."""
    if output.sha256 is not None:
        return None if file_sha256(path) == output.sha256 else f"{path} is damaged (its sha256 differs)"
    try:
        rows = pa.parquet.ParquetFile(path).metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        return f"{path} cannot be read ({error})"
    return None if rows == output.rows else f"{path} has {rows} rows, its manifest says {output.rows}"


def import_problems(folder: Path) -> list[str]:
    """What is wrong with an import, every file of it hashed; empty if it is whole."""
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return [str(error)]
    found = (_table_problem(manifest.table(name), output) for name, output in manifest.tables.items())
    return [problem for problem in found if problem is not None]


def input_files(folder: Path) -> tuple[ImportedFile, ...]:
    """The files that an import was made of; none if its manifest cannot be read."""
    try:
        return read_account(folder).files
    except ManifestError:
        return ()
