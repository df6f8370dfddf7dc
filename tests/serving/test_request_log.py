"""The request log: complete, bounded files with the documented columns, and nothing personal in them."""

import hmac
import logging
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from serving.http.app import create_app
from serving.request_log import TABLE, LoggedRequest, RequestLog, log_folder
from serving.settings import ServingSettings
from tests.serving.conftest import TestClient, TwoReleases
from warehouse.home import Home
from warehouse.schemas.definitions import arrow_schema


def places(answer: dict[str, Any]) -> list[int]:
    return [film["movie_id"] for film in answer["recommendations"]]


def row(number: int) -> LoggedRequest:
    return LoggedRequest(
        datetime(2026, 1, 1),
        "recommend",
        200,
        "r",
        "m",
        "d",
        "champion",
        "exact",
        10,
        [number],
        [],
        [1, 2],
        0.5,
        False,
        "a" * 24,
        None,
    )


def test_what_was_asked_and_answered_can_be_read_back(releases: TwoReleases) -> None:
    with TestClient(create_app(releases.home, ServingSettings(deployment="d1"))) as client:
        films = [film["movie_id"] for film in client.get("/signup-movies").json()["movies"]]
        live = client.get(f"/recommend?ids={films[0]},{films[1]},2000000000&num=3").json()
        again = client.get(f"/recommend?ids={films[0]},{films[1]},2000000000&num=3").json()
        table = client.get(f"/pairs/{films[2]}/{films[3]}", headers={"Marquee-Client": "somebody"}).json()
        other = client.get("/popular", headers={"Marquee-Client": "somebody.else"}).json()
        client.get("/recommend?ids=2000000000&fallback=no")
        client.get("/recommend?ids=oops")
        client.get("/movies?q=dark")
    files = f"'{log_folder(releases.home)}/*.parquet'"
    found = duckdb.sql(
        "SELECT endpoint, status, release, deployment, variant, engine, num, known_ids, unknown_ids, recommended_ids, "
        f"cached, answer_id FROM {files} ORDER BY requested_at"
    ).fetchall()
    shown = [film["movie_id"] for film in live["recommendations"]]
    assert {**again, "answer_id": ""} == {**live, "answer_id": ""}
    assert list(live).index("answer_id") == list(live).index("deployment") + 1
    same = (releases.second, "d1", "champion")
    ids = [answer["answer_id"] for answer in (live, again, table, other)]
    assert len(set(ids)) == 4
    assert found == [
        ("recommend", 200, *same, "exact", 3, films[:2], [2000000000], shown, False, ids[0]),
        ("recommend", 200, *same, "exact", 3, films[:2], [2000000000], shown, True, ids[1]),
        ("pairs", 200, *same, "table", 0, films[2:4], [], places(table), False, ids[2]),
        ("popular", 200, *same, "table", 10, [], [], places(other), False, ids[3]),
        ("recommend", 404, *same, "exact", 10, [], [2000000000], [], False, None),
    ]
    clients = [row[0] for row in duckdb.sql(f"SELECT client FROM {files} ORDER BY requested_at").fetchall()]
    secret = releases.home.client_secret
    assert secret.stat().st_mode & 0o777 == 0o600
    somebody = hmac.new(secret.read_bytes(), b"somebody", "sha256").hexdigest()[:32]
    assert clients[:3] == [None, None, somebody]
    assert clients[3] not in (None, somebody)
    with TestClient(create_app(releases.home, ServingSettings(deployment="d2"))) as client:
        client.get("/popular", headers={"Marquee-Client": "somebody"})
    assert duckdb.sql(f"SELECT client FROM {files} WHERE deployment = 'd2'").fetchall() == [(somebody,)]
    for path in log_folder(releases.home).iterdir():
        assert b"somebody" not in path.read_bytes()
        assert b"testclient" not in path.read_bytes()


def test_files_are_bounded_complete_and_of_the_schema(tmp_path: Path) -> None:
    log = RequestLog(Home(tmp_path), rows=10, seconds=60, most_bytes=10**9)
    for number in range(25):
        log.append(row(number))
    log.close()
    files = sorted(log_folder(Home(tmp_path)).iterdir())
    assert [pq.read_metadata(path).num_rows for path in files] == [10, 10, 5]
    assert all(path.suffix == ".parquet" and not path.name.startswith(".") for path in files)
    assert all(pq.read_schema(path).equals(arrow_schema(TABLE)) for path in files)
    assert [ids[0] for path in files for ids in pq.read_table(path)["known_ids"].to_pylist()] == list(range(25))


def test_old_rows_are_written_without_waiting_for_more(tmp_path: Path) -> None:
    log = RequestLog(Home(tmp_path), rows=1000, seconds=0.05, most_bytes=10**9)
    log.append(row(1))
    log.flush_if_old()
    time.sleep(0.06)
    log.flush_if_old()
    log.close()
    assert len(list(log_folder(Home(tmp_path)).iterdir())) == 1


def test_a_full_folder_or_disk_stops_the_log_not_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RequestLog(Home(tmp_path), rows=1, seconds=60, most_bytes=1)
    for number in range(5):
        log.append(row(number))
    log.close()
    assert len(list(log_folder(Home(tmp_path)).iterdir())) == 1

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("serving.request_log.pq.write_table", full)
    (tmp_path / "other").mkdir()
    log = RequestLog(Home(tmp_path / "other"), rows=1, seconds=60, most_bytes=10**9)
    log.append(row(1))
    log.close()
    assert not list(log_folder(Home(tmp_path / "other")).iterdir())


def test_a_deleted_home_is_not_made_again_and_dropped_rows_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("marquee"), "propagate", True)
    log = RequestLog(Home(tmp_path / "gone"), rows=1, seconds=60, most_bytes=10**9)
    for number in range(3):
        log.append(row(number))
    log.close()
    assert not (tmp_path / "gone").exists()
    warnings = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(warnings) == 1
    assert "gone" in warnings[0]
