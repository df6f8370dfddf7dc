"""The release registry: what was built from what, what is live, and who changed that when and why.

Belongs here: staging, promotion, rollback, retirement and their record. The symlink is the truth about what is live;
the registry tells how it came to be. Does not belong here: what a release file contains
(`warehouse.releases.release_file`) or what is checked (`checks`)."""

import getpass
import json
import shutil
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from recommender.errors import MarqueeError
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.files import file_sha256, point_link, remove_leftovers, write_json
from warehouse.home import Home
from warehouse.releases.pack import write_pack
from warehouse.releases.release_file import Audit, WrittenRelease, write_release_file
from warehouse.schemas.definitions import WORKING_TABLES
from warehouse.tables.check_results import CheckResult, record_results, recorded_results
from warehouse.tables.model import (
    SHARDS,
    StaleTableError,
    inputs_version,
    pairs_version,
    read_neighbourhood,
    require,
    signup_version,
    stale_shards,
)
from warehouse.tables.raw import genome_source_of, require_source
from warehouse.tables.versions import code_version, digest, table_version, version_name

STAGING_NOTE = "staging.json"
"""Names the release being staged, from before its first file until it is registered; `repair` reads it."""

REGISTRY_MIRROR = "releases.json"
"""Copy of the registry beside the releases, for readers; the working database is not theirs to open."""


class ReleaseError(MarqueeError):
    """A release cannot be staged, promoted, rolled back or found; the message names it and says what to do."""


@dataclass(frozen=True)
class StagedRelease:
    """A release whose files are complete.

    Attributes
    ----------
    release : str
    reused : bool
        True if a release with the same content was there already and nothing was written.
    results : list of CheckResult
        All checks recorded for it.
    """

    release: str
    reused: bool
    results: list[CheckResult]

    @property
    def failed(self) -> list[CheckResult]:
        """Failed checks that block promotion."""
        return [result for result in self.results if result.blocks]


def acting_user() -> str:
    """Who acts, for the record: account and machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def live_release(home: Home, link: Path | None = None) -> str | None:
    """Name of the release the link (default: current.duckdb) points to, or None."""
    link = link or home.current
    return link.readlink().name.removesuffix(".duckdb") if link.is_symlink() else None


def latest_model(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The newest model: model_version, content_hash and recall.

    Raises
    ------
    ReleaseError
        If no model was made yet.
    """
    row = con.execute(
        "SELECT model_version, content_hash, recall FROM model.annoy_indexes ORDER BY model_version DESC LIMIT 1"
    ).fetchone()
    if row is None:
        raise ReleaseError("there is no model yet; run the job retrain_model, or marquee run")
    return dict(zip(("model_version", "content_hash", "recall"), row, strict=True))


def describe_next(con: duckdb.DuckDBPyConnection, parameters: ModelParameters) -> dict[str, Any]:
    """Lineage of the release the tables would make now, with its content hash.

    Raises
    ------
    StaleTableError
        If a table is not up to date.
    """
    source = require_source(con)
    model = latest_model(con)
    require(con, "recs.signup_movies", signup_version(con, parameters), "materialize recs/signup_movies")
    pairs = pairs_version(con, parameters, model["model_version"])
    stale = stale_shards(con, pairs, range(SHARDS))
    if stale:
        raise StaleTableError(
            f"recs.pair_recommendations is out of date in the shards {', '.join(map(str, stale))}; materialize them"
        )
    lineage = {
        "model_version": model["model_version"],
        "source": source["origin"],
        "source_fingerprint": source["fingerprint"],
        "ratings_fingerprint": table_version(con, "raw.ratings"),
        "genome_source": genome_source_of(con),
        "parameters": parameters.model_dump(),
        "code_version": code_version(),
    }
    content = digest(
        "release", {**lineage, "model_version": model["content_hash"]}, pairs, inputs_version(con, parameters)
    )
    return {**lineage, "content_hash": content}


