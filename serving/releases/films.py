"""The films of a release as the service shows them: title, year, genres.

Belongs here: loading `movies` and `signup_movies`, and describing a film. Does not belong here: searching titles
(`serving.search.titles`), votes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb


@dataclass(frozen=True)
class Films:
    """Every film of a release, most liked first.

    Attributes
    ----------
    movie_ids : list of int
    titles : list of str
    years : list of (int or None)
    genres : list of list of str
    likes : list of int
    has_vector : list of bool
    signup_ids : list of int
        Sign-up films in their order.
    """

    movie_ids: list[int]
    titles: list[str]
    years: list[int | None]
    genres: list[list[str]]
    likes: list[int]
    has_vector: list[bool]
    signup_ids: list[int]

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Row of each film by movie_id."""
        return {movie: row for row, movie in enumerate(self.movie_ids)}

    @cached_property
    def signup_rank(self) -> dict[int, int]:
        """Position of each sign-up film, from 1, by movie_id."""
        return {movie: rank for rank, movie in enumerate(self.signup_ids, start=1)}

    def title(self, movie_id: int) -> dict[str, Any]:
        """Describe a film that is named: id and title."""
        row = self.row_of.get(movie_id)
        return {"movie_id": movie_id, "title": _unnamed(movie_id) if row is None else self.titles[row]}

    def card(self, movie_id: int) -> dict[str, Any]:
        """Describe a film that is shown: id, title, year, genres."""
        row = self.row_of.get(movie_id)
        if row is None:  # liked by somebody, but without a row of its own: shown by its number, not dropped
            return {"movie_id": movie_id, "title": _unnamed(movie_id), "year": None, "genres": []}
        return {
            "movie_id": movie_id,
            "title": self.titles[row],
            "year": self.years[row],
            "genres": self.genres[row],
        }

    def signup_cards(self) -> list[dict[str, Any]]:
        """Describe all sign-up films in order, with position and likes."""
        return [
            {"position": rank, **self.card(movie), "likes": self.likes[self.row_of[movie]]}
            for movie, rank in self.signup_rank.items()
        ]


def _unnamed(movie_id: int) -> str:
    return f"Film {movie_id}"


def load_films(con: duckdb.DuckDBPyConnection) -> Films:
    """Read the films of a release.

    Parameters
    ----------
    con : DuckDBPyConnection
        Open on a published release.

    Returns
    -------
    Films
    """
    rows = con.execute(
        "SELECT movie_id, title, year, genres, likes, has_vector FROM movies ORDER BY likes DESC, movie_id"
    ).fetchall()
    signup = con.execute("SELECT movie_id FROM signup_movies ORDER BY position").fetchall()
    columns = list(zip(*rows, strict=True)) or [()] * 6
    movie_ids, titles, years, genres, likes, has_vector = map(list, columns)
    shared: dict[tuple[str, ...], list[str]] = {}  # few for many films: the garbage collector looks at each list
    return Films(
        movie_ids,
        titles,
        years,
        [shared.setdefault(tuple(names or ()), list(names or ())) for names in genres],
        likes,
        has_vector,
        [movie for (movie,) in signup],
    )
