"""Three processes that share nothing but object storage: a pipeline, an S3 server, and a service on "another machine".

Releases are made, rolled back and retired under load, publishers are killed at every step, two publish at a time, and
the S3 server is away for a while. Belongs here: doing it, watching and counting. Started by ``make deployment``.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from orchestration.cli.app import main as marquee
from serving.settings import SETTINGS_VARIABLE
from tests.campaigns import forks
from tests.campaigns.faults import Platform, settings
from tests.command import BIN, ROOT
from tests.object_server import BUCKET, ObjectServer, object_server
from tests.servers import free_port
from warehouse.faults import KILL_VARIABLE, STORE_STEPS
from warehouse.home import HOME_VARIABLE, Home
from warehouse.releases.reader import open_release
from warehouse.releases.registry import live_release
from warehouse.store.client import STORE_VARIABLE

CLIENTS = 2
LONGEST = 120.0
Lists = dict[tuple[int, int], list[int]]


class RemoteService:
    """`marquee serve --from` with a cache of its own, as on another machine.

    Attributes
    ----------
    address : str
    log : Path
        What it wrote on stderr.
    """

    def __init__(self, url: str, folder: Path, environment: dict[str, str], *, workers: int = 2, **chosen: Any) -> None:
        port = free_port()
        self.address, self.log, self.cache = f"http://127.0.0.1:{port}", folder / "service.log", folder / "cache"
        options = ("--port", str(port), "--workers", str(workers), "--from", url, "--cache", str(self.cache))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(BIN / "marquee"), "serve", *options],
                cwd=ROOT,
                env={
                    **os.environ,
                    HOME_VARIABLE: str(folder / "own"),
                    **environment,
                    SETTINGS_VARIABLE: json.dumps({"store_seconds": 0.2, **chosen}),
                },
                stdout=log,
                stderr=log,
            )

    def ready(self) -> httpx.Response:
        """What /health/ready answers; waits until the process listens."""
        deadline = time.monotonic() + LONGEST
        while True:
            try:
                return httpx.get(f"{self.address}/health/ready")
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def until(self, holds: Callable[[httpx.Response], bool], what: str) -> float:
        """Ask /health/ready until all workers are likely to have answered so; return the seconds it took."""
        started = time.monotonic()
        seen = 0
        while seen < 10:
            seen = seen + 1 if holds(self.ready()) else 0
            assert time.monotonic() - started < LONGEST, f"{what}: {self.ready().text}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)
        return time.monotonic() - started

    def serves(self, release: str) -> float:
        """Wait until it answers from this release; return the seconds it took."""
        return self.until(lambda answer: answer.status_code == 200 and answer.json()["release"] == release, release)

    def stop(self) -> None:
        """End it; it must not have met a bug."""
        self.process.terminate()
        self.process.wait(30)
        text = self.log.read_text()
        assert "Traceback" not in text, text


@contextlib.contextmanager
def remote_service(url: str, folder: Path, environment: dict[str, str], **chosen: Any) -> Iterator[RemoteService]:
    """A service that is ended when the block is left."""
    service = RemoteService(url, folder, environment, **chosen)
    try:
        yield service
    finally:
        service.stop()


def _command(home: Path, arguments: list[str], environment: dict[str, str], log: Path) -> None:
    """Body of a process that runs one command as the console script would."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    sys.argv = ["marquee", "--home", str(home), *arguments]
    marquee()


def _ask(address: str, pairs: list[tuple[int, int]], stop: Any, results: Any) -> None:
    """Body of a client process: asks until it is stopped; sends requests, errors and the lists seen by release."""
    asked, errors, seen = 0, [], set()
    with httpx.Client(base_url=address, timeout=30) as client:
        while not stop.is_set():
            pair = pairs[asked % len(pairs)]
            asked += 1
            try:
                answer = client.get(f"/pairs/{pair[0]}/{pair[1]}")
                body = answer.json()
                films = tuple(film["movie_id"] for film in body["recommendations"])
                if answer.status_code != 200 or body["release"] != answer.headers["marquee-release"]:
                    errors.append(f"{answer.status_code}: {answer.text[:200]}")
                seen.add((body["release"], pair, films))
            except (httpx.HTTPError, KeyError, ValueError) as error:
                errors.append(f"{type(error).__name__}: {error}")
            time.sleep(0.002)
    results.put((asked, errors, seen))


