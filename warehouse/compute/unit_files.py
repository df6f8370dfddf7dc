"""Finished units as files: one Parquet file each, and beside it a record with its sha256.

Belongs here: writing them so that they are there complete or not at all, and reading back what can be trusted. Does not
belong here: computing (`units`), which units a run needs and what becomes of their rows (`warehouse.recommending`).

The record appears last: without it a unit is not finished. Nothing is flushed to disk; a file that a power cut has
damaged has another sha256, and its unit is computed again.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recommender.errors import MarqueeError
from warehouse.code import code_version
from warehouse.compute.units import SCHEMAS, Unit, WorkPack, rows_of_unit, shards_of_rows
from warehouse.faults import step
from warehouse.files import bytes_sha256, replace_content


class UnitFileError(MarqueeError):
    """A finished unit cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Record:
    """What is recorded of a finished unit.

    Attributes
    ----------
    unit : str
    version : str
        Of the pack that it was computed from.
    code : str
        `code_version` of the process that computed it.
    sha256 : str
        Of the Parquet file.
    rows : int
    seconds : float
        That it took.
    facts : dict of str to int
        Counts for the metadata of the step.
    """

    unit: str
    version: str
    code: str
    sha256: str
    rows: int
    seconds: float
    facts: dict[str, int]


@dataclass(frozen=True)
class FinishedUnit:
    """A computed unit: its Parquet file as bytes, and its record."""

    content: bytes
    record: Record


def finish(pack: WorkPack, unit: Unit) -> FinishedUnit:
    """Compute a unit, and make of its rows what is written."""
    started = time.perf_counter()
    rows, facts = rows_of_unit(pack, unit)
    sink = pa.BufferOutputStream()
    # Written once and read once, on the same machine or through its network: compressing more would cost more.
    pq.write_table(rows, sink, compression="lz4", use_dictionary=False, write_statistics=False)
    content = sink.getvalue().to_pybytes()
    seconds = round(time.perf_counter() - started, 3)
    version = str(pack.manifest["version"])
    record = Record(unit.name, version, code_version(), bytes_sha256(content), len(rows), seconds, facts)
    return FinishedUnit(content, record)


def unit_paths(folder: Path, unit: Unit) -> tuple[Path, Path]:
    """The Parquet file of a unit, and its record."""
    return folder / f"{unit.name}.parquet", folder / f"{unit.name}.json"


def write_unit(folder: Path, unit: Unit, finished: FinishedUnit) -> None:
    """Write a finished unit into a folder; it is there when its record is."""
    path, record = unit_paths(folder, unit)
    record.unlink(missing_ok=True)
    replace_content(path, finished.content)
    step("unit_written")
    replace_content(record, (json.dumps(asdict(finished.record), indent=2) + "\n").encode())
    step("unit_finished")


def is_finished(folder: Path, unit: Unit) -> bool:
    """Whether a unit is said to be finished; `read_unit` says whether that is so."""
    return unit_paths(folder, unit)[1].exists()


def read_unit(folder: Path, unit: Unit, version: str) -> tuple[pa.Table, Record]:
    """Read a finished unit, if it is whole and what it should be.

    Parameters
    ----------
    folder : Path
    unit : Unit
    version : str
        Of the pack that it must have been computed from.

    Raises
    ------
    UnitFileError
        If a file is missing, truncated or altered, or of another unit, pack or code.
    """
    path, record_path = unit_paths(folder, unit)
    try:
        record = Record(**json.loads(record_path.read_text(encoding="utf-8")))
        content = path.read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise UnitFileError(f"{record_path} or {path.name} beside it cannot be read ({error})") from None
    expected = {"unit": unit.name, "version": version, "code": code_version(), "sha256": bytes_sha256(content)}
    for name, value in expected.items():
        if getattr(record, name) != value:
            raise UnitFileError(f"{path} is not what its record says: {name} {getattr(record, name)}, not {value}")
    rows = pq.read_table(pa.BufferReader(content))
    if rows.schema != SCHEMAS[unit.table] or len(rows) != record.rows:
        raise UnitFileError(f"{path} has {len(rows)} rows of {rows.schema.names}, its record says {record.rows}")
    if not np.isin(shards_of_rows(unit.table, rows), unit.shards).all():
        raise UnitFileError(f"{path} has rows that are not of {unit.name}")
    return rows, record


def added_up(records: list[Record]) -> Mapping[str, Any]:
    """Facts of several units together, and the seconds that they took one by one: counts are added, of what is called
    most the largest counts."""
    found: dict[str, Any] = {"unit_seconds": round(sum(record.seconds for record in records), 3)}
    for record in records:
        for name, value in record.facts.items():
            before = found.get(name, 0)
            found[name] = max(before, value) if name.startswith("most_") else before + value
    return found
