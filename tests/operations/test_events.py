"""Events from the HTTP door to the ratings of the warehouse: on their own way, and under kills (`make events`)."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import httpx
import pytest

from tests.campaigns.events import run_campaign
from tests.campaigns.faults import Platform
from tests.operations.test_landing import launch
from tests.orchestration.test_partitions import working_table
from tests.serving.conftest import running
from warehouse.home import Home

Tick = Callable[[str | None], dg.SensorResult]


@pytest.mark.campaign
def test_no_event_is_lost_or_counted_twice_though_the_service_is_killed(tiny_platform: Platform) -> None:
    report = run_campaign(tiny_platform, events=12_000, kills=6, batch=20)
    assert report.failures == []
    assert report.kills + report.worker_kills >= 3
    assert report.seals >= 2
    assert report.sending["events"] == 12_000


def test_ratings_sent_over_http_are_ingested_by_the_sensor(small_home: Path, tick: Tick) -> None:
    with running(Home(small_home), request_log=False, seal_seconds=3600) as address:
        films = [film["movie_id"] for film in httpx.get(f"{address}/signup-movies").json()["movies"][:3]]
        events = [
            {"event_id": str(n), "type": "rating", "user_id": 910_001, "movie_id": film, "rating": 3.5}
            for n, film in enumerate(films)
        ]
        answer = httpx.post(f"{address}/events", json={"events": events}).json()
        assert answer == {"accepted": 3, "duplicates": 0, "refused": []}
    # The service has ended: what it had was sealed.
    (landed,) = (small_home / "landing").glob("*.parquet")
    assert landed.name == "events-1-3.parquet"
    os.utime(landed, (time.time() - 60, time.time() - 60))
    first = tick(None)
    (request,) = tick(first.cursor).run_requests or []
    assert launch(small_home, request)
    query = "SELECT movie_id, rating FROM raw.ratings WHERE user_id = 910001 ORDER BY ALL"
    assert working_table(small_home, query) == [(film, 3.5) for film in sorted(films)]
    assert (small_home / "landing" / "ingested" / "events-1-3.parquet").exists()
