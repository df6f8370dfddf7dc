"""The record of what the raw tables hold, beside the imports: the source, and the files of ratings in order of ingest.

Belongs here: writing and reading `sources/inputs.jsonl`, from which the tables can be made again. The tables are the
truth: a record that differs from them, after a writer died, is brought in line by the next one. Does not belong here:
making them again (`warehouse.rebuilding`).
"""

import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from warehouse.files import flush_to_disk, write_text
from warehouse.home import Home

RECORD = "inputs.jsonl"


class Input(NamedTuple):
    """An import that the raw tables hold.

    Attributes
    ----------
    fingerprint : str
        Its folder in `sources/`.
    name : str
        Of a file of ratings; of the source, what the user named.
    sha256 : str
        Of a file of ratings as it came in; empty for the source.
    at : datetime
        When it was loaded or ingested, UTC without a zone.
    """

    fingerprint: str
    name: str
    sha256: str
    at: datetime


def inputs_in(con: duckdb.DuckDBPyConnection) -> list[Input]:
    """What the tables hold: the source first, then files of ratings in the order of their ingest; empty without one."""
    source = con.execute("SELECT fingerprint, origin, '', loaded_at FROM ops.source").fetchall()
    files = con.execute(
        "SELECT fingerprint, name, sha256, ingested_at FROM raw.rating_files ORDER BY ingested_at, fingerprint"
    ).fetchall()
    return [Input(*row) for row in source + files]


def record_inputs(con: duckdb.DuckDBPyConnection, home: Home) -> bool:
    """Bring the record in line with the tables; False if it was. What was ingested since is appended, a line each."""
    path = home.sources / RECORD
    lines = (json.dumps(item._replace(at=item.at.isoformat())._asdict()) for item in inputs_in(con))  # type: ignore[arg-type]
    wanted = "".join(f"{line}\n" for line in lines)
    held = path.read_text(encoding="utf-8") if path.exists() else ""
    if held == wanted:
        return False
    if held and wanted.startswith(held):  # also if a writer died in the middle of a line
        _append(path, wanted[len(held) :])
    else:
        write_text(path, wanted)
    return True


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    flush_to_disk(path)


def recorded_inputs(home: Home) -> list[Input]:
    """Read the record; empty if there is none, or none that can be understood. A line cut short is not read."""
    try:
        text = (home.sources / RECORD).read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [Input(**{**line, "at": datetime.fromisoformat(line["at"])}) for line in lines]
    except (OSError, ValueError, TypeError, KeyError):
        return []