@dataclass
class Report:
    """What a campaign came to, and what must not happen and did."""

    releases: int = 0
    promotions: int = 0
    rollbacks: int = 0
    retired: int = 0
    kills: int = 0
    races_lost: int = 0
    requests: int = 0
    releases_seen: int = 0
    away_seconds: float = 0.0
    age_while_away: float = 0.0
    lags: list[float] = field(default_factory=list)
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


class Deployment:
    """The three processes, and the steps of the campaign."""

    def __init__(self, platform: Platform, server: ObjectServer, say: Callable[[str], None]) -> None:
        self.platform, self.server, self.say, self.home = platform, server, say, platform.home
        self.url = f"s3://{BUCKET}/deployment"
        self.environment = {**server.environment(), STORE_VARIABLE: self.url}
        self.report, self.lists = Report(), dict[str, Lists]()
        self.run("publish")
        self._note()
        self.service = RemoteService(self.url, self.home.root.parent, self.environment)

    def run(self, *arguments: str, home: Home | None = None, expect: int | None = 0, kill_at: str = "") -> None:
        """Run a command with the store in its environment; another exit code than expected is a failure."""
        environment = {**self.environment, KILL_VARIABLE: kill_at}
        process = self.started(arguments, environment, home)
        process.join(LONGEST)
        if process.exitcode != (-signal.SIGKILL if kill_at else expect):
            said = self.platform.log.read_text(errors="replace")[-800:]
            self.report.failures.append(f"{' '.join(arguments)} {kill_at} ended with {process.exitcode}: {said}")

    def started(self, arguments: tuple[str, ...], environment: dict[str, str], home: Home | None = None) -> Any:
        """Start a command."""
        root = (home or self.home).root
        process = forks.Process(target=_command, args=(root, list(arguments), environment, self.platform.log))
        process.start()
        return process

    def _note(self) -> str:
        """Remember the lists of the live release, to compare answers with; return its name."""
        release = live_release(self.home)
        assert release is not None
        if release not in self.lists:
            with open_release(self.home, release) as con:
                films = [film for (film,) in con.execute("SELECT movie_id FROM signup_movies ORDER BY 1").fetchall()]
                self.lists[release] = {
                    (films[0], other): [film for (film,) in con.execute(
                        "SELECT movie_id FROM recommend_pair(?, ?) ORDER BY rank", [films[0], other]).fetchall()]
                    for other in films[1:4]
                }  # fmt: skip
        return release

    def follow(self) -> None:
        """Wait until the other machine answers from what is live here."""
        self.report.lags.append(round(self.service.serves(self._note()), 2))

    def new_release(self, number: int, kill_at: str = "") -> None:
        """Make a release of other parameters; a publisher killed at a step leaves the rest to the next one."""
        if kill_at:
            without = {**self.environment, STORE_VARIABLE: ""}
            self.started(("refresh", *settings(11 + number)), without).join(LONGEST)
            if kill_at == "store_retirement_begun":
                self.started(("retire", "--keep", "2"), without).join(LONGEST)
            self.run("publish", kill_at=kill_at)
            self.report.kills += 1
            self.run("publish")
        else:
            self.run("refresh", *settings(11 + number))
        self.report.releases += 1
        self.report.promotions += 1
        self.follow()

    def back_and_forth(self) -> None:
        """Roll back, and promote the newest again."""
        newest = self._note()
        self.run("rollback", "--why", "campaign")
        self.follow()
        self.run("promote", newest, "--why", "campaign")
        self.follow()
        self.report.rollbacks += 1
        self.report.promotions += 1

    def retire(self) -> None:
        """Retire all but two."""
        self.run("retire", "--keep", "2")
        there = len(list(self.home.published.glob("2*.duckdb")))
        self.report.retired = len(self.lists) - there

    def race(self, rival: Home) -> None:
        """Publish from two homes at the same time: one or both in turn succeed, none leaves anything broken."""
        both = [self.started(("publish",), self.environment, home) for home in (self.home, rival)]
        for process in both:
            process.join(LONGEST)
        codes = sorted(process.exitcode for process in both)
        self.report.races_lost += codes == [0, 1]
        if codes not in ([0, 0], [0, 1]):
            self.report.failures.append(f"two publishers at a time ended with {codes}")
        self.run("publish")
        self.follow()

    def away(self, number: int, seconds: float) -> None:
        """Take the S3 server away while a release goes live here; the other machine goes on, then catches up."""
        self.server.stop()
        before = self._note()
        began = time.monotonic()
        self.run("refresh", *settings(11 + number), expect=1)
        self.report.releases += 1
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        answer = self.service.ready()
        store = answer.json().get("store", {})
        if answer.status_code != 200 or answer.json()["release"] != before or not store["problem"]:
            self.report.failures.append(f"while the store was away: {answer.text}")
        self.report.away_seconds = round(time.monotonic() - began, 1)
        self.report.age_while_away = store["age_seconds"]
        self.server.start()
        self.run("publish")
        self.follow()

    def examine(self, seen: set[Any]) -> None:
        """Every answer must be that of the release it names."""
        self.report.releases_seen = len({release for release, _, _ in seen})
        for release, pair, films in seen:
            expected = self.lists.get(release, {}).get(pair)
            if expected != list(films):
                self.report.failures.append(f"{release} answered {pair} with {films} instead of {expected}")


