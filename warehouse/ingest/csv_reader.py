"""From a MovieLens CSV file to typed rows, each with the number of the physical line it came from.

Belongs here: lines, encodings, quotes, columns, and the text of numbers: everything that can be said of one line alone.
Does not belong here: what the values mean (rules, duplicates, unknown films), which is `warehouse.ingest.importer`.

There are two readers with one result, and each chunk of a file takes the first that can read it. `_read_plain` hands
the chunk to polars and returns rows only if every line of it is beyond doubt: that is the rule for the large files as
GroupLens writes them. `_stage_odd` goes line by line and turns away the lines it cannot read, with a reason. A line
break always ends a row, also within quotes: a quote that is never closed then costs one line and not the rest.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from warehouse.errors import SourceError

CHUNK_BYTES = 32 << 20
LONGEST_LINE = 100_000
"""Characters; a longer line is no row of any of these files but a file without line ends."""
EARLIEST_SECOND, LATEST_SECOND = -62_135_596_800, 253_402_300_799
"""Epoch seconds of the years 1 to 9999: what is outside cannot be written as a TIMESTAMP."""


@dataclass(frozen=True)
class Column:
    """One column: its name in the file, its name in our tables, and how its text is read."""

    name: str
    ours: str
    kind: Literal["integer", "real", "seconds", "micros", "text"]


LAYOUTS: dict[str, tuple[Column, ...]] = {
    "movies": (
        Column("movieId", "movie_id", "integer"),
        Column("title", "title", "text"),
        Column("genres", "genres", "text"),
    ),
    "ratings": (
        Column("userId", "user_id", "integer"),
        Column("movieId", "movie_id", "integer"),
        Column("rating", "rating", "real"),
        Column("timestamp", "rated_at", "seconds"),
    ),
    "tags": (
        Column("userId", "user_id", "integer"),
        Column("movieId", "movie_id", "integer"),
        Column("tag", "tag", "text"),
        Column("timestamp", "tagged_at", "seconds"),
    ),
    "genome_tags": (Column("tagId", "tag_id", "integer"), Column("tag", "tag", "text")),
    "genome_scores": (
        Column("movieId", "movie_id", "integer"),
        Column("tagId", "tag_id", "integer"),
        Column("relevance", "relevance", "real"),
    ),
}
"""Columns of each file by table, in MovieLens' order; files may have them in any order, and others besides."""


@dataclass(frozen=True)
class Staged:
    """What is known of staged rows.

    Attributes
    ----------
    ascending : bool
        Whether the key grows from row to row, as in MovieLens' files; then no key is there twice. False if unknown.
    notes : tuple of str
        Remarks on the file as a whole.
    """

    ascending: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CsvFile:
    """A CSV file whose header has been read.

    Attributes
    ----------
    path : Path
    table : str
        Key of `LAYOUTS`.
    header : tuple of str
        Column names as in the file.
    data_offset : int
        Byte at which the second line starts.
    sha256 : str
    bytes : int
    data_rows : int
        Physical lines after the header.
    ends_with_newline : bool
    per_unit : int
        Microseconds in one unit of the file's times.
    """

    path: Path
    table: str
    header: tuple[str, ...]
    data_offset: int
    sha256: str
    bytes: int
    data_rows: int
    ends_with_newline: bool

    per_unit: int = 1_000_000

    @property
    def layout(self) -> tuple[Column, ...]:
        """The columns wanted from this file."""
        return LAYOUTS[self.table]

    def stage(self, con: duckdb.DuckDBPyConnection, key: Sequence[str]) -> Staged:
        """Read the file into the temporary tables of `create_staging`; `key` is what `Staged.ascending` is about."""
        create_staging(con, self.layout)
        positions = [self.header.index(column.name) for column in self.layout]
        ascending, last, other_encoding = True, None, 0
        for lines, rows in _with_plain_rows(self):
            if rows is None:
                other_encoding += _stage_odd(con, self, lines, positions)
                ascending = False
                continue
            ascending = ascending and _is_ascending(rows, key, last)
            last = rows.select(key).row(-1)
            con.register("plain", rows.select("line", *(column.ours for column in self.layout)).to_arrow())
            con.execute("INSERT INTO staged FROM plain")
            con.unregister("plain")
        con.execute("DROP TABLE IF EXISTS record")
        note = f"{other_encoding} lines are not UTF-8 and were read as Windows-1252"
        return Staged(ascending, (note,) if other_encoding else ())

    def raw(self, con: duckdb.DuckDBPyConnection, numbers: np.ndarray) -> Iterator[tuple[np.ndarray, list[str]]]:
        """Text of some lines, as far as it can be shown, a chunk of the file at a time.

        Parameters
        ----------
        con : duckdb.DuckDBPyConnection
            Not needed here.
        numbers : int64 array
            Line numbers, ascending.

        Yields
        ------
        tuple of int64 array and list of str
            Line numbers and their text, without line ends.
        """
        for lines in _line_chunks(self):
            last = lines.first + lines.count
            wanted = numbers[np.searchsorted(numbers, lines.first) : np.searchsorted(numbers, last)]
            starts = lines.offsets[wanted - lines.first].tolist()
            ends = lines.offsets[wanted - lines.first + 1].tolist()
            yield wanted, [_decode(lines.data[s:e])[0].rstrip("\r\n") for s, e in zip(starts, ends, strict=True)]
            if last > numbers[-1]:
                return


