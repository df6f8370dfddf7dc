"""The stream under kills: consumer and broker end in turn as by a power cut, and each event is in the journal once.

A producer sends numbered events all the while. What the broker acknowledged must be there, once, and nothing that was
never sent. The broker keeps its topics in an S3 server. Belongs here: doing it and counting. Started by
``make stream``.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.broker import QUIET, Broker, broker
from tests.campaigns.faults import Platform
from tests.command import BIN, ROOT
from tests.object_server import BUCKET, object_server
from warehouse.events.journal import Journal
from warehouse.home import Home
from warehouse.releases.reader import open_release

TOPIC, PARTITIONS = "events", 3
LONGEST = 240.0
USERS = 5_000


class StreamProcess:
    """`marquee stream` as a process that can be killed and started again; `log` has all that it said."""

    def __init__(self, home: Home, address: str, log: Path, topic: str = TOPIC, *options: object) -> None:
        self._command = [str(BIN / "marquee"), "--home", str(home.root), "stream", f"kafka://{address}/{topic}"]
        self._command += map(str, options)
        self.log = log
        self.start()

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "MARQUEE_HOME": ""}
            )

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        """End it as an operator would; it must not have met a bug."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.said()
        assert "Traceback" not in self.said(), self.said()

    def said(self) -> str:
        """What it said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def journal_ids(home: Home) -> Counter[str]:
    """How often each event is in the journal of a home, sealed or not."""
    journal, last, found = Journal(home.events), 0, Counter[str]()
    while rows := journal.since(last):
        found.update(row.event.event_id for row in rows)
        last = rows[-1].seq
    journal.close()
    return found


def measure(home: Home, report: "Report") -> None:
    """Note events a second, and how long events took from being made until they were in the journal."""
    journal, last, delays = Journal(home.events), 0, list[float]()
    first = journal.since(0, limit=1)[0].received_at
    while rows := journal.since(last):
        delays += [(row.received_at - row.event.at).total_seconds() for row in rows if row.event.at is not None]
        last, ended = rows[-1].seq, rows[-1].received_at
    journal.close()
    delays.sort()
    report.per_second = round(len(delays) / max(0.001, (ended - first).total_seconds()))
    report.delay_p50, report.delay_p99 = (round(delays[int(share * (len(delays) - 1))], 2) for share in (0.5, 0.99))


class Sender:
    """Sends events at a rate on a thread, and notes what the broker acknowledged.

    It repeats what was not acknowledged, so messages come twice, and event ids tell them. It is no idempotent producer:
    to such a one, tansu had acknowledged messages that were not in the topic after it was killed (8 and 83 of 3,000).
    """

    def __init__(self, address: str, films: list[int], count: int, per_second: float) -> None:
        self._address, self._films, self._count, self._rate = address, films, count, per_second
        self.sent, self.acknowledged, self.errors = 0, set[str](), Counter[str]()
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self) -> None:
        from confluent_kafka import Producer

        producer = Producer(
            {
                "bootstrap.servers": self._address, "acks": "all", "linger.ms": 200,
                "message.timeout.ms": int(1000 * LONGEST), **QUIET,
            }
        )  # fmt: skip
        draw, began = random.Random(1), time.monotonic()

        def noted(event_id: str) -> Callable[..., None]:
            def note(error: object, _: object) -> None:
                if error is None:
                    self.acknowledged.add(event_id)
                else:
                    self.errors[str(error)] += 1

            return note

        for number in range(self._count):
            event_id = f"e-{number}"
            event = {
                "event_id": event_id, "type": "rating", "user_id": draw.randint(1, USERS),
                "movie_id": draw.choice(self._films), "rating": draw.randint(1, 10) / 2, "at": time.time(),
            }  # fmt: skip
            while True:
                with contextlib.suppress(BufferError):
                    producer.produce(
                        TOPIC, json.dumps(event).encode(), partition=number % PARTITIONS, on_delivery=noted(event_id)
                    )
                    break
                producer.poll(0.1)
            self.sent = number + 1
            producer.poll(0)
            if (early := began + number / self._rate - time.monotonic()) > 0.01:
                time.sleep(early)
        producer.flush(LONGEST)


@dataclass
class Report:
    """What a campaign came to, and what must not happen and did."""

    consumer_kills: int = 0
    broker_kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    in_journal: int = 0
    twice: int = 0
    seconds: float = 0.0
    caught_up_seconds: float = 0.0
    per_second: float = 0.0
    delay_p50: float = 0.0
    delay_p99: float = 0.0
    failures: list[str] = field(default_factory=list)


def run_campaign(
    home: Home, messages: Broker, events: int, kills: int, per_second: float, say: Callable[[str], None] = print
) -> Report:
    """Send so many events while consumer and broker are killed in turn."""
    report, begun = Report(), time.monotonic()
    with open_release(home) as con:
        films = [film for (film,) in con.execute("SELECT movie_id FROM movies").fetchall()]
    messages.make(TOPIC, PARTITIONS)
    consumer = StreamProcess(home, messages.address, home.root / "stream.log")
    sender = Sender(messages.address, films, events, per_second)
    draw = random.Random(2)
    for number in range(kills):
        while sender.thread.is_alive() and sender.sent < events * (number + 1) / (kills + 1):
            time.sleep(0.01)
        time.sleep(draw.random() / 2)
        if number % 2:
            messages.stop()
            time.sleep(draw.random())
            messages.start()
            report.broker_kills += 1
        else:
            consumer.kill()
            consumer.start()
            report.consumer_kills += 1
        say(f"{number + 1} of {kills} kills, {time.monotonic() - begun:.0f} s, {sender.sent} sent")
    sender.thread.join(LONGEST)
    sent_all = time.monotonic()
    while len(found := journal_ids(home)) < len(sender.acknowledged) and time.monotonic() - sent_all < LONGEST:
        time.sleep(0.5)
    report.caught_up_seconds = round(time.monotonic() - sent_all, 1)
    consumer.stop()
    found = journal_ids(home)
    report.sent, report.acknowledged, report.in_journal = sender.sent, len(sender.acknowledged), len(found)
    report.twice = sum(count > 1 for count in found.values())
    if sender.errors:
        report.failures.append(f"not acknowledged: {dict(sender.errors)}")
    if missing := sender.acknowledged - set(found):
        report.failures.append(f"{len(missing)} acknowledged events are not in the journal, {min(missing)} for one")
    if report.twice:
        report.failures.append(f"{report.twice} events are in the journal twice")
    if strange := set(found) - {f"e-{number}" for number in range(sender.sent)}:
        report.failures.append(f"{len(strange)} events were never sent")
    journal = Journal(home.events)
    if refused := journal.refused():
        report.failures.append(f"{len(refused)} messages refused: {refused[0].reason}")
    journal.close()
    measure(home, report)
    report.seconds = round(time.monotonic() - begun, 1)
    return report


def main() -> None:
    """Run a campaign, print what came of it, and fail if anything happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--per-second", type=float, default=2_000.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/stream.json"))
    parser.add_argument("--in-memory", action="store_true", help="a broker that keeps nothing; needs --kills 0")
    chosen = parser.parse_args()
    if chosen.in_memory and chosen.kills:
        parser.error("a broker in memory loses everything when it is killed: --in-memory needs --kills 0")
    with tempfile.TemporaryDirectory(prefix="marquee-stream-") as folder, object_server() as server:
        platform = Platform(Path(folder))
        platform.prepare()
        storage = "memory://tansu/" if chosen.in_memory else f"s3://{BUCKET}/"
        with broker(storage, server.environment("admin")) as messages:
            report = run_campaign(platform.home, messages, chosen.events, chosen.kills, chosen.per_second)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    print(asdict(report))
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
