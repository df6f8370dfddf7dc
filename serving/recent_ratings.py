"""Ratings that came in as events and that a release may not hold yet, by user; in memory, bounded.

Belongs here: keeping them and finding those of one user. Does not belong here: where events come from
(`warehouse.events`), what they change in a list (`serving.sources`).

Columns of numbers instead of objects: 32 bytes an event. Each event knows the one before it of the same user, so what a
user rated is found by following a chain from the last one back.
"""

import threading
from array import array
from collections.abc import Iterable
from typing import NamedTuple

MOST_EVENTS = 8_000_000
"""Events kept at most; with more, the older half goes. What the live release and the one before it do not hold is
that of two hours: 7.2 million at 1,000 ratings a second."""

LAST = 2**62
"""Later than any event."""


class RatingEvent(NamedTuple):
    """A rating among the events.

    Attributes
    ----------
    seq : int
        Place among all events of the journal, ascending.
    user_id, movie_id : int
    rating : float
        Stars.
    received_us : int
        When it was received, in microseconds since 1970.
    """

    seq: int
    user_id: int
    movie_id: int
    rating: float
    received_us: int


class Recent(NamedTuple):
    """What one user has rated of late.

    Attributes
    ----------
    ratings : dict of int to float
        Latest stars by movie_id.
    seq, received_us : int
        Of the last event among them; 0 without any.
    """

    ratings: dict[int, float]
    seq: int = 0
    received_us: int = 0


NOTHING = Recent({})


class RecentRatings:
    """Ratings of events, in the order of the journal. Threads may read and write at once."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._last: dict[int, int] = {}
        self._first = 0  # number of the first event that is kept; events are numbered from 0 as they come
        self._seqs, self._movies, self._stars = array("q"), array("i"), array("f")
        self._before, self._times = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._seqs)

    def add(self, events: Iterable[RatingEvent]) -> None:
        """Add events; a seq is never lower than one before."""
        with self._lock:
            for event in events:
                self._before.append(self._last.get(event.user_id, -1))
                self._last[event.user_id] = self._first + len(self._seqs)
                self._seqs.append(event.seq)
                self._movies.append(event.movie_id)
                self._stars.append(event.rating)
                self._times.append(event.received_us)
            if len(self._seqs) > self._most:
                self._drop(len(self._seqs) - self._most // 2)

    def of(self, user_id: int, after: int = 0, until: int = LAST) -> Recent:
        """What a user rated in the events after one and up to another, by seq."""
        if user_id not in self._last:  # the usual case, without waiting for whoever adds
            return NOTHING
        ratings: dict[int, float] = {}
        seq = received = 0
        with self._lock:
            number = self._last.get(user_id, -1)
            while number >= self._first and self._seqs[number - self._first] > after:
                at = number - self._first
                if self._seqs[at] <= until:
                    ratings.setdefault(self._movies[at], self._stars[at])
                    if not seq:
                        seq, received = self._seqs[at], self._times[at]
                number = self._before[at]
        return Recent(ratings, seq, received)

    def forget(self, seq: int) -> None:
        """Let go of events up to a seq."""
        with self._lock:
            self._drop(next((n for n, each in enumerate(self._seqs) if each > seq), len(self._seqs)))

    def _drop(self, count: int) -> None:
        self._first += count
        for column in (self._seqs, self._movies, self._stars, self._before, self._times):
            del column[:count]
        self._last = {user: number for user, number in self._last.items() if number >= self._first}
