"""Reading of published releases, the way every consumer may: read-only, never the working database.

Belongs here: finding and opening a release, and the few questions the command line asks of one. Does not belong here:
the HTTP service's state (`serving`) or anything that writes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from recommender.errors import MarqueeError
from warehouse.home import Home
from warehouse.queries import records, sql_text


class NoReleaseError(MarqueeError):
    """There is no such release, or none is live yet; the message says what to do."""


def release_path(home: Home, release: str | None = None) -> Path:
    """Path of a release's own file; of the live one by default, with the symlink resolved.

    Long-lived readers must open this path, not the symlink: a process that has opened a path keeps what it found there.

    Raises
    ------
    NoReleaseError
    """
    while release is None:
        path = home.current.resolve()
        if path.exists():
            return path
        if home.current.resolve() == path:  # else another release went live between the two looks
            where = f"{home.root} yet" if home.root.is_dir() else f"{home.root}, which does not exist: check --home"
            raise NoReleaseError(f"nothing is live in {where}; make a release with: marquee run")
    path = home.release_file(release)
    if not path.exists():
        raise NoReleaseError(f"there is no release {release} in {home.published}; see: marquee releases")
    return path


@contextmanager
def open_release(home: Home, release: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a release read-only; the live one by default.

    Raises
    ------
    NoReleaseError
    """
    con = _connect(home, release)
    try:
        yield con
    finally:
        con.close()


def _connect(home: Home, release: str | None) -> duckdb.DuckDBPyConnection:
    """Open a release; look the live one up again if it was superseded and retired before its file could be opened."""
    while True:
        path = release_path(home, release)
        try:
            return duckdb.connect(str(path), read_only=True)
        except duckdb.IOException:
            if path.exists():
                raise


def row_counts(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows by table, as written on the release."""
    row = con.execute("SELECT row_counts FROM release").fetchone()
    return {} if row is None else dict(json.loads(row[0]))


def example_pairs(con: duckdb.DuckDBPyConnection, count: int = 3, films: int = 3) -> list[dict[str, Any]]:
    """Pairs of well-known films with their first recommendations, titles included: something to look at.

    The most liked film with the second, the third with the fourth, and so on.
    """
    titles = con.execute(
        "SELECT s.movie_id, title FROM signup_movies s JOIN movies USING (movie_id) ORDER BY position LIMIT ?",
        [2 * count],
    ).fetchall()
    examples = []
    for first, second in zip(titles[::2], titles[1::2], strict=False):
        query = "SELECT title, score, votes FROM recommend_pair(?, ?) LIMIT ?"
        found = con.execute(query, [first[0], second[0], films]).fetchall()
        examples.append(
            {
                "pair": [{"movie_id": film[0], "title": film[1]} for film in (first, second)],
                "recommendations": [{"title": title, "score": score, "votes": votes} for title, score, votes in found],
            }
        )
    return examples


def compare_releases(home: Home, release_a: str, release_b: str, examples: int = 10) -> dict[str, Any]:
    """What changes for users between two releases.

    Parameters
    ----------
    home : Home
    release_a, release_b : str
        The older and the newer one, say.
    examples : int
        How many changed pairs to spell out.

    Returns
    -------
    dict
        ``releases`` (the two lineage rows), ``pairs`` (in both, only in one, changed), ``mean_overlap`` (Jaccard of
        the recommended films over the pairs in both), ``metrics`` (by name, of the two releases; None: not measured),
        ``intervals`` (95%, of those metrics that have one), ``examples``.
    """
    path_a, path_b = release_path(home, release_a), release_path(home, release_b)
    con = duckdb.connect()
    try:
        for name, path in (("a", path_a), ("b", path_b)):
            con.execute(f"ATTACH {sql_text(path)} AS {name} (READ_ONLY)")
        con.execute(
            """
            CREATE TEMP TABLE compared AS
            WITH lists AS (
                SELECT 'a' AS side, movie_a, movie_b, list(movie_id ORDER BY rank) AS films
                FROM a.pair_recommendations GROUP BY ALL
                UNION ALL
                SELECT 'b', movie_a, movie_b, list(movie_id ORDER BY rank) FROM b.pair_recommendations GROUP BY ALL
            )
            SELECT movie_a, movie_b,
                any_value(films) FILTER (side = 'a') AS films_a, any_value(films) FILTER (side = 'b') AS films_b
            FROM lists GROUP BY movie_a, movie_b
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
        changed = con.execute(
            """
            SELECT movie_a, movie_b, films_a, films_b FROM compared WHERE films_a <> films_b
            ORDER BY len(list_intersect(films_a, films_b)), movie_a, movie_b LIMIT ?
            """,
            [examples],
        ).fetchall()
        titles = dict(
            con.execute("SELECT movie_id, title FROM a.movies UNION SELECT movie_id, title FROM b.movies").fetchall()
        )
        lineage = [records(con.execute(f"FROM {side}.release"))[0] for side in ("a", "b")]
        measured = [_metrics(con, side) for side in ("a", "b")]
    finally:
        con.close()
    names = sorted(measured[0] | measured[1])
    return {
        "releases": lineage,
        "mean_overlap": counts.pop("mean_overlap"),
        "pairs": counts,
        "metrics": {name: [side.get(name, NOT_MEASURED)[0] for side in measured] for name in names},
        "intervals": {name: [side.get(name, NOT_MEASURED)[1:] for side in measured] for name in names},
        "examples": [
            {
                "pair": [titles.get(row[0]), titles.get(row[1])],
                "a": [titles.get(film) for film in row[2]],
                "b": [titles.get(film) for film in row[3]],
            }
            for row in changed
        ],
    }


NOT_MEASURED = (None, None, None)


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
