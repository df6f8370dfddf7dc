"""What changes for users from one release to another.

Belongs here: the comparison of two published files, list by list. Does not belong here: whether a change is too large
(`checks.release.comparison`), or how it is worded (`orchestration.cli`).
"""

from typing import Any, NamedTuple

import duckdb

from warehouse.home import Home
from warehouse.queries import one_row, records, sql_text
from warehouse.releases.reader import release_path

NOT_MEASURED = (None, None, None)


class Lists(NamedTuple):
    """A table of lists: what identifies a list, and what is listed."""

    table: str
    owner: str
    listed: str


PAIRS = Lists("pair_recommendations", "movie_a, movie_b", "movie_id")
OTHER_LISTS = {
    "users": Lists("user_recommendations", "user_id", "movie_id"),
    "similar": Lists("similar_movies", "movie_id", "similar_id"),
    "popular": Lists("popular_movies", "list", "movie_id"),
}


def compare_releases(home: Home, release_a: str, release_b: str, examples: int = 10) -> dict[str, Any]:
    """What changes for users between two releases.

    Parameters
    ----------
    home : Home
    release_a, release_b : str
        The older and the newer one, say.
    examples : int
        How many changed pairs to list with titles.

    Returns
    -------
    dict
        ``releases`` (the two lineage rows), ``pairs`` (in both, only in one, changed), ``mean_overlap`` (Jaccard of
        the recommended films over the pairs in both), ``users``, ``similar`` and ``popular`` (the same of those lists,
        with their ``mean_overlap``; None if one of the releases has none), ``metrics`` (by name, of the two releases;
        None: not measured), ``intervals`` (95%, of those metrics that have one), ``examples``.
    """
    paths = {"a": release_path(home, release_a), "b": release_path(home, release_b)}
    con = duckdb.connect()
    try:
        for side, path in paths.items():
            con.execute(f"ATTACH {sql_text(path)} AS {side} (READ_ONLY)")
        others = {name: _compare(con, lists) if _in_both(con, lists) else None for name, lists in OTHER_LISTS.items()}
        pairs = _compare(con, PAIRS)
        changed = _examples(con, examples)
        lineage = [records(con.execute(f"FROM {side}.release"))[0] for side in paths]
        measured = [_metrics(con, side) for side in paths]
    finally:
        con.close()
    names = sorted(measured[0] | measured[1])
    return {
        "releases": lineage,
        "mean_overlap": pairs.pop("mean_overlap"),
        "pairs": pairs,
        **others,
        "metrics": {name: [side.get(name, NOT_MEASURED)[0] for side in measured] for name in names},
        "intervals": {name: [side.get(name, NOT_MEASURED)[1:] for side in measured] for name in names},
        "examples": changed,
    }


def _in_both(con: duckdb.DuckDBPyConnection, lists: Lists) -> bool:
    """Whether both releases have the table; those from before it was built have not."""
    query = "SELECT count(*) FROM duckdb_tables() WHERE database_name IN ('a', 'b') AND table_name = ?"
    return int(one_row(con, query, [lists.table])[0]) == 2


def _compare(con: duckdb.DuckDBPyConnection, lists: Lists) -> dict[str, Any]:
    """Count lists in both releases, in one only, and changed; left as the temporary table ``compared``."""
    sides = (
        f"SELECT '{side}' AS side, {lists.owner}, list({lists.listed} ORDER BY rank) AS films "
        f"FROM {side}.{lists.table} GROUP BY ALL"
        for side in ("a", "b")
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE compared AS
        SELECT {lists.owner},
            any_value(films) FILTER (side = 'a') AS films_a, any_value(films) FILTER (side = 'b') AS films_b
        FROM ({" UNION ALL ".join(sides)}) GROUP BY {lists.owner}
        """
    )
    (counts,) = records(
        con.execute(
            """
            SELECT
                count(*) FILTER (films_a IS NOT NULL AND films_b IS NOT NULL) AS in_both,
                count(*) FILTER (films_b IS NULL) AS only_a,
                count(*) FILTER (films_a IS NULL) AS only_b,
                count(*) FILTER (films_a <> films_b) AS changed,
                avg(len(list_intersect(films_a, films_b)) / len(list_distinct(films_a || films_b)))
                    FILTER (films_a IS NOT NULL AND films_b IS NOT NULL) AS mean_overlap
            FROM compared
            """
        )
    )
    return counts


def _examples(con: duckdb.DuckDBPyConnection, count: int) -> list[dict[str, Any]]:
    """The pairs in ``compared`` that have changed most, with titles."""
    changed = con.execute(
        """
        SELECT movie_a, movie_b, films_a, films_b FROM compared WHERE films_a <> films_b
        ORDER BY len(list_intersect(films_a, films_b)), movie_a, movie_b LIMIT ?
        """,
        [count],
    ).fetchall()
    titles = dict(
        con.execute("SELECT movie_id, title FROM a.movies UNION SELECT movie_id, title FROM b.movies").fetchall()
    )
    return [
        {
            "pair": [titles.get(row[0]), titles.get(row[1])],
            "a": [titles.get(film) for film in row[2]],
            "b": [titles.get(film) for film in row[3]],
        }
        for row in changed
    ]


def _metrics(con: duckdb.DuckDBPyConnection, side: str) -> dict[str, tuple[float | None, ...]]:
    """What was measured of an attached release, on held-out users and of its lists: value, interval from and to."""
    query = (
        f"SELECT check_name, value, NULL, NULL FROM {side}.checks "
        "WHERE check_name IN ('catalogue_coverage', 'popular_share', 'most_frequent_film', 'frequent_films_share')"
    )
    found = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND table_name = 'evaluation'", [side]
    ).fetchall()
    if found:
        query += (
            f" UNION ALL SELECT metric || ' (' || split || ')', value, ci_low, ci_high FROM {side}.evaluation "
            "WHERE method = 'current' AND slice = 'all'"
        )
    return {name: (value, low, high) for name, value, low, high in con.execute(query).fetchall()}
