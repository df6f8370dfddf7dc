"""Releases come and go under a running service: nothing is dropped, nothing mixed, nothing kept."""

import asyncio
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from recommender.errors import MarqueeError
from serving.http.app import create_app
from serving.releases.follower import LiveReleases
from serving.releases.snapshot import load_snapshot
from serving.settings import ServingSettings
from tests.serving.conftest import TestClient, TwoReleases
from warehouse.files import point_link, write_json
from warehouse.home import Home
from warehouse.releases.exposure import Exposure, bucket


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_new_release_is_picked_up_and_the_old_one_let_go(releases: TwoReleases) -> None:
    live = LiveReleases(releases.home)
    assert live.look()
    assert not live.look()
    old = live.champion
    assert old is not None
    forgotten = weakref.ref(old)
    releases.switch(releases.first)
    assert live.behind()
    assert live.look()
    assert live.champion is not None
    assert live.champion.release == releases.first
    assert forgotten() is old  # a request that still uses it keeps it whole
    assert old.pairs.find(*old.films.signup_ids[:2])
    del old
    assert forgotten() is None  # at once: nothing waits for a garbage collection, which the service keeps away from it


def test_files_of_a_release_that_was_let_go_are_closed(releases: TwoReleases) -> None:
    live = LiveReleases(releases.home)
    live.look()
    maps = Path("/proc/self/maps")
    assert str(releases.home.pack_folder(releases.second)) in maps.read_text(encoding="utf-8")
    releases.switch(releases.first)
    live.look()
    text = maps.read_text(encoding="utf-8")
    assert str(releases.home.pack_folder(releases.second)) not in text
    assert str(releases.home.pack_folder(releases.first)) in text


def test_a_damaged_release_leaves_the_one_before_in_place(releases: TwoReleases) -> None:
    live = LiveReleases(releases.home)
    live.look()
    shutil.rmtree(releases.home.pack_folder(releases.first))
    releases.switch(releases.first)
    assert not live.look()
    assert releases.first in live.problem
    assert "manifest.json" in live.problem
    assert live.champion is not None
    assert live.champion.release == releases.second


def test_database_and_pack_of_different_releases_are_refused(releases: TwoReleases) -> None:
    shutil.rmtree(releases.home.pack_folder(releases.second))
    shutil.copytree(releases.home.pack_folder(releases.first), releases.home.pack_folder(releases.second))
    with pytest.raises(MarqueeError, match=releases.first):
        load_snapshot(releases.home, releases.home.release_file(releases.second))


def test_a_link_that_points_nowhere_keeps_what_is_served(
    releases: TwoReleases, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("marquee"), "propagate", True)
    live = LiveReleases(releases.home)
    live.look()
    releases.home.current.unlink()
    assert not live.look()
    assert live.champion is not None
    assert not live.look()
    assert "points nowhere" in live.problem
    assert sum("points nowhere" in record.getMessage() for record in caplog.records) == 1


def test_the_first_release_is_picked_up_by_a_waiting_service(releases: TwoReleases) -> None:
    releases.home.current.unlink()
    with TestClient(create_app(releases.home, ServingSettings(request_log=False, poll_seconds=0.02))) as client:
        assert client.get("/health/ready").status_code == 503
        releases.switch(releases.first)
        wait_for(lambda: client.get("/health/ready").status_code == 200)
        assert client.get("/release").json()["release"] == releases.first


def test_no_answer_mixes_two_releases(releases: TwoReleases) -> None:
    """Both releases recommend differently; whatever name an answer carries, its films are that release's."""
    expected = {}
    for name in (releases.first, releases.second):
        snapshot = load_snapshot(releases.home, releases.home.release_file(name))
        one, other = snapshot.films.signup_ids[:2]
        expected[name] = (snapshot.model_version, snapshot.pairs.find(one, other))
    assert expected[releases.first][1] != expected[releases.second][1]
    with TestClient(create_app(releases.home, ServingSettings(request_log=False, poll_seconds=0.01))) as client:
        met = set()
        for turn in range(20):
            releases.switch((releases.first, releases.second)[turn % 2])
            for _ in range(15):
                for path in (f"/pairs/{one}/{other}", f"/recommend?ids={one},{other}&num=7&engine=exact"):
                    response = client.get(path)
                    assert response.status_code == 200
                    body = response.json()
                    model, films = expected[body["release"]]
                    found = [(film["movie_id"], film["score"], film["votes"]) for film in body["recommendations"]]
                    assert (body["model_version"], found[:7]) == (model, films[:7])
                    assert response.headers["marquee-release"] == body["release"]
                    met.add(body["release"])
        assert met == {releases.first, releases.second}


