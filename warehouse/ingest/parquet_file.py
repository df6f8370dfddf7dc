"""From a Parquet file of ratings to typed rows, each with its row number, for the landing folder.

Belongs here: the columns such a file may have and what their types mean. The values go through the same text readers
as those of a CSV (`careful_reader`), so that a number is a number in both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import SourceError
from warehouse.files import file_sha256
from warehouse.ingest.careful_reader import create_staging, stage_fields
from warehouse.ingest.layouts import Column, Staged, expected_header
from warehouse.queries import sql_name

MAGIC = b"PAR1"
_LAYOUT = (
    Column("userId", "user_id", "integer"),
    Column("movieId", "movie_id", "integer"),
    Column("rating", "rating", "real"),
    Column("timestamp", "rated_at", "micros"),
)


@dataclass(frozen=True)
class ParquetRatings:
    """A Parquet file of ratings whose schema has been read; the attributes are those of `csv_file.CsvFile`.

    Attributes
    ----------
    columns : tuple of str
        Names in the file of user, film, rating and time.
    times : bool
        Whether the time is a TIMESTAMP; else it is epoch seconds.
    """

    path: Path
    columns: tuple[str, ...]
    times: bool
    sha256: str
    bytes: int
    data_rows: int
    table: str = "ratings"
    per_unit: int = 1
    ends_with_newline: bool = True

    def stage(self, con: duckdb.DuckDBPyConnection, key: Sequence[str]) -> Staged:
        """Read the rows into the temporary tables of `create_staging`; nothing is known of their order."""
        create_staging(con, _LAYOUT)
        user, film, rating, time = (sql_name(name) for name in self.columns)
        micros = f"TRY(epoch_us({time}))::VARCHAR" if self.times else f"{time}::VARCHAR || '000000'"
        try:
            con.execute(
                "CREATE OR REPLACE TEMP TABLE record AS SELECT file_row_number + 1 AS line, "
                f"[{user}::VARCHAR, {film}::VARCHAR, {rating}::VARCHAR, {micros}] AS fields, "
                f"{self._raw()} AS raw, NULL::VARCHAR AS problem FROM read_parquet(?, file_row_number = true)",
                [str(self.path)],
            )
        except duckdb.Error as error:
            raise _damaged(self.path, error) from None
        stage_fields(con, _LAYOUT, range(4))
        con.execute("DROP TABLE record")
        return Staged(ascending=False)

    def raw(self, con: duckdb.DuckDBPyConnection, numbers: np.ndarray) -> Iterator[tuple[np.ndarray, list[str]]]:
        """Some rows as CSV text; see `csv_file.CsvFile.raw`."""
        con.register("wanted", pa.table({"line": numbers}))
        rows = con.execute(
            f"SELECT line, raw FROM (SELECT file_row_number + 1 AS line, {self._raw()} AS raw "
            "FROM read_parquet(?, file_row_number = true)) SEMI JOIN wanted USING (line) ORDER BY line",
            [str(self.path)],
        ).fetchall()
        con.unregister("wanted")
        yield np.array([line for line, _ in rows], np.int64), [raw for _, raw in rows]

    def _raw(self) -> str:
        return " || ',' || ".join(f"coalesce({sql_name(name)}::VARCHAR, '')" for name in self.columns)


def _damaged(path: Path, error: Exception) -> SourceError:
    detail = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SourceError(f"{path}: not a whole Parquet file ({detail}); write it again and move it here when complete")


def open_parquet(path: Path) -> ParquetRatings:
    """Read a Parquet file's schema, and its content once for the hash.

    Raises
    ------
    SourceError
        If the file is damaged or lacks a column.
    """
    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
        digest = file_sha256(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None
    found = tuple(_column_in_file(path, column, schema.names) for column in _LAYOUT)
    times = pa.types.is_timestamp(schema.field(found[3]).type)
    return ParquetRatings(path, found, times, digest, path.stat().st_size, metadata.num_rows)


def _column_in_file(path: Path, column: Column, names: list[str]) -> str:
    """Name under which a file has a column: MovieLens' or ours."""
    present = [name for name in dict.fromkeys((column.name, column.ours)) if name in names]
    if len(present) == 1:
        return present[0]
    problem = f"columns {' and '.join(present)} are one too many" if present else f"column {column.name} missing"
    raise SourceError(f"{path}: {problem}; name them {expected_header('ratings')} or user_id,movie_id,rating,rated_at")
