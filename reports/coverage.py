"""What a release's lists reach: how many of the liked films, and how evenly.

Belongs here: counting places in an open release's lists. Liked films are those that somebody likes; a film has a place
in a list if it is recommended there. Does not belong here: judging (`checks.release`), measurements on held-out users
(`recommender.evaluation`), drawing (`charts`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommender.evaluation.metrics import gini
from warehouse.queries import one_row

LISTS: Mapping[str, tuple[str, str]] = {
    "pairs": ("pair_recommendations", "movie_id"),
    "users": ("user_recommendations", "movie_id"),
    "similar films": ("similar_movies", "similar_id"),
}
"""Kinds of lists: the table and its column with the recommended film."""

STEPS = 40
"""Points of a concentration curve, at most."""

MOST_SHOWN = 15
"""Most frequent films that are shown."""


@dataclass(frozen=True)
class Reach:
    """What one kind of lists reaches.

    Attributes
    ----------
    kind : str
    places : int
        Rows of its table.
    films, liked : int
        Films with a place, of all liked films.
    gini : float
        0: all liked films have as many places; towards 1: always the same few.
    top_share : float
        Share of all places that the most frequent hundredth of the liked films has, at least one film.
    curve : list of (int, float)
        A number of films, the most frequent ones, and the share of the places they have.
    """

    kind: str
    places: int
    films: int
    liked: int
    gini: float
    top_share: float
    curve: list[tuple[int, float]]


@dataclass(frozen=True)
class Coverage:
    """What a release's lists reach, by kind of lists and by group of films.

    Attributes
    ----------
    reach : list of Reach
    groups : dict of str to list of dict
        For ``decade`` and ``genre``: the group, the kind of lists, its liked films, those with a place, their share.
    tenths : list of dict
        Films in order of their likes, divided so that each tenth has a tenth of all likes: the tenth (from 1), the kind
        of lists, the films in it and the share of the places they have.
    most : list of dict
        The most frequent films of pairs: title, likes, places, share of the lists it is in.
    """

    reach: list[Reach]
    groups: dict[str, list[dict[str, Any]]]
    tenths: list[dict[str, Any]]
    most: list[dict[str, Any]]


def measure_coverage(con: duckdb.DuckDBPyConnection) -> Coverage:
    """Count what the lists of an open release reach."""
    films = _films(con)
    liked = films.filter(pl.col("likes") > 0)
    decades = liked.with_columns(group=(pl.col("year") // 10 * 10).cast(pl.String)).drop_nulls("group")
    genres = liked.with_columns(group="genres").explode("group").drop_nulls("group")
    return Coverage(
        reach=[_reach(kind, liked[kind].to_numpy()) for kind in LISTS],
        groups={"decade": list(_groups(decades)), "genre": list(_groups(genres))},
        tenths=list(_tenths(liked)),
        most=_most_shown(con, films),
    )


def _films(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """All films, most liked first, with the number of places that each has in each kind of lists."""
    films = con.sql("SELECT movie_id, title, year, genres, likes FROM movies").pl()
    for kind, (table, column) in LISTS.items():
        places = con.sql(f'SELECT {column} AS movie_id, count(*) AS "{kind}" FROM {table} GROUP BY ALL').pl()
        films = films.join(places, on="movie_id", how="left").with_columns(pl.col(kind).fill_null(0))
    return films.sort("likes", "movie_id", descending=[True, False])


def _reach(kind: str, places: NDArray[np.int64]) -> Reach:
    ordered = np.sort(places)[::-1]
    shares = np.cumsum(ordered) / max(int(ordered.sum()), 1)
    at = np.unique(np.geomspace(1, len(ordered), STEPS).round().astype(int)) if len(ordered) else np.zeros(0, dtype=int)
    return Reach(
        kind=kind,
        places=int(ordered.sum()),
        films=int((ordered > 0).sum()),
        liked=len(ordered),
        gini=gini(places),
        top_share=float(shares[max(len(ordered) // 100, 1) - 1]) if len(ordered) else 0.0,
        curve=[(int(n), float(shares[n - 1])) for n in at],
    )


def _groups(films: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Liked films by their column `group`, and those of them that have a place."""
    counted = films.group_by("group").agg(pl.len().alias("liked"), *((pl.col(kind) > 0).sum() for kind in LISTS))
    for row in counted.sort("group").to_dicts():
        for kind in LISTS:
            share = row[kind] / row["liked"]
            yield {"group": row["group"], "lists": kind, "films": row[kind], "liked": row["liked"], "share": share}


def _tenths(films: pl.DataFrame) -> Iterator[dict[str, Any]]:
    before = pl.col("likes").cum_sum() - pl.col("likes")
    tenth = (10 * before // pl.col("likes").sum() + 1).alias("tenth")
    counted = films.group_by(tenth).agg(pl.len().alias("films"), *(pl.col(kind).sum() for kind in LISTS)).sort("tenth")
    totals = {kind: max(int(films[kind].sum()), 1) for kind in LISTS}
    for row in counted.to_dicts():
        for kind in LISTS:
            yield {"tenth": row["tenth"], "lists": kind, "films": row["films"], "share": row[kind] / totals[kind]}


def _most_shown(con: duckdb.DuckDBPyConnection, films: pl.DataFrame) -> list[dict[str, Any]]:
    (lists,) = one_row(con, "SELECT count(*) FROM pair_recommendations WHERE rank = 1")
    first = films.sort("pairs", "movie_id", descending=[True, False]).head(MOST_SHOWN)
    return [
        {"title": row["title"], "likes": row["likes"], "places": row["pairs"], "share": row["pairs"] / max(lists, 1)}
        for row in first.to_dicts()
    ]
