"""A wire between a client and a server that a test can cut: after so many bytes, or until it says so.

Belongs here: bytes of TCP connections, on loopback. Both ends are real.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Passes connections on to a port.

    Attributes
    ----------
    port : int
        Where clients connect.
    answer_bytes : int or None
        Connections end after so many bytes from the server.
    held : bytes
        What the client sends waits from here on while it contains this, until `let_go` is set.
    reached, let_go : threading.Event
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.answer_bytes: int | None = None
        self.held = b""
        self.reached, self.let_go = threading.Event(), threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                for work in (self._ask, self._answer):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client, server:
            while chunk := client.recv(65536):
                if self.held and self.held in chunk:
                    self.reached.set()
                    self.let_go.wait(60)
                server.sendall(chunk)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError), client, server:
            while chunk := server.recv(16384):
                client.sendall(chunk)
                passed += len(chunk)
                if self.answer_bytes is not None and passed >= self.answer_bytes:
                    client.shutdown(socket.SHUT_RDWR)
                    return

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()


@contextlib.contextmanager
def relay(target: int) -> Iterator[Relay]:
    """A wire to a port of this machine."""
    found = Relay(target)
    try:
        yield found
    finally:
        found.let_go.set()
        found.close()
