"""A manifest survives the way through its file, and a folder that is not what its manifest says is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from warehouse.files import write_json
from warehouse.ingest.import_manifest import (
    MANIFEST_NAME,
    ImportedFile,
    IncompleteFilms,
    ManifestError,
    Output,
    SourceManifest,
    is_fingerprint,
    read_manifest,
)

MANIFEST = SourceManifest(
    kind="source",
    fingerprint="0123456789abcdef",
    format_version=1,
    origin="a folder",
    imported_at="2026-05-04T12:00:00+00:00",
    files=(ImportedFile("ratings.csv", 30, "0" * 64, 3, 2, 1, {"empty line": 1}, ("no line end at the end",)),),
    tables={"ratings": Output(2, 7, "1" * 64), "rejected_rows": Output(1, 4)},
    has_scores=True,
    n_tags=5,
    incomplete_genome_films=IncompleteFilms(2, ("film 3", "film 4")),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An import as it lies on disk."""
    path = tmp_path / MANIFEST.fingerprint
    path.mkdir()
    (path / "ratings.parquet").write_bytes(b"ratings")
    (path / "rejected_rows.parquet").write_bytes(b"rows")
    write_json(path / MANIFEST_NAME, MANIFEST.to_json())
    return path


def test_what_was_written_is_read(folder: Path) -> None:
    found = read_manifest(folder)
    assert found == replace(MANIFEST, folder=folder)
    assert found.table("ratings").read_bytes() == b"ratings"
    assert found.counts == {"ratings": 2, "rejected_rows": 1}
    with pytest.raises(KeyError, match=r"no table genome; it has ratings, rejected_rows"):
        found.table("genome")


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """A damage that changes the manifest's values."""

    def damage(folder: Path) -> None:
        values = json.loads((folder / MANIFEST_NAME).read_text())
        change(values)
        write_json(folder / MANIFEST_NAME, values)

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda folder: (folder / MANIFEST_NAME).unlink(), "is missing"),
    "half a manifest": (lambda folder: (folder / MANIFEST_NAME).write_text("{"), "cannot be read"),
    "a value is missing": (edit(lambda values: values.pop("files")), "cannot be read"),
    "a value too many": (edit(lambda values: values.update(colour="red")), "cannot be read"),
    "of another import": (edit(lambda values: values.update(fingerprint="f" * 16)), "belongs to import f"),
    "a table is missing": (lambda folder: (folder / "ratings.parquet").unlink(), "ratings.parquet is missing"),
    "a table cut short": (lambda folder: (folder / "ratings.parquet").write_bytes(b"rat"), "not of 7 bytes"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_folder_that_is_no_whole_import_is_refused(folder: Path, kind: str) -> None:
    damage, message = DAMAGES[kind]
    damage(folder)
    with pytest.raises(ManifestError, match=message):
        read_manifest(folder)


def test_an_import_that_was_copied_elsewhere_is_still_one(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / folder.name))
    assert read_manifest(moved).table("ratings") == moved / "ratings.parquet"


def test_names_of_imports() -> None:
    names = ("0123456789abcdef", "downloads", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef0", "")
    assert [is_fingerprint(name) for name in names] == [True, False, False, False, False, False]