def expected_header(table: str) -> str:
    """First line of a MovieLens file of this kind."""
    return ",".join(column.name for column in LAYOUTS[table])


def _header(path: Path, table: str) -> tuple[tuple[str, ...], int]:
    """Names in the first line, and where the second begins."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
    wanted = expected_header(table)
    if not first.strip():
        raise SourceError(f"{path}: the file is empty or begins with an empty line; its first line must be {wanted}")
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError(f"{path}: the file is UTF-16; save it as UTF-8, with the first line {wanted}")
    text = first.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    try:
        names = tuple(name.strip() for name in next(csv.reader([text]), []))
    except csv.Error:
        names = (text,)
    shown = text if len(text) <= 80 else text[:80] + "..."
    missing = [column.name for column in LAYOUTS[table] if column.name not in names]
    if missing and len(missing) == len(LAYOUTS[table]):
        raise SourceError(f"{path}: no header: the first line must be {wanted}, but it is {shown!r}")
    if missing:
        raise SourceError(
            f"{path}: column {', '.join(missing)} missing: the first line must be {wanted}, but it is {shown!r}"
        )
    twice = [column.name for column in LAYOUTS[table] if names.count(column.name) > 1]
    if twice:
        raise SourceError(f"{path}: column {', '.join(twice)} appears twice in the first line {shown!r}; remove one")
    return names, len(first)


def open_csv(path: Path, table: str) -> CsvFile:
    """Read a file's header, and its content once for hash and line count.

    Raises
    ------
    SourceError
        If the file is empty, cannot be read or lacks a column.
    """
    try:
        names, offset = _header(path, table)
        digest, size, newlines, last = hashlib.sha256(), 0, 0, b""
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
                newlines += _newlines(chunk)
                last = chunk[-1:]
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from None
    ends = last == b"\n"
    return CsvFile(path, table, names, offset, digest.hexdigest(), size, newlines - (1 if ends else 0), ends)


def _newlines(data: bytes) -> int:
    """Count line ends, a megabyte at a time: a fifth of the time of `bytes.count`."""
    values = np.frombuffer(data, np.uint8)
    return sum(int(np.count_nonzero(values[n : n + (1 << 20)] == ord("\n"))) for n in range(0, len(values), 1 << 20))


# -- lines -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lines:
    """Some whole lines of a file, the first of which has the number `first`."""

    first: int
    data: bytes

    @cached_property
    def count(self) -> int:
        """How many lines these are; the last may lack its end."""
        return _newlines(self.data) + (self.data[-1:] != b"\n")

    @cached_property
    def offsets(self) -> np.ndarray:
        """Line i is ``data[offsets[i]:offsets[i + 1]]``, line end included: int64 array, shape (count + 1,)."""
        ends = np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("\n")) + 1
        if self.data[-1:] != b"\n":
            ends = np.append(ends, len(self.data))
        return np.concatenate(([0], ends)).astype(np.int64)


def _line_chunks(file: CsvFile) -> Iterator[_Lines]:
    """Whole lines after the header, some 32 MB at a time."""
    line, rest = 2, b""
    with file.path.open("rb") as handle:
        handle.seek(file.data_offset)
        while True:
            block = handle.read(CHUNK_BYTES)
            data = rest + block
            cut = len(data) if not block else data.rfind(b"\n") + 1
            data, rest = data[:cut], data[cut:]
            if data:
                lines = _Lines(line, data)
                yield lines
                line += lines.count
            if not block:
                return


# -- the reader for lines beyond doubt ---------------------------------------------------------------------------------


def _read_plain(file: CsvFile, lines: _Lines) -> pl.DataFrame | None:
    """Read lines of numbers every one of which is beyond doubt.

    Returns
    -------
    DataFrame or None
        ``line`` and our columns; None if anything at all is unusual: other columns, quotes, a value missing, not
        finite or not a number, a time outside the calendar. `_stage_odd` then says what it is.
    """
    kinds = {"integer": pl.Int32, "real": pl.Float32, "seconds": pl.Int64}
    by_name = {column.name: column for column in file.layout}
    if set(file.header) != set(by_name) or any(column.kind == "text" for column in file.layout):
        return None
    # polars skips white space in front of numbers, which makes more numbers than there are.
    data = lines.data
    if any(space in data for space in (b" ", b"\t", b"\v", b"\f")):
        return None
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return None
    try:
        rows = pl.read_csv(
            lines.data,
            has_header=False,
            schema={by_name[name].ours: kinds[by_name[name].kind] for name in file.header},
            quote_char=None,
            row_index_name="line",
            row_index_offset=lines.first,
        )
    except (pl.exceptions.PolarsError, ValueError):
        return None
    return rows if rows.height == lines.count and _beyond_doubt(file, rows) else None


def _with_plain_rows(file: CsvFile) -> Iterator[tuple[_Lines, pl.DataFrame | None]]:
    """Chunks and what `_read_plain` makes of them, the next one while the caller works on this one."""
    with ThreadPoolExecutor(1) as pool:
        before: tuple[_Lines, Future[pl.DataFrame | None]] | None = None
        for lines in _line_chunks(file):
            ahead = lines, pool.submit(_read_plain, file, lines)
            if before is not None:
                yield before[0], before[1].result()
            before = ahead
        if before is not None:
            yield before[0], before[1].result()


def _beyond_doubt(file: CsvFile, rows: pl.DataFrame) -> bool:
    if any(rows[column.ours].null_count() for column in file.layout):
        return False
    for column in file.layout:
        values = rows[column.ours]
        if column.kind == "real" and not values.is_finite().all():
            return False
        if column.kind == "seconds" and not values.is_between(EARLIEST_SECOND, LATEST_SECOND).all():
            return False
    return True


def _is_ascending(rows: pl.DataFrame, key: Sequence[str], last: tuple[int, ...] | None) -> bool:
    """Whether a two-column key grows from row to row, starting after `last`."""
    if last is not None and rows.select(key).row(0) <= last:
        return False
    first, second = (rows[name].to_numpy() for name in key)
    return bool(np.all((first[1:] > first[:-1]) | ((first[1:] == first[:-1]) & (second[1:] > second[:-1]))))


# -- the reader for any file -------------------------------------------------------------------------------------------

_MACROS = r"""
CREATE OR REPLACE TEMP MACRO csv_is_well_formed(raw) AS
    NOT contains(raw, '"') OR regexp_full_match(',' || raw, '(?:,(?:"(?:[^"]|"")*"|[^",][^,]*|))+');
