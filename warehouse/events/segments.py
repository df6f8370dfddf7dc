"""Sealing: what is in the journal becomes a file of events, and its ratings a file in landing/, each exactly once.

Belongs here: the steps, and what is left when a process dies between two of them. Does not belong here: loading the
files (`warehouse.tables.events`), ingesting the ratings.

A seal notes its range first. Files appear whole, under names that depend on the range alone; then the segment is marked
as sealed, and the journal is trimmed. Whoever seals next finishes what another one began, with the same range.
"""

import fcntl
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warehouse.events.database import named_ranges, range_name
from warehouse.events.event import REMEMBER_DAYS
from warehouse.events.journal import COLUMNS, LAST_SEALED, MOST_ROWS, Journal, Segment, micros
from warehouse.faults import step
from warehouse.files import TEMPORARY, appear, bytes_sha256, file_sha256
from warehouse.ingest.landing import INGESTED, REFUSED
from warehouse.queries import utc_now
from warehouse.schemas.definitions import arrow_schema

SEAL_SECONDS = 60.0
"""Age of the oldest event at which a segment is sealed, however few there are; at `MOST_ROWS` events at once."""

KEEP_DAYS = 30
"""Days a segment stays in the folder once it is loaded."""

LOCK_FILE = "seal.lock"
_TRIMMED = 5_000
"""Rows deleted in one transaction: writers do not wait long for it."""

_SLICES = 4096
_DAY = 86_400_000_000
_LANDING = pa.schema(
    [("userId", pa.int32()), ("movieId", pa.int32()), ("rating", pa.float32()), ("timestamp", pa.timestamp("us"))]
)


def seal(journal: Journal, landing: Path | None, seconds: float = SEAL_SECONDS) -> list[Segment]:
    """Seal what has waited long enough or is enough for a segment, unless another process is doing so.

    Parameters
    ----------
    journal : Journal
    landing : Path, optional
        Folder for the files of ratings; None: none are made.
    seconds : float
        Age of the oldest event.

    Returns
    -------
    list of Segment
        Those sealed now.
    """
    done: list[Segment] = []
    while _is_due(journal, seconds):
        with sealing(journal.folder) as mine:
            if not mine:
                break
            if _is_due(journal, seconds):  # still
                done.append(_seal_one(journal, landing))
                _forget(journal)
    return done


def _is_due(journal: Journal, seconds: float) -> bool:
    waiting = journal.unsealed()
    if waiting.since is None:
        return False
    return waiting.events >= MOST_ROWS or utc_now() - waiting.since >= timedelta(seconds=seconds)


