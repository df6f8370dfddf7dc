"""What the raw tables held: which source, which files of ratings, in which order; and the imports they are made from.

Belongs here: the record of inputs, what stands for it where there is none (the newest release's list of files, and the
times of the imports), and imports that have to be made again. Does not belong here: loading them (`rebuild`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from recommender.errors import MarqueeError
from warehouse.files import file_sha256, put_aside
from warehouse.home import Home
from warehouse.ingest.import_manifest import (
    ManifestError,
    SourceManifest,
    import_problems,
    is_fingerprint,
    read_account,
    read_manifest,
)
from warehouse.ingest.importer import import_ratings_file, import_source, ratings_fingerprints
from warehouse.ingest.landing import INGESTED
from warehouse.releases.reader import read_from_release
from warehouse.schemas.row_rules import row_rules
from warehouse.sources.resolve import resolve_source
from warehouse.tables.inputs import Input, recorded_inputs

Say = Callable[[str], None]


class LostSourceError(MarqueeError):
    """The import of the source is gone or damaged, and without it nothing can be made; the message says what to do."""


class Imports(NamedTuple):
    """What the raw tables are made from.

    Attributes
    ----------
    source : SourceManifest
    loaded_at : datetime
    files : list of (SourceManifest, datetime)
        Of ratings, with the time of their ingest, in that order.
    lost : list of str
        What is gone or cannot be known, in words.
    """

    source: SourceManifest
    loaded_at: datetime
    files: list[tuple[SourceManifest, datetime]]
    lost: list[str]


def provide_imports(home: Home, releases: Sequence[Mapping[str, Any]], again: str | None, say: Say) -> Imports:
    """Find the imports that the raw tables were made from, and make those again that are gone and can be made.

    Parameters
    ----------
    home : Home
    releases : sequence of mapping
        Rows of ops.releases, the oldest first.
    again : str, optional
        Where the source is imported from, should its import be gone.
    say : callable

    Raises
    ------
    LostSourceError
    """
    recorded, lost = recorded_inputs(home), list[str]()
    source = recorded[0] if recorded else _likely_source(home, releases)
    manifest = _provide_source(home, source, again)
    files = recorded[1:] if recorded else _likely_files(home, manifest, releases, lost)
    problems = {item: import_problems(home.source_folder(item.fingerprint)) for item in files}
    landed = _landed(home) if any(problems.values()) else {}
    found = []
    for item in files:
        folder = home.source_folder(item.fingerprint)
        if problems[item] and item.sha256 in landed:
            say(f"importing {landed[item.sha256]} again: {problems[item][0]}")
            put_aside(folder)
            import_ratings_file(landed[item.sha256], home.sources, row_rules(), manifest.table("movies"))
        elif problems[item]:
            lost.append(f"the ratings of {item.name} (sha256 {item.sha256}): {problems[item][0]}; marquee ingest FILE")
            continue
        found.append((read_manifest(folder), item.at))
    return Imports(manifest, source.at, found, lost)


def _provide_source(home: Home, source: Input, again: str | None) -> SourceManifest:
    """The import of the source, made again if it has to be and can be."""
    folder = home.source_folder(source.fingerprint)
    problems = import_problems(folder)
    if not problems:
        return read_manifest(folder)
    if again is None:
        raise LostSourceError(
            f"{problems[0]}. Without the source nothing can be made again: put back a copy of {folder}, or have it "
            f"imported again: marquee rebuild --source {source.name}"
        )
    local = resolve_source(again, home.sources)
    put_aside(folder)
    manifest = import_source(local, home.sources, row_rules())
    if manifest.fingerprint != source.fingerprint:
        raise LostSourceError(
            f"{again} is not what this home held: its files make the import {manifest.fingerprint}, not "
            f"{source.fingerprint}. Name the files as they were, or begin another home: marquee --home DIR run"
        )
    return manifest


def _landed(home: Home) -> dict[str, Path]:
    """Files of ratings as they came in that are still in the landing folder, by sha256."""
    paths = [*home.landing.glob("*"), *(home.landing / INGESTED).glob("*")]
    return {file_sha256(path): path for path in paths if path.is_file()}


def _accounts(home: Home, kind: str) -> list[SourceManifest]:
    """Manifests of the imports that are there, of one kind, the oldest first."""
    found = []
    for folder in home.sources.glob("*"):
        try:
            found += [read_account(folder)] if is_fingerprint(folder.name) else []
        except ManifestError:
            continue
    ours = (manifest for manifest in found if manifest.kind == kind)
    return sorted(ours, key=lambda manifest: (_imported_at(manifest), manifest.folder.stat().st_mtime_ns))


def _imported_at(manifest: SourceManifest) -> datetime:
    return datetime.fromisoformat(manifest.imported_at).astimezone(UTC).replace(tzinfo=None)


def _likely_source(home: Home, releases: Sequence[Mapping[str, Any]]) -> Input:
    """The source of the newest release; without releases, the one that was imported last."""
    accounts = {manifest.fingerprint: manifest for manifest in _accounts(home, "source")}
    if releases:
        newest = releases[-1]
        mark, created = newest["source_fingerprint"], datetime.fromisoformat(str(newest["created_at"]))
        return Input(mark, newest["source"], "", _imported_at(accounts[mark]) if mark in accounts else created)
    if not accounts:
        raise LostSourceError(
            f"{home.root} has neither an import nor a release: there is nothing to make a working database of. "
            "Begin with: marquee run"
        )
    last = list(accounts.values())[-1]
    return Input(last.fingerprint, last.origin, "", _imported_at(last))


def _likely_files(
    home: Home, source: SourceManifest, releases: Sequence[Mapping[str, Any]], lost: list[str]
) -> list[Input]:
    """Files of ratings where there is no record: those of the newest release, then those imported since."""
    accounts = _accounts(home, "ratings")
    marks = ratings_fingerprints([item.files[0].sha256 for item in accounts], source.table("movies"))
    ours = {item.files[0].sha256: item for item, mark in zip(accounts, marks, strict=True) if item.fingerprint == mark}
    listed, since = _listed_files(home, source, releases)
    later = [sha256 for sha256, item in ours.items() if sha256 not in listed and _imported_at(item) >= since]
    wanted = [*listed, *later]
    found: list[Input] = []
    for sha256, mark in zip(wanted, ratings_fingerprints(wanted, source.table("movies")), strict=True):
        at = _imported_at(ours[sha256]) if sha256 in ours else since
        if found:
            at = max(at, found[-1].at + timedelta(microseconds=1))
        found.append(Input(mark, listed.get(sha256) or ours[sha256].files[0].name, sha256, at))
    if found:
        lost.append(
            "when files of ratings were ingested: there is no record of inputs, so they are those of the newest "
            "release and what was imported since, at the times of their import"
        )
    return found


def _listed_files(
    home: Home, source: SourceManifest, releases: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, str], datetime]:
    """Names of the files of ratings by sha256 in the newest release that can be read, and when it was made."""
    own = {file.sha256 for file in source.files}
    query = "SELECT sha256, name FROM source_files ORDER BY rowid"
    for release in reversed(releases):
        if release["source_fingerprint"] != source.fingerprint:
            continue
        files = read_from_release(home, release["release"], lambda con: con.execute(query).fetchall())
        if files is None:
            continue
        made = datetime.fromisoformat(str(release["created_at"])).replace(microsecond=0)
        return {sha256: name for sha256, name in files if sha256 not in own}, made
    return {}, datetime.min
