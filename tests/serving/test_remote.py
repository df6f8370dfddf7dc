"""`marquee serve --from`: a service without a home, which follows a store; real processes and a real S3 server."""

import os
import re
from pathlib import Path
from unittest.mock import patch

import httpx

from tests.campaigns.deployment import RemoteService, remote_service
from tests.command import marquee
from tests.object_server import BUCKET, ObjectServer
from warehouse.store.client import STORE_VARIABLE


def metric(service: RemoteService, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", httpx.get(f"{service.address}/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def test_a_service_follows_and_goes_on_while_the_store_is_away(s3: ObjectServer, home_of_two: Path, tmp_path: Path):
    first, second = sorted(path.stem for path in (home_of_two / "published").glob("2*.duckdb"))
    url = f"s3://{BUCKET}/followed"
    environment = {**s3.environment(), STORE_VARIABLE: url}
    with patch.dict(os.environ, environment), remote_service(url, tmp_path, s3.environment("reader")) as service:
        service.until(lambda answer: "nothing is published" in answer.text, "nothing yet")
        assert service.ready().status_code == 503
        marquee(home_of_two, "publish")
        service.serves(second)
        answer = httpx.get(f"{service.address}/release")
        assert answer.json()["release"] == second
        assert {file["name"] for file in answer.json()["source"]["files"]} >= {"movies.csv", "ratings.csv"}
        assert "note" not in answer.json()["model"]
        marquee(home_of_two, "rollback")
        service.serves(first)
        store = service.ready().json()["store"]
        assert (store["address"], store["problem"]) == (url, "")
        assert store["age_seconds"] < 30
        assert metric(service, "marquee_store_problem") == 0

        s3.stop()
        service.until(lambda answer: bool(answer.json()["store"]["problem"]), "the store is away")
        assert "is live here all the same" in marquee(home_of_two, "promote", second, expect=1).stderr
        assert service.ready().json()["release"] == first
        assert httpx.get(f"{service.address}/popular").json()["release"] == first
        looked = metric(service, "marquee_store_looked_timestamp_seconds")
        assert metric(service, "marquee_store_problem") == 1
        s3.start()
        marquee(home_of_two, "publish")
        service.serves(second)
        service.until(lambda answer: not answer.json()["store"]["problem"], "the store is back")
        assert metric(service, "marquee_store_looked_timestamp_seconds") > looked
    log = service.log.read_text()
    assert log.count(f"fetched {first}") == log.count(f"fetched {second}") == 1, "one worker fetches for all"
    assert not (tmp_path / "cache" / "requests").exists()

    s3.stop()
    try:
        (tmp_path / "empty").mkdir()
        with (  # as after a power cut; and on a new machine
            remote_service(url, tmp_path, s3.environment("reader"), workers=1) as again,
            remote_service(url, tmp_path / "empty", s3.environment("reader"), workers=1) as empty,
        ):
            again.serves(second)
            again.until(lambda answer: "check the address" in answer.json()["store"]["problem"], "away from the start")
            empty.until(lambda answer: answer.status_code == 503 and "check the address" in answer.text, "nothing")
            s3.start()
            empty.serves(second)
    finally:
        s3.start()