@contextmanager
def sealing(folder: Path) -> Iterator[bool]:
    """Hold the lock of the one that seals and sends, if nobody has it."""
    with (folder / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _seal_one(journal: Journal, landing: Path | None) -> Segment:
    first, last = _begun(journal)
    with journal.database.reading() as con:
        assert con is not None
        query = f"SELECT {COLUMNS} FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq"
        rows = con.execute(query, (first, last)).fetchall()
    table = _events_table(rows)
    path = journal.folder / range_name(first, last)
    content = _parquet(table)
    _put(content, path)
    step("segment_appeared")
    ratings = _ratings_table(table)
    landed = None
    if landing is not None and ratings.num_rows:
        file = _parquet(ratings)
        landed = bytes_sha256(file)
        if not _has_landed(landing, f"events-{path.name}", landed):
            _put(file, landing / f"events-{path.name}")
    step("ratings_landed")
    with journal.database.writing() as con:
        con.execute(
            "UPDATE segments SET ratings = ?, file_sha256 = ?, landing_sha256 = ?, sealed_at = ? WHERE last_seq = ?",
            (ratings.num_rows, bytes_sha256(content), landed, micros(utc_now()), last),
        )
    step("segment_sealed")
    _trim(journal)
    return Segment(first, last, len(rows), ratings.num_rows, landed, path)


def _begun(journal: Journal) -> tuple[int, int]:
    """The range of the seal that was begun, else a new one, which is noted."""
    with journal.database.writing() as con:
        found = con.execute("SELECT first_seq, last_seq FROM segments WHERE sealed_at IS NULL").fetchone()
        if found is None:
            query = f"SELECT seq FROM events WHERE seq > {LAST_SEALED} ORDER BY seq LIMIT {MOST_ROWS}"
            found = con.execute(f"SELECT min(seq), max(seq) FROM ({query})").fetchone()
            con.execute(
                "INSERT INTO segments (first_seq, last_seq, events, ratings) VALUES (?, ?, ?, 0)",
                (*found, found[1] - found[0] + 1),
            )
    step("seal_begun")
    return int(found[0]), int(found[1])


def _events_table(rows: list[tuple[Any, ...]]) -> pa.Table:
    schema = arrow_schema("ops.events")
    whole = {field.name: pa.int64() if pa.types.is_timestamp(field.type) else field.type for field in schema}
    names = COLUMNS.split(", ")
    columns = {
        name: pa.array(column, type=whole[name]).cast(schema.field(name).type)
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    return pa.table([columns[field.name] for field in schema], schema=schema)


def _ratings_table(events: pa.Table) -> pa.Table:
    """The ratings as a file that ingest takes, in MovieLens' columns."""
    ratings = events.filter(pc.equal(events["type"], "rating"))
    return (
        ratings.select(["user_id", "movie_id", "rating", "happened_at"]).rename_columns(_LANDING.names).cast(_LANDING)
    )


def _parquet(table: pa.Table) -> bytes:
    file = BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _put(content: bytes, path: Path) -> None:
    """Have a file appear whole; its folder is made, but not the home."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    temporary.write_bytes(content)
    appear(temporary, path)


def _has_landed(landing: Path, name: str, sha256: str) -> bool:
    """Whether this very file is in the landing folder, or was taken from there."""
    places = (landing / name, landing / INGESTED / name, landing / REFUSED / name)
    return any(path.exists() and file_sha256(path) == sha256 for path in places)


def _trim(journal: Journal) -> None:
    """Delete sealed events from the journal, some at a time."""
    while True:
        with journal.database.writing() as con:
            query = f"SELECT seq FROM events WHERE seq <= {LAST_SEALED} ORDER BY seq LIMIT {_TRIMMED}"
            deleted = con.execute(f"DELETE FROM events WHERE seq IN ({query})").rowcount
        step("segment_trimmed")
        if deleted < _TRIMMED:
            return


def _forget(journal: Journal) -> None:
    """Forget old ids, those of one slice in 4,096 at a time: at a seal a minute all have been looked at in three days.

    An id is kept a day longer, because a day is counted by its date. Messages of streams that were no events go after
    the same time.
    """
    number = int(time.time() // 60) % _SLICES
    low = (16 * number).to_bytes(2, "big")
    high = (16 * number + 15).to_bytes(2, "big") + b"\xff" * 15  # longer than an id that begins so
    oldest = micros(utc_now()) // _DAY - REMEMBER_DAYS - 1
    with journal.database.writing() as con:
        con.execute("DELETE FROM known WHERE id >= ? AND id < ? AND day < ?", (low, high, oldest))
        first = f"SELECT rowid AS number, refused_at FROM refused ORDER BY rowid LIMIT {_TRIMMED}"
        con.execute(
            f"DELETE FROM refused WHERE rowid IN (SELECT number FROM ({first}) WHERE refused_at < ?)", (oldest * _DAY,)
        )


def retire(journal: Journal, loaded: Collection[str]) -> list[str]:
    """Delete files of segments that are loaded and older than `KEEP_DAYS`; return their names."""
    oldest = time.time() - timedelta(days=KEEP_DAYS).total_seconds()
    names = {range_name(*numbers): numbers[1] for numbers in named_ranges(journal.folder)}
    old = [name for name in names if name in loaded and (journal.folder / name).stat().st_mtime < oldest]
    if old:
        with journal.database.writing() as con:
            con.executemany("DELETE FROM segments WHERE last_seq = ?", [(names[name],) for name in old])
    for name in old:
        (journal.folder / name).unlink()
    return old
