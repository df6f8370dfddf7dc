"""Ratings in the raw schema: files of new ratings, each ingested once, and the ratings of a range of months.

Belongs here: SQL between the Parquet files of `sources/` and raw.ratings, with the lists of files and rejected rows
that belong to it. Every writer takes the connection of an open transaction. Does not belong here: what a good row is
(`warehouse.ingest`), loading a whole source (`source`), anything derived from likes (`model_inputs`).
"""

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from warehouse.home import Home
from warehouse.ingest.import_manifest import ImportedFile, SourceManifest
from warehouse.queries import count_rows, insert_row, one_row, records, utc_now
from warehouse.sql import sql
from warehouse.tables.held_source import require_source
from warehouse.tables.versions import digest, set_table_version

FIRST_MONTH = date(1995, 1, 1)
LAST_MONTH = date(9999, 1, 1)
BASE_FILE = "ratings.csv"
"""The source's file of ratings."""

INGEST_ORDER = "ORDER BY ingested_at, fingerprint"


def append_rejected(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Add the rejected rows of an import to raw.rejected_rows."""
    con.execute(
        "INSERT INTO raw.rejected_rows SELECT source, line, raw, reason FROM read_parquet($file)",
        {"file": str(folder / "rejected_rows.parquet")},
    )


def set_list_versions(con: duckdb.DuckDBPyConnection) -> None:
    """Record the versions of the lists of files and of rejected rows, which follow from their sizes."""
    for table in ("source_files", "rating_files", "rejected_rows"):
        count = count_rows(con, f"raw.{table}")
        set_table_version(con, f"raw.{table}", digest(table, count), count)


def fingerprint_months(con: duckdb.DuckDBPyConnection, first: date, after: date) -> None:
    """Renew raw.rating_months for a range and the version of raw.ratings that follows from all months."""
    con.execute(
        "DELETE FROM raw.rating_months WHERE month >= $first AND month < $after", {"first": first, "after": after}
    )
    con.execute(
        f"INSERT INTO raw.rating_months {sql('month_fingerprints')} ORDER BY month", {"first": first, "after": after}
    )
    months = con.execute("SELECT month, fingerprint, ratings FROM raw.rating_months ORDER BY month").fetchall()
    fingerprint = fingerprint_of_months((month, mark) for month, mark, _ in months)
    set_table_version(con, "raw.ratings", fingerprint, sum(count for _, _, count in months))


def fingerprint_of_months(months: Iterable[tuple[date, str]]) -> str:
    """Fingerprint of all ratings, from those of their months in ascending order."""
    return digest("ratings", [(str(month), mark) for month, mark in months])[:16]


def fate_of(file: ImportedFile) -> dict[str, Any]:
    """What is recorded of an input file when it comes in; no rating of it is replaced yet."""
    names = ("name", "sha256", "bytes", "data_rows", "accepted", "rejected")
    return {**{name: getattr(file, name) for name in names}, "superseded": 0}


def _rating_tables(con: duckdb.DuckDBPyConnection, home: Home) -> tuple[str, list[str]]:
    """Parquet files of the source's ratings, and of the files of new ratings in the order of their ingest."""
    marks = [row[0] for row in con.execute(f"SELECT fingerprint FROM raw.rating_files {INGEST_ORDER}").fetchall()]
    base, *files = (
        str(home.source_folder(mark) / "ratings.parquet") for mark in (require_source(con)["fingerprint"], *marks)
    )
    return base, files


def record_superseded(con: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Record the ratings that another file's rating replaces, and count them with their files.

    They are rejected rows without a line number. For every file, accepted + superseded + rejected are the rows that
    came in; over all files, the accepted ratings are those in raw.ratings.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    home : Home
    """
    base, files = _rating_tables(con, home)
    con.execute("DELETE FROM raw.rejected_rows WHERE line IS NULL")
    if not files:
        return
    query = sql("superseded_ratings")
    con.execute(f"CREATE OR REPLACE TEMP TABLE replaced AS {query}", {"base": base, "files": files})
    con.execute(
        f"""
        WITH names AS (
            SELECT row_number() OVER ({INGEST_ORDER}) AS place, name FROM raw.rating_files UNION ALL SELECT 0, $base
        )
        INSERT INTO raw.rejected_rows SELECT name, NULL, raw, reason FROM replaced JOIN names USING (place)
        ORDER BY place, raw
        """,
        {"base": BASE_FILE},
    )
    con.execute(
        f"""
        UPDATE raw.rating_files SET superseded = n FROM (
            SELECT fingerprint AS mark, coalesce(n, 0) AS n
            FROM (SELECT fingerprint, row_number() OVER ({INGEST_ORDER}) AS place FROM raw.rating_files)
            LEFT JOIN (SELECT place, count(*) AS n FROM replaced GROUP BY 1) USING (place)
        ) WHERE fingerprint = mark
        """
    )
    con.execute(
        "UPDATE raw.source_files SET superseded = (SELECT count(*) FROM replaced WHERE place = 0) WHERE name = ?",
        [BASE_FILE],
    )
    for table in ("raw.rating_files", "raw.source_files"):
        con.execute(f"UPDATE {table} SET accepted = data_rows - rejected - superseded")
    con.execute("DROP TABLE replaced")


def accounted_ratings(con: duckdb.DuckDBPyConnection) -> int:
    """Accepted ratings over all files; as many as raw.ratings has rows if every rating is accounted for."""
    query = (
        "SELECT coalesce(sum(accepted), 0) FROM (SELECT accepted FROM raw.rating_files "
        "UNION ALL SELECT accepted FROM raw.source_files WHERE name = ?)"
    )
    return int(one_row(con, query, [BASE_FILE])[0])


def load_months(con: duckdb.DuckDBPyConnection, home: Home, first: date, after: date) -> int:
    """Make the ratings of a range of months anew from everything that came in; other months are not touched.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    home : Home
    first, after : date
        First day of the first month, and of the first month past the range.

    Returns
    -------
    int
        Ratings in the range now.
    """
    base, files = _rating_tables(con, home)
    span = {"first": first, "after": after}
    con.execute("DELETE FROM raw.ratings WHERE rated_at >= $first AND rated_at < $after", span)
    if files:
        query = sql("ratings_of_range")
        con.execute(f"INSERT INTO raw.ratings {query}", {**span, "base": base, "files": files})
    else:
        con.execute(
            "INSERT INTO raw.ratings SELECT user_id, movie_id, rating, rated_at FROM read_parquet($base) "
            "WHERE rated_at >= $first AND rated_at < $after",
            {**span, "base": base},
        )
    fingerprint_months(con, first, after)
    return int(one_row(con, "SELECT count(*) FROM raw.ratings WHERE rated_at >= $first AND rated_at < $after", span)[0])


def input_files(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Files that the raw tables hold: those of the source, then files of ratings in the order they were ingested.

    Returns
    -------
    list of dict
        ``name``, ``bytes``, ``sha256``, ``data_rows``, ``accepted``, ``superseded``, ``rejected``.
    """
    chosen = "name, bytes, sha256, data_rows, accepted, superseded, rejected"
    source = records(con.execute(f"SELECT {chosen} FROM raw.source_files ORDER BY name"))
    return source + records(con.execute(f"SELECT {chosen} FROM raw.rating_files ORDER BY ingested_at, name"))


def is_ingested(con: duckdb.DuckDBPyConnection, fingerprint: str) -> bool:
    """Whether a file of ratings with this content was ingested before."""
    return bool(con.execute("SELECT 1 FROM raw.rating_files WHERE fingerprint = ?", [fingerprint]).fetchall())


def add_rating_file(con: duckdb.DuckDBPyConnection, home: Home, manifest: SourceManifest) -> list[date]:
    """Ingest an imported file of ratings, once: its rows, its rejected rows and the fact that it is in.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    home : Home
    manifest : SourceManifest
        Of the imported file.

    Returns
    -------
    list of date
        First days of the months that changed: those the new ratings fall in and those of older ratings they replace.
        Empty if a file with this content is in already.
    """
    if is_ingested(con, manifest.fingerprint):
        return []
    folder = home.source_folder(manifest.fingerprint)
    file = str(folder / "ratings.parquet")
    months = con.execute(
        """
        SELECT DISTINCT CAST(date_trunc('month', rated_at) AS DATE) AS month FROM (
            SELECT rated_at FROM read_parquet($file)
            UNION ALL
            SELECT old.rated_at FROM raw.ratings AS old SEMI JOIN read_parquet($file) AS new USING (user_id, movie_id)
        ) ORDER BY month
        """,
        {"file": file},
    ).fetchall()
    _list_rating_file(con, home, manifest, utc_now())
    changed = [row[0] for row in months]
    before = _fingerprints(con)
    for first, after in _spans(changed):
        load_months(con, home, first, after)
    record_superseded(con, home)
    set_list_versions(con)
    now = _fingerprints(con)
    return [month for month in changed if before.get(month) != now.get(month)]


def add_rating_files_again(
    con: duckdb.DuckDBPyConnection, home: Home, files: Iterable[tuple[SourceManifest, datetime]]
) -> None:
    """Ingest imported files of ratings that were ingested before, at these times; all months are made at once.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction. The source is loaded, and no file.
    home : Home
    files : iterable of (SourceManifest, datetime)
    """
    for manifest, at in files:
        _list_rating_file(con, home, manifest, at)
    load_months(con, home, FIRST_MONTH, LAST_MONTH)
    record_superseded(con, home)
    set_list_versions(con)


def _list_rating_file(con: duckdb.DuckDBPyConnection, home: Home, manifest: SourceManifest, at: datetime) -> None:
    """Enter a file in the list of those that are in, and its rejected rows."""
    (item,) = manifest.files
    row = {"fingerprint": manifest.fingerprint, **fate_of(item), "ingested_at": at}
    insert_row(con, "raw.rating_files", row)
    append_rejected(con, home.source_folder(manifest.fingerprint))


def _fingerprints(con: duckdb.DuckDBPyConnection) -> dict[date, str]:
    return dict(con.execute("SELECT month, fingerprint FROM raw.rating_months").fetchall())


def next_month(month: date) -> date:
    """First day of the month after the one that starts on `month`."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _spans(months: Iterable[date]) -> list[tuple[date, date]]:
    """Join adjacent months to half-open ranges of first days."""
    spans: list[tuple[date, date]] = []
    for month in sorted(months):
        if spans and spans[-1][1] == month:
            spans[-1] = (spans[-1][0], next_month(month))
        else:
            spans.append((month, next_month(month)))
    return spans
