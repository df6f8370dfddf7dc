"""The command as a process: what the shell gets of it, and how it ends when it is told to."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import BIN, ROOT, marquee, marquee_process
from warehouse.locks import writer_lock


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("parameters", "--json"), 0),
        (("releases", "--json"), 2),
        (("query", "SELECT 1"), 1),
        (("run", "--set", "nonsense=1"), 2),
        (("no-such-command",), 2),
    ],
    ids=lambda value: str(value),
)
def test_a_process_ends_and_says_as_a_call_does(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    process = marquee_process(tmp_path / "home", *words, expect=code)
    call = marquee(tmp_path / "home", *words, expect=code)
    assert (process.stdout, process.stderr) == (call.stdout, call.stderr)


IGNORING_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_command_in_the_background_of_a_script_can_be_ended(small_home: Path, told: signal.Signals) -> None:
    """A shell starts what it puts into the background of a script with SIGINT ignored."""
    with writer_lock(small_home / "warehouse.lock", "the test", wait_seconds=10):
        process = subprocess.Popen(
            [sys.executable, "-c", IGNORING_SIGINT, str(BIN / "marquee"), "--home", str(small_home), "refresh"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stderr is not None
        assert "waiting for" in process.stderr.readline()
        process.send_signal(told)
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert "marquee: interrupted by a signal" in said
