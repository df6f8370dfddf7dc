"""Sealing: every event in one file, every rating in one landing file, wherever the process is killed."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.command import ROOT
from warehouse.events import segments
from warehouse.events.event import Event
from warehouse.events.journal import Journal, Refused
from warehouse.events.segments import retire, seal
from warehouse.faults import EVENT_STEPS
from warehouse.files import file_sha256
from warehouse.queries import utc_now
from warehouse.schemas.definitions import arrow_schema


def some(first: int, count: int) -> list[Event]:
    """Every third one is a rating."""
    return [
        Event(f"e{n}", "rating", n, 260, 4.5, utc_now()) if n % 3 == 0 else Event(f"e{n}", "play", n, 260, None, None)
        for n in range(first, first + count)
    ]


def numbers(journal: Journal) -> list[int]:
    """Events by their own number, in the order of the journal, which has no gap."""
    found: list[tuple[int, int]] = []
    while rows := journal.since(found[-1][0] if found else 0):
        found += [(row.seq, int(row.event.event_id[1:])) for row in rows]
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    return [number for _, number in found]


def landed(landing: Path) -> list[int]:
    """Users of all landing files, wherever these are."""
    files = sorted(landing.rglob("*.parquet"))
    return sorted(user for file in files for user in pl.read_parquet(file)["userId"].to_list())


def test_events_become_files_and_can_still_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, landing = Journal(tmp_path / "events"), tmp_path / "landing"
    assert seal(journal, landing) == []
    journal.append(some(1, 10), "http")
    assert seal(journal, landing) == []  # a minute has not passed
    (first,) = seal(journal, landing, seconds=0)
    assert (first.first_seq, first.last_seq, first.events, first.ratings) == (1, 10, 10, 3)
    file = landing / "events-1-10.parquet"
    assert first.landing_sha256 == file_sha256(file)
    assert pl.read_parquet(file).columns == ["userId", "movieId", "rating", "timestamp"]
    assert pq.read_schema(first.path).equals(arrow_schema("ops.events"))
    assert journal.unsealed() == (0, None)
    journal.append([Event("p", "play", 1, 1)], "kafka")
    (second,) = seal(journal, landing, seconds=0)
    assert (second.ratings, second.landing_sha256) == (0, None)
    journal.append(some(11, 2), "http")
    assert [row.event.event_id for row in journal.since(9)] == ["e10"]
    assert [row.event.event_id for row in journal.since(10)] == ["p"]
    assert [row.event.event_id for row in journal.since(11)] == ["e11", "e12"]
    assert journal.segments() == [first, second]
    assert journal.reach(set()) == 0
    assert journal.reach({str(first.landing_sha256)}) == second.last_seq
    monkeypatch.setattr(segments, "MOST_ROWS", 2)
    assert [segment.events for segment in seal(journal, landing)] == [2]  # enough for a segment, however new
    rows = {row.seq: row for row in journal.since(0)}
    assert rows[3].event.rating == 4.5
    assert rows[2].event.rating is None


@pytest.mark.parametrize(
    ("step", "moved"),
    # The landing file may have been taken meanwhile.
    [*((step, "") for step in EVENT_STEPS), ("ratings_landed", "ingested"), ("ratings_landed", "refused")],
)
def test_wherever_it_is_killed_the_next_one_finishes(tmp_path: Path, step: str, moved: str) -> None:
    script = """
import sys
from pathlib import Path
from tests.warehouse.events.test_segments import some
from warehouse.events.journal import Journal
from warehouse.events.segments import seal
journal = Journal(Path(sys.argv[1]) / "events")
journal.append(some(1, 30), "http")
seal(journal, Path(sys.argv[1]) / "landing", seconds=0)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT, env={**os.environ, "MARQUEE_KILL_AT": step})
    assert killed.returncode == -signal.SIGKILL
    journal, landing = Journal(tmp_path / "events"), tmp_path / "landing"
    assert numbers(journal) == ([] if step == "events_committing" else list(range(1, 31)))
    if moved:
        (landing / moved).mkdir()
        (file,) = landing.glob("*.parquet")
        file.rename(landing / moved / file.name)
    journal.append(some(1, 30), "http")  # whoever had no answer sends again
    journal.append(some(31, 6), "http")
    for _ in range(2):
        seal(journal, landing, seconds=0)
        assert numbers(journal) == list(range(1, 37))
        assert landed(landing) == list(range(3, 37, 3))
    assert journal.unsealed().events == 0
    assert sum(segment.events for segment in journal.segments()) == 36
    assert not [path for path in tmp_path.rglob(".incoming-*") if path.is_file()]


def test_only_one_seals_at_a_time_and_old_segments_go(tmp_path: Path) -> None:
    journal, landing = Journal(tmp_path / "events"), tmp_path / "landing"
    journal.append(some(1, 3), "http")
    with segments.sealing(journal.folder) as mine:
        assert mine
        assert seal(Journal(journal.folder), landing, seconds=0) == []
    for first in (4, 7):
        seal(journal, landing, seconds=0)
        journal.append(some(first, 3), "http")
    old = time.time() - timedelta(days=31).total_seconds()
    for name in ("1-3.parquet", "4-6.parquet"):
        os.utime(journal.folder / name, (old, old))
    assert retire(journal, {"1-3.parquet", "7-9.parquet"}) == ["1-3.parquet"]
    assert [segment.first_seq for segment in journal.segments()] == [4]
    assert [row.seq for row in journal.since(0)] == [4, 5, 6]
    assert [row.seq for row in journal.since(6)] == [7, 8, 9]


def test_ids_are_forgotten_after_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "events")
    for first, days in ((1, 32), (41, 31), (81, 0)):
        journal.append(some(first, 40), "http")
        with journal.database.writing() as con:
            con.execute("UPDATE known SET day = day - ? WHERE day > ?", (days, time.time() // 86_400 - 1))
    now = time.time()
    for minute in range(segments._SLICES):
        monkeypatch.setattr(segments.time, "time", lambda minute=minute: now + 60 * minute)
        segments._forget(journal)
    assert journal.append(some(1, 120), "http")[:2] == (40, 80)


def test_refused_messages_are_kept_a_month(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events")
    assert journal.refused() == []
    messages = [Refused("films", 0, offset, "event is not JSON", b"{" * 20_000) for offset in range(3)]
    journal.append(some(1, 2), "kafka", {("films", 0): 3}, messages[:2])
    with journal.database.writing() as con:
        con.execute("UPDATE refused SET refused_at = refused_at - ?", (32 * 86_400_000_000,))
    journal.append([], "kafka", {("films", 0): 3}, messages[2:])
    assert [message.offset for message in journal.refused("films")] == [0, 1, 2]
    assert {len(message.raw) for message in journal.refused()} == {16_384}
    assert journal.refused("other") == []
    seal(journal, None, seconds=0)
    assert [message.offset for message in journal.refused()] == [2]
