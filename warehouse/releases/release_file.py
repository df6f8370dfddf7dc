"""Writing of a release: its database file and serving pack, complete under a temporary name, then at their own.

Belongs here: what a published file contains. Does not belong here: which release is live and who may change that
(`promotion`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from warehouse.database import Warehouse, connect
from warehouse.faults import step
from warehouse.files import TEMPORARY, appear
from warehouse.queries import count_rows, insert_row, sql_text
from warehouse.schemas.definitions import columns_of, comment_statements, create_table, published_tables
from warehouse.sql import description, sql
from warehouse.tables.check_results import CheckResult
from warehouse.tables.evaluation import evaluation_to_publish

STORAGE_VERSION = "v1.2.0"
"""The file format: DuckDB from this version on can read a release. The newest format would save no space."""

MACROS = ("recommend_pair", "pairs_of", "recommend_user", "similar_to")
VIEWS = ("pairs_with_titles", "users_with_titles")

Audit = Callable[[duckdb.DuckDBPyConnection, str], list[CheckResult]]
"""Checks a release through a read-only connection to its file, beside another one (empty: beside none)."""


@dataclass(frozen=True)
class WrittenRelease:
    """What was written: rows by table, and the audit's results as they stand in the table `checks`."""

    row_counts: dict[str, int]
    results: list[CheckResult]


def write_release_file(warehouse: Warehouse, lineage: Mapping[str, Any], audit: Audit, against: str) -> WrittenRelease:
    """Write `published/<release>.duckdb` and check it; it appears complete, read-only, with the results inside.

    Parameters
    ----------
    warehouse : Warehouse
        Not in a transaction.
    lineage : mapping
        The row of the table `release`, by column, without row_counts.
    audit : callable
        Runs on the very file, while it still has its temporary name.
    against : str
        The release it is compared with; empty for none.

    Returns
    -------
    WrittenRelease
    """
    final = warehouse.home.release_file(lineage["release"])
    temporary = final.parent / f"{TEMPORARY}{final.name}"
    for leftover in (temporary, temporary.with_name(temporary.name + ".wal")):
        leftover.unlink(missing_ok=True)
    row_counts = _copy_tables(warehouse, temporary, lineage)
    step("release_copied")
    with connect(temporary, warehouse.home) as con:
        _describe(con)
    with connect(temporary, warehouse.home, read_only=True) as con:
        results = audit(con, against)
    step("release_audited")
    with connect(temporary, warehouse.home) as con:
        con.executemany("INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)", [list(result.row()) for result in results])
        con.execute("CHECKPOINT")
    temporary.chmod(0o444)
    step("release_written")
    appear(temporary, final)
    step("release_appeared")
    return WrittenRelease(row_counts, results)


def _describe(con: duckdb.DuckDBPyConnection) -> None:
    """Add views and macros, and comments that tell what everything in the file is.

    Both find their tables in the database they are made in, so they cannot be made in an attached one.
    """
    for kind, names in {"VIEW": VIEWS, "MACRO TABLE": MACROS}.items():
        for name in names:
            con.execute(sql(name))
            con.execute(f"COMMENT ON {kind} {name} IS {sql_text(description(name))}")
    for table in published_tables():
        for statement in comment_statements(table):
            con.execute(statement)


def _copy_tables(warehouse: Warehouse, path: Path, lineage: Mapping[str, Any]) -> dict[str, int]:
    """Copy what consumers see from the working database into a new file; return rows by table."""
    con = warehouse.con
    con.execute(f"ATTACH {sql_text(path)} AS staged (STORAGE_VERSION {sql_text(STORAGE_VERSION)})")
    try:
        with warehouse.transaction():
            row_counts = _fill(con, lineage)
        con.execute("CHECKPOINT staged")
        return row_counts
    finally:
        con.execute("DETACH staged")


def _fill(con: duckdb.DuckDBPyConnection, lineage: Mapping[str, Any]) -> dict[str, int]:
    """Create the tables of the attached database `staged`; return rows by table."""
    copies = {
        "movies": (
            "SELECT m.movie_id, title, year, genres, coalesce(f.likes, 0) AS likes, g.movie_id IS NOT NULL AS "
            "has_vector FROM raw.movies m LEFT JOIN model.film_likes f USING (movie_id) "
            "LEFT JOIN raw.genome g USING (movie_id) ORDER BY m.movie_id"
        ),
        "ratings": "FROM raw.ratings",
        "genome_tags": "FROM raw.genome_tags",
        "genome": "FROM raw.genome",
        "signup_movies": "FROM recs.signup_movies",
        "pair_recommendations": "FROM recs.pair_recommendations ORDER BY movie_a, movie_b, rank",
        "user_recommendations": "FROM recs.user_recommendations ORDER BY user_id, rank",
        "similar_movies": "FROM recs.similar_movies ORDER BY movie_id, rank",
        "popular_movies": "FROM recs.popular_movies ORDER BY list, rank",
        "evaluation": evaluation_to_publish(con, lineage["parameters"]),
        "source_files": (
            "SELECT name, sha256, bytes, data_rows AS rows, rejected + superseded AS rejected FROM "
            "(SELECT *, NULL AS ingested_at FROM raw.source_files UNION ALL BY NAME FROM raw.rating_files) "
            "ORDER BY ingested_at NULLS FIRST, name, sha256"
        ),
        "rejected_rows": "SELECT source AS file, line, raw, reason FROM raw.rejected_rows ORDER BY file, line, raw",
    }
    for table, query in copies.items():
        con.execute(f"CREATE TABLE staged.{table} AS {query}")
    counts = {table: count_rows(con, f"staged.{table}") for table in copies}
    for table in ("release", "checks"):
        con.execute(create_table(table, at=f"staged.{table}"))
    row = {**lineage, "row_counts": json.dumps(counts), "parameters": json.dumps(lineage["parameters"])}
    insert_row(con, "staged.release", {name: row[name] for name in columns_of("release")})
    return counts
