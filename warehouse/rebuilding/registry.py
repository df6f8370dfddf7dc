"""The registry as the files know it: releases, what happened to them, their checks, and the experiments.

Belongs here: reading `published/` (`releases.json`, `experiments.json`, release files, packs) and entering it into
empty tables. Nothing is made up: what no file says is left empty and said. Does not belong here: writing these files
(`warehouse.releases`).
"""

import json
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import duckdb

from warehouse.compute.packs import PackError, read_manifest
from warehouse.files import file_sha256
from warehouse.home import Home
from warehouse.queries import insert_row, records, utc_now
from warehouse.releases.exposure import RECORD, list_experiments
from warehouse.releases.reader import read_from_release
from warehouse.releases.registry import (
    REGISTRY_MIRROR,
    STAGING_NOTE,
    ReleaseError,
    acting_user,
    live_release,
    mirrored_registry,
)
from warehouse.schemas.definitions import columns_of
from warehouse.tables.check_results import CheckResult, published_results, record_results

Entry = dict[str, Any]

FOUND = "found by marquee rebuild; the registry was lost, and with it who staged it and what was decided about it"


class Registry(NamedTuple):
    """What the files know.

    Attributes
    ----------
    releases : list of dict
        Rows of ops.releases with plain values, the oldest first, each with its ``events``, ``failed_checks``,
        ``blocked`` (both None if only the file knows) and ``results``.
    experiments : list of dict
        As `published/experiments.json` has them.
    damaged : bool
        Whether `published/releases.json` is there and cannot be read.
    lost : list of str
        What is gone or cannot be known, in words.
    """

    releases: list[Entry]
    experiments: list[Entry]
    damaged: bool
    lost: list[str]


def read_registry(home: Home) -> Registry:
    """Gather what `published/` knows of releases and experiments."""
    lost, damaged = list[str](), False
    try:
        found = {entry["release"]: entry for entry in mirrored_registry(home)}
    except ReleaseError:
        found, damaged = {}, True
    there = {file.stem for file in home.published.glob("*Z-*.duckdb") if not file.is_symlink()}
    only_files = sorted(there - set(found) - {_being_staged(home)})
    if only_files:
        lost.append(
            f"who staged {', '.join(only_files)} and what was decided about them: {REGISTRY_MIRROR} "
            f"{'cannot be read' if damaged else 'does not know them'}. marquee rollback finds only those known to have "
            "been live, marquee promote RELEASE all"
        )
    for release in only_files:
        entry = _entry_of_file(home, release)
        if entry is None:
            lost.append(f"{release}: its file cannot be read; it is left where it is")
        else:
            found[release] = entry
    releases = [_completed(home, found[name]) for name in sorted(found)]
    return Registry(releases, _experiments(home, lost), damaged, lost)


def _being_staged(home: Home) -> str | None:
    """The release whose writer died before it was registered; the next writer deletes its files."""
    try:
        return str(json.loads((home.published / STAGING_NOTE).read_text(encoding="utf-8"))["release"])
    except (OSError, ValueError, KeyError):
        return None


def _entry_of_file(home: Home, release: str) -> Entry | None:
    """What a release's own file says, and the events that follow from it: it is there, and perhaps live."""
    rows = read_from_release(home, release, lambda con: records(con.execute("FROM release")))
    if rows is None or len(rows) != 1:
        return None
    (entry,) = rows
    path, who = home.release_file(release), acting_user()
    entry |= {name: json.loads(entry[name]) for name in ("parameters", "row_counts")}
    entry |= {"bytes": path.stat().st_size, "sha256": file_sha256(path), "failed_checks": None, "blocked": None}
    entry["events"] = [{"event": "staged", "at": entry["created_at"], "who": who, "why": FOUND}]
    if live_release(home) == release:
        blocked = any(result.blocks for result in read_from_release(home, release, published_results) or [])
        event = "forced" if blocked else "promoted"
        why = "found live by marquee rebuild; since when and why is not known"
        entry["events"].append({"event": event, "at": utc_now(), "who": who, "why": why})
    return entry


def _completed(home: Home, entry: Entry) -> Entry:
    """Add what the record for readers leaves out, or did in older versions: hash, parameters and checks."""
    release = entry["release"]
    try:
        manifest = read_manifest(home.pack_folder(release))
    except PackError:
        manifest = {}
    known = {name: entry.get(name) or manifest.get(name) for name in ("content_hash", "parameters")}
    return {**entry, **known, "results": _judged(entry, read_from_release(home, release, published_results))}


def _judged(entry: Entry, results: list[CheckResult] | None) -> list[CheckResult]:
    """Results as they were recorded last: checks may have been repeated since the file was written."""
    failed = entry["failed_checks"]
    if failed is None:
        return results or []
    severity: Literal["error", "warn"] = "error" if entry["blocked"] else "warn"
    text = f"{REGISTRY_MIRROR} says that it {{}} when it was looked at last; the figures are lost. "

    def judged(result: CheckResult) -> CheckResult:
        passed = result.check_name not in failed
        if result.passed == passed:
            return result
        said = text.format("passed" if passed else "failed") + result.description
        return replace(result, passed=passed, severity=severity, value=None, description=said)

    named = {result.check_name for result in results or []}
    only_named = [
        CheckResult(name, "published/staged_release", False, severity, None, None, text.format("failed"))
        for name in failed
        if name not in named
    ]
    return [*map(judged, results or []), *only_named]


def _experiments(home: Home, lost: list[str]) -> list[Entry]:
    try:
        found = list_experiments(home)
    except (OSError, ValueError, KeyError):
        found = []
    if not found and home.exposure.exists():
        lost.append(f"the experiments: {RECORD} is gone or cannot be read, so the one that runs ends")
    return found


def write_registry(con: duckdb.DuckDBPyConnection, registry: Registry) -> None:
    """Enter releases with their events and checks, and experiments; inside the caller's transaction."""
    for entry in registry.releases:
        row = {**entry, **{name: json.dumps(entry[name] or {}) for name in ("parameters", "row_counts")}}
        insert_row(con, "ops.releases", {name: row[name] for name in columns_of("ops.releases")})
        for event in entry["events"]:
            happened = {"release": entry["release"], "happened_at": event["at"]}
            insert_row(con, "ops.release_events", happened | {name: event[name] for name in ("event", "who", "why")})
        record_results(con, entry["release"], entry["results"])
    for entry in registry.experiments:
        insert_row(con, "ops.experiments", {name: entry[name] for name in columns_of("ops.experiments")})
        for event in entry["events"]:
            happened = {
                "experiment": entry["experiment"],
                "happened_at": event["at"],
                "found": json.dumps(event["found"]),
            }
            insert_row(con, "ops.experiment_events", happened | {name: event[name] for name in ("event", "who", "why")})
