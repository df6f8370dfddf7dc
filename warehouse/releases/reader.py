"""Reading of published releases, the way every consumer may: read-only, never the working database.

Belongs here: finding and opening a release, and the few questions the command line asks of one. Does not belong here:
the HTTP service's state (`serving`) or anything that writes.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from recommender.errors import MarqueeError
from warehouse.home import Home

Found = TypeVar("Found")


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


def read_from_release(
    home: Home, release: str | None, read: Callable[[duckdb.DuckDBPyConnection], Found]
) -> Found | None:
    """What `read` finds in a release, the live one if none is named; None if its file is gone or damaged."""
    try:
        with open_release(home, release) as con:
            return read(con)
    except (NoReleaseError, duckdb.Error):
        return None


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
