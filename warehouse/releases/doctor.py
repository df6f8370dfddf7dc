"""Examination of a home: is everything there, whole and consistent, and if not, how to repair it.

Belongs here: questions that reading files can answer, without the writer's lock, at any moment. Nothing is changed.
Does not belong here: repairing (`warehouse.releases.repair` does what needs no decision, at the start of every
run)."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

import duckdb
from packaging.requirements import Requirement

from warehouse.database import lost_database
from warehouse.files import DAMAGED, TEMPORARY, file_sha256
from warehouse.home import Home
from warehouse.ingest.import_manifest import import_problems, input_files, is_fingerprint, read_account
from warehouse.ingest.landing import REFUSED
from warehouse.integrity import examine_database
from warehouse.locks import WriterBusyError, is_held
from warehouse.migrations import REMAKE, SCHEMA_VERSION, SchemaVersionError
from warehouse.queries import first_line
from warehouse.releases.exposure import read_exposure
from warehouse.releases.reader import read_from_release
from warehouse.releases.registry import STAGING_NOTE, ReleaseError, list_releases, live_release
from warehouse.tables.inputs import recorded_inputs

ENOUGH_RELEASES = 3
"""Free disk should hold this many releases of the size of the largest."""

LEAST_FREE_BYTES = 500_000_000

EXPERIMENT_REMEDY = "marquee experiment look, or any other writer, writes the files anew from the tables"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    subject : str
        What was examined.
    state : {'ok', 'warning', 'wrong'}
    text : str
        What was found.
    remedy : str
        What to do about it; empty if it is ok.
    """

    subject: str
    state: Literal["ok", "warning", "wrong"]
    text: str
    remedy: str = ""


def examine(home: Home, say: Callable[[str], None] | None = None) -> list[Finding]:
    """Examine everything.

    Parameters
    ----------
    home : Home
    say : callable, optional
        Told what is being examined; hashing large releases takes a while.
    """
    if not home.root.is_dir():
        return [Finding("home", "wrong", f"{home.root} does not exist", "make a first release: marquee run")]
    found: list[Finding] = []
    for part in (
        _folders,
        _libraries,
        _free_disk,
        _links,
        _experiment,
        _releases,
        _packs,
        _reports,
        _models,
        _sources,
        _landing,
        _leftovers,
        _working_database,
    ):
        if say is not None:
            say(f"examining {part.__name__.strip('_').replace('_', ' ')}")
        found += part(home)
    return found


def _registry(home: Home) -> dict[str, dict[str, Any]]:
    try:
        return {entry["release"]: entry for entry in list_releases(home)}
    except ReleaseError:
        return {}


def _folders(home: Home) -> Iterator[Finding]:
    for folder in (home.root, home.published, home.models, home.sources, home.landing):
        if not folder.is_dir():
            yield Finding("folders", "wrong", f"{folder} is missing", "marquee home creates what is missing")
        elif not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_RDONLY:
            yield Finding(
                "folders", "wrong", f"{folder} cannot be written to", "check its owner, its permissions and the mount"
            )


def _libraries(home: Home) -> Iterator[Finding]:
    del home
    problems = []
    for text in requires("marquee") or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            held = version(wanted.name)
        except PackageNotFoundError:
            problems.append(f"{wanted.name} is not installed")
            continue
        if not wanted.specifier.contains(held, prereleases=True):
            problems.append(f"{wanted.name} is {held}, wanted is {wanted.specifier}")
    for problem in problems:
        yield Finding("libraries", "wrong", problem, "install what was tested: pip install -r requirements.lock")
    if not problems:
        yield Finding(
            "libraries",
            "ok",
            f"python {sys.version.split()[0]}, "
            + ", ".join(f"{n} {version(n)}" for n in ("dagster", "duckdb", "numpy")),
        )


