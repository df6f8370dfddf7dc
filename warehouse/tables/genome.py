"""The genome in the raw schema: loaded from genome scores, or derived from tags and genres.

Belongs here: raw.genome_tags and raw.genome, which are as wide as there are tags. Does not belong here: reading
genome-scores.csv (`warehouse.ingest`), or weighting the vectors (`recommender.data.catalogue`).
"""

from pathlib import Path

import duckdb

from warehouse.errors import SourceError
from warehouse.home import Home
from warehouse.queries import count_rows
from warehouse.schemas.definitions import create_table
from warehouse.sql import sql
from warehouse.tables.held_source import require_source
from warehouse.tables.versions import digest, set_table_version, table_notes, table_version

MOST_TAGS = 1000
"""Tags that a tag-derived genome has at most, genres aside; the tag genome itself has 1,128."""


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
    SourceError
        If scores are asked for and the source has none.
    """
    source = require_source(con)
    folder = home.source_folder(source["fingerprint"])
    has_scores = (folder / "genome.parquet").exists()
    if genome_source == "scores" and not has_scores:
        raise SourceError(
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
        set_table_version(con, table, version, count_rows(con, table), {"genome_source": chosen})
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
    width = count_rows(con, "raw.genome_tags")
    if width == 0:
        raise SourceError("the source has neither tags nor genres: no film can get a vector")
    con.execute(create_table("raw.genome", width))
    return width
