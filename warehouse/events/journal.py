"""The journal: events of all doors of a machine, in the order in which they were committed, each id once.

Belongs here: appending, reading what came after an event, where streams stand. Does not belong here: what an event is
(`event`), the database (`database`), moving events to files (`segments`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

from warehouse.events.database import Database, range_name
from warehouse.events.event import Event
from warehouse.faults import step
from warehouse.queries import utc_now

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000
MOST_ROWS = 100_000
"""Events that `since` returns at most, and that a segment has."""

MOST_RAW = 16_384
"""Bytes of a refused message that are kept."""

LAST_SEALED = "(SELECT coalesce(max(last_seq), 0) FROM segments WHERE sealed_at IS NOT NULL)"
COLUMNS = "seq, event_id, type, user_id, movie_id, rating, happened_at, answer_id, position, received_at, door"
_INSERT = f"INSERT INTO events ({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Appended(NamedTuple):
    """What became of events: how many are new, how many were known; and the last event of the journal then."""

    accepted: int
    duplicates: int
    last_seq: int


class Refused(NamedTuple):
    """A message of a stream that is no event, where it was, and why; the first `MOST_RAW` bytes of it are kept."""

    topic: str
    partition: int
    offset: int
    reason: str
    raw: bytes


class Received(NamedTuple):
    """An event of the journal: its number, when it was received (UTC) and by which door. Its `at` is never None."""

    seq: int
    received_at: datetime
    door: str
    event: Event


class Segment(NamedTuple):
    """A sealed range of events.

    Attributes
    ----------
    first_seq, last_seq : int
    events, ratings : int
        How many it has.
    landing_sha256 : str or None
        Of the file its ratings landed in; None if it has none.
    path : Path
        ``events/<first>-<last>.parquet``.
    """

    first_seq: int
    last_seq: int
    events: int
    ratings: int
    landing_sha256: str | None
    path: Path


class Unsealed(NamedTuple):
    """What waits to be sealed: how many events, and since when (UTC); None if there are none."""

    events: int
    since: datetime | None


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of a time in UTC without a zone."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """Time in UTC without a zone."""
    return _EPOCH + timedelta(microseconds=micros)


class Journal:
    """Events of a home's folder `events`. Any thread may use it; `close` when all have ended.

    Every method raises JournalError if the disk is full, the file locked or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = Database(folder)

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def append(
        self,
        events: Sequence[Event],
        door: str,
        offsets: Mapping[tuple[str, int], int] | None = None,
        refused: Sequence[Refused] = (),
    ) -> Appended:
        """Keep the events whose ids are new. When this returns they are on the disk.

        Parameters
        ----------
        events : sequence of Event
        door : str
            How they came in: ``http``, ``kafka``, ``store``.
        offsets : mapping, optional
            By topic and partition: the next offset to read, noted in the same transaction.
        refused : sequence of Refused, optional
            Messages that are no events, kept in the same transaction.
        """
        return self.append_groups([events], door, offsets, refused)[0]

    def append_groups(
        self,
        groups: Iterable[Sequence[Event]],
        door: str,
        offsets: Mapping[tuple[str, int], int] | None = None,
        refused: Sequence[Refused] = (),
    ) -> list[Appended]:
        """Keep several groups of events in one transaction; each gets its own account."""
        done = []
        with self.database.writing() as con:
            now = micros(utc_now())  # in this writer's turn: events in order are also in order of time
            for events in groups:
                rows = []
                for event in events:
                    mark = blake2b(event.event_id.encode(), digest_size=16).digest()
                    if con.execute("INSERT OR IGNORE INTO known VALUES (?, ?)", (mark, now // _DAY)).rowcount:
                        at = now if event.at is None else micros(event.at)
                        rows.append((*event[:5], at, *event[6:], now, door))
                con.executemany(_INSERT, rows)
                last = con.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()[0]
                done.append(Appended(len(rows), len(events) - len(rows), last))
            step("events_committing")
            con.executemany(
                "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = excluded.next",
                [(*place, following) for place, following in (offsets or {}).items()],
            )
            con.executemany(
                "INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*message[:4], message.raw[:MOST_RAW], len(message.raw), now) for message in refused],
            )
        return done

    def since(self, seq: int, limit: int = MOST_ROWS) -> list[Received]:
        """Events after a number, in order, sealed or not: some of them, at most `limit`; none if there are no more.

        With nothing new it costs microseconds. Events whose segment was retired are gone.
        """
        with self.database.reading() as con:
            if con is None:
                return []
            sealed = con.execute(
                "SELECT first_seq, last_seq FROM segments WHERE last_seq > ? AND sealed_at IS NOT NULL "
                "ORDER BY last_seq LIMIT 1",
                (seq,),
            ).fetchone()
            if sealed is None:
                query = f"SELECT {COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
                return [_received(*row) for row in con.execute(query, (seq, limit))]
        path = self.folder / range_name(*sealed)
        try:
            return read_segment(path, seq)[:limit]
        except FileNotFoundError:  # retired meanwhile
            return self.since(sealed[1], limit)

    def last_seq(self) -> int:
        """Number of the last event; 0 if there never was one."""
        with self.database.reading() as con:
            query = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
            return 0 if con is None else int(con.execute(query).fetchone()[0])

    def offsets(self, topic: str) -> dict[int, int]:
        """Next offset to read by partition."""
        with self.database.reading() as con:
            query = "SELECT partition, next FROM offsets WHERE topic = ?"
            return {} if con is None else dict(con.execute(query, (topic,)).fetchall())

    def refused(self, topic: str | None = None) -> list[Refused]:
        """Messages that were no events, of a topic or of all, in the order in which they came."""
        with self.database.reading() as con:
            query = "SELECT topic, partition, offset, reason, raw FROM refused WHERE ? IN (topic, '') ORDER BY rowid"
            return [] if con is None else [Refused(*row) for row in con.execute(query, (topic or "",))]

    def segments(self, after: int = 0) -> list[Segment]:
        """Sealed segments with events after a number, in order."""
        with self.database.reading() as con:
            if con is None:
                return []
            rows = con.execute(
                "SELECT first_seq, last_seq, events, ratings, landing_sha256 FROM segments "
                "WHERE last_seq > ? AND sealed_at IS NOT NULL ORDER BY last_seq",
                (after,),
            ).fetchall()
        return [Segment(*row, self.folder / range_name(row[0], row[1])) for row in rows]  # type: ignore[call-arg]

    def reach(self, files: Collection[str]) -> int:
        """Number of the last event up to which a release holds all ratings.

        Parameters
        ----------
        files : collection of str
            SHA-256 of the files that the release was made from (its `source_files`). A segment without ratings has
            nothing that a release could lack.
        """
        reached = 0
        for segment in self.segments():
            if segment.ratings and segment.landing_sha256 not in files:
                break
            reached = segment.last_seq
        return reached

    def unsealed(self) -> Unsealed:
        """How much waits to be sealed, and since when."""
        with self.database.reading() as con:
            if con is None:
                return Unsealed(0, None)
            first = con.execute(
                f"SELECT seq, received_at FROM events WHERE seq > {LAST_SEALED} ORDER BY seq LIMIT 1"
            ).fetchone()
            if first is None:
                return Unsealed(0, None)
            last = con.execute("SELECT max(seq) FROM events").fetchone()[0]
        return Unsealed(last - first[0] + 1, moment(first[1]))


def _received(
    seq: int, event_id: str, kind: str, user: int, movie: int, rating: float | None, at: int,
    answer_id: str | None, position: int | None, received_at: int, door: str,
) -> Received:  # fmt: skip
    event = Event(event_id, kind, user, movie, rating, moment(at), answer_id, position)
    return Received(seq, moment(received_at), door, event)


def read_segment(path: Path | BinaryIO, after: int = 0) -> list[Received]:
    """Events of a segment's file, from the one after a number on."""
    import pyarrow.parquet as pq

    names = COLUMNS.split(", ")
    table = pq.read_table(path, columns=names, filters=[("seq", ">", after)])
    return [
        Received(seq, received_at, door, Event(*event))
        for seq, *event, received_at, door in zip(*(table[name].to_pylist() for name in names), strict=True)
    ]
