"""What the checks of a staged release look at, and what they have measured in common.

Belongs here: opening the staged file's surroundings: its serving pack, the live release to compare with. Does not
belong here: the checks (`checks.release.suite`, `checks.release.lists`, `checks.release.comparison`).
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb

from checks.results import judge
from checks.settings import CheckSettings
from recommender.data.model_data import Neighbourhood
from recommender.parameters import ModelParameters
from warehouse.compute.packs import read_manifest
from warehouse.home import Home
from warehouse.queries import records, sql_text
from warehouse.releases.pack import open_pack
from warehouse.releases.registry import live_release
from warehouse.tables.check_results import CheckResult

ASSET = "published/staged_release"
LIVE = "live_file"


@dataclass(frozen=True)
class Staged:
    """A staged release, open read-only.

    Attributes
    ----------
    con : duckdb.DuckDBPyConnection
        To the staged file; the live release, if any, is attached as `LIVE`.
    home : Home
    settings : CheckSettings
    row : dict
        The row of its table `release`.
    live : dict or None
        The row of the live release, None if nothing is live.
    by_default : collection of str
        Parameters whose values nobody has set: neither the run nor the home.
    """

    con: duckdb.DuckDBPyConnection
    home: Home
    settings: CheckSettings
    row: dict[str, Any]
    live: dict[str, Any] | None
    by_default: Collection[str] = ()

    @property
    def release(self) -> str:
        """Its name."""
        return str(self.row["release"])

    @cached_property
    def parameters(self) -> ModelParameters:
        """The model's parameters, as written on the release."""
        return ModelParameters(**self.row["parameters"])

    @cached_property
    def pack(self) -> Neighbourhood:
        """Its serving pack; PackError if that is damaged."""
        return open_pack(self.home.pack_folder(self.release))

    @cached_property
    def similar_current(self) -> bool:
        """Whether similar films follow from the release's own likes, and not from those of the last retrain."""
        return bool(read_manifest(self.home.pack_folder(self.release)).get("similar_current", True))

    @property
    def similar_as_live(self) -> bool:
        """Whether the similar films are said to be those of the live release."""
        versions = [
            read_manifest(self.home.pack_folder(str(row["release"]))).get("similar_version")
            for row in (self.row, self.live)
            if row is not None
        ]
        return len(versions) == 2 and versions[0] == versions[1]

    @property
    def same_source(self) -> bool:
        """Whether the live release is of the same source, so that a difference is drift and not a replacement."""
        return self.live is not None and self.live["source_fingerprint"] == self.row["source_fingerprint"]

    @property
    def same_recipe(self) -> bool:
        """Whether source and parameters are the live ones, so that nobody has asked for other lists."""
        return self.same_source and self.live is not None and self.live["parameters"] == self.row["parameters"]

    def judge(self, name: str, value: float, description: str, **thresholds: Any) -> CheckResult:
        """`checks.results.judge` for the staged release."""
        return judge(name, ASSET, value, description, **thresholds)


def _release_row(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, Any]:
    (row,) = records(con.execute(f"FROM {table}"))
    return row | {name: json.loads(row[name]) for name in ("parameters", "row_counts")}


@contextmanager
def open_staged(
    con: duckdb.DuckDBPyConnection,
    home: Home,
    settings: CheckSettings,
    by_default: Collection[str] = (),
    against: str | None = None,
) -> Iterator[Staged]:
    """Look at a release, open read-only, beside another one; default: the live one."""
    live = live_release(home) if against is None else against
    row = _release_row(con, "release")
    path = home.release_file(live) if live else None
    if path is None or not path.exists() or live == row["release"]:
        yield Staged(con, home, settings, row, None, by_default)
        return
    con.execute(f"ATTACH {sql_text(path)} AS {LIVE} (READ_ONLY)")
    try:
        yield Staged(con, home, settings, row, _release_row(con, f"{LIVE}.release"), by_default)
    finally:
        con.execute(f"DETACH {LIVE}")
