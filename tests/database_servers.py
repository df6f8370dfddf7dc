"""Real PostgreSQL and Redis servers for tests: from the system's packages, on a free port of loopback, without fsync.

Belongs here: starting and stopping. Both ask for a password; a stop is that of a machine that loses its power.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.servers import free_port, server_of_its_own

PASSWORD = "open-sesame-49"
"""Of all accounts; must never be seen in what a command says."""

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path("/usr/lib/postgresql/none/bin")]


class PostgreSQLServer:
    """A cluster of one's own; the account `marquee` owns everything."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder, self.port = folder, port or free_port()
        # PostgreSQL refuses to run as root.
        self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if not os.geteuid() else []
        if self._user:
            shutil.chown(folder, "postgres")
        password = folder / "password"
        password.write_text(PASSWORD)
        options = ["-D", folder / "data", "-U", "marquee", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync"]
        self._run("initdb", *options, "-E", "UTF8", "--locale=C")
        self.start()

    def _run(self, program: str, *arguments: object) -> None:
        words = [*self._user, str(POSTGRES[-1] / program), *map(str, arguments)]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_wal_size=256MB"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-o", settings, "start")

    def stop(self) -> None:
        """End it at once."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")

    def url(self, database: str, password: str = "") -> str:
        """Address of a database."""
        account = f"marquee:{password}" if password else "marquee"
        return f"postgresql://{account}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """Connect as `marquee`; every statement is a transaction."""
        return psycopg.connect(self.url(database), password=PASSWORD, autocommit=True)


@contextlib.contextmanager
def postgresql_server() -> Iterator[PostgreSQLServer]:
    if not (POSTGRES[-1] / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with server_of_its_own(PostgreSQLServer) as server:
        yield server


class RedisServer:
    """A server of one's own, in memory only: it has lost everything after a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes]
        self.start()

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        words = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        self._process = subprocess.Popen(
            [*map(str, words), "--requirepass", PASSWORD, *options], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                with self.connect() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait(30)

    def url(self, database: int = 0, password: str = "") -> str:
        """Address of a database."""
        return f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/{database}"

    def connect(self, database: int = 0) -> redis.Redis:
        """A client; texts, not bytes."""
        return redis.Redis(port=self.port, db=database, password=PASSWORD, decode_responses=True)


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed (Debian: redis-server)")
    with server_of_its_own(RedisServer) as server:
        yield server