def same_content(warehouse: Warehouse, content_hash: str, required: Collection[str] = ()) -> str | None:
    """The newest release with this content whose files are there and that may go live or, forced, is live; or None.

    Without `required` any release will do whose files are there.
    """
    rows = warehouse.con.execute(
        "SELECT release FROM ops.releases WHERE content_hash = ? ORDER BY release DESC", [content_hash]
    ).fetchall()
    for (release,) in rows:
        complete = warehouse.home.release_file(release).exists() and warehouse.home.pack_folder(release).exists()
        wanted = not required or release == live_release(warehouse.home)
        if complete and (wanted or not refusals(warehouse.con, release, required)):
            return str(release)
    return None


def stage_release(
    warehouse: Warehouse, parameters: ModelParameters, audit: Audit, required: Collection[str]
) -> StagedRelease:
    """Write the release that the tables make now, check it and record both; nobody reads it yet.

    Parameters
    ----------
    warehouse : Warehouse
    parameters : ModelParameters
    audit : callable
        The checks; gets a read-only connection to the new file.
    required : collection of str
        Names of the checks a release with the same content must have passed to be taken instead of a new one.

    Returns
    -------
    StagedRelease
        Also if checks failed: the file is kept for whoever looks into it, and promotion refuses it.

    Raises
    ------
    StaleTableError
        If a table is not up to date.
    """
    con, home = warehouse.con, warehouse.home
    remove_leftovers(home.published)
    described = describe_next(con, parameters)
    known = same_content(warehouse, described["content_hash"], required)
    if known is not None:
        return StagedRelease(known, True, recorded_results(con, known))
    now = datetime.now(UTC)
    release = version_name(described["content_hash"], now)
    lineage = {**described, "release": release, "created_at": now.replace(tzinfo=None)}
    pack = home.pack_folder(release)
    write_json(home.published / STAGING_NOTE, {"release": release})
    shutil.rmtree(pack, ignore_errors=True)
    write_pack(pack, read_neighbourhood(warehouse, parameters), lineage)
    written = write_release_file(warehouse, lineage, audit)
    _register(warehouse, lineage, written)
    (home.published / STAGING_NOTE).unlink()
    return StagedRelease(release, False, written.results)


def _register(warehouse: Warehouse, lineage: Mapping[str, Any], written: WrittenRelease) -> None:
    """Record a staged release and its checks in one transaction."""
    release, path = lineage["release"], warehouse.home.release_file(lineage["release"])
    facts = {
        **lineage,
        "parameters": json.dumps(lineage["parameters"]),
        "row_counts": json.dumps(written.row_counts),
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
    }
    columns = _release_columns()
    with warehouse.transaction() as con:
        con.execute("DELETE FROM ops.releases WHERE release = ?", [release])
        con.execute(
            f"INSERT INTO ops.releases VALUES ({', '.join('?' for _ in columns)})", [facts[name] for name in columns]
        )
        record_results(con, release, written.results)
        _record_event(con, release, "staged", acting_user(), "all tables up to date, files complete")
        step("release_registering")
    step("release_registered")
    mirror_registry(warehouse)
    step("mirror_written")


def _release_columns() -> list[str]:
    return [column.split()[0] for column in WORKING_TABLES["ops.releases"].split(", ")]


def _record_event(con: duckdb.DuckDBPyConnection, release: str, event: str, who: str, why: str) -> None:
    at = datetime.now(UTC).replace(tzinfo=None)
    con.execute("INSERT INTO ops.release_events VALUES (?, ?, ?, ?, ?)", [release, event, at, who, why])


def record_event(warehouse: Warehouse, release: str, event: str, who: str, why: str) -> None:
    """Record what happened to a release, for the registry and its readers."""
    with warehouse.transaction() as con:
        _record_event(con, release, event, who, why)
    mirror_registry(warehouse)


def refusals(con: duckdb.DuckDBPyConnection, release: str, required: Collection[str]) -> list[str]:
    """Reasons not to promote a release: blocking checks that failed or have no result; empty if it may go live."""
    results = recorded_results(con, release)
    failed = [f"{result.check_name} failed: {result.description}" for result in results if result.blocks]
    missing = sorted(set(required) - {result.check_name for result in results})
    return failed + [f"{name} has no recorded result" for name in missing]


