"""Load test of a running service, from a process of its own: latency, rate, failures, memory, release switches.

    marquee serve &
    python -m benchmarks.load pairs --seconds 20 --connections 4
    python -m benchmarks.load live --films 2 20 --engine annoy --rate 100
    python -m benchmarks.load users --rate 1000 --filter genre=Drama
    python -m benchmarks.load mixed --switches 50 --home var
    python -m benchmarks.load pairs --requests 1000000 --watch PID

Belongs here: sending many questions and measuring the answers. Does not belong here: the service (`serving`), which is
reached over HTTP only. Connections are kept open, films are drawn at random, every answer is read to its end and
checked: status 200, and for recommendations the release named in the body is the one in the header.
"""

import argparse
import asyncio
import json
import random
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop

from warehouse.files import point_link
from warehouse.home import Home

Question = Callable[[random.Random], str]


@dataclass
class Figures:
    """What was measured.

    Attributes
    ----------
    seconds : list of float
        Latency of each answer, from sending (at a fixed rate from when it was drawn, so waiting for a free connection
        counts, and this process's own late waking, up to a millisecond, does not).
    failures : list of str
        The first line of each answer that was not as it should be.
    releases : set of bytes
        Releases that answered.
    """

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    releases: set[bytes] = field(default_factory=set)

    def summary(self, took: float) -> dict[str, object]:
        """Rate, percentiles in milliseconds, failures."""
        milliseconds = 1000 * np.array(self.seconds or [np.nan])
        return {
            "requests": len(self.seconds),
            "per_second": round(len(self.seconds) / took, 1),
            "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
            "p90_ms": round(float(np.percentile(milliseconds, 90)), 2),
            "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
            "max_ms": round(float(milliseconds.max()), 2),
            "failures": len(self.failures),
            "releases": len(self.releases),
        }


