"""Loading of the raw tables from imported Parquet: a whole source at once, a file of new ratings, a range of months.

Belongs here: SQL between the Parquet files of `sources/` and the `raw` schema. Every function takes the connection of
an open transaction, so that its caller decides what is committed together. Does not belong here: reading CSV
(`warehouse.ingest.importer`), which decides what a good row is, or anything derived from likes
(`warehouse.tables.model`)."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from recommender.errors import MarqueeError
from warehouse.home import Home
from warehouse.ingest.import_manifest import SourceManifest
from warehouse.sql import sql
from warehouse.tables.versions import digest, set_table_version, table_notes, table_version

MOST_TAGS = 1000
"""Tags that a tag-derived genome has at most, genres aside; the tag genome itself has 1,128."""

FIRST_MONTH = date(1995, 1, 1)
LAST_MONTH = date(9999, 1, 1)


class SourceConflictError(MarqueeError):
    """The home holds another source than the one asked for; the message names both and the way out."""


class NoSourceError(MarqueeError):
    """The home holds no source yet; the message says how to load one."""


def current_source(con: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """Fingerprint, origin, genome_source, loaded_at and manifest of the source the home holds; None if it has none."""
    row = con.execute("SELECT fingerprint, origin, genome_source, loaded_at, manifest FROM ops.source").fetchone()
    if row is None:
        return None
    keys = ("fingerprint", "origin", "genome_source", "loaded_at", "manifest")
    found = dict(zip(keys, row, strict=True))
    found["manifest"] = json.loads(found["manifest"])
    return found


def require_source(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Like `current_source`, but a home without one is an error.

    Raises
    ------
    NoSourceError
    """
    source = current_source(con)
    if source is None:
        raise NoSourceError("this home holds no ratings yet; load some with: marquee run --source sample")
    return source


def refuse_other_source(con: duckdb.DuckDBPyConnection, manifest: SourceManifest) -> None:
    """Raise unless the home is empty or holds just this source.

    Raises
    ------
    SourceConflictError
    """
    held = current_source(con)
    if held is not None and held["fingerprint"] != manifest.fingerprint:
        raise SourceConflictError(
            f"this home holds {held['origin']} ({held['fingerprint']}), not {manifest.origin} "
            f"({manifest.fingerprint}). Use --replace-source to swap all raw tables for the new source, "
            "or another --home to keep both."
        )


def load_source(con: duckdb.DuckDBPyConnection, home: Home, manifest: SourceManifest, genome_source: str) -> None:
    """Swap all raw tables for those of an imported source, and forget the rating files of the one before.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    home : Home
    manifest : SourceManifest
        Of the imported source.
    genome_source : {'auto', 'scores', 'tags'}
    """
    folder = home.source_folder(manifest.fingerprint)
    for table in ("source_files", "rating_files", "rejected_rows", "movies", "ratings", "rating_months"):
        con.execute(f"DELETE FROM raw.{table}")
    con.execute("DELETE FROM ops.source")
    con.execute(
        "INSERT INTO ops.source VALUES ($fingerprint, $origin, '', $at, $manifest)",
        {
            "fingerprint": manifest.fingerprint,
            "origin": manifest.origin,
            "at": datetime.now(UTC).replace(tzinfo=None),
            "manifest": json.dumps(manifest.to_json()),
        },
    )
    for file in manifest.files:
        con.execute(
            "INSERT INTO raw.source_files VALUES (?, ?, ?, ?, ?, ?)",
            [file.name, file.bytes, file.sha256, file.data_rows, file.accepted, file.rejected],
        )
    _append_rejected(con, folder)
    con.execute(
        "INSERT INTO raw.movies SELECT movie_id, title, year, genres FROM read_parquet($file) ORDER BY movie_id",
        {"file": str(folder / "movies.parquet")},
    )
    con.execute(
        "INSERT INTO raw.ratings SELECT user_id, movie_id, rating, rated_at FROM read_parquet($file)",
        {"file": str(folder / "ratings.parquet")},
    )
    _fingerprint_months(con, FIRST_MONTH, LAST_MONTH)
    _set_simple_versions(con)
    load_genome(con, home, genome_source)