def promote(
    warehouse: Warehouse, release: str, required: Collection[str], *, who: str, why: str, force: bool = False
) -> bool:
    """Make a release the live one.

    Parameters
    ----------
    warehouse : Warehouse
    release : str
    required : collection of str
        Names of the blocking checks that must have passed.
    who, why : str
        For the record.
    force : bool
        Promote in spite of failed or missing checks; `why` must then be given.

    Returns
    -------
    bool
        False if it was live already.

    Raises
    ------
    ReleaseError
        If the release is unknown, its files are missing, or a check forbids it.
    """
    require_files(warehouse, release)
    if live_release(warehouse.home) == release:
        return False
    reasons = refusals(warehouse.con, release, required)
    if reasons and not force:
        raise ReleaseError(f"{release} cannot go live: " + "; ".join(reasons))
    if force and not why.strip():
        raise ReleaseError("a forced promotion needs a reason: --why TEXT")
    event = "forced" if reasons else "promoted"
    _swap(warehouse, release, event, who, why)
    return True


def rollback(warehouse: Warehouse, *, who: str, why: str) -> tuple[str, str]:
    """Go back to the release that was live before the present one; recomputes nothing.

    The release left behind is marked, so that a refresh that finds the same content again does not bring it back.

    Returns
    -------
    (str, str)
        The release left and the release that is live now.

    Raises
    ------
    ReleaseError
        If nothing is live or no earlier release is left.
    """
    leaving = live_release(warehouse.home)
    if leaving is None:
        raise ReleaseError("nothing is live, so there is nothing to roll back")
    earlier = [
        name
        for (name,) in warehouse.con.execute(
            """
            SELECT release FROM ops.release_events WHERE event IN ('promoted', 'forced')
            GROUP BY release HAVING release < ? ORDER BY release DESC
            """,
            [leaving],
        ).fetchall()
        if warehouse.home.release_file(name).exists()
    ]
    if not earlier:
        raise ReleaseError(f"no release older than {leaving} is left to go back to")
    # The verdict comes first: were the process to die after the swap, a refresh could bring the bad release back.
    with warehouse.transaction() as con:
        _record_event(con, leaving, "rolled_back", who, why)
    point_link(warehouse.home.current, f"{earlier[0]}.duckdb")
    with warehouse.transaction() as con:
        _record_event(con, earlier[0], "restored", who, why)
    step("promotion_recorded")
    mirror_registry(warehouse)
    return leaving, earlier[0]


def was_rolled_back(con: duckdb.DuckDBPyConnection, release: str) -> str | None:
    """Why the release was rolled back, if that is the last that was decided about it; else None."""
    row = con.execute(
        """
        SELECT event, why FROM ops.release_events
        WHERE release = ? AND event IN ('promoted', 'forced', 'restored', 'rolled_back')
        ORDER BY happened_at DESC LIMIT 1
        """,
        [release],
    ).fetchone()
    return str(row[1]) if row is not None and row[0] == "rolled_back" else None


def _swap(warehouse: Warehouse, release: str, event: str, who: str, why: str) -> None:
    """Point the symlink to a release and record it; the record comes second, because the symlink is the truth."""
    point_link(warehouse.home.current, f"{release}.duckdb")
    with warehouse.transaction() as con:
        _record_event(con, release, event, who, why)
    step("promotion_recorded")
    mirror_registry(warehouse)


def require_files(warehouse: Warehouse, release: str) -> None:
    """Raise ReleaseError unless a release is known and its files are there."""
    known = warehouse.con.execute("SELECT 1 FROM ops.releases WHERE release = ?", [release]).fetchone()
    if known is None:
        raise ReleaseError(f"there is no release {release}; see: marquee releases")
    for path in (warehouse.home.release_file(release), warehouse.home.pack_folder(release)):
        if not path.exists():
            raise ReleaseError(f"{release} cannot go live: {path} is gone (retired releases cannot return)")


