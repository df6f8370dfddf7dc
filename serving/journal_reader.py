"""Reads the journal of events as it grows: the ratings in it, and which of them a release holds already.

Belongs here: following the journal from one process, and forgetting what no answer needs any more. Does not belong
here: the journal (`warehouse.events`), keeping ratings by user (`serving.recent_ratings`).

A release holds the events of a segment when the file of ratings made of it is among its files, told by sha256. No clock
is asked. Segments are made in order, so one number says how far a release reaches.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

from serving.metrics import EVENTS_PROBLEM, RECENT_RATINGS
from serving.recent_ratings import LAST, RatingEvent, Recent, RecentRatings
from serving.releases.snapshot import Snapshot
from warehouse.events.database import JournalError
from warehouse.events.journal import Journal, Received, micros
from warehouse.home import Home

logger = logging.getLogger("marquee.serving")


class JournalReader:
    """The ratings of a home's events that its releases may not hold.

    Parameters
    ----------
    home : Home
    served : callable
        The snapshots that answer now, the champion first.
    """

    def __init__(self, home: Home, served: Callable[[], Sequence[Snapshot]]) -> None:
        self._journal = Journal(home.events)
        self._served = served
        self._ratings = RecentRatings()
        self._first: int | None = None
        self._seq = self._lowest = 0
        self._held: dict[str, int] = {}
        self._champion = ""
        self._problem = ""

    def of(self, snapshot: Snapshot, user_id: int, until: int = LAST) -> Recent:
        """What a user rated in events that a release does not hold, up to one of them."""
        return self._ratings.of(user_id, self._held.get(snapshot.release, 0), until)

    def read(self) -> None:
        """Take in what has come since the last time; from one thread at a time. A journal that cannot be read waits."""
        try:
            self._read()
            problem = ""
        except JournalError as error:
            problem = str(error)
        if problem and problem != self._problem:
            logger.error("events are not taken into account: %s", problem)
        self._problem = problem
        EVENTS_PROBLEM.set(bool(problem))

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _read(self) -> None:
        served = self._served()
        if not served:
            return
        self._follow(served)
        while received := self._journal.since(self._seq):
            self._ratings.add(_ratings(received))
            self._seq = received[-1].seq
        RECENT_RATINGS.set(len(self._ratings))

    def _follow(self, served: Sequence[Snapshot]) -> None:
        """Keep in memory what comes after the release that reaches least far.

        With a new champion, that is also what the release before did not hold: its cursors, and a rollback to it, need
        that.
        """
        for snapshot in served:
            if snapshot.release not in self._held:
                self._held[snapshot.release] = self._journal.reach(snapshot.event_files)
        lowest, champion = min(self._held[snapshot.release] for snapshot in served), served[0].release
        if self._first is None or lowest < self._first:
            self._ratings, self._first, self._seq = RecentRatings(), lowest, lowest
        elif champion != self._champion:
            self._first = max(self._first, min(lowest, self._lowest))
            self._ratings.forget(self._first)
        self._champion, self._lowest = champion, lowest


def _ratings(received: Iterable[Received]) -> Iterable[RatingEvent]:
    for each in received:
        if each.event.type == "rating" and each.event.rating is not None:
            event = each.event
            yield RatingEvent(each.seq, event.user_id, event.movie_id, each.event.rating, micros(each.received_at))
