"""The source a home holds: which one it is, and loading all raw tables from its import in one transaction.

Belongs here: SQL between the Parquet files of a source in `sources/` and the `raw` schema. Every writer takes the
connection of an open transaction, so that its caller decides what is committed together. Does not belong here: making
the import (`warehouse.ingest.importer`), files of new ratings and months (`ratings`), the genome (`genome`).
"""

import json

import duckdb

from recommender.errors import MarqueeError
from warehouse.home import Home
from warehouse.ingest.import_manifest import SourceManifest
from warehouse.queries import insert_row, one_row, utc_now
from warehouse.tables.genome import load_genome
from warehouse.tables.held_source import current_source
from warehouse.tables.ratings import (
    FIRST_MONTH,
    LAST_MONTH,
    append_rejected,
    fate_of,
    fingerprint_months,
    set_list_versions,
)
from warehouse.tables.versions import digest, set_table_version


class SourceConflictError(MarqueeError):
    """The home holds another source than the one asked for; the message names both and the way out."""


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
        "INSERT INTO ops.source VALUES (?, ?, '', ?, ?)",
        [manifest.fingerprint, manifest.origin, utc_now(), json.dumps(manifest.to_json())],
    )
    for file in manifest.files:
        insert_row(con, "raw.source_files", fate_of(file))
    append_rejected(con, folder)
    con.execute(
        "INSERT INTO raw.movies SELECT movie_id, title, year, genres FROM read_parquet($file) ORDER BY movie_id",
        {"file": str(folder / "movies.parquet")},
    )
    con.execute(
        "INSERT INTO raw.ratings SELECT user_id, movie_id, rating, rated_at FROM read_parquet($file)",
        {"file": str(folder / "ratings.parquet")},
    )
    _set_films_version(con)
    fingerprint_months(con, FIRST_MONTH, LAST_MONTH)
    set_list_versions(con)
    load_genome(con, home, genome_source)


def _set_films_version(con: duckdb.DuckDBPyConnection) -> None:
    """Record the version of raw.movies, which follows from its content."""
    found = one_row(
        con,
        "SELECT count(*), format('{:x}', coalesce(bit_xor(hash(movie_id, title, year, genres)), 0)) FROM raw.movies",
    )
    set_table_version(con, "raw.movies", digest("movies", *found), found[0])
