"""A CSV file of MovieLens' layout: its header, and its rows staged in DuckDB, each with the number of its line.

Each chunk of a file takes the first reader that can read it: `plain_reader` if every line is beyond doubt, as in the
large files that GroupLens writes, else `careful_reader`. Does not belong here: what the values must be (`acceptance`).
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from warehouse.errors import SourceError
from warehouse.ingest.careful_reader import LONGEST_LINE, create_staging, stage_lines
from warehouse.ingest.layouts import LAYOUTS, Column, Staged, expected_header
from warehouse.ingest.lines import Lines, count_newlines, decode, line_chunks
from warehouse.ingest.plain_reader import is_ascending, plain_rows


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
        ascending, last, other_encoding = True, None, 0
        for lines, rows in plain_rows(self.header, self.layout, self._chunks()):
            if rows is None:
                other_encoding += stage_lines(con, self.header, self.layout, lines)
                ascending = False
                continue
            ascending = ascending and is_ascending(rows, key, last)
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
        for lines in self._chunks():
            last = lines.first + lines.count
            wanted = numbers[np.searchsorted(numbers, lines.first) : np.searchsorted(numbers, last)]
            starts = lines.offsets[wanted - lines.first].tolist()
            ends = lines.offsets[wanted - lines.first + 1].tolist()
            yield wanted, [decode(lines.data[s:e])[0].rstrip("\r\n") for s, e in zip(starts, ends, strict=True)]
            if last > numbers[-1]:
                return

    def _chunks(self) -> Iterator[Lines]:
        return line_chunks(self.path, self.data_offset)


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
                newlines += count_newlines(chunk)
                last = chunk[-1:]
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from None
    ends = last == b"\n"
    return CsvFile(path, table, names, offset, digest.hexdigest(), size, newlines - (1 if ends else 0), ends)
