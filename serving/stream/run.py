"""The process of `marquee stream`: signals, the port for Prometheus, and the stream between them.

Belongs here: what begins and ends with the process. Does not belong here: the loop (`serving.stream.stream`).
"""

import signal
from pathlib import Path

from prometheus_client import start_http_server

from recommender.errors import UsageError
from serving.stream.address import read_address, read_listen, read_properties
from serving.stream.stream import Stream
from serving.stream.topic import Topic
from warehouse.home import Home
from warehouse.logs import say


def run_stream(home: Home, url: str, config: Path | None, metrics: str) -> None:
    """Take events in until SIGTERM or SIGINT; the running batch is kept first.

    Raises
    ------
    UsageError
        If the address, a property or the place for metrics cannot be, or the package is missing.
    """
    address = read_address(url)
    stream = Stream(home, Topic(address, read_properties(config)), address.topic)
    if metrics:
        host, port = read_listen(metrics)
        try:
            start_http_server(port, host)
        except OSError as error:
            raise UsageError(f"--metrics {metrics} cannot be had: {error.strerror}") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stream.stopping.set())
    say(f"marquee: events of {address.topic} at {address.brokers} go to {home.events}")
    stream.run()
