"""Servers of other makers that tests start: a free port, and a folder that goes when the server does.

Belongs here: what all of them need. The servers are in `database_servers` and `object_server`.
"""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar


class Stoppable(Protocol):
    """What is started here."""

    def stop(self) -> None:
        """End it at once."""


Server = TypeVar("Server", bound=Stoppable)


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server_of_its_own(start: Callable[[Path], Server]) -> Iterator[Server]:
    """Start a server in a new folder; at the end stop it and delete the folder."""
    folder = Path(tempfile.mkdtemp(prefix="marquee-"))  # a short name: sockets allow 100 characters
    server = None
    try:
        server = start(folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
