"""What the README tells a newcomer to type runs as it is written there, in the order in which it is written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.command import BIN, ROOT
from tests.homes import copy_home
from warehouse.home import Home
from warehouse.releases.reader import open_release

MADE_ELSEWHERE = r"make \w+ "
"""Lines that the CI itself runs."""


def blocks() -> list[tuple[str, str]]:
    """Fenced blocks with their language, without those that show what is printed."""
    found = re.findall(
        r"^```(\w*)\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [(language, text) for language, text in found if not text.startswith("Release ")]


def test_every_block_runs_as_written(sample_home: Path, tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    home = copy_home(sample_home, tmp_path).rename(tmp_path / "var")
    with open_release(Home(home)) as con:  # made by parameters asked for, where a newcomer asked for none
        (parameters,) = con.execute("SELECT parameters FROM release").fetchone() or ("{}",)
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in json.loads(parameters).items()]
    (home / "parameters.toml").write_text("".join(lines))
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_HOME")}
    environment["PYTHONPATH"] = str(ROOT)
    typed = 0
    for language, text in blocks():
        lines = [text] if language == "python" else [line for line in text.splitlines() if line]
        for line in lines:
            if language != "python" and re.match(MADE_ELSEWHERE, line):
                continue
            words = [sys.executable, "-c", line] if language == "python" else ["bash", "-c", line]
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            assert done.stdout, line
            typed += 1
    assert typed >= 10