@dataclass(frozen=True)
class Retired:
    """What retirement deleted: names of releases and models, and bytes freed."""

    releases: list[str]
    models: list[str]
    bytes: int


def retire(warehouse: Warehouse, keep: int, *, who: str, why: str) -> Retired:
    """Delete all releases but the newest `keep`, the live one and the challenger; and models no release needs.

    Parameters
    ----------
    warehouse : Warehouse
    keep : int
        At least 1.
    who, why : str
        For the record.

    Returns
    -------
    Retired
    """
    if keep < 1:
        raise ReleaseError(f"cannot keep {keep} releases; keep at least 1")
    home = warehouse.home
    spared = {live_release(home), live_release(home, home.challenger)}
    present = sorted((path.stem for path in home.published.glob("*Z-*.duckdb") if not path.is_symlink()), reverse=True)
    dropped = [release for release in present[keep:] if release not in spared]
    freed = 0
    for release in dropped:
        freed += sum(map(_size, _files_of(home, release)))
        with warehouse.transaction() as con:
            _record_event(con, release, "retired", who, why)
        step("retirement_recorded")
        _delete(home, release)
    models = _unused_models(warehouse)
    for model in models:
        freed += _size(home.model_folder(model))
        shutil.rmtree(home.model_folder(model))
    if dropped:
        mirror_registry(warehouse)
    return Retired(dropped, models, freed)


def _files_of(home: Home, release: str) -> tuple[Path, Path, Path]:
    """Database, serving pack and report of a release."""
    return home.release_file(release), home.pack_folder(release), home.report_file(release)


def _delete(home: Home, release: str) -> bool:
    """Delete a release's files; whether there were any."""
    file, pack, report = _files_of(home, release)
    found = file.exists() or pack.exists() or report.exists()
    file.unlink(missing_ok=True)
    step("release_deleted")
    shutil.rmtree(pack, ignore_errors=True)
    step("pack_deleted")
    report.unlink(missing_ok=True)
    return found


def _unused_models(warehouse: Warehouse) -> list[str]:
    """Model folders that neither a release that is there nor the next refresh needs."""
    home, con = warehouse.home, warehouse.con
    needed = {
        model
        for release, model in con.execute("SELECT release, model_version FROM ops.releases").fetchall()
        if home.release_file(release).exists()
    }
    newest = con.execute("SELECT max(model_version) FROM model.annoy_indexes").fetchone()
    needed.add(newest[0] if newest else None)
    return sorted(path.name for path in home.models.glob("*Z-*") if path.name not in needed)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    return path.stat().st_size if path.exists() else 0


def release_state(home: Home, release: str, events: list[str], blocked: bool) -> str:
    """One word for where a release stands: live, challenger, retired, rejected, rolled_back, superseded or staged."""
    if live_release(home) == release:
        return "live"
    if live_release(home, home.challenger) == release:
        return "challenger"
    if not home.release_file(release).exists():
        return "retired"
    decisions = [event for event in events if event in {"promoted", "forced", "restored", "rolled_back"}]
    if decisions:
        return "rolled_back" if decisions[-1] == "rolled_back" else "superseded"
    return "rejected" if blocked else "staged"


def mirror_registry(warehouse: Warehouse) -> None:
    """Copy the registry to `published/releases.json`, for readers who must not open the working database."""
    con = warehouse.con
    hidden = {"content_hash", "parameters"}
    columns = [name for name in _release_columns() if name not in hidden]
    entries = []
    for row in con.execute(f"SELECT {', '.join(columns)} FROM ops.releases ORDER BY release").fetchall():
        entry = dict(zip(columns, row, strict=True))
        entry["row_counts"] = json.loads(entry["row_counts"])
        entry["events"] = [
            dict(zip(("event", "at", "who", "why"), event, strict=True))
            for event in con.execute(
                "SELECT event, happened_at, who, why FROM ops.release_events WHERE release = ? ORDER BY happened_at",
                [entry["release"]],
            ).fetchall()
        ]
        results = recorded_results(con, entry["release"])
        entry["failed_checks"] = [result.check_name for result in results if not result.passed]
        entry["blocked"] = any(result.blocks for result in results)
        entries.append(entry)
    write_json(warehouse.home.published / REGISTRY_MIRROR, {"releases": entries})


