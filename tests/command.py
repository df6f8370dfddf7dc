"""The command line as tests use it: a real process, as a user would start it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def marquee(home: Path, *arguments: object, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the command and compare its exit code with the one expected (None: any)."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "marquee"), "--home", str(home), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        env={key: value for key, value in os.environ.items() if key not in {"MARQUEE_HOME", "DAGSTER_HOME"}},
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def marquee_json(home: Path, *arguments: object, expect: int | None = 0) -> dict[str, Any]:
    """Run the command with --json and return the object, which must be all there is on stdout."""
    return dict(json.loads(marquee(home, *arguments, "--json", expect=expect).stdout))
