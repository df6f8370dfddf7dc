"""Releases as Parquet files in a folder or bucket: a folder per release, and one file that names the live one.

Belongs here: which files there are and what is in them. Does not belong here: folders and buckets (`places`) or the
order of the steps (`export`).

::

    current.json                                   {"release": ..., "manifest_sha256": ..., "switched_at": ...}
    <release>/manifest.json                        tables with their columns; files with rows, bytes, sha256
    <release>/movies/part-0.parquet
    <release>/pair_recommendations/shard=7/part-0.parquet    movie_a % 16 = 7
    <release>/user_recommendations/shard=7/part-0.parquet    user_id % 16 = 7

The manifest is written last: a release without one is not there yet. Files are in the order of the release, in groups
of 100,000 rows with their least and greatest values, so that a look-up reads few of them.
"""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from warehouse.exports.address import Address, ExportError, TargetError
from warehouse.exports.places import POINTER, Place, open_place
from warehouse.exports.release_file import Fingerprint, ReleaseFile
from warehouse.exports.target import Seen
from warehouse.faults import step
from warehouse.files import bytes_sha256, file_sha256
from warehouse.home import VERSION
from warehouse.queries import sql_text, utc_now
from warehouse.schemas.definitions import model_of

MANIFEST = "manifest.json"
SHARDS = 16
PARTITIONED = {"pair_recommendations": "movie_a", "user_recommendations": "user_id"}
"""Large tables, each in shards by the remainder of this column."""


class ParquetFiles:
    """A folder or bucket that releases are exported to."""

    default_keep = 24

    def __init__(self, address: Address) -> None:
        self._shown = address.shown
        self._place: Place = open_place(address)
        self._files: list[dict[str, Any]] = []
        self._loaded: dict[str, Fingerprint] = {}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other exporters out."""
        try:
            with self._place.exclusive():
                self._current()  # refuses what is no target before anything is written
                yield
        except OSError as error:
            raise ExportError(
                f"{self._shown}: {error}; readers have the release from before. Name a folder that this account may "
                "write and that has room, then try again"
            ) from None

    def held(self, release: str) -> set[str]:
        """Tables in the release's manifest."""
        return set(self._manifest(release).get("tables", {}))

    def load(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Write the files of each table; a file appears complete."""
        with tempfile.TemporaryDirectory(prefix="marquee-export-") as folder:
            for table in tables:
                found = [self._write(source, table, *part, Path(folder) / "part") for part in _parts(source, table)]
                rows, checksums = zip(*found, strict=True)
                self._loaded[table] = Fingerprint(sum(rows), sum(checksums))
                step("export_table_loaded")

    def _write(self, source: ReleaseFile, table: str, name: str, where: str, local: Path) -> tuple[int, int]:
        """Write one file, note it for the manifest, put it there; return its rows and checksum, read from the file."""
        columns = [
            f'CAST("{c}" AS VARCHAR) AS "{c}"' if k == "JSON" else f'"{c}"' for c, k in source.types(table).items()
        ]
        selected = ", ".join(columns)
        with pq.ParquetWriter(local, source.schema(table, selected), compression="zstd") as writer:
            for batch in source.batches(table, where, selected):
                writer.write_batch(batch)
        found = source.fingerprint(table, f"read_parquet({sql_text(local)})")
        path = f"{table}/{name}"
        facts = {"rows": found.rows, "bytes": local.stat().st_size, "sha256": file_sha256(local)}
        self._files.append({"path": path, "table": table, **facts})
        self._place.put(local, f"{source.release}/{path}")
        return found.rows, found.checksum

    def verify(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Compare contents with the release, and each file, read again, with what was written; then the manifest."""
        release = source.release
        for table in tables:
            wanted = source.fingerprint(table)
            if self._loaded[table] != wanted:
                raise ExportError(
                    f"{self._shown}: {table} of {release} has {self._loaded[table]}, the release {wanted}"
                )
        for file in self._files:
            if self._place.sha256(f"{release}/{file['path']}") != file["sha256"]:
                raise ExportError(f"{self._shown}: {release}/{file['path']} is not what was written; export again")
        before = self._manifest(release)
        manifest = {
            "release": release,
            "tables": {**before.get("tables", {}), **{table: _columns(source, table) for table in tables}},
            "files": [*before.get("files", []), *self._files],
        }
        self._place.put_text(f"{release}/{MANIFEST}", json.dumps(manifest, indent=1) + "\n")

    def switch(self, release: str) -> bool:
        """Replace the file that names the live release."""
        sha256 = bytes_sha256(self._place.read(f"{release}/{MANIFEST}") or b"")
        now = self._current()
        if (now.get("release"), now.get("manifest_sha256")) == (release, sha256):
            return False
        current = {"release": release, "manifest_sha256": sha256, "switched_at": utc_now().isoformat()}
        step("export_switching")
        self._place.swap(POINTER, json.dumps(current) + "\n")
        return True

    def retire(self, keep: int) -> list[str]:
        """Delete the folders of old releases, manifest first."""
        releases = sorted((name for name in self._place.folders() if re.match(VERSION, name)), reverse=True)
        live = str(self._current().get("release"))
        kept = [release for release in releases if self.held(release)][:keep]
        # One without a manifest that is newer than the live one may be another exporter's, to a bucket.
        retired = [
            release for release in releases if release not in {*kept, live} and (self.held(release) or release < live)
        ]
        for release in retired:
            self._place.delete(release, MANIFEST)
            step("export_retired")
        return retired

    def seen(self) -> Seen:
        """The release in current.json, and the rows that its manifest counts."""
        release = self._current().get("release")
        rows: Counter[str] = Counter()
        for file in self._manifest(release).get("files", []) if release else []:
            rows[file["table"]] += file["rows"]
        return Seen(release, dict(rows))

    def _current(self) -> dict[str, Any]:
        current = dict(json.loads(self._place.read(POINTER) or "{}"))
        if current and "switched_at" not in current:
            raise TargetError(
                f"{self._shown}: {POINTER} there is not that of an export (a store of whole releases has one, too); "
                "name another folder or prefix"
            )
        return current

    def _manifest(self, release: str) -> dict[str, Any]:
        return dict(json.loads(self._place.read(f"{release}/{MANIFEST}") or "{}"))


def _parts(source: ReleaseFile, table: str) -> list[tuple[str, str]]:
    """Files of a table: path below its folder, and the condition of its rows."""
    if table not in PARTITIONED:
        return [("part-0.parquet", "true")]
    return [(f"shard={n}/part-0.parquet", f"{PARTITIONED[table]} % {SHARDS} = {n}") for n in range(SHARDS)]


def _columns(source: ReleaseFile, table: str) -> list[dict[str, str]]:
    """Names, types and meanings of a table's columns."""
    described = model_of(table).to_schema().columns
    return [
        {"name": name, "type": "VARCHAR" if kind == "JSON" else kind, "description": described[name].description}
        for name, kind in source.types(table).items()
    ]
