"""Columns of the files that come in: their names in the file and in our tables, and how their text is read.

Belongs here: the layouts of MovieLens' files, and what is known of a file's rows once they are staged. Does not belong
here: what the values must be (`warehouse.schemas`).
"""

from dataclasses import dataclass
from typing import Literal

EARLIEST_SECOND, LATEST_SECOND = -62_135_596_800, 253_402_300_799
"""Epoch seconds of the years 1 to 9999: what is outside cannot be written as a TIMESTAMP."""


@dataclass(frozen=True)
class Column:
    """One column: its name in the file, its name in our tables, and how its text is read."""

    name: str
    ours: str
    kind: Literal["integer", "real", "seconds", "micros", "text"]


LAYOUTS: dict[str, tuple[Column, ...]] = {
    "movies": (
        Column("movieId", "movie_id", "integer"),
        Column("title", "title", "text"),
        Column("genres", "genres", "text"),
    ),
    "ratings": (
        Column("userId", "user_id", "integer"),
        Column("movieId", "movie_id", "integer"),
        Column("rating", "rating", "real"),
        Column("timestamp", "rated_at", "seconds"),
    ),
    "tags": (
        Column("userId", "user_id", "integer"),
        Column("movieId", "movie_id", "integer"),
        Column("tag", "tag", "text"),
        Column("timestamp", "tagged_at", "seconds"),
    ),
    "genome_tags": (Column("tagId", "tag_id", "integer"), Column("tag", "tag", "text")),
    "genome_scores": (
        Column("movieId", "movie_id", "integer"),
        Column("tagId", "tag_id", "integer"),
        Column("relevance", "relevance", "real"),
    ),
}
"""Columns of each file by table, in MovieLens' order; files may have them in any order, and others besides."""


@dataclass(frozen=True)
class Staged:
    """What is known of staged rows.

    Attributes
    ----------
    ascending : bool
        Whether the key grows from row to row, as in MovieLens' files; then no key is there twice. False if unknown.
    notes : tuple of str
        Remarks on the file as a whole.
    """

    ascending: bool
    notes: tuple[str, ...] = ()


def expected_header(table: str) -> str:
    """First line of a MovieLens file of this kind."""
    return ",".join(column.name for column in LAYOUTS[table])