@pytest.mark.parametrize("workers", [1, 2])
def test_switches_under_load_drop_no_request(releases: TwoReleases, serve: Callable[..., object], workers: int) -> None:
    with serve(releases.home, workers=workers) as address:  # type: ignore[attr-defined]
        stop = threading.Event()
        statuses: list[int] = []
        seen: set[str] = set()

        async def ask() -> None:
            films = [film["movie_id"] for film in httpx.get(f"{address}/signup-movies").json()["movies"]]
            async with httpx.AsyncClient(base_url=address) as client:

                async def one(number: int) -> None:
                    while not stop.is_set():
                        number += 1
                        a, b = films[number % 40], films[(number * 7 + 1) % 40]
                        path = f"/pairs/{a}/{b}" if number % 2 and a != b else f"/recommend?ids={a},{films[0]}"
                        response = await client.get(path if a != films[0] else f"/recommend?ids={a}")
                        statuses.append(response.status_code)
                        seen.add(response.headers["marquee-release"])

                await asyncio.gather(*(one(start) for start in range(6)))

        thread = threading.Thread(target=lambda: asyncio.run(ask()))
        thread.start()
        try:
            for turn in range(10):
                releases.switch((releases.first, releases.second)[turn % 2])
                time.sleep(0.4)
                before = len(statuses)
                wait_for(lambda before=before: len(statuses) > before + 20)  # type: ignore[misc]
        finally:
            stop.set()
            thread.join()
        assert len(statuses) > 200
        assert set(statuses) == {200}
        assert seen == {releases.first, releases.second}


def test_several_workers_share_one_deployment_and_sum_their_metrics(
    releases: TwoReleases, serve: Callable[..., object]
) -> None:
    with serve(releases.home, workers=2) as address:  # type: ignore[attr-defined]
        wait_for(lambda: httpx.get(f"{address}/health/ready").status_code == 200)
        deployments = {httpx.get(f"{address}/release").json()["deployment"] for _ in range(20)}
        assert len(deployments) == 1
        text = httpx.get(f"{address}/metrics").text
        assert 'marquee_requests_total{endpoint="/release",status="200"} 20.0' in text
        assert f'marquee_release_served{{release="{releases.second}",variant="champion"}} 1.0' in text


def expose(home: Home, exposure: Exposure) -> None:
    """Have an experiment run, the way its start does."""
    point_link(home.challenger, f"{exposure.challenger}.duckdb")
    write_json(home.exposure, exposure._asdict())


def test_a_client_always_meets_the_same_variant_and_the_share_is_kept(releases: TwoReleases) -> None:
    expose(releases.home, Exposure("longer-lists", releases.first, 0.3))
    settings = ServingSettings(request_log=False)
    with TestClient(create_app(releases.home, settings)) as client:
        met = {}
        for number in range(400):
            headers = {"Marquee-Client": f"client-{number}"}
            response = client.get("/signup-movies", headers=headers)
            met[number] = response.headers["marquee-variant"]
            name = releases.first if met[number] == "challenger" else releases.second
            assert response.headers["marquee-release"] == name
        share = sum(variant == "challenger" for variant in met.values()) / len(met)
        assert 0.22 < share < 0.38
        for number in range(0, 400, 40):
            again = client.get("/release", headers={"Marquee-Client": f"client-{number}"})
            assert again.headers["marquee-variant"] == met[number]
        assert all(client.get("/release").headers["marquee-variant"] == "champion" for _ in range(20))


def test_the_challenger_leaves_and_may_become_champion(releases: TwoReleases) -> None:
    expose(releases.home, Exposure("everybody", releases.first, 1.0))
    live = LiveReleases(releases.home)
    live.look()
    challenger = live.challenger
    assert challenger is not None
    assert live.choose("somebody") == (challenger, "challenger", "everybody")
    assert live.choose(None) == (live.champion, "champion", None)
    write_json(releases.home.exposure, Exposure("nobody", releases.first, 0.0)._asdict())
    assert live.behind()
    live.look()
    assert live.choose("somebody") == (live.champion, "champion", "nobody")
    releases.home.exposure.write_text("{")
    live.look()
    assert live.choose("somebody") == (live.champion, "champion", None), "without an experiment nobody meets it"
    assert not live.behind()
    write_json(releases.home.exposure, Exposure("everybody", releases.first, 1.0)._asdict())
    releases.switch(releases.first)
    live.look()
    assert live.champion is challenger  # loaded once, shared
    assert live.choose("somebody") == (challenger, "champion", None)
    releases.home.challenger.unlink()
    live.look()
    assert live.challenger is None


def test_buckets_are_even_and_shuffled_by_salt() -> None:
    places = [bucket("salt", str(number)) for number in range(5000)]
    assert abs(sum(place < 0.1 for place in places) / 5000 - 0.1) < 0.02
    assert places != [bucket("other", str(number)) for number in range(5000)]
