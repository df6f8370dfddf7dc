"""MARQUEE_LOG=json: one JSON object per line from the command line, from runs of the daemon and from the service."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, marquee, marquee_json
from tests.dagster_dev import dagster_dev
from tests.orchestration.test_dagster_dev import TOP_40

REFRESH = ("refresh", "--set", "top_movies=40", "--set", "neighbours=9")


def test_a_terminal_shows_a_bar_and_nothing_else_does(small_home: Path) -> None:
    """With the remaining time, because the job has run before; a line per asset in both cases."""
    line = re.compile(r"recs/pair_recommendations +[\d,]+ rows +[\d.]+ s +[\d,]+ rows/s")
    assert line.search(plain := marquee(small_home, *REFRESH).stderr)
    assert "\x1b" not in plain
    mine, theirs = pty.openpty()
    command = [sys.executable, "-c", "from orchestration.cli.app import main; main()", "--home", str(small_home)]
    process = subprocess.Popen([*command, *REFRESH[:-1], "neighbours=8"], stderr=theirs, cwd=ROOT)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(mine, 65536):
            shown += part
    assert process.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n")
    assert re.search(r"published/staged_release +\S+ +\d+/\d+ +0:0\d:\d\d +about \d+ s left", text)
    assert line.search(text)


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_LOG", "json")


# What DuckDB's Python binding prints as a process ends, past every log.
BINDING = ("nanobind:", " - leaked", " - ... skipped", "See https://nanobind")


def objects(lines: str) -> list[dict[str, Any]]:
    """Every line as an object."""
    return [json.loads(line) for line in lines.splitlines() if not line.startswith(BINDING)]


def parsed(lines: str) -> list[dict[str, Any]]:
    """Every line as an object with a time in UTC, level, logger and message."""
    found = objects(lines)
    for line in found:
        assert datetime.fromisoformat(line["time"]).utcoffset().total_seconds() == 0  # type: ignore[union-attr]
        assert line["level"] in {"debug", "info", "warning", "error", "critical"}
        assert line["logger"]
        assert line["message"]
    return found


@pytest.mark.usefixtures("as_json")
def test_the_command_line(small_home: Path) -> None:
    done = marquee(small_home, *REFRESH, "--json")
    (run,) = json.loads(done.stdout)["runs"]
    lines = parsed(done.stderr)
    (made,) = [line for line in lines if line.get("asset") == "recs/signup_movies" and "check" not in line]
    assert made["run"] == run
    assert made["step"] == "recs__signup_movies"
    assert made["numbers"]["row_count"] > 0
    assert made["numbers"]["seconds"] >= 0
    assert any("check" in line and line["passed"] for line in lines)
    refused = parsed(marquee(small_home, "promote", "no-such-release", expect=1).stderr)
    assert [line["level"] for line in refused] == ["error"]


def test_an_unknown_form_is_wrong_usage(small_live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_LOG", "yaml")
    assert "MARQUEE_LOG" in marquee(small_live, "releases", expect=2).stderr


def test_runs_of_the_daemon(small_home: Path, tmp_path: Path) -> None:
    log = tmp_path / "dev.log"
    quiet = {"MARQUEE_LOG": "json", "PYTHONWARNINGS": "ignore"}  # `dagster dev` warns of itself before it has a log
    with dagster_dev(small_home, "--log-format", "json", log=log, **quiet) as webserver:
        assert webserver.launch("refresh_recommendations", TOP_40, {}) == "SUCCESS"
    lines = objects(log.read_text(encoding="utf-8"))
    of_runs = parsed("\n".join(json.dumps(line) for line in lines if "run" in line))
    assert {line["job"] for line in of_runs} == {"refresh_recommendations"}
    assert "published/staged_release" in {line.get("asset") for line in of_runs}
    assert any(line["level"] == "info" for line in lines if "run" not in line), "Dagster's own lines are there, too"


@pytest.mark.usefixtures("as_json")
def test_the_service(small_live: Path) -> None:
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "marquee"), "--home", str(small_live), "serve", "--port", "0"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "MARQUEE_HOME"},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(6)
    process.terminate()
    lines = parsed(process.communicate(timeout=30)[1])
    release = marquee_json(small_live, "releases")["releases"][0]["release"]
    assert any(line["logger"] == "marquee.serving" and release in line["message"] for line in lines)
