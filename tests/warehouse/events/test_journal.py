"""The journal keeps every acknowledged event once, whoever writes at the same time and whoever is killed."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.command import ROOT
from warehouse.events import database
from warehouse.events.database import JournalError
from warehouse.events.event import Event
from warehouse.events.journal import Appended, Journal
from warehouse.queries import utc_now


def event(number: int, *, at: bool = False) -> Event:
    return Event(f"e{number}", "rating", number % 50 + 1, 260, 4.5, utc_now() if at else None, "answer", 2)


def everything(journal: Journal) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    while rows := journal.since(found[-1][0] if found else 0, limit=700):
        found += [(row.seq, row.event.event_id) for row in rows]
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "events")


def test_an_id_counts_once_and_order_is_that_of_commits(journal: Journal) -> None:
    assert journal.since(0) == []
    assert not journal.folder.exists()
    assert journal.append([event(1), event(2), event(1)], "http") == Appended(2, 1, 2)
    assert journal.append([event(2), event(3, at=True)], "kafka") == Appended(1, 1, 3)
    assert journal.append_groups([[event(3)], [], [event(4), event(3)]], "http") == [
        Appended(0, 1, 3), Appended(0, 0, 3), Appended(1, 1, 4),
    ]  # fmt: skip
    rows = journal.since(0)
    assert [(row.seq, row.event.event_id, row.door) for row in rows] == [
        (1, "e1", "http"), (2, "e2", "http"), (3, "e3", "kafka"), (4, "e4", "http"),
    ]  # fmt: skip
    assert rows[0].event == event(1)._replace(at=rows[0].received_at)
    assert utc_now() - rows[2].received_at < timedelta(seconds=60)
    assert [row.seq for row in journal.since(2)] == [3, 4]
    assert [row.seq for row in journal.since(1, limit=2)] == [2, 3]
    assert journal.since(4) == []
    assert journal.last_seq() == 4
    assert journal.unsealed() == (4, rows[0].received_at)


def test_offsets_are_kept_with_the_events_and_go_back_with_a_topic_made_anew(journal: Journal) -> None:
    assert journal.offsets("films") == {}
    journal.append([event(1)], "kafka", {("films", 0): 5, ("films", 1): 2, ("other", 0): 9})
    journal.append([], "kafka", {("films", 0): 4, ("films", 1): 3})
    assert journal.offsets("films") == {0: 4, 1: 3}
    Journal(journal.folder).append([], "kafka", {("films", 0): 6})
    assert journal.offsets("films") == {0: 6, 1: 3}


def test_threads_share_a_journal(journal: Journal) -> None:
    def append(first: int) -> None:
        for number in range(first, first + 100):
            journal.append([event(number)], "http")

    threads = [threading.Thread(target=append, args=(50 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for _, name in everything(journal)) == sorted(f"e{n}" for n in range(250))
    journal.close()


WRITER = """
import json, sys
from pathlib import Path
from warehouse.events.event import Event
from warehouse.events.journal import Journal
journal, name, sent = Journal(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
while True:
    batch = [Event(f"{name}-{sent}-{n}", "rating", n + 1, 260, 4.0) for n in range(sent % 7 + 1)]
    found = journal.append(batch, "http", {("topic", int(name)): sent})
    print(json.dumps([sent, found.accepted, found.duplicates]), flush=True)
    sent += 1
"""


def test_every_acknowledged_event_is_there_once_though_writers_are_killed(tmp_path: Path) -> None:
    """Three processes write, one after another is killed and goes on with the batch it had no answer to."""
    folder, chance = tmp_path / "events", random.Random(7)
    answered = Counter[int]()  # by writer: the next batch to send
    writers: dict[int, subprocess.Popen[str]] = {}

    def start(name: int) -> None:
        words = [sys.executable, "-c", WRITER, str(folder), str(name), str(answered[name])]
        writers[name] = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def kill(name: int) -> None:
        writers[name].send_signal(signal.SIGKILL)
        lines = writers[name].communicate()[0].splitlines()
        for line in lines:
            if line.endswith("]"):
                sent, accepted, duplicates = json.loads(line)
                assert sent == answered[name]
                size = sent % 7 + 1
                # All of a batch or nothing: only the first one after a kill may be known already.
                assert (accepted, duplicates) in ([(size, 0), (0, size)] if line == lines[0] else [(size, 0)])
                answered[name] += 1

    for name in range(3):
        start(name)
    kills = 12
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, 0.5))
        name = chance.randrange(3)
        kill(name)
        start(name)
    time.sleep(0.5)
    for name in range(3):
        kill(name)
    found = everything(Journal(folder))
    names = Counter(name for _, name in found)
    assert max(names.values()) == 1
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    acknowledged = {f"{w}-{s}-{n}" for w in range(3) for s in range(answered[w]) for n in range(s % 7 + 1)}
    assert acknowledged <= names.keys()
    assert sum(answered.values()) > 3 * kills
    rest = names.keys() - acknowledged  # committed, but the answer was killed
    offsets = Journal(folder).offsets("topic")
    assert all(int(name.split("-")[1]) <= offsets[int(name.split("-")[0])] for name in rest)


def test_a_locked_full_or_damaged_journal_says_so_and_keeps_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append([event(1)], "http")
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)
    impatient = Journal(journal.folder)
    with closing(sqlite3.connect(journal.database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="nothing was acknowledged"):
            impatient.append([event(2)], "http")
        other.execute("ROLLBACK")
    with impatient.database.writing(), pytest.raises(JournalError, match="try again"):
        journal.append([event(2)], "http")
    con = impatient.database._connection()
    con.execute("PRAGMA max_page_count = 1")  # no smaller than it is: the next page does not fit
    big = [Event(f"b{n}" + "x" * 50, "shown", 1, 1) for n in range(2000)]
    with pytest.raises(JournalError, match="full"):
        impatient.append(big, "http")
    con.execute("PRAGMA max_page_count = 1000000")
    assert impatient.append([event(2)], "http") == Appended(1, 0, 2)
    impatient.close()
    journal.close()
    journal.database.path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(JournalError, match="not a database"):
        journal.append([event(3)], "http")


def test_a_deleted_home_takes_nothing_and_a_new_journal_goes_on_after_the_segments(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    journal = Journal(home / "events")
    journal.append([event(1)], "http")
    for path in journal.folder.iterdir():
        path.unlink()
    (journal.folder / "1-41.parquet").touch()
    assert journal.append([event(1)], "http") == Appended(1, 0, 42)
    assert Journal(journal.folder).last_seq() == 42
    for path in journal.folder.iterdir():
        path.unlink()
    journal.folder.rmdir()
    home.rmdir()
    with pytest.raises(JournalError, match="events"):
        journal.append([event(2)], "http")
    assert not home.exists()
    assert journal.since(0) == []


def test_a_journal_of_a_newer_version_is_left_alone(journal: Journal) -> None:
    journal.append([event(1)], "http")
    with sqlite3.connect(journal.database.path) as con:
        con.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer Marquee"):
        Journal(journal.folder).append([event(2)], "http")
