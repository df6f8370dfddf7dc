"""Load test of POST /events: senders that repeat what they got no answer to, each a process with one connection.

    marquee serve --workers 2 &
    python -m benchmarks.events --events 1000000 --connections 8 --batch 100

Belongs here: sending numbered events and measuring the acknowledgements. Each event is the rating of a user and film of
its own, so that whoever counts ratings afterwards counts events. Does not belong here: the service (`serving`), reached
over HTTP only; killing it (`tests.campaigns.events`).
"""

import argparse
import http.client
import json
import multiprocessing
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import orjson

FIRST_USER = 1_000_000_000
"""User ids from here on are in no data set."""

PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes
    ----------
    address : str
        Of the service.
    films : sequence of int
        Films the events name in turn.
    batch : int
        Events of a request.
    key : str
        API key, if one is needed.
    per_second : float
        Requests a second of one connection at most; 0: as fast as they are answered.
    give_up_seconds : float
        How long one request is repeated.
    """

    address: str
    films: Sequence[int]
    batch: int = 100
    key: str = ""
    per_second: float = 0.0
    give_up_seconds: float = 300.0


class Sent(NamedTuple):
    """What came of a range of events: how many were acknowledged as new or known, and the seconds each request took."""

    accepted: int
    duplicates: int
    repeated: int
    seconds: list[float]


def event(number: int, films: Sequence[int]) -> dict[str, object]:
    """Event of a number: the rating of a user and film that no other number has."""
    return {
        "event_id": f"event-{number}",
        "type": "rating",
        "user_id": FIRST_USER + number // len(films),
        "movie_id": films[number % len(films)],
        "rating": (number % 10 + 1) / 2,
    }


class Connection:
    """One kept-alive connection; a request is repeated until it is acknowledged."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.repeated = 0
        self._http = self._connect()
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {load.key}"} if load.key else {}
        )

    def send(self, numbers: range) -> tuple[int, int, float]:
        """Send some events; return how many were new and known, and the seconds of the attempt that was answered.

        Raises
        ------
        RuntimeError
            If an event is refused, or no answer comes for too long.
        """
        body = orjson.dumps({"events": [event(number, self.load.films) for number in numbers]})
        deadline = time.monotonic() + self.load.give_up_seconds
        while True:
            started = time.perf_counter()
            problem = self._post(body)
            if isinstance(problem, bytes):
                found = orjson.loads(problem)
                if found["refused"] or found["accepted"] + found["duplicates"] != len(numbers):
                    raise RuntimeError(f"{len(numbers)} events were sent, the answer is {problem[:300]!r}")
                return found["accepted"], found["duplicates"], time.perf_counter() - started
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer for {self.load.give_up_seconds:g} s: {problem}")
            self.repeated += 1
            time.sleep(PAUSE_SECONDS)

    def _post(self, body: bytes) -> bytes | str:
        """The answer, or why there is none."""
        try:
            self._http.request("POST", "/events", body, self._headers)
            response = self._http.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            self._http = self._connect()
            return f"{type(error).__name__}: {error}"
        if response.status == 200:
            return content
        if response.status not in (429, 503):
            raise RuntimeError(f"{response.status}: {content[:300]!r}")
        return f"{response.status}"

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.load.address).netloc, timeout=30)


def send_range(load: Load, first: int, after: int) -> Sent:
    """Send the events of a range one batch after another."""
    connection = Connection(load)
    accepted = duplicates = 0
    seconds: list[float] = []
    for number in range(first, after, load.batch):
        new, known, took = connection.send(range(number, min(number + load.batch, after)))
        accepted, duplicates = accepted + new, duplicates + known
        seconds.append(took)
        if load.per_second:
            time.sleep(max(0.0, 1 / load.per_second - took))
    return Sent(accepted, duplicates, connection.repeated, seconds)


def send_all(load: Load, events: int, connections: int) -> Iterable[Sent]:
    """Send events by several connections at once, each a process with a range of its own."""
    bounds = np.linspace(0, events, connections + 1).astype(int).tolist()
    ranges = [(load, first, after) for first, after in pairwise(bounds)]
    with multiprocessing.get_context("spawn").Pool(connections) as pool:
        return pool.starmap(send_range, ranges, chunksize=1)


def signup_films(address: str, key: str = "") -> list[int]:
    """Films that a service knows."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/signup-movies", headers=headers)) as response:
        return [film["movie_id"] for film in json.load(response)["movies"]]


def summary(sent: Iterable[Sent], took: float) -> dict[str, float]:
    """Events a second, and percentiles of the time to an acknowledgement in milliseconds."""
    sent = list(sent)
    events = sum(found.accepted + found.duplicates for found in sent)
    milliseconds = 1000 * np.concatenate([found.seconds for found in sent])
    return {
        "events": events,
        "accepted": sum(found.accepted for found in sent),
        "duplicates": sum(found.duplicates for found in sent),
        "repeated_requests": sum(found.repeated for found in sent),
        "requests": len(milliseconds),
        "seconds": round(took, 1),
        "events_per_second": round(events / took, 1),
        **{f"p{p}_ms": round(float(np.percentile(milliseconds, p)), 2) for p in (50, 90, 99)},
        "max_ms": round(float(milliseconds.max()), 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:5000")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--batch", type=int, default=100, help="events of a request")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second of all connections; 0: no limit")
    parser.add_argument("--key", default="", help="API key with the scopes read and events")
    given = parser.parse_args()
    per_second = given.rate / given.batch / given.connections
    films = signup_films(given.address, given.key)
    load = Load(given.address, films, given.batch, given.key, per_second)
    started = time.perf_counter()
    sent = send_all(load, given.events, given.connections)
    print(json.dumps(summary(sent, time.perf_counter() - started), indent=2))


if __name__ == "__main__":
    main()
