"""The request log: which recommendations were asked for and given, as Parquet files in `<home>/requests/`.

Belongs here: the schema and the writing of the files. Does not belong here: loading them into DuckDB (an asset does),
or anything that names a person: no address and no client's key is ever written, only a hash that tells clients apart.

Rows are gathered in memory and written as a whole file under a temporary name, which then gets its own name: whoever
lists ``*.parquet`` sees complete files only. A file has at most `log_rows` rows; a process that dies loses at most what
it gathered in the last `log_seconds`. If nobody takes the files away, writing stops at `log_bytes`.
"""

import logging
import os
import queue
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from serving.metrics import LOGGED
from warehouse.files import TEMPORARY, appear
from warehouse.home import Home
from warehouse.schemas.definitions import arrow_schema

TABLE = "ops.served_requests"
"""Where the files are loaded to; their columns are those of its model."""


CHUNK = 256
"""Rows that are turned into columns at once: that takes a millisecond, in which the process gives no answer."""

WARNING_SECONDS = 60.0
"""Pause between two warnings about dropped rows."""

logger = logging.getLogger("marquee.serving")


class LoggedRequest(NamedTuple):
    """One row of the log, in the order of the table's columns."""

    requested_at: datetime
    endpoint: str
    status: int
    release: str
    model_version: str
    deployment: str
    variant: str
    engine: str
    num: int
    known_ids: list[int]
    unknown_ids: list[int]
    recommended_ids: list[int]
    latency_ms: float
    cached: bool
    answer_id: str | None
    client: str | None
    experiment: str | None = None


def log_folder(home: Home) -> Path:
    """Folder of the log files."""
    return home.requests


class RequestLog:
    """Gathers rows and writes them in files, on a thread of its own.

    Parameters
    ----------
    home : Home
    rows : int
        Rows of a file at most.
    seconds : float
        Age at which what was gathered is written, however little.
    most_bytes : int
        Bytes of files in the folder at which rows are dropped instead.
    """

    def __init__(self, home: Home, rows: int, seconds: float, most_bytes: int) -> None:
        self.folder, self.rows, self.seconds, self.most_bytes = log_folder(home), rows, seconds, most_bytes
        self._schema = arrow_schema(TABLE)
        self._gathered: list[LoggedRequest] = []
        self._unwritten = 0
        self._since = 0.0
        self._written = self._dropped = 0
        self._next_warning = 0.0
        self._queue: queue.Queue[tuple[list[LoggedRequest], bool] | None] = queue.Queue(maxsize=256)
        self._thread = threading.Thread(target=self._write_all, name="request-log", daemon=True)
        self._thread.start()

    def append(self, row: LoggedRequest) -> None:
        """Take a row; costs a list append. Not for use from several threads."""
        if not self._unwritten:
            self._since = time.monotonic()
        self._gathered.append(row)
        self._unwritten += 1
        full = self._unwritten >= self.rows
        if full or len(self._gathered) >= CHUNK:
            self._hand_over(full)

    def flush_if_old(self) -> None:
        """Have written what is older than `seconds`."""
        if self._unwritten and time.monotonic() - self._since >= self.seconds:
            self._hand_over(True)

    def _hand_over(self, write: bool) -> None:
        """Give rows to the writing thread, and have a file written; drop rows if the disk cannot keep up."""
        rows, self._gathered = self._gathered, []
        if write:
            self._unwritten = 0
        try:
            self._queue.put_nowait((rows, write))
        except queue.Full:
            self._drop(len(rows), "the disk does not keep up")

    def close(self) -> None:
        """Write what was gathered and stop."""
        if self._unwritten:
            self._hand_over(True)
        self._queue.put(None)
        self._thread.join()

    def _write_all(self) -> None:
        parts: list[pa.RecordBatch] = []
        while (given := self._queue.get()) is not None:
            rows, write = given
            if rows:
                parts.append(as_columns(rows, self._schema))
            if write:
                self._write(parts)
                parts = []

    def _write(self, parts: list[pa.RecordBatch]) -> None:
        """Write a file, or drop its rows and say why."""
        table = pa.Table.from_batches(parts, self._schema)
        try:
            problem = self._write_file(table)
        except OSError as error:  # a full disk or a deleted home must not stop answers
            problem = str(error)
        if problem:
            self._drop(len(table), problem)
        else:
            LOGGED.labels("written").inc(len(table))

    def _drop(self, rows: int, problem: str) -> None:
        """Count dropped rows, and log them once a minute at most."""
        LOGGED.labels("dropped").inc(rows)
        self._dropped += rows
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + WARNING_SECONDS
            logger.warning("request log: %d rows dropped since the service started: %s", self._dropped, problem)

    def _write_file(self, table: pa.Table) -> str:
        """Write one file; say why not if the folder holds too much already."""
        self.folder.mkdir(exist_ok=True)  # without its parents: a home that was deleted is not made again
        if sum(path.stat().st_size for path in self.folder.glob("*.parquet")) >= self.most_bytes:
            return (
                f"{self.folder} holds {self.most_bytes:,} bytes that nobody has loaded; materialize ops/served_requests"
            )
        self._written += 1
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{os.getpid()}-{self._written:06d}.parquet"
        temporary = self.folder / f"{TEMPORARY}{name}"
        pq.write_table(table, temporary, compression="zstd")
        appear(temporary, self.folder / name)
        return ""


def as_columns(rows: list[LoggedRequest], schema: pa.Schema) -> pa.RecordBatch:
    """Turn rows into columns of the log's schema."""
    columns: list[Any] = [
        pa.array(column, type=field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
