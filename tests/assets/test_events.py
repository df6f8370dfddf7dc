"""Events reach DuckDB once, their ratings reach the warehouse once, and what is odd about them is told."""

import os
import time
from datetime import timedelta
from pathlib import Path

import polars as pl

from serving.request_log import LoggedRequest, RequestLog
from tests.command import marquee_json
from tests.orchestration.test_partitions import change, working_table
from warehouse.events.event import Event
from warehouse.events.journal import Journal, micros
from warehouse.events.segments import seal
from warehouse.home import Home
from warehouse.queries import utc_now

SETTINGS = ("--set", "top_movies=40")
ANSWERS = 300


def answers(home: Path, days_ago: int) -> list[str]:
    """Log some answers of a day; return their ids."""
    log = RequestLog(Home(home), rows=10_000, seconds=60, most_bytes=10**9)
    moment = utc_now() - timedelta(days=days_ago, seconds=-5)
    ids = [f"{days_ago:04x}{n:020x}" for n in range(ANSWERS)]
    facts = (moment, "popular", 200, "r", "m", "d", "champion", "table", 10, [], [], [1], 1.0, False)
    for name in ids:
        log.append(LoggedRequest(*facts, name, None))  # type: ignore[arg-type]
    log.close()
    return ids


def keep(home: Path, events: list[Event], days_ago: int = 0) -> None:
    """Take in events as if some days ago, and seal them."""
    journal = Journal(home / "events")
    journal.append(events, "http")
    moment = micros(utc_now() - timedelta(days=days_ago))
    with journal.database.writing() as con:
        con.execute("UPDATE events SET received_at = ?", (moment,))
    seal(journal, home / "landing", seconds=-1)
    journal.close()


def test_events_are_loaded_once_stay_for_a_month_and_are_judged(small_home: Path) -> None:
    film = int(str(working_table(small_home, "SELECT min(movie_id) FROM raw.movies")[0][0]))
    before, now = answers(small_home, 3), answers(small_home, 0)
    keep(small_home, [Event(f"b{n}", "play", 1, film, None, None, name, 1) for n, name in enumerate(before)], 3)
    unknown = [Event(f"u{n}", "shown", 1, film, None, None, f"f{n:023x}", 1) for n in range(30)]
    ratings = [Event(f"r{n}", "rating", 900_000 + n, film, 4.5) for n in range(10)]
    plays = [Event(f"n{n}", "play", 1, film, None, None, name, 1) for n, name in enumerate(now[:100])]
    keep(small_home, plays + unknown + ratings)
    report = marquee_json(small_home, "refresh", *SETTINGS)
    assert {"events_name_known_answers", "events_per_answer_as_before"} <= set(report["warnings"])
    held = "SELECT type, count(*), count(rating), count(answer_id) FROM ops.events GROUP BY ALL ORDER BY ALL"
    found = [("play", 400, 0, 400), ("rating", 10, 10, 0), ("shown", 30, 0, 30)]
    assert working_table(small_home, held) == found
    files = sorted((small_home / "events").glob("*.parquet"))
    assert len(files) == 2
    old = time.time() - timedelta(days=31).total_seconds()
    os.utime(files[0], (old, old))
    (landed,) = (small_home / "landing").glob("events-*.parquet")
    assert pl.read_parquet(landed).height == 10
    marquee_json(small_home, "ingest", landed)
    assert working_table(small_home, "SELECT count(*) FROM raw.ratings WHERE user_id >= 900000") == [(10,)]
    change(small_home, "UPDATE ops.events SET received_at = received_at - INTERVAL 100 DAY WHERE type = 'shown'")
    marquee_json(small_home, "refresh", *SETTINGS)
    assert working_table(small_home, held) == found[:2]
    assert sorted((small_home / "events").glob("*.parquet")) == files[1:]
