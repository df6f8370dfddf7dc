"""The release registry: what was built from what, and what happened to it since, when, by whom and why.

Belongs here: the tables ops.releases and ops.release_events, and their copy for readers. The symlink
`published/current.duckdb` decides what is live; the registry tells how it came to be. Does not belong here: what
changes a release (`staging`, `promotion`, `retirement` and `repair` beside this module), or what is checked (`checks`).
"""

import getpass
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from recommender.errors import MarqueeError
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.files import file_sha256, write_json
from warehouse.home import Home
from warehouse.queries import insert_row, records, utc_now
from warehouse.tables.check_results import CheckResult, Conditions, record_results, recorded_results

STAGING_NOTE = "staging.json"
"""Names the release being staged, from before its first file until it is registered; `repair` reads it."""

REGISTRY_MIRROR = "releases.json"
"""Copy of the registry beside the releases, for readers; the working database is not theirs to open."""


class ReleaseError(MarqueeError):
    """A release cannot be staged, promoted, rolled back or found; the message names it and says what to do."""


def acting_user() -> str:
    """Who acts, for the record: account and machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def live_release(home: Home, link: Path | None = None) -> str | None:
    """Name of the release the link (default: current.duckdb) points to, or None."""
    link = link or home.current
    return link.readlink().name.removesuffix(".duckdb") if link.is_symlink() else None


def register(
    warehouse: Warehouse,
    lineage: Mapping[str, Any],
    row_counts: Mapping[str, int],
    results: list[CheckResult],
    conditions: Conditions,
) -> None:
    """Record a staged release and the results of its checks in one transaction."""
    release, path = lineage["release"], warehouse.home.release_file(lineage["release"])
    with warehouse.transaction() as con:
        con.execute("DELETE FROM ops.releases WHERE release = ?", [release])
        insert_row(
            con,
            "ops.releases",
            {
                **lineage,
                "parameters": json.dumps(lineage["parameters"]),
                "row_counts": json.dumps(row_counts),
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
            },
        )
        record_results(con, release, results, conditions)
        insert_event(con, release, "staged", acting_user(), "all tables up to date, files complete")
        step("release_registering")
    step("release_registered")
    mirror_registry(warehouse)
    step("mirror_written")


def insert_event(con: duckdb.DuckDBPyConnection, release: str, event: str, who: str, why: str) -> None:
    """Record what happened to a release, inside the caller's transaction."""
    con.execute("INSERT INTO ops.release_events VALUES (?, ?, ?, ?, ?)", [release, event, utc_now(), who, why])


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


def deciding_event(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The event that explains the state of a release of `list_releases`; what came later changed nothing about it."""
    events = entry["events"]
    explaining = {"live": {"promoted", "forced", "restored"}, "challenger": {"challenger"}}.get(entry["state"], set())
    return next((event for event in reversed(events) if event["event"] in explaining), events[-1])


def mirror_registry(warehouse: Warehouse) -> None:
    """Copy the registry to `published/releases.json`, for readers who must not open the working database."""
    con = warehouse.con
    entries = records(con.execute("SELECT * FROM ops.releases ORDER BY release"))
    for entry in entries:
        for name in ("row_counts", "parameters"):
            entry[name] = json.loads(entry[name])
        entry["events"] = records(
            con.execute(
                "SELECT event, happened_at AS at, who, why FROM ops.release_events WHERE release = ? ORDER BY 2",
                [entry["release"]],
            )
        )
        results = recorded_results(con, entry["release"])
        entry["failed_checks"] = [result.check_name for result in results if not result.passed]
        entry["blocked"] = any(result.blocks for result in results)
    write_json(warehouse.home.published / REGISTRY_MIRROR, {"releases": entries})


def mirrored_registry(home: Home) -> list[dict[str, Any]]:
    """The entries of `published/releases.json`, the oldest first; none if there is no such file.

    Raises
    ------
    ReleaseError
        If it is damaged.
    """
    path = home.published / REGISTRY_MIRROR
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["releases"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{path} cannot be read ({error}); the next writer writes it anew: marquee refresh"
        ) from None


def list_releases(home: Home) -> list[dict[str, Any]]:
    """All releases ever staged, newest first, each with its state and, if there is one, the path of its report.

    Read from the mirror; never waits for a writer.

    Raises
    ------
    ReleaseError
        If the mirror is damaged.
    """
    entries = mirrored_registry(home)
    for entry in entries:
        entry["state"] = release_state(home, entry["release"], [e["event"] for e in entry["events"]], entry["blocked"])
        report = home.report_file(entry["release"])
        entry["report"] = str(report) if report.exists() else None
    return sorted(entries, key=lambda entry: entry["release"], reverse=True)