def _free_disk(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(home.root).free
    largest = max((path.stat().st_size for path in home.published.glob("*Z-*.duckdb")), default=0)
    wanted = max(LEAST_FREE_BYTES, ENOUGH_RELEASES * largest)
    text = f"{free / 1e9:.1f} GB free"
    if free < wanted:
        yield Finding(
            "disk", "wrong", f"{text}, wanted are {wanted / 1e9:.1f} GB", "make room: marquee retire --keep 3"
        )
    else:
        yield Finding("disk", "ok", text)


def _links(home: Home) -> Iterator[Finding]:
    registry = _registry(home)
    mirror = home.published / "releases.json"
    if mirror.exists() and not registry:
        yield Finding("registry", "wrong", f"{mirror} cannot be read", "marquee refresh writes it anew")
    if not home.current.is_symlink():
        yield Finding("live release", "wrong", "nothing is live", "make a release: marquee run")
    for link, name in ((home.current, "live release"), (home.challenger, "challenger")):
        release = live_release(home, link)
        if release is None:
            continue
        if not link.exists():
            yield Finding(name, "wrong", f"{link} points to {release}, which is gone", _promote_another(registry, home))
        elif release not in registry:
            yield Finding(name, "wrong", f"{release} is not in the registry", "marquee refresh makes a registered one")
        else:
            yield Finding(name, "ok", release)


def _experiment(home: Home) -> Iterator[Finding]:
    try:
        exposure = read_exposure(home)
    except ReleaseError as error:
        yield Finding("experiment", "wrong", str(error), EXPERIMENT_REMEDY)
        return
    link = live_release(home, home.challenger)
    if link != (exposure and exposure.challenger):
        text = f"{home.exposure.name} names {exposure and exposure.challenger}, {home.challenger.name} is {link}"
        yield Finding("experiment", "wrong", text, EXPERIMENT_REMEDY)
    elif exposure is not None:
        yield Finding("experiment", "ok", f"{exposure.experiment} runs")


def _promote_another(registry: Mapping[str, Any], home: Home) -> str:
    there = [name for name, entry in registry.items() if home.release_file(name).exists() and not entry["blocked"]]
    return f"marquee promote {there[0]}" if there else "marquee refresh"


def _repair_release(release: str, home: Home) -> str:
    if live_release(home) != release:
        return f"move {release}.* out of {home.published}"
    return f"marquee rollback, then move {release}.* out of {home.published}; marquee refresh"


def _releases(home: Home) -> Iterator[Finding]:
    registry = _registry(home)
    there = {path.stem: path for path in sorted(home.published.glob("*Z-*.duckdb")) if not path.is_symlink()}
    good = 0
    for release, path in there.items():
        entry = registry.get(release)
        if entry is None:
            if not is_held(home.writer_lock):
                yield Finding("releases", "warning", f"{path.name} is not in the registry", f"delete {path}")
        elif file_sha256(path) != entry["sha256"]:
            text = f"{path.name} is not the file that was checked (its sha256 differs)"
            yield Finding("releases", "wrong", text, _repair_release(release, home))
        else:
            good += 1
    for release, entry in registry.items():
        retired = any(event["event"] == "retired" for event in entry["events"])
        if release not in there and not retired:
            yield Finding(
                "releases",
                "wrong",
                f"{release}.duckdb is gone, and it was not retired",
                "restore it, or marquee refresh",
            )
    yield Finding("releases", "ok", f"{good} of {len(there)} files have the sha256 of the registry")


def _manifest_problems(folder: Path) -> list[str]:
    """Files of a folder that are not what its manifest says."""
    try:
        files = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{folder / 'manifest.json'} cannot be read ({error})"]
    problems = []
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif file_sha256(path) != facts["sha256"]:
            problems.append(f"{path} is damaged (its sha256 differs)")
    return problems


def _packs(home: Home) -> Iterator[Finding]:
    folders = sorted(home.published.glob("*Z-*.pack"))
    for folder in folders:
        for problem in _manifest_problems(folder):
            yield Finding("packs", "wrong", problem, _repair_release(folder.stem, home))
    for release in sorted(path.stem for path in home.published.glob("*Z-*.duckdb") if not path.is_symlink()):
        if not home.pack_folder(release).is_dir():
            yield Finding("packs", "wrong", f"{release}.pack is missing", _repair_release(release, home))
    yield Finding("packs", "ok", f"{len(folders)} examined")


def _reports(home: Home) -> Iterator[Finding]:
    reports = sorted(home.published.glob("*Z-*.report.html"))
    for report in reports:
        if not home.release_file(report.name.removesuffix(".report.html")).exists() and not is_held(home.writer_lock):
            yield Finding(
                "reports", "warning", f"{report.name} belongs to no release that is there", f"delete {report}"
            )
    yield Finding("reports", "ok", f"{len(reports)} are there")


def _models(home: Home) -> Iterator[Finding]:
    folders = sorted(home.models.glob("*Z-*"))
    for folder in folders:
        for problem in _manifest_problems(folder):
            yield Finding("models", "wrong", problem, f"move {folder} away; marquee run makes the model anew")
    yield Finding("models", "ok", f"{len(folders)} examined")


def _sources(home: Home) -> Iterator[Finding]:
    folders = sorted(path for path in home.sources.glob("*") if is_fingerprint(path.name))
    unverifiable = []
    for folder in folders:
        remedy = f"move {folder} away, then import it again: marquee run --source ... or marquee ingest FILE"
        problems = import_problems(folder)
        for problem in problems:
            yield Finding("sources", "wrong", problem, remedy)
        if not problems and any(output.sha256 is None for output in read_account(folder).tables.values()):
            unverifiable.append(folder.name)
    yield from _missing_imports(home, folders)
    text = f"{len(folders)} examined, size, rows and sha256 of every table"
    if unverifiable:
        text += f"; unverifiable beyond size and rows, because older than recorded sha256: {', '.join(unverifiable)}"
    yield Finding("sources", "ok", text)


def _missing_imports(home: Home, there: Sequence[Path]) -> Iterator[Finding]:
    """Imports that the raw tables hold, or that the live release was made of, and that are not there any more."""
    held = recorded_inputs(home)
    gone = [item for item in held if not home.source_folder(item.fingerprint).is_dir()]
    for item in gone:
        again = f"marquee ingest {item.name}" if item.sha256 else f"marquee run --source {item.name}"
        text = f"{home.source_folder(item.fingerprint)} is missing, the import of {item.name}"
        yield Finding("sources", "wrong", text, f"put a copy back, or import it again: {again}")
    if any(not item.sha256 for item in gone):
        return
    known = {item.sha256 for item in held} | {file.sha256 for folder in there for file in input_files(folder)}
    query = "SELECT name, sha256 FROM source_files"
    files = read_from_release(home, None, lambda con: con.execute(query).fetchall())
    for name, sha256 in files or ():  # a damaged release is said elsewhere
        if sha256 not in known:
            text = f"{name} (sha256 {sha256[:12]}...) is in the live release, but its import is gone"
            yield Finding("sources", "wrong", text, "its ratings are missing in the next release: marquee ingest FILE")


def _landing(home: Home) -> Iterator[Finding]:
    refused = sorted((home.landing / REFUSED).glob("*.reason.txt"))
    for reason in refused:
        text = f"{reason.name.removesuffix('.reason.txt')} was refused: {reason.read_text(encoding='utf-8').strip()}"
        yield Finding(
            "landing", "warning", text, f"correct it, put it back into {home.landing}, delete it in {REFUSED}/"
        )


def _leftovers(home: Home) -> Iterator[Finding]:
    if is_held(home.writer_lock):
        return
    names = [path for folder in (home.published, home.models) for path in folder.glob(f"{TEMPORARY}*")]
    names += [home.published / STAGING_NOTE] if (home.published / STAGING_NOTE).exists() else []
    for path in names:
        yield Finding("leftovers", "warning", f"{path} was left by a run that died", "the next run clears it away")


def _working_database(home: Home) -> Iterator[Finding]:
    """Its tables, columns and every row, while no process writes: the look ends when one wants to."""
    subject = "working database"
    for copy in sorted(home.root.glob(f"{home.warehouse.name}{DAMAGED}*")):
        if copy.suffix != ".wal":
            text = f"{copy}, {copy.stat().st_size / 1e6:.1f} MB, was put aside by marquee rebuild"
            yield Finding(subject, "warning", text, "delete it once it is no longer needed")
    if not home.warehouse.exists() and not lost_database(home):
        yield Finding(subject, "warning", f"{home.warehouse} does not exist", "marquee run makes it")
        return
    if is_held(home.writer_lock):
        yield Finding(subject, "ok", "not examined, because somebody is writing")
        return
    try:
        version, problems = examine_database(home, gives_way=True)
    except SchemaVersionError as error:
        yield Finding(subject, "wrong", str(error), "use the newer Marquee that wrote it")
    except WriterBusyError as error:
        if is_held(home.writer_lock):
            yield Finding(subject, "ok", "not examined to the end, because somebody is writing")
        else:
            yield Finding(subject, "warning", f"not examined: {error}", "close it there; analysts open published/")
    except duckdb.Error as error:
        yield Finding(
            subject, "wrong", first_line(error), "make the file readable for this account, or look at the disk"
        )
    else:
        for problem in problems:
            yield Finding(subject, "wrong", problem, REMAKE)
        text = f"every row of its tables was read (version {version})"
        if version < SCHEMA_VERSION:
            text += f"; the next run brings them to {SCHEMA_VERSION}"
        if not problems:
            yield Finding(subject, "ok", text)
