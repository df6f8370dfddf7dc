"""Where a release comes from: release, model, source, files with their sha256, read from what lies beside it.

Belongs here: gathering the account that `/release` gives. Does not belong here: checking it, or writing any of it.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from recommender.errors import MarqueeError
from warehouse.home import Home
from warehouse.ingest.import_manifest import ManifestError, read_account
from warehouse.queries import records


def release_row(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Read the one row of the table `release`, JSON columns parsed, times as ISO 8601 text in UTC."""
    (row,) = records(con.execute("SELECT * FROM release"))
    for name in ("parameters", "row_counts"):
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    return {name: utc_text(value) if isinstance(value, datetime) else value for name, value in row.items()}


def utc_text(moment: datetime) -> str:
    """Write a naive UTC time as ISO 8601."""
    return moment.isoformat(timespec="seconds") + "Z"


def check_rows(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Read the results of the release's checks."""
    return records(con.execute("SELECT * FROM checks ORDER BY asset, check_name"))


def describe_model(folder: Path) -> dict[str, Any]:
    """Account of a model version: what its manifest says, without what the release says already."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (MarqueeError, OSError, ValueError) as error:
        return {"model_version": folder.name, "files": {}, "note": f"the manifest cannot be read: {error}"}
    left_out = {"parameters", "content_hash"}
    return {name: value for name, value in manifest.items() if name not in left_out}


def describe_source(home: Home, fingerprint: str) -> dict[str, Any]:
    """Account of a source: origin, time of import, and every file with size, rows and sha256."""
    try:
        manifest = read_account(home.source_folder(fingerprint))
    except ManifestError as error:
        return {"fingerprint": fingerprint, "files": [], "note": f"the import is gone: {error}"}
    files = [
        {"name": file.name, "bytes": file.bytes, "sha256": file.sha256, "rows": file.data_rows}
        for file in manifest.files
    ]
    account = {"fingerprint": fingerprint, "origin": manifest.origin, "imported_at": manifest.imported_at}
    if manifest.archive_sha256:
        account["archive_sha256"] = manifest.archive_sha256
    return {**account, "files": files}