def list_releases(home: Home) -> list[dict[str, Any]]:
    """All releases ever staged, newest first, each with its state and, if there is one, the path of its report.

    Read from the mirror; never waits for a writer.
    """
    path = home.published / REGISTRY_MIRROR
    if not path.exists():
        return []
    entries = json.loads(path.read_text(encoding="utf-8"))["releases"]
    for entry in entries:
        entry["state"] = release_state(home, entry["release"], [e["event"] for e in entry["events"]], entry["blocked"])
        report = home.report_file(entry["release"])
        entry["report"] = str(report) if report.exists() else None
    return sorted(entries, key=lambda entry: entry["release"], reverse=True)


def repair(warehouse: Warehouse) -> list[str]:
    """Mend what a writer that died left behind; return what was done, in words.

    Temporary files are deleted, and the files of a release that was never registered or is retired already. A symlink
    that was swapped without a record gets one. What readers see does not change.
    """
    home, con = warehouse.home, warehouse.con
    done = [
        f"deleted the unfinished {name}" for name in remove_leftovers(home.published) + remove_leftovers(home.models)
    ]
    done += _drop_unregistered(warehouse) + _finish_retirements(warehouse)
    live = live_release(home)
    if live is not None:
        row = con.execute(
            "SELECT release FROM ops.release_events WHERE event IN ('promoted', 'forced', 'restored') "
            "ORDER BY happened_at DESC LIMIT 1"
        ).fetchone()
        if row is None or row[0] != live:
            with warehouse.transaction():
                _record_event(con, live, "promoted", acting_user(), "recovered: the writer died before recording it")
            mirror_registry(warehouse)
            done.append(f"recorded that {live} is live")
    if not done and _mirror_is_behind(warehouse):
        mirror_registry(warehouse)
        done.append(f"brought {REGISTRY_MIRROR} up to date")
    return done


def _drop_unregistered(warehouse: Warehouse) -> list[str]:
    """Delete the files of a release whose writer died before it was registered; the next refresh makes it anew."""
    home, note = warehouse.home, warehouse.home.published / STAGING_NOTE
    if not note.exists():
        return []
    release = str(json.loads(note.read_text(encoding="utf-8"))["release"])
    known = warehouse.con.execute("SELECT 1 FROM ops.releases WHERE release = ?", [release]).fetchone()
    done = []
    if known is None and live_release(home) != release and _delete(home, release):
        done.append(f"deleted the unregistered release {release}")
    if known is not None:
        mirror_registry(warehouse)
    note.unlink()
    return done


def _finish_retirements(warehouse: Warehouse) -> list[str]:
    """Delete what is left of releases whose retirement was recorded but not completed."""
    home = warehouse.home
    spared = {live_release(home), live_release(home, home.challenger)}
    retired = warehouse.con.execute(
        "SELECT release FROM ops.release_events GROUP BY release HAVING arg_max(event, happened_at) = 'retired'"
    ).fetchall()
    done = [f"finished the retirement of {name}" for (name,) in retired if name not in spared and _delete(home, name)]
    if done:
        mirror_registry(warehouse)
    return done


def _mirror_is_behind(warehouse: Warehouse) -> bool:
    """Whether an event was recorded that the copy for readers does not have."""
    row = warehouse.con.execute(
        "SELECT count(*) FROM ops.release_events SEMI JOIN ops.releases USING (release)"
    ).fetchone()
    path = warehouse.home.published / REGISTRY_MIRROR
    mirrored = json.loads(path.read_text(encoding="utf-8"))["releases"] if path.exists() else []
    return row is not None and int(row[0]) != sum(len(entry["events"]) for entry in mirrored)
