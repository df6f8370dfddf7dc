"""Lists of users know what came as events, until a release holds it, and nothing else changes."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestration.instance import execute
from tests.command import marquee, marquee_json
from tests.dagster_dev import wait_for
from warehouse.home import Home
from warehouse.releases.registry import live_release

NEW = 2_000_000_001
"""A user nobody knows."""


class Visitor:
    """What a product does: sends ratings, asks for lists."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=30)
        self._sent = 0

    def rate(self, *ratings: tuple[int, int, float]) -> None:
        """Send ratings, and wait until the lists know them."""
        self._sent += 1
        events = [
            {"event_id": f"{self._sent}-{n}", "type": "rating", "user_id": user, "movie_id": movie, "rating": stars}
            for n, (user, movie, stars) in enumerate(ratings)
        ]
        known = self.list(ratings[-1][0])["events_until"]
        answer = self.http.post("/events", json={"events": events}).raise_for_status().json()
        assert (answer["accepted"], answer["refused"]) == (len(ratings), [])
        wait_for(lambda: self.list(ratings[-1][0])["events_until"] != known, 10.0, "the list to know the event")

    def list(self, user: int, **parameters: Any) -> dict[str, Any]:
        """The list of a user."""
        found = self.http.get(f"/users/{user}/recommendations", params={"num": 50, **parameters})
        return dict(found.raise_for_status().json())


def films(answer: dict[str, Any]) -> list[tuple[int, float]]:
    return [(film["movie_id"], film["score"]) for film in answer["recommendations"]]


@pytest.fixture
def visitor(
    small_home: Path, serve: Callable[..., AbstractContextManager[str]], request: pytest.FixtureRequest
) -> Iterator[Visitor]:
    with serve(Home(small_home), seal_seconds=0.3) as address:
        yield Visitor(address)


def test_a_release_with_events_answers_what_the_next_release_does(small_home: Path, visitor: Visitor) -> None:
    home = Home(small_home)
    first = live_release(home)
    member, other = (user["user_id"] for user in visitor.http.get("/users?num=2").json()["users"])
    before, untouched = visitor.list(member), visitor.list(other)
    assert before["events_until"] is None
    wanted = [movie for movie, _ in films(before)]
    taken_back = before["input"][0]["movie_id"]

    visitor.rate((member, wanted[0], 5.0), (member, wanted[1], 1.0), (member, taken_back, 2.0))
    now = visitor.list(member)
    assert now["source"] == "users"
    assert not {wanted[0], wanted[1], taken_back} & {movie for movie, _ in films(now)}
    assert now["inputs"] == before["inputs"]  # one more, one less
    assert wanted[0] in {film["movie_id"] for recommended in now["recommendations"] for film in recommended["because"]}
    seen = visitor.list(member, seen="keep", num=100)
    assert wanted[1] in {movie for movie, _ in films(seen)}
    assert films(visitor.list(other)) == films(untouched)

    assert visitor.list(NEW)["source"] == "popular"
    visitor.rate((NEW, wanted[2], 4.5))
    alone = visitor.list(NEW)
    assert (alone["source"], [film["movie_id"] for film in alone["input"]]) == ("users", [wanted[2]])
    visitor.rate((NEW, wanted[3], 4.5), (NEW, wanted[4], 4.0), (NEW, wanted[5], 0.5))
    expected = {user: visitor.list(user) for user in (member, NEW, other)}

    waiting = home.landing.glob("events-*.parquet")
    wait_for(lambda: visitor.list(NEW)["events_until"] and not unsealed(home), 30, "the events to be sealed")
    marquee(small_home, "ingest", *sorted(waiting))
    assert execute(home, "refresh_recommendations", {"top_movies": 40}).success
    second = live_release(home)
    assert second != first
    wait_for(lambda: visitor.list(member)["release"] == second, 30, "the new release")
    # Until the journal was looked at again, events that the release holds are added to it once more: the same list.
    wait_for(lambda: visitor.list(member)["events_until"] is None, 10, "what the release holds to be forgotten")
    for user, list_then in expected.items():
        found = visitor.list(user)
        assert found["events_until"] is None, user
        assert found["model_version"] == list_then["model_version"]
        assert films(found) == films(list_then)
        assert found["input"] == list_then["input"]

    # The similar films of this release are those of the retrain, the pages after them are from the likes as they are.
    pages, query = [], "num=20"
    for _ in range(3):
        page = visitor.http.get(f"/movies/{wanted[0]}/similar?{query}").raise_for_status().json()
        pages += films(page)
        query = f"num=20&cursor={page['cursor']}"
    stored = f"SELECT similar_id, score FROM similar_movies WHERE movie_id = {wanted[0]} ORDER BY rank"
    assert [list(film) for film in pages[:20]] == marquee_json(small_home, "query", stored)["rows"]
    assert len({movie for movie, _ in pages}) == 60

    marquee(small_home, "rollback")
    wait_for(lambda: visitor.list(member)["release"] == first, 30, "the old release")
    for _ in range(2):
        for user, list_then in expected.items():
            assert films(visitor.list(user)) == films(list_then)
            assert visitor.list(user)["events_until"] == list_then["events_until"]
        time.sleep(0.5)  # then the journal was looked at again


def unsealed(home: Home) -> int:
    from warehouse.events.journal import Journal

    return Journal(home.events).unsealed().events


def test_pages_of_a_list_neither_repeat_nor_skip_when_events_come_in_between(visitor: Visitor) -> None:
    (member,) = (user["user_id"] for user in visitor.http.get("/users?num=1").json()["users"])
    visitor.rate((member, films(visitor.list(member))[3][0], 5.0))
    whole = films(visitor.list(member, num=60))
    first = visitor.list(member, num=20)
    visitor.rate((member, whole[30][0], 5.0))
    second = visitor.list(member, num=20, cursor=first["cursor"])
    visitor.rate((member, whole[50][0], 5.0))
    third = visitor.list(member, num=20, cursor=second["cursor"])
    assert films(first) + films(second) + films(third) == whole
    assert whole[50][0] not in {movie for movie, _ in films(visitor.list(member, num=60))}


def test_a_service_that_is_started_anew_knows_the_events(
    small_home: Path, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    with serve(Home(small_home), seal_seconds=0.1) as address:
        one = Visitor(address)
        (member,) = (user["user_id"] for user in one.http.get("/users?num=1").json()["users"])
        for place in range(3):  # in files and in the journal
            one.rate((member, films(one.list(member))[place][0], 5.0))
            time.sleep(0.2)
        expected = one.list(member)
    with serve(Home(small_home), workers=2) as address:
        for _ in range(8):  # whichever worker answers
            found = Visitor(address).list(member)
            assert (films(found), found["events_until"]) == (films(expected), expected["events_until"])