class Connection:
    """One kept-alive connection that asks one question at a time."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, figures: Figures) -> None:
        """Send a request, read the whole answer, note what is wrong with it."""
        try:
            if self.reader is None or self.writer is None:
                self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
            self.writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            body = await self.reader.readexactly(int(lines[b"content-length"]))
        except (OSError, asyncio.IncompleteReadError) as error:
            figures.failures.append(f"{path}: {error!r}")
            self.reader = self.writer = None
            return
        release = lines.get(b"marquee-release", b"")
        figures.releases.add(release)
        if not head.startswith(b"HTTP/1.1 200 ") or not body.startswith(b'{"release":"' + release + b'"'):
            figures.failures.append(f"{path}: {head[:30]!r} {body[:80]!r}")


async def closed_loop(
    host: str, port: int, connections: int, question: Question, enough: Callable[[Figures], bool]
) -> Figures:
    """Ask on every connection as fast as answers come."""
    figures = Figures()

    async def one(number: int) -> None:
        connection, draw = Connection(host, port), random.Random(number)
        while not enough(figures):
            path = question(draw)
            started = time.perf_counter()
            await connection.ask(path, figures)
            figures.seconds.append(time.perf_counter() - started)

    await asyncio.gather(*(one(number) for number in range(connections)))
    return figures


async def fixed_rate(
    host: str, port: int, connections: int, question: Question, enough: Callable[[Figures], bool], rate: float
) -> Figures:
    """Ask at random moments, at a given mean rate, whether or not answers keep up; waiting counts as latency."""
    figures, due = Figures(), asyncio.Queue[tuple[float, str]]()

    async def one() -> None:
        connection = Connection(host, port)
        while True:
            drawn, path = await due.get()
            await connection.ask(path, figures)
            figures.seconds.append(time.perf_counter() - drawn)

    workers = [asyncio.create_task(one()) for _ in range(connections)]
    draw, moment = random.Random(0), time.perf_counter()
    while not enough(figures):
        moment += draw.expovariate(rate)
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        due.put_nowait((time.perf_counter(), question(draw)))
    for worker in workers:
        worker.cancel()
    return figures


def questions(kind: str, url: str, films: tuple[int, int], engine: str | None, extra_filter: str = "") -> Question:
    """Make random questions of a kind about films and users the service knows."""
    with urllib.request.urlopen(f"{url}/signup-movies") as answer:
        signup = [film["movie_id"] for film in json.load(answer)["movies"]]
    extra = f"&engine={engine}" if engine else ""

    def pair(draw: random.Random) -> str:
        one, other = draw.sample(signup, 2)
        return f"/pairs/{one}/{other}"

    def live(draw: random.Random) -> str:
        ids = draw.sample(signup, draw.randint(*films))
        return f"/recommend?ids={','.join(map(str, ids))}{extra}"

    def mixed(draw: random.Random) -> str:
        return pair(draw) if draw.random() < 0.8 else live(draw)

    known: list[int] = []
    if kind == "users":
        for _ in range(50):
            with urllib.request.urlopen(f"{url}/users?num=100") as answer:
                known += [user["user_id"] for user in json.load(answer)["users"]]

    def user(draw: random.Random) -> str:
        return f"/users/{draw.choice(known)}/recommendations?{extra_filter}"

    def similar(draw: random.Random) -> str:
        return f"/movies/{draw.choice(signup)}/similar?{extra_filter}"

    return {"pairs": pair, "live": live, "mixed": mixed, "users": user, "similar": similar}[kind]


def resident_mb(pids: list[int]) -> list[float]:
    """Private memory of processes in MB: resident, without the mapped files they share."""
    sizes = []
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("RssAnon:"):
                sizes.append(round(int(line.split()[1]) / 1024, 1))
    return sizes


async def switch(home: Home, url: str, times: int, pause: float) -> None:
    """Put the two newest releases of a home live in turn, as promotion and rollback do; wait until each is served."""
    releases = sorted(path.name for path in home.published.glob("*Z-*.duckdb") if not path.is_symlink())[-2:]
    if served_release(url) == releases[0].removesuffix(".duckdb"):
        releases.reverse()  # so that every switch is one
    if len(releases) < 2:
        raise SystemExit(f"{home.published} needs two releases to switch between")
    for turn in range(times):
        point_link(home.current, releases[turn % 2])
        while await asyncio.to_thread(served_release, url) != releases[turn % 2].removesuffix(".duckdb"):
            await asyncio.sleep(0.05)
        await asyncio.sleep(pause)


def served_release(url: str) -> str:
    """Release the service says it serves."""
    with urllib.request.urlopen(f"{url}/health/ready") as answer:
        return str(json.load(answer)["release"])


async def watch(pids: list[int], pause: float) -> None:
    """Print the memory of processes now and then."""
    while True:
        print(json.dumps({"at": time.strftime("%H:%M:%S"), "private_mb": resident_mb(pids)}), flush=True)
        await asyncio.sleep(pause)


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Run what the arguments ask for."""
    host, port = arguments.url.removeprefix("http://").split(":")
    question = questions(arguments.kind, arguments.url, tuple(arguments.films), arguments.engine, arguments.filter)
    started = time.perf_counter()
    switching = None
    if arguments.switches:
        switching = asyncio.create_task(
            switch(Home.find(arguments.home), arguments.url, arguments.switches, arguments.pause)
        )
    watching = asyncio.create_task(watch(arguments.watch, 10.0)) if arguments.watch else None

    def enough(figures: Figures) -> bool:
        if switching is not None:
            return switching.done()
        if arguments.requests:
            return len(figures.seconds) >= arguments.requests
        return time.perf_counter() - started >= arguments.seconds

    common = (host, int(port), arguments.connections, question, enough)
    figures = await (fixed_rate(*common, arguments.rate) if arguments.rate else closed_loop(*common))
    if switching is not None:
        await switching
    if watching is not None:
        watching.cancel()
    for failure in figures.failures[:5]:
        print(failure)
    return figures.summary(time.perf_counter() - started)


def main() -> None:
    """Read the command line, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description="Load on a running service.")
    parser.add_argument("kind", choices=["pairs", "live", "mixed", "users", "similar"])
    parser.add_argument("--url", default="http://127.0.0.1:5000")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--rate", type=float, help="requests a second; default: as fast as answers come")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--requests", type=int, help="stop after this number of requests instead")
    parser.add_argument("--films", type=int, nargs=2, default=[2, 20], help="fewest and most films of a live list")
    parser.add_argument("--engine", choices=["exact", "annoy"])
    parser.add_argument("--filter", default="", help="query of users and similar, like genre=Drama&years=1990-1999")
    parser.add_argument("--switches", type=int, default=0, help="release switches; the test ends with the last")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between a switch that arrived and the next")
    parser.add_argument("--home", help="home whose releases are switched")
    parser.add_argument("--watch", type=int, nargs="*", default=[], help="process ids whose memory is printed")
    print(json.dumps(uvloop.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
