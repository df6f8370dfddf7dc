"""The interface of all targets: lock, load, verify, switch, retire, and what consumers would see.

Belongs here: what `export` asks of a target. Does not belong here: how PostgreSQL, Redis or Parquet do it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from warehouse.exports.release_file import ReleaseFile


class Seen(NamedTuple):
    """What consumers of a target find: the release that is live there, and the rows of each of its tables."""

    release: str | None
    rows: dict[str, int]


class Target(Protocol):
    """A place that releases are exported to. Every method raises ExportError for what a user can put right."""

    default_keep: int
    """Releases kept there unless told otherwise."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Connect, and keep other exporters to this target out while the block runs."""

    def held(self, release: str) -> set[str]:
        """Tables of a release that are there complete and verified; empty if it is not there."""

    def load(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Load tables of a release under its name; no consumer looks there yet."""

    def verify(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Compare rows and contents of loaded tables with the release; from then on they are held."""

    def switch(self, release: str) -> bool:
        """Make a held release the one that consumers see, at once; False if it was."""

    def retire(self, keep: int) -> list[str]:
        """Give up all releases but the newest `keep` and the live one; return their names."""

    def seen(self) -> Seen:
        """What consumers see now, by the way that they take."""