def _append_rejected(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    con.execute(
        "INSERT INTO raw.rejected_rows SELECT source, line, raw, reason FROM read_parquet($file)",
        {"file": str(folder / "rejected_rows.parquet")},
    )


def _set_simple_versions(con: duckdb.DuckDBPyConnection) -> None:
    """Record the versions of movies (by content) and of the file and rejection lists (by size)."""
    row = con.execute(
        "SELECT count(*), format('{:x}', coalesce(bit_xor(hash(movie_id, title, year, genres)), 0)) FROM raw.movies"
    ).fetchone()
    assert row is not None
    set_table_version(con, "raw.movies", digest("movies", *row), row[0])
    for table in ("source_files", "rating_files", "rejected_rows"):
        count = con.execute(f"SELECT count(*) FROM raw.{table}").fetchone()
        assert count is not None
        set_table_version(con, f"raw.{table}", digest(table, count[0]), count[0])


def _fingerprint_months(con: duckdb.DuckDBPyConnection, first: date, after: date) -> None:
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
    source = require_source(con)
    base = str(home.source_folder(source["fingerprint"]) / "ratings.parquet")
    files = [
        str(home.source_folder(row[0]) / "ratings.parquet")
        for row in con.execute("SELECT fingerprint FROM raw.rating_files ORDER BY fingerprint").fetchall()
    ]
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
    _fingerprint_months(con, first, after)
    row = con.execute(
        "SELECT count(*) FROM raw.ratings WHERE rated_at >= $first AND rated_at < $after", span
    ).fetchone()
    assert row is not None
    return int(row[0])


def input_files(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Files that the raw tables hold: those of the source, then files of ratings in the order they were taken in.

    Returns
    -------
    list of dict
        ``name``, ``bytes``, ``sha256``, ``data_rows``, ``accepted``, ``rejected``.
    """
    columns = ("name", "bytes", "sha256", "data_rows", "accepted", "rejected")
    chosen = ", ".join(columns)
    rows = con.execute(f"SELECT {chosen} FROM raw.source_files ORDER BY name").fetchall()
    rows += con.execute(f"SELECT {chosen} FROM raw.rating_files ORDER BY ingested_at, name").fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def add_rating_file(con: duckdb.DuckDBPyConnection, home: Home, manifest: SourceManifest) -> list[date]:
    """Take an imported file of ratings in, once: its rows, its rejected rows and the fact that it is in.

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
    known = con.execute(
        "SELECT 1 FROM raw.rating_files WHERE fingerprint = $mark", {"mark": manifest.fingerprint}
    ).fetchone()
    if known is not None:
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
    (item,) = manifest.files
    con.execute(
        "INSERT INTO raw.rating_files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            manifest.fingerprint,
            item.name,
            item.sha256,
            item.bytes,
            item.data_rows,
            item.accepted,
            item.rejected,
            datetime.now(UTC).replace(tzinfo=None),
        ],
    )
    _append_rejected(con, folder)
    changed = [row[0] for row in months]
    before = _fingerprints(con)
    for first, after in _spans(changed):
        load_months(con, home, first, after)
    _set_simple_versions(con)
    now = _fingerprints(con)
    return [month for month in changed if before.get(month) != now.get(month)]


def _fingerprints(con: duckdb.DuckDBPyConnection) -> dict[date, str]:
    return dict(con.execute("SELECT month, fingerprint FROM raw.rating_months").fetchall())


def rated_months(con: duckdb.DuckDBPyConnection) -> list[date]:
    """First days of the months that have ratings, ascending."""
    return [row[0] for row in con.execute("SELECT month FROM raw.rating_months ORDER BY month").fetchall()]


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


def load_genome(con: duckdb.DuckDBPyConnection, home: Home, genome_source: str) -> bool:
    """Load raw.genome_tags and raw.genome, from genome scores or derived from tags and genres.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Inside a transaction.
    home : Home
    genome_source : {'auto', 'scores', 'tags'}
        `auto` takes scores where the source has them.

    Returns
    -------
    bool
        False if the tables were up to date already.

    Raises
    ------
    ValueError
        If scores are asked for and the source has none.
    """
    source = require_source(con)
    folder = home.source_folder(source["fingerprint"])
    has_scores = (folder / "genome.parquet").exists()
    if genome_source == "scores" and not has_scores:
        raise ValueError(
            f"{source['origin']} has no genome-scores.csv; set genome_source=tags to derive vectors from its tags"
        )
    chosen = "scores" if has_scores and genome_source != "tags" else "tags"
    version = digest("genome", source["fingerprint"], chosen, sql("tag_vocabulary"), sql("tag_relevances"), MOST_TAGS)
    if table_version(con, "raw.genome") == version:
        return False
    con.execute("DELETE FROM raw.genome_tags")
    if chosen == "scores":
        _load_scores(con, folder)
    else:
        _derive_from_tags(con, folder)
    con.execute("UPDATE ops.source SET genome_source = $chosen", {"chosen": chosen})
    for table in ("raw.genome_tags", "raw.genome"):
        count = con.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert count is not None
        set_table_version(con, table, version, count[0], {"genome_source": chosen})
    return True


def genome_source_of(con: duckdb.DuckDBPyConnection) -> str:
    """Where the vectors in raw.genome come from: ``scores`` or ``tags``."""
    return str(table_notes(con, "raw.genome").get("genome_source", ""))


def _load_scores(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    con.execute(
        "INSERT INTO raw.genome_tags SELECT tag_id, tag FROM read_parquet($file) ORDER BY tag_id",
        {"file": str(folder / "genome_tags.parquet")},
    )
    width = _create_genome(con)
    con.execute(
        f"INSERT INTO raw.genome SELECT movie_id, CAST(relevance AS FLOAT[{width}]) FROM read_parquet($file) "
        "ORDER BY movie_id",
        {"file": str(folder / "genome.parquet")},
    )


def _derive_from_tags(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Fill the genome from tags and genres; a source without tags.csv gives genres alone."""
    con.execute("CREATE OR REPLACE TEMP TABLE given_tags (user_id INTEGER, movie_id INTEGER, tag VARCHAR)")
    tags = folder / "tags.parquet"
    if tags.exists():
        con.execute(
            "INSERT INTO given_tags SELECT user_id, movie_id, lower(trim(tag)) FROM read_parquet($file)",
            {"file": str(tags)},
        )
    con.execute(f"INSERT INTO raw.genome_tags {sql('tag_vocabulary')}", {"most": MOST_TAGS})
    width = _create_genome(con)
    # Position i of the vector is 0 where the film lacks tag i: start from zeros and put the known ones in place.
    con.execute(
        f"""
        INSERT INTO raw.genome
        WITH relevances AS ({sql("tag_relevances")}),
        known AS (
            SELECT movie_id, map_from_entries(list((tag_id, relevance))) AS by_tag FROM relevances GROUP BY movie_id
        )
        SELECT movie_id,
            CAST(
                list_transform(range(1, {width} + 1), lambda i: coalesce(by_tag[CAST(i AS INTEGER)], 0))
                AS FLOAT[{width}]
            )
        FROM known ORDER BY movie_id
        """
    )
    con.execute("DROP TABLE given_tags")


def _create_genome(con: duckdb.DuckDBPyConnection) -> int:
    """Create raw.genome anew, as wide as there are tags; return the width."""
    row = con.execute("SELECT count(*) FROM raw.genome_tags").fetchone()
    assert row is not None
    width = int(row[0])
    if width == 0:
        raise SourceConflictError("the source has neither tags nor genres: no film can get a vector")
    con.execute(f"CREATE OR REPLACE TABLE raw.genome (movie_id INTEGER, relevance FLOAT[{width}])")
    return width
