"""How soon a list knows an event: one rating after another is sent, and the user's list asked for until it changes.

    marquee serve &
    python -m benchmarks.at_once --home var --everybody                 # a rating of each user first
    python -m benchmarks.events --rate 1000 --events 60000 &            # beside it
    python -m benchmarks.at_once --home var --probes 300
    python -m benchmarks.load users --rate 200                          # every list computed, not read

Belongs here: what happens between an event and a list. Does not belong here: load (`benchmarks.events`,
`benchmarks.load`).
"""

import argparse
import json
import random
import time
from pathlib import Path

import duckdb
import httpx
import numpy as np

from warehouse.home import Home

PAUSE_SECONDS = 0.005


def first_places(home: Home) -> list[tuple[int, int]]:
    """Each user with the film that is first in their list, from the live release."""
    with duckdb.connect(str(home.current.resolve()), read_only=True) as con:
        return con.execute("SELECT user_id, movie_id FROM user_recommendations WHERE rank = 1").fetchall()


def rating(user: int, movie: int) -> dict[str, object]:
    """An event with an id that no other run has."""
    name = f"at-once-{user}-{movie}-{time.time_ns()}"
    return {"event_id": name, "type": "rating", "user_id": user, "movie_id": movie, "rating": 5.0}


def probe(http: httpx.Client, user: int) -> float:
    """Rate what is first in a user's list; seconds from sending until the list is without it."""
    path = f"/users/{user}/recommendations"
    movie = http.get(path).raise_for_status().json()["recommendations"][0]["movie_id"]
    started = time.perf_counter()
    http.post("/events", json={"events": [rating(user, movie)]}).raise_for_status()
    while http.get(path).raise_for_status().json()["recommendations"][0]["movie_id"] == movie:
        if time.perf_counter() - started > 60:
            raise SystemExit(f"the list of user {user} still begins with film {movie} after a minute")
        time.sleep(PAUSE_SECONDS)
    return time.perf_counter() - started


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:5000")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--everybody", action="store_true", help="send a rating of every user, and end")
    parser.add_argument("--probes", type=int, default=300)
    given = parser.parse_args()
    users = first_places(Home(given.home))
    with httpx.Client(base_url=given.address, timeout=30) as http:
        if given.everybody:
            for first in range(0, len(users), 1000):
                events = [rating(*each) for each in users[first : first + 1000]]
                http.post("/events", json={"events": events}).raise_for_status()
            print(json.dumps({"users": len(users)}))
            return
        chosen = random.Random(0).sample(users, min(given.probes, len(users)))
        milliseconds = 1000 * np.array([probe(http, user) for user, _ in chosen])
    print(json.dumps({f"p{p}_ms": round(float(np.percentile(milliseconds, p)), 1) for p in (50, 90, 99, 100)}))


if __name__ == "__main__":
    main()
