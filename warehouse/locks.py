"""One writer at a time: an advisory lock on a file of the home, held by a process and named in words.

Belongs here: waiting for a lock, and who holds one. The kernel frees the lock when its process dies, however it dies,
so there is nothing to repair afterwards. Does not belong here: readers, who open published releases and never meet this
lock.
"""

import fcntl
import json
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from recommender.errors import MarqueeError

POLL_SECONDS = 0.2


class WriterBusyError(MarqueeError):
    """Another process kept the working database for longer than the caller would wait; the message names it."""


def holder(path: Path) -> dict[str, str]:
    """Describe the process that holds (or last held) the lock: pid, purpose, command and since when; else empty."""
    try:
        return dict(json.loads(path.read_text() or "{}"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def is_held(path: Path) -> bool:
    """Whether some process holds the lock right now."""
    if not path.exists():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


LOCK = "hhqqi4x"
"""struct flock of Linux: type, whence, start, length, process."""


def process_with_open(path: Path) -> dict[str, str] | None:
    """Describe the process that keeps a database file from being written, as DuckDB locks it: pid and command.

    None if there is none, if it is this one, or if this is not Linux. A process that holds locks on the file itself
    must not ask: closing the file would free them.
    """
    if sys.platform != "linux" or not path.exists():
        return None
    with path.open("rb") as file:
        wanted = struct.pack(LOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
        kind, *_, pid = struct.unpack(LOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    if kind == fcntl.F_UNLCK:
        return None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # of another account, or gone meanwhile
        words = []
    return {"pid": str(pid), "command": " ".join(words).strip()}


def _describe(path: Path) -> str:
    who = holder(path)
    if not who:
        return "another process"
    return f"process {who.get('pid')} ({who.get('purpose')}, since {who.get('since')})"


@contextmanager
def writer_lock(
    path: Path, purpose: str, *, wait_seconds: float, notify: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the writer's lock for the duration of the block.

    Parameters
    ----------
    path : Path
        The lock file; created if missing, never deleted (deleting it would let two processes hold "the" lock).
    purpose : str
        What the holder is doing, for whoever has to wait.
    wait_seconds : float
        How long to wait for another writer to finish.
    notify : callable, optional
        Called once with a message when there is a wait.

    Raises
    ------
    WriterBusyError
        If the lock is not free in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        deadline = time.monotonic() + wait_seconds
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise WriterBusyError(
                        f"{_describe(path)} is writing to {path.parent}; waited {wait_seconds:.0f} s. "
                        "Try again when it has finished."
                    ) from None
                if not waiting and notify is not None:
                    notify(f"waiting for {_describe(path)} to finish writing to {path.parent}")
                waiting = True
                time.sleep(POLL_SECONDS)
        who = {
            "pid": str(os.getpid()),
            "purpose": purpose,
            "command": " ".join(sys.argv),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        file.seek(0)
        file.truncate()
        file.write(json.dumps(who))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)
