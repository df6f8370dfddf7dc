"""Versions: what a table was made from, so that a step with nothing to do can tell.

Belongs here: hashing of inputs, the record of table versions, version names. Does not belong here: deciding what a
table depends on; the step that makes it says so.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb

from warehouse.files import bytes_sha256
from warehouse.queries import utc_now


def digest(*parts: Any) -> str:
    """Hash values of JSON types, sorted by key, to 64 hex characters (SHA-256)."""
    return bytes_sha256(json.dumps(parts, sort_keys=True, default=str).encode())


def version_name(content_hash: str, now: datetime | None = None) -> str:
    """Name a model version or release: ``YYYYMMDDTHHMMSSZ-<8 hex>``, UTC, sortable by time."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{content_hash[:8]}"


def table_version(con: duckdb.DuckDBPyConnection, table: str) -> str | None:
    """Version of a table as recorded, or None if it was never loaded."""
    row = con.execute("SELECT version FROM ops.table_versions WHERE table_name = $name", {"name": table}).fetchone()
    return None if row is None else row[0]


def table_notes(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, Any]:
    """What was noted with the version of a table; empty if nothing was."""
    row = con.execute("SELECT notes FROM ops.table_versions WHERE table_name = $name", {"name": table}).fetchone()
    return json.loads(row[0]) if row and row[0] else {}


def set_table_version(
    con: duckdb.DuckDBPyConnection, table: str, version: str, rows: int, notes: Mapping[str, Any] | None = None
) -> None:
    """Record the version of a table; call it inside the transaction that changed the table."""
    con.execute("DELETE FROM ops.table_versions WHERE table_name = $name", {"name": table})
    con.execute(
        "INSERT INTO ops.table_versions VALUES ($name, $version, $rows, $at, $notes)",
        {
            "name": table,
            "version": version,
            "rows": rows,
            "at": utc_now(),
            "notes": json.dumps(dict(notes or {}), sort_keys=True),
        },
    )
