"""One writer at a time: between threads and processes, named while it writes, free when it died."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.command import ROOT
from warehouse.locks import WriterBusyError, holder, is_held, writer_lock

HOLD = """
import sys, time
from pathlib import Path
from warehouse.locks import writer_lock
with writer_lock(Path(sys.argv[1]), "a load", wait_seconds=0):
    print("held", flush=True)
    time.sleep(600)
"""


def test_writers_never_overlap(tmp_path: Path) -> None:
    writing, most = 0, 0

    def write() -> None:
        nonlocal writing, most
        for _ in range(20):
            with writer_lock(tmp_path / "lock", "a test", wait_seconds=60):
                writing += 1
                most = max(most, writing)
                time.sleep(0.001)
                writing -= 1

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert most == 1


def test_the_holder_is_named_and_forgotten(tmp_path: Path) -> None:
    path, said = tmp_path / "folder" / "lock", []
    assert (holder(path), is_held(path)) == ({}, False)
    with writer_lock(path, "a refresh", wait_seconds=0):
        assert is_held(path)
        assert {key: holder(path)[key] for key in ("pid", "purpose")} == {
            "pid": str(os.getpid()),
            "purpose": "a refresh",
        }
        with (
            pytest.raises(WriterBusyError, match=f"{os.getpid()}.*a refresh"),
            writer_lock(path, "another", wait_seconds=0.3, notify=said.append),
        ):
            pass
        assert len(said) == 1
        assert "a refresh" in said[0]
    assert (holder(path), is_held(path)) == ({}, False)


def test_an_error_of_the_writer_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), writer_lock(path, "a failure", wait_seconds=0):
        _ = 1 / 0
    with writer_lock(path, "the next", wait_seconds=0):
        assert holder(path)["purpose"] == "the next"


def test_a_process_that_is_killed_leaves_nothing_to_repair(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(WriterBusyError, match=f"{process.pid}.*a load"), writer_lock(path, "x", wait_seconds=0):
            pass
        process.send_signal(signal.SIGKILL)
    assert not is_held(path)
    with writer_lock(path, "the next", wait_seconds=0):
        assert holder(path)["purpose"] == "the next"
