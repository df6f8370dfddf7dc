"""The command line as tests use it: the real application, called in this process or started as a process of its own.

Most tests ask what a command does, and call it in this process: starting Python, Dagster and the compiled loops costs
more than the work on a small home. Where the process itself is the point (exit codes as the shell sees them, locks
between processes, signals, other accounts) it is started for real, as a user would.
"""

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest.mock import patch

from orchestration.cli.app import main

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data"
BIN = Path(sys.executable).parent
HOME_VARIABLES = {"MARQUEE_HOME", "DAGSTER_HOME"}

Done = subprocess.CompletedProcess[str]


def marquee(home: Path, *arguments: object, expect: int | None = 0) -> Done:
    """Call the command in this process and compare its exit code with the one expected (None: any).

    What a user would see as a traceback is raised here.
    """
    words = ["marquee", "--home", str(home), *map(str, arguments)]
    stdout, stderr = (TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: Any = 0
    with (
        patch.dict(os.environ),
        patch.object(sys, "argv", words),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        for variable in HOME_VARIABLES:
            os.environ.pop(variable, None)
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    said = (stream.buffer.getvalue().decode() for stream in (stdout, stderr))  # type: ignore[attr-defined]
    return _expected(Done(words, code, *said), expect)


def marquee_process(home: Path, *arguments: object, expect: int | None = 0) -> Done:
    """Run the command as a process and compare its exit code with the one expected (None: any)."""
    process = start_marquee(home, *arguments)
    stdout, stderr = process.communicate(timeout=240)
    return _expected(Done(process.args, process.returncode, stdout, stderr), expect)


def start_marquee(home: Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start the command as a process."""
    inherited = {key: value for key, value in os.environ.items() if key not in HOME_VARIABLES}
    return subprocess.Popen(
        [str(BIN / "marquee"), "--home", str(home), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=inherited | environment,
    )


def _expected(done: Done, expect: int | None) -> Done:
    if expect is not None:
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def marquee_json(home: Path, *arguments: object, expect: int | None = 0) -> dict[str, Any]:
    """Call the command with --json and return the object, which must be all there is on stdout."""
    return dict(json.loads(marquee(home, *arguments, "--json", expect=expect).stdout))
