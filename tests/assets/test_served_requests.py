"""The request log reaches DuckDB once, whatever happens in between, and drift in it is told."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from serving.request_log import RequestLog
from tests.command import marquee_json
from tests.orchestration.test_partitions import change, working_table
from tests.serving.test_request_log import row
from warehouse.home import Home

SETTINGS = ("--set", "top_movies=40")


def log_requests(home: Path, films: list[int], count: int, *, unknown: int = 0, empty: int = 0) -> None:
    log = RequestLog(Home(home), rows=1000, seconds=60, most_bytes=10**9)
    moment = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=5)
    for n in range(count):
        answer = [] if n < empty else films[:3]
        strangers = [99_999_999] if n < unknown else []
        asked = [films[n % len(films)], films[(n + 1) % len(films)]]
        given = row(n)._replace(requested_at=moment, known_ids=asked, unknown_ids=strangers, recommended_ids=answer)
        log.append(given._replace(latency_ms=1.5, answer_id=f"{n:024x}"))
    log.close()


def liked_films(home: Path) -> list[int]:
    """Films as often as they are liked, thinned out: requests like the ratings."""
    rows = working_table(home, "SELECT movie_id FROM model.likes ORDER BY hash(user_id, movie_id) LIMIT 400")
    return [int(str(row[0])) for row in rows]


def test_requests_are_loaded_once_and_the_files_go(small_home: Path) -> None:
    log_requests(small_home, liked_films(small_home), 400)
    (file,) = (small_home / "requests").glob("*.parquet")
    copy = small_home / "again.parquet"
    shutil.copy(file, copy)
    report = marquee_json(small_home, "refresh", *SETTINGS)
    assert not any(name.startswith("requests_") for name in report["warnings"])
    assert working_table(small_home, "SELECT count(*) FROM ops.served_requests") == [(400,)]
    assert not list((small_home / "requests").glob("*.parquet"))
    shutil.move(copy, file)  # as if the process had died between the commit and the deletion
    marquee_json(small_home, "refresh", *SETTINGS)
    assert working_table(small_home, "SELECT count(*) FROM ops.served_requests") == [(400,)]
    assert not list((small_home / "requests").glob("*.parquet"))


def test_a_log_from_before_answers_had_ids_is_loaded(small_home: Path) -> None:
    log_requests(small_home, liked_films(small_home), 3)
    (file,) = (small_home / "requests").glob("*.parquet")
    pl.read_parquet(file).drop("answer_id", "client").write_parquet(file)
    marquee_json(small_home, "refresh", *SETTINGS)
    query = "SELECT count(*), count(answer_id), count(client) FROM ops.served_requests"
    assert working_table(small_home, query) == [(3, 0, 0)]


def test_drift_unknown_films_and_empty_answers_are_told(small_home: Path) -> None:
    rare = working_table(small_home, "SELECT movie_id FROM model.film_likes WHERE likes > 0 ORDER BY likes LIMIT 5")
    log_requests(small_home, [int(str(row[0])) for row in rare], 200, unknown=30, empty=10)
    report = marquee_json(small_home, "refresh", *SETTINGS)
    told = {"requests_get_an_answer", "requests_name_known_films", "requests_like_the_ratings"}
    assert told <= set(report["warnings"])
    assert report["state"] == "unchanged"


def test_few_requests_are_not_judged(small_home: Path) -> None:
    log_requests(small_home, [1], 5, unknown=5, empty=5)
    report = marquee_json(small_home, "refresh", *SETTINGS)
    assert not any(name.startswith("requests_") for name in report["warnings"])


def test_old_requests_are_forgotten(small_home: Path) -> None:
    log_requests(small_home, liked_films(small_home), 120)
    marquee_json(small_home, "refresh", *SETTINGS)
    change(small_home, "UPDATE ops.served_requests SET requested_at = requested_at - INTERVAL 100 DAY")
    marquee_json(small_home, "refresh", *SETTINGS)
    with duckdb.connect(str(small_home / "warehouse.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM ops.served_requests").fetchone() == (0,)
