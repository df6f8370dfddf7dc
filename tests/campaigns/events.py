"""Events under kills: senders on eight connections, the service killed over and over, every event counted at the end.

Belongs here: starting, killing and counting; the senders are `benchmarks.events`. What was acknowledged is compared
with `ops.events` and with the ratings in the warehouse, which got there by files in landing/. Started by
``make events``.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb
import httpx

from benchmarks.events import FIRST_USER, Load, send_all, signup_films, summary
from serving.settings import SETTINGS_VARIABLE
from tests.campaigns.faults import TOP_MOVIES, Platform
from tests.command import BIN, ROOT, marquee_json
from tests.servers import free_port
from warehouse.events.journal import Journal
from warehouse.events.segments import seal

CONNECTIONS = 8
WORKERS = 2
START_SECONDS = 60.0
SECONDS_A_KILL = 1.2
"""How long the service is up between two kills, on average; senders take so much time that all kills happen."""


@dataclass
class Report:
    """What happened.

    Attributes
    ----------
    acknowledged : int
        Events sent, each of which was acknowledged in the end.
    kills, worker_kills : int
        SIGKILL to the whole service, and to one of its workers.
    seals : int
        Files of ratings that landed.
    sending : dict
        As `benchmarks.events` prints it.
    """

    acknowledged: int = 0
    kills: int = 0
    worker_kills: int = 0
    seals: int = 0
    sending: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class KilledService:
    """`marquee serve` on one port, which can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = home.parent / "service.log"

    def start(self) -> None:
        """Start it and wait until it answers."""
        chosen = {"seal_seconds": 0.5, "request_log": False}
        words = ["--home", str(self.home), "serve", "--port", str(self.port), "--workers", str(WORKERS)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(BIN / "marquee"), *words], cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, SETTINGS_VARIABLE: json.dumps(chosen)},
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/health/ready").status_code == 200:
                    return
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """End all of its processes as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_worker(self, chance: random.Random) -> None:
        """End one worker; the service starts another one."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(chance.choice(pids)), signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.terminate()
        self.process.wait(60)


def run_campaign(
    platform: Platform, events: int, kills: int, batch: int, say: Callable[[str], None] = lambda text: None
) -> Report:
    """Send events while the service is killed; then have them ingested and count."""
    report, chance = Report(acknowledged=events), random.Random(16)
    service = KilledService(platform.home.root)
    service.start()
    per_second = events / batch / CONNECTIONS / (kills * SECONDS_A_KILL)
    load = Load(service.address, signup_films(service.address), batch, "", per_second, 3 * START_SECONDS)
    sending = threading.Thread(target=_send, args=(load, events, report))
    sending.start()
    while sending.is_alive() and report.kills + report.worker_kills < kills:
        time.sleep(chance.uniform(0.3, 2 * SECONDS_A_KILL - 0.3))
        if chance.random() < 0.3:
            service.kill_worker(chance)
            report.worker_kills += 1
        else:
            service.kill()
            service.start()
            report.kills += 1
        say(f"{report.kills} kills of the service, {report.worker_kills} of a worker")
    sending.join()
    service.stop()
    _count(platform, load, report)
    if "Traceback" in service.log.read_text():
        report.failures.append(f"a bug: {service.log.read_text()[-3000:]}")
    return report


def _send(load: Load, events: int, report: Report) -> None:
    started = time.perf_counter()
    try:
        sent = send_all(load, events, CONNECTIONS)
        report.sending = summary(sent, time.perf_counter() - started)
    except RuntimeError as error:
        report.failures.append(str(error))


def _count(platform: Platform, load: Load, report: Report) -> None:
    """Ingest what landed, load the events, and compare both with what was acknowledged."""
    home = platform.home
    journal = Journal(home.events)
    seal(journal, home.landing, seconds=0)  # as the sensor does, should the service have been killed at its end
    journal.close()
    files = sorted(home.landing.glob("events-*.parquet"))
    report.seals = len(files)
    marquee_json(home.root, "ingest", *files)
    # So many ratings of so few films are no release that the checks let go live; events are loaded all the same.
    marquee_json(home.root, "refresh", "--set", f"top_movies={TOP_MOVIES}", expect=None)
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        events = con.execute("SELECT count(*), count(DISTINCT event_id), min(seq), max(seq) FROM ops.events").fetchone()
        ratings = con.execute(
            "SELECT count(*), sum(rating) FROM raw.ratings WHERE user_id >= ?", [FIRST_USER]
        ).fetchone()
        rejected = con.execute(
            "SELECT count(*) FROM raw.rejected_rows WHERE source LIKE 'events-%' OR reason LIKE 'superseded%'"
        ).fetchone()
    sent = report.acknowledged
    stars = sum((number % 10 + 1) / 2 for number in range(sent))
    if events != (sent, sent, 1, sent):
        report.failures.append(f"{sent} events were acknowledged, ops.events has {events}")
    if ratings != (sent, stars):
        report.failures.append(f"{sent} ratings were acknowledged, raw.ratings has {ratings}, not {stars} stars")
    if rejected != (0,):
        report.failures.append(f"{rejected} rows of landed files were rejected: something landed twice")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--batch", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marquee-events-") as folder:
        platform = Platform(Path(folder))
        platform.prepare()
        report = run_campaign(platform, given.events, given.kills, given.batch, print)
    print(json.dumps(asdict(report), indent=2))
    if report.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