CREATE OR REPLACE TEMP MACRO csv_fields(raw) AS CASE
    WHEN NOT contains(raw, '"') THEN string_split(raw, ',')
    -- Every match begins with a comma, so that empty fields match something.
    ELSE list_transform(
        regexp_extract_all(',' || raw, ',("(?:[^"]|"")*"|[^",][^,]*|)', 1),
        lambda field: CASE
            WHEN field[1] = '"' THEN replace(substr(field, 2, length(field) - 2), '""', '"') ELSE field END) END;
-- DuckDB's casts take 3.7, 0x3 and 1_000 for integers; a file that has those is damaged.
CREATE OR REPLACE TEMP MACRO is_integer(field) AS regexp_full_match(trim(field), '[+-]?[0-9]+');
CREATE OR REPLACE TEMP MACRO to_integer(field) AS
    CASE WHEN is_integer(field) THEN TRY_CAST(trim(field) AS INTEGER) END;
CREATE OR REPLACE TEMP MACRO is_beyond_integer(field) AS
    is_integer(field) AND TRY_CAST(trim(field) AS INTEGER) IS NULL;
CREATE OR REPLACE TEMP MACRO to_finite(number) AS CASE WHEN isfinite(number) THEN number END;
CREATE OR REPLACE TEMP MACRO to_real(field) AS CASE
    WHEN regexp_full_match(trim(field), '[+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?')
    THEN to_finite(TRY_CAST(trim(field) AS FLOAT)) END;
CREATE OR REPLACE TEMP MACRO to_seconds(field) AS CASE
    WHEN is_integer(field) AND TRY_CAST(trim(field) AS BIGINT) BETWEEN {earliest} AND {latest}
    THEN TRY_CAST(trim(field) AS BIGINT) END;
CREATE OR REPLACE TEMP MACRO to_micros(field) AS CASE
    WHEN TRY_CAST(field AS BIGINT) BETWEEN {earliest}000000 AND {latest}000000 THEN TRY_CAST(field AS BIGINT) END;
"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _decode(line: bytes) -> tuple[str, Literal["utf-8", "cp1252"] | None]:
    """Text of one line and its encoding, None if it has none; the text then shows the bytes as escapes."""
    if b"\0" not in line:
        for encoding in ("utf-8", "cp1252"):
            try:
                return line.decode(encoding), encoding
            except UnicodeDecodeError:
                continue
    return line.decode("ascii", errors="backslashreplace").replace("\0", "\\x00"), None


