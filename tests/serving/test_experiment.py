"""One experiment from its start to the promotion of the challenger, through the doors of those who take part in it."""

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import httpx

from tests.command import marquee, marquee_json
from tests.conftest import OTHER_LISTS
from tests.serving.test_releases import wait_for
from warehouse.home import Home

CLIENTS = 360


def visit(service: httpx.Client, client: str | None, plays: dict[str, float], chance: random.Random) -> dict[str, Any]:
    """Ask for a list, and send what became of it: how likely a film is played depends on the variant."""
    headers = {"Marquee-Client": client} if client else {}
    answer = service.get("/popular", params={"num": 5}, headers=headers)
    answer.raise_for_status()
    body, variant = answer.json(), answer.headers["marquee-variant"]
    films = [film["movie_id"] for film in body["recommendations"]]
    played = [film for film in films if chance.random() < plays[variant] / len(films)]
    if played:
        sent = [
            {"event_id": f"{body['answer_id']}-{film}", "type": "play", "user_id": 1, "movie_id": film,
             "answer_id": body["answer_id"], "position": films.index(film) + 1}
            for film in played
        ]  # fmt: skip
        for accepted in (len(sent), 0):  # sent twice, counted once
            reply = service.post("/events", json={"events": sent}).json()
            assert reply == {"accepted": accepted, "duplicates": len(sent) - accepted, "refused": []}
    return {"client": client, "variant": variant, "release": body["release"], "plays": len(played)}


def written(service: httpx.Client, name: str) -> float:
    """A metric of the service, whatever its labels."""
    (value,) = re.findall(rf"^marquee_{name}(?:{{.*}})? (\S+)$", service.get("/metrics").text, re.MULTILINE)
    return float(value)


def test_an_experiment_from_start_to_promotion(home_of_two: Path, serve: Callable[..., Any]) -> None:
    home = Home(home_of_two)
    live, older = (entry["release"] for entry in marquee_json(home_of_two, "releases")["releases"])
    chance, plays = random.Random(4), {"champion": 0.4, "challenger": 1.2}
    with serve(home, log_seconds=0.2, seal_seconds=0.2) as address, httpx.Client(base_url=address) as service:
        before = [visit(service, f"early-{n}", plays, chance) for n in range(20)]
        assert {seen["variant"] for seen in before} == {"champion"}
        marquee(
            home_of_two, "experiment", "start", "shorter", "--challenger", older, "--share", 0.5,
            "--why", "are shorter lists played more?",
        )  # fmt: skip
        tried: list[dict[str, Any]] = []
        while not any(one["variant"] == "challenger" for one in tried) and len(tried) < 20_000:
            tried.append(visit(service, f"early-{len(tried) % 20}", plays, chance))
        seen = [
            visit(service, f"client-{n}", plays, chance) for n in range(CLIENTS) for _ in range(chance.randint(1, 2))
        ]
        unknown = [visit(service, None, plays, chance) for _ in range(20)]
        assert {one["variant"] for one in unknown} == {"champion"}
        met = {(one["client"], one["variant"]) for one in seen}
        assert len(met) == CLIENTS, "a client always meets the same variant"
        assert len({one["client"] for one in tried if one["variant"] == "challenger"}) == 1
        assert {one["release"] for one in seen if one["variant"] == "challenger"} == {older}
        assert marquee_json(home_of_two, "experiment", "status")["decision"] == "too early"
        answers = len(before) + len(tried) + len(seen) + len(unknown)
        wait_for(lambda: {written(service, "log_rows_total"), written(service, "events_unsealed")} == {answers, 0})

        report = marquee_json(home_of_two, "refresh", *OTHER_LISTS)
        assert report["state"] == "unchanged"
        assert "experiment_not_violated" not in report["warnings"]
        found = marquee_json(home_of_two, "experiment", "status", "shorter")
        look = found["last_look"]
        for side in ("champion", "challenger"):
            mine = [one for one in seen if one["variant"] == side]
            found_clients, clients = look[side]["clients"], len({one["client"] for one in mine})
            assert 0 <= found_clients - clients <= 20, "and those who asked when it was about to begin"
            assert 0 <= look[side]["answers"] - len(mine) <= len(tried)
            assert 0 <= look[side]["outcomes"] - sum(one["plays"] for one in mine) <= sum(one["plays"] for one in tried)
        assert found["decision"] == "better", found["text"]
        assert look["champions"] == [live]

        ended = marquee_json(home_of_two, "experiment", "stop", "shorter", "--promote", "--why", "shorter it is")
        assert ended["state"] == "promoted"
        assert ended["last_look"]["bootstrap"][0] > 0
        wait_for(lambda: service.get("/release").json()["release"] == older)
        after = Counter(visit(service, f"client-{n}", plays, chance)["variant"] for n in range(40))
        assert after == {"champion": 40}

    assert [(event["event"], event["why"]) for event in ended["events"] if event["event"] != "looked"] == [
        ("started", "are shorter lists played more?"), ("promoted", "shorter it is"),
    ]  # fmt: skip
    assert all(event["who"] for event in ended["events"])
    entries = {entry["release"]: entry for entry in marquee_json(home_of_two, "releases")["releases"]}
    assert entries[older]["state"] == "live"
    assert [event["event"] for event in entries[older]["events"]][-2:] == ["challenger", "promoted"]
    assert entries[older]["events"][-1]["why"] == "experiment shorter: better; shorter it is"
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        keys = con.execute("SELECT count(*) FROM ops.served_requests WHERE client LIKE '%client%'").fetchone()
        outside = con.execute("SELECT DISTINCT variant FROM ops.served_requests WHERE experiment IS NULL").fetchall()
    assert keys == (0,), "no key of a client is kept"
    assert outside == [("champion",)]
