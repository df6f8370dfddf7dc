"""Which releases are being served right now: champion and, while an experiment runs, challenger.

Belongs here: following the published links and the experiment, loading what they point to, and which variant a client
meets. Does not belong here: what a snapshot holds (`serving.releases.snapshot`), changing the links
(`warehouse.releases.promotion`), or dividing the clients (`warehouse.releases.exposure`).
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from cachetools import TTLCache

from serving.cursors import Cursor, gone, require_own
from serving.releases.snapshot import Snapshot, SnapshotError, cursor_key, load_snapshot
from warehouse.home import Home
from warehouse.releases.exposure import Exposure, read_exposure
from warehouse.releases.registry import ReleaseError

Variant = Literal["champion", "challenger"]

RETRY_SECONDS = 5.0
"""Pause before a release that could not be loaded is tried again: its files may still be arriving."""


KEPT_RELEASES = 2
"""Releases that are not live any more in memory at most, for cursors of theirs."""

KEPT_SECONDS = 300.0


class Chosen(NamedTuple):
    """What answers one request, from its beginning to its end; `experiment` is that which chose, if one did."""

    snapshot: Snapshot
    variant: Variant
    experiment: str | None = None


logger = logging.getLogger("marquee.serving")


def linked_file(link: Path) -> Path | None:
    """Release file a published link points to, or None if there is no link or no such file."""
    try:
        target = link.parent / link.readlink()
    except OSError:
        return None
    return target if target.exists() else None


class LiveReleases:
    """The snapshots being served. `look` follows the links; readers take a snapshot and keep it while they answer.

    Parameters
    ----------
    home : Home
    on_change : callable, optional
        Called with (variant, old snapshot or None, new snapshot or None) after each change.
    """

    def __init__(
        self,
        home: Home,
        on_change: Callable[[Variant, Snapshot | None, Snapshot | None], None] | None = None,
    ) -> None:
        self.home = home
        self.exposure: Exposure | None = None
        self.champion: Snapshot | None = None
        self.challenger: Snapshot | None = None
        self.problem = ""
        self._on_change = on_change or (lambda variant, old, new: None)
        self._failed: dict[Path, tuple[str, float]] = {}
        self._gone = False
        self._damage = ""
        self._looking = threading.Lock()
        self._kept: TTLCache[str, Snapshot] = TTLCache(KEPT_RELEASES, KEPT_SECONDS)
        self._reading = threading.Lock()

    def look(self) -> bool:
        """Load what the links point to now, if that is not being served already. May take as long as loading does.

        A release that cannot be loaded is reported once and leaves the one before it in place.

        Returns
        -------
        bool
            Whether anything changed.
        """
        with self._looking:
            self.problem = ""
            champion = self._follow("champion", self.home.current)
            challenger = self._follow("challenger", self.home.challenger)
            self.exposure = self._exposed()
            return champion or challenger

    def behind(self) -> bool:
        """Whether links or experiment are other than what is being served; costs three system calls."""
        for link, serving in ((self.home.current, self.champion), (self.home.challenger, self.challenger)):
            path = linked_file(link)
            if (path and path.stem) != (serving and serving.release):
                return True
        return self._exposed() != self.exposure

    def _exposed(self) -> Exposure | None:
        """The experiment that runs; none if its file is damaged, which is told once."""
        try:
            exposure = read_exposure(self.home)
        except ReleaseError as error:
            if str(error) != self._damage:
                logger.error("%s", error)
            self._damage = str(error)
            return None
        self._damage = ""
        return exposure

    def choose(self, client: str | None) -> Chosen | None:
        """Pick the snapshot that answers a client; None if nothing is live.

        Parameters
        ----------
        client : str or None
            The client's key. Requests without one are answered by the champion, and are not part of an experiment.
        """
        champion, challenger, exposure = self.champion, self.challenger, self.exposure
        if champion is None:
            return None
        if client is None or challenger is None or challenger is champion or exposure is None:
            return Chosen(champion, "champion")
        if exposure.challenger != challenger.release:  # about to be loaded
            return Chosen(champion, "champion")
        if exposure.meets_challenger(client):
            return Chosen(challenger, "challenger", exposure.experiment)
        return Chosen(champion, "champion", exposure.experiment)

    def kept(self, cursor: Cursor) -> Snapshot:
        """Load the release of a cursor again; it stays in memory for a while, for the pages after this one.

        The seal is verified before anything is loaded: a release that was never live made no cursor.

        Raises
        ------
        Problem
            410 naming `cursor`, if the release was retired; 422, if it did not make the cursor.
        """
        with self._reading:
            snapshot = self._kept.get(cursor.release)
            if snapshot is None:
                path = self.home.release_file(cursor.release)
                try:
                    key = cursor_key(self.home, cursor.release)
                except OSError:
                    raise gone(cursor.release) from None
                require_own(cursor, key)
                try:
                    snapshot = load_snapshot(self.home, path)
                except SnapshotError:
                    raise gone(cursor.release) from None
                self._kept[cursor.release] = snapshot
            return snapshot

    def forget(self) -> None:
        """Let go of releases loaded for cursors that nobody has used for a while."""
        if self._kept and self._reading.acquire(blocking=False):
            try:
                self._kept.expire()
            finally:
                self._reading.release()

    def _follow(self, variant: Variant, link: Path) -> bool:
        """Bring one variant in line with its link."""
        serving: Snapshot | None = getattr(self, variant)
        path = linked_file(link)
        if path is None:
            if variant == "champion" and serving is not None:
                self.problem = f"{link.name} points nowhere; {serving.release} is still served"
                if not self._gone:
                    logger.error("%s", self.problem)
                self._gone = True
                return False
            return self._replace(variant, serving, None)
        if variant == "champion":
            self._gone = False
        if serving is not None and serving.release == path.stem:
            return False
        other = self.challenger if variant == "champion" else self.champion
        if other is not None and other.release == path.stem:
            return self._replace(variant, serving, other)
        found = self._load(path)
        return found is not None and self._replace(variant, serving, found)

    def _load(self, path: Path) -> Snapshot | None:
        """Load a snapshot and warm it up, or say why not; one that failed is tried again after a pause."""
        problem, retry_at = self._failed.get(path, ("", 0.0))
        if time.monotonic() < retry_at:
            self.problem = problem
            return None
        try:
            snapshot = load_snapshot(self.home, path)
            snapshot.warm_up()
        except SnapshotError as error:
            self.problem = str(error)
            self._failed[path] = (self.problem, time.monotonic() + RETRY_SECONDS)
            if self.problem != problem:
                logger.error("%s", error)
            return None
        self._failed.pop(path, None)
        return snapshot

    def _replace(self, variant: Variant, old: Snapshot | None, new: Snapshot | None) -> bool:
        if old is new:
            return False
        setattr(self, variant, new)
        self._on_change(variant, old, new)
        return True