def _as_text(lines: _Lines) -> tuple[pa.Array, list[str | None] | None]:
    """Text of lines; and their encodings, if not all of them are UTF-8."""
    try:
        if b"\0" in lines.data:
            raise ValueError
        lines.data.decode("utf-8")
    except ValueError:
        pairs = zip(lines.offsets[:-1].tolist(), lines.offsets[1:].tolist(), strict=True)
        decoded = [_decode(lines.data[start:end]) for start, end in pairs]
        return pa.array([text for text, _ in decoded], pa.large_string()), [encoding for _, encoding in decoded]
    offsets, data = pa.py_buffer(lines.offsets), pa.py_buffer(lines.data)
    return pa.LargeStringArray.from_buffers(len(lines.offsets) - 1, offsets, data), None


def _record_sql(columns: int) -> str:
    return f"""
        CREATE OR REPLACE TEMP TABLE record AS
        WITH text AS (SELECT line, rtrim(raw, chr(13) || chr(10)) AS raw, encoding FROM lines),
        shape AS (SELECT *, CASE
            WHEN encoding IS NULL THEN 'text is neither UTF-8 nor Windows-1252'
            WHEN length(raw) > {LONGEST_LINE} THEN 'line is longer than {LONGEST_LINE} characters'
            WHEN trim(raw) = '' THEN 'empty line'
            WHEN NOT csv_is_well_formed(raw) THEN 'a quote is never closed, or text follows the closing one' END
            AS problem FROM text),
        split AS (SELECT *, CASE WHEN problem IS NULL THEN csv_fields(raw) END AS fields FROM shape)
        SELECT line, raw, fields, COALESCE(problem, CASE WHEN len(fields) <> {columns}
            THEN 'expected {columns} columns, found ' || len(fields) END) AS problem FROM split"""


def _value(column: Column, field: str) -> str:
    return field if column.kind == "text" else f"to_{column.kind}({field})"


def stage_fields(con: duckdb.DuckDBPyConnection, layout: Sequence[Column], positions: Sequence[int]) -> None:
    """Move the rows of the temporary table ``record`` to ``staged`` (typed) or ``unreadable`` (with a reason).

    Fields that are not numbers where numbers belong become NULL: the rules of the table say what that means.
    """
    fields = [f"fields[{position + 1}]" for position in positions]
    beyond = " ".join(
        f"WHEN is_beyond_integer({field}) THEN '{column.ours} is beyond 32 bits'"
        for column, field in zip(layout, fields, strict=True)
        if column.kind == "integer"
    )
    con.execute(f"UPDATE record SET problem = CASE {beyond} END WHERE problem IS NULL")
    values = ", ".join(_value(column, field) for column, field in zip(layout, fields, strict=True))
    con.execute(f"INSERT INTO staged SELECT line, {values} FROM record WHERE problem IS NULL")
    con.execute("INSERT INTO unreadable SELECT line, raw, problem FROM record WHERE problem IS NOT NULL")


def create_staging(con: duckdb.DuckDBPyConnection, layout: Sequence[Column]) -> None:
    """Create the temporary tables ``staged(line, our columns)`` and ``unreadable(line, raw, reason)``, empty."""
    con.execute(_MACROS.replace("{earliest}", str(EARLIEST_SECOND)).replace("{latest}", str(LATEST_SECOND)))
    types = {"integer": "INTEGER", "real": "FLOAT", "seconds": "BIGINT", "micros": "BIGINT", "text": "VARCHAR"}
    columns = ", ".join(f"{_quoted(column.ours)} {types[column.kind]}" for column in layout)
    con.execute(f"CREATE OR REPLACE TEMP TABLE staged (line BIGINT, {columns})")
    con.execute("CREATE OR REPLACE TEMP TABLE unreadable (line BIGINT, raw VARCHAR, reason VARCHAR)")


def _stage_odd(con: duckdb.DuckDBPyConnection, file: CsvFile, lines: _Lines, positions: Sequence[int]) -> int:
    """Read any lines one by one into the temporary tables; returns how many were in another encoding than UTF-8."""
    text, encodings = _as_text(lines)
    numbers = pa.array(np.arange(lines.first, lines.first + len(text)))
    known = pa.array(encodings, pa.string()) if encodings else pa.repeat("utf-8", len(text))
    con.register("lines", pa.table({"line": numbers, "raw": text, "encoding": known}))
    con.execute(_record_sql(len(file.header)))
    con.unregister("lines")
    stage_fields(con, file.layout, positions)
    return encodings.count("cp1252") if encodings else 0