def run_campaign(
    platform: Platform, server: ObjectServer, releases: int, away_seconds: float, say: Callable[[str], None] = print
) -> Report:
    """Live through so many releases."""
    begun = time.monotonic()
    rival = Home(Path(shutil.copytree(platform.home.root, platform.home.root.parent / "rival", symlinks=True)))
    deployment = Deployment(platform, server, say)
    report = deployment.report
    stop, results = forks.Event(), forks.Queue()
    try:
        deployment.follow()
        pairs = list(next(iter(deployment.lists.values())))
        clients = [
            forks.Process(target=_ask, args=(deployment.service.address, pairs, stop, results)) for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for number in range(1, releases + 1):
            if number == releases // 2:
                deployment.away(number, away_seconds)
                continue
            deployment.new_release(number, STORE_STEPS[number // 2 % len(STORE_STEPS)] if number % 2 else "")
            if number % 3 == 2:
                deployment.back_and_forth()
            if number % 4 == 0:
                deployment.race(rival)
            if number % 5 == 0:
                deployment.retire()
            say(f"{number} of {releases}, {time.monotonic() - begun:.0f} s, {len(report.failures)} failures")
        stop.set()
        seen: set[Any] = set()
        for _ in clients:
            asked, errors, lists = results.get(timeout=LONGEST)
            report.requests += asked
            report.failures += errors
            seen |= lists
        deployment.examine(seen)
    finally:
        stop.set()
        deployment.service.stop()
    report.seconds = round(time.monotonic() - begun, 1)
    return report


def main() -> None:
    """Run a campaign, print what came of it, and fail if anything happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=50)
    parser.add_argument("--away", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/deployment.json"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marquee-deployment-") as folder, object_server() as server:
        platform = Platform(Path(folder))
        platform.prepare()
        report = run_campaign(platform, server, chosen.releases, chosen.away)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    lags = sorted(report.lags)
    print({**asdict(report), "lags": f"median {lags[len(lags) // 2]} s, longest {lags[-1]} s"})
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
