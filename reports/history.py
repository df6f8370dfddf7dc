"""All releases of a home with what their files say of them: checks, measurements, parameters.

Belongs here: reading. Does not belong here: what is in a release's tables (`dictionary`, `coverage`), or drawing
(`charts`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recommender.evaluation.evaluate import CURRENT, Measurement, measurement_of
from recommender.evaluation.splits import TEST_NAME
from warehouse.home import Home
from warehouse.queries import one_row
from warehouse.releases.reader import NoReleaseError, open_release
from warehouse.releases.registry import deciding_event, list_releases
from warehouse.tables.check_results import CheckResult, published_results
from warehouse.tables.evaluation import read_evaluation

MOST_RELEASES = 200
"""Releases that are looked at besides those whose files are kept: a year has some thousands."""


@dataclass(frozen=True)
class Known:
    """A release in the registry; with what its file holds if that is kept.

    Attributes
    ----------
    entry : mapping
        Of `warehouse.releases.registry.list_releases`.
    kept : bool
        Whether its file is there. If not, the rest is empty.
    parameters : dict
    checks : list of CheckResult
        Those of its table `checks`, by asset and name.
    measured : list of Measurement
    """

    entry: Mapping[str, Any]
    kept: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.entry["release"])

    @property
    def decided(self) -> dict[str, Any]:
        """The event that explains its state."""
        return deciding_event(self.entry)

    def measurement(self, metric: str) -> Measurement | None:
        """How its own parameters do on held-out users, if that was measured."""
        return measurement_of(self.measured, TEST_NAME, CURRENT, metric)


def read_history(home: Home) -> list[Known]:
    """Read the releases whose files are kept and the newest of the others, the oldest first.

    Raises
    ------
    NoReleaseError
        If there are none, or the files of all are gone.
    """
    entries = list_releases(home)
    newest = {entry["release"] for entry in entries[:MOST_RELEASES]}
    known = [_read(home, entry) for entry in reversed(entries)]
    known = [release for release in known if release.kept or release.name in newest]
    if not any(release.kept for release in known):
        raise NoReleaseError(f"there is no release in {home.published} to write about; make one with: marquee run")
    return known


def _read(home: Home, entry: Mapping[str, Any]) -> Known:
    try:
        with open_release(home, entry["release"]) as con:
            (parameters,) = one_row(con, "SELECT parameters FROM release")
            return Known(entry, True, json.loads(parameters), published_results(con), read_evaluation(con))
    except NoReleaseError:  # retired, before or just now
        return Known(entry)


def described(known: list[Known]) -> Known:
    """The release whose tables the pages describe: the live one, else the newest of which there is a file."""
    kept = [release for release in known if release.kept]
    return next((release for release in kept if release.entry["state"] == "live"), kept[-1])
