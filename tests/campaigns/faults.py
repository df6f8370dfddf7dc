"""The fault campaign: runs are killed at every named step and at random times while readers query without pause.

Belongs here: killing, watching and counting. Commands are called by their own entry point in processes forked from one
that has done the imports, so that a run costs what it does and not what it loads. Started by ``make faults``.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.synth import generate
from checks.release.suite import REQUIRED_CHECKS, audit_release
from checks.settings import load_settings
from checks.tables.content import Context
from checks.tables.suite import results_of
from orchestration.cli.app import main as marquee
from recommender.parameters import make_parameters
from tests.campaigns import forks
from tests.campaigns.readers import READERS, Readers
from warehouse.database import open_warehouse
from warehouse.faults import KILL_VARIABLE, MODEL_STEPS, STEPS
from warehouse.files import TEMPORARY
from warehouse.home import Home
from warehouse.releases.promotion import promote, rollback
from warehouse.releases.registry import STAGING_NOTE, list_releases, live_release
from warehouse.releases.repair import repair
from warehouse.releases.staging import stage_release
from warehouse.tables.check_results import CheckResult

TOP_MOVIES = 12
SOURCE = {"users": 120, "movies": 80, "ratings": 2_500, "genome_movies": 40}
THRESHOLDS = (3.6, 3.7, 3.8, 3.9, 4.0)
"""Ratings come in half stars, so the likes stay the same; the parameter changes, and all that is trained with it."""
ROLLBACK_STEPS = ("link_prepared", "link_swapped", "promotion_recorded")
SLOWEST = 600.0
"""Seconds after which a command that should succeed is given up: a hang is a failure, too."""


@dataclass
class Kill:
    """One kill and what came after it."""

    command: str
    at: str
    killed: bool
    recovery_seconds: float
    recovery_exit: int | None
    problems: list[str] = field(default_factory=list)


@dataclass
class Campaign:
    """All kills of a campaign, and what the readers saw meanwhile."""

    kills: list[Kill]
    reads: int
    releases_seen: int
    reader_errors: list[str]
    seconds: float

    @property
    def failures(self) -> list[str]:
        """What must not happen and did, in words."""
        bad = [f"{kill.command} killed at {kill.at}: {problem}" for kill in self.kills for problem in kill.problems]
        return bad + self.reader_errors


def _command(home: Path, arguments: list[str], log: Path, kill_at: str) -> None:
    """Body of a process that runs one command as the console script would."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.pop(KILL_VARIABLE, None)
    if kill_at:
        os.environ[KILL_VARIABLE] = kill_at
    if arguments[0] in OWN_COMMANDS:
        OWN_COMMANDS[arguments[0]](Home(home), *arguments[1:])
        return
    sys.argv = ["marquee", "--home", str(home), *arguments]
    marquee()


class Platform:
    """A home under test, and the means to run and kill commands on it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.source = folder / "source"
        self.log = folder / "commands.log"

    def start(self, arguments: list[str], kill_at: str = "") -> Any:
        """Start a command in a process of its own."""
        process = forks.Process(target=_command, args=(self.home.root, arguments, self.log, kill_at))
        process.start()
        return process

    def run(self, *arguments: str) -> int | None:
        """Run a command to its end; return its exit code."""
        process = self.start(list(arguments))
        process.join(SLOWEST)
        if process.is_alive():
            process.kill()
        return int(process.exitcode) if process.exitcode is not None else None

    def prepare(self) -> None:
        """Generate the source and make the first release."""
        generate(self.source, **SOURCE, seed=1)
        if self.run("run", "--source", str(self.source), "--set", f"top_movies={TOP_MOVIES}") != 0:
            raise RuntimeError(f"the first run failed; see {self.log}")

    def problems(self, expected: str | None = None) -> list[str]:
        """What is wrong with the home after a run that should have repaired it."""
        live = live_release(self.home)
        found = [] if live else ["nothing is live"]
        if expected and live != expected:
            found.append(f"{live} is live instead of {expected}")
        names = {path.name for folder in (self.home.published, self.home.models) for path in folder.iterdir()}
        found += [f"{name} was left behind" for name in names if name.startswith(TEMPORARY) or name == STAGING_NOTE]
        known = {entry["release"]: entry["state"] for entry in list_releases(self.home)}
        there = {name.split(".")[0] for name in names if name.endswith((".duckdb", ".pack", ".report.html"))} - {
            "current",
            "",
        }
        found += [f"{name} is not registered" for name in there - set(known)]
        for release in there & set(known):
            whole = self.home.release_file(release).exists() and self.home.pack_folder(release).exists()
            found += [] if whole else [f"{release} is incomplete"]
        return found + ([] if known.get(str(live)) == "live" else [f"{live} is not recorded as live"])


def settings(neighbours: int) -> list[str]:
    """Parameters of a run; another number of neighbours makes another release."""
    return ["--set", f"top_movies={TOP_MOVIES}", "--set", f"neighbours={neighbours}"]


def publish(home: Home) -> None:
    """Stage what the tables make, checked, and promote it: the part of a run that readers could notice.

    If just that is live already it is staged anew under another name, so that there is something to promote.
    """
    parameters = make_parameters(settings={"top_movies": TOP_MOVIES})
    with open_warehouse(home, "fault campaign") as warehouse:
        repair(warehouse)
        thresholds = load_settings(home.root)
        tables = results_of(Context(warehouse, parameters, thresholds))

        def audit(con: duckdb.DuckDBPyConnection, against: str) -> list[CheckResult]:
            return audit_release(con, home, thresholds, tables, against=against)

        live = [live_release(home)]
        warehouse.con.execute("UPDATE ops.releases SET content_hash = 'published before' WHERE release = ?", live)
        staged = stage_release(warehouse, parameters, audit, REQUIRED_CHECKS)
        promote(warehouse, staged.release, REQUIRED_CHECKS, who="fault campaign", why="every run promotes")


def back_and_forth(home: Home, newest: str, times: str = "100") -> None:
    """Roll back and promote again so many times; print the milliseconds of the swaps."""
    taken = []
    with open_warehouse(home, "back and forth") as warehouse:
        for _ in range(int(times)):
            for forward in (False, True):
                started = time.perf_counter()
                if forward:
                    promote(warehouse, newest, REQUIRED_CHECKS, who="test", why="forth")
                else:
                    rollback(warehouse, who="test", why="back")
                taken.append(1000 * (time.perf_counter() - started))
    taken.sort()
    print(f"{len(taken)} swaps: median {taken[len(taken) // 2]:.1f} ms, slowest {taken[-1]:.1f} ms", flush=True)


OWN_COMMANDS: dict[str, Callable[..., None]] = {"publish": publish, "back-and-forth": back_and_forth}
"""What the campaign does below the command line, by the name it is started under."""


def kill_once(platform: Platform, command: str, number: int, at: str | float) -> Kill:
    """Kill a command at a named step, or after so many seconds; then run it, or what undoes it, to its end."""
    started = {
        "publish": ["publish"],
        "refresh": ["refresh", *settings(11 + number % 70)],
        "retrain": [
            "run",
            *settings(11 + number % 70),
            "--set",
            f"like_threshold={THRESHOLDS[number % len(THRESHOLDS)]}",
        ],
        "rollback": ["rollback", "--why", "fault campaign"],
    }[command]
    newest = next(
        e["release"] for e in list_releases(platform.home) if platform.home.release_file(e["release"]).exists()
    )
    named = at if isinstance(at, str) else ""
    process = platform.start(started, named)
    process.join(SLOWEST if named else float(at))
    if process.is_alive():
        process.kill()
        process.join()
    killed = process.exitcode == -signal.SIGKILL
    begun = time.perf_counter()
    code = platform.run(*(["promote", newest] if command == "rollback" else started))
    seconds = round(time.perf_counter() - begun, 2)
    problems = platform.problems(newest if command == "rollback" else None)
    if code != 0:
        said = platform.log.read_text(encoding="utf-8", errors="replace")[-600:]
        problems.append(f"the next run ended with {code}: {said}")
    problems += ["the step was not reached"] if named and not killed else []
    return Kill(command, named or "random time", killed, seconds, code, problems)


def plan(kills: int, seed: int) -> list[tuple[str, str | float]]:
    """What to kill and where: every named step in turn, the rest at random fractions of the usual time.

    Whole refreshes and retrains through Dagster are few, because they cost most; what they publish with is killed all
    the more. They come last, because they leave tables of other parameters than `publish` asks for.
    """
    rng = random.Random(seed)
    chosen: list[tuple[str, str | float]] = []
    for number in range(kills):
        turn, kind = divmod(number, 4)
        if number % 40 == 39:
            chosen.append(("refresh", rng.random()))
        elif number % 36 == 34:
            chosen.append(("retrain", MODEL_STEPS[number // 36 % len(MODEL_STEPS)]))
        elif kind == 0:
            chosen.append(("publish", STEPS[turn % len(STEPS)]))
        elif kind == 1:
            chosen.append(("publish", rng.random()))
        elif kind == 2:
            chosen.append(("rollback", ROLLBACK_STEPS[turn % len(ROLLBACK_STEPS)]))
        else:
            chosen.append(("rollback", rng.random()))
    return sorted(chosen, key=lambda kill: kill[0] in {"refresh", "retrain"})


def run_campaign(
    platform: Platform, kills: int, *, readers: int = READERS, seed: int = 1, say: Callable[[str], None] = print
) -> Campaign:
    """Kill and recover so many times under readers, on a platform that is prepared."""
    platform.run("publish")
    done: list[Kill] = []
    usual = {"publish": 3.0, "refresh": 5.0, "rollback": 0.3}
    started = time.perf_counter()
    with Readers(platform.home, readers) as watching:
        for number, (command, where) in enumerate(plan(kills, seed)):
            at = where if isinstance(where, str) else where * usual[command]
            kill = kill_once(platform, command, number, at)
            usual[command] = 0.5 * usual[command] + 0.5 * kill.recovery_seconds
            done.append(kill)
            for problem in kill.problems:
                say(f"{number}: {kill.command} killed at {kill.at}: {problem}")
            if number % 10 == 9:
                platform.run("retire", "--keep", "6")
                say(f"{number + 1} of {kills}, {time.perf_counter() - started:.0f} s")
    seconds = time.perf_counter() - started
    return Campaign(done, watching.reads, len(watching.seen), watching.errors, round(seconds, 1))


def table(campaign: Campaign) -> str:
    """The campaign as a Markdown table: a row per place of the kill."""
    rows = Counter((kill.command, kill.at) for kill in campaign.kills)
    lines = [
        "| killed | at | times | really killed | next run succeeded | slowest next run |",
        "|---|---|---|---|---|---|",
    ]
    for (command, at), times in sorted(rows.items(), key=lambda item: (item[0][0], item[0][1] == "random time")):
        group = [kill for kill in campaign.kills if (kill.command, kill.at) == (command, at)]
        killed, good = sum(kill.killed for kill in group), sum(kill.recovery_exit == 0 for kill in group)
        slowest = max(kill.recovery_seconds for kill in group)
        lines.append(f"| {command} | {at} | {times} | {killed} | {good} | {slowest:.1f} s |")
    return "\n".join(lines)


def main() -> None:
    """Run a campaign, print its table, and fail if anything went wrong that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=220)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/faults.json"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marquee-faults-") as folder:
        platform = Platform(Path(folder))
        platform.prepare()
        campaign = run_campaign(platform, chosen.kills, readers=chosen.readers, seed=chosen.seed)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(asdict(campaign), indent=2) + "\n", encoding="utf-8")
    killed = sum(kill.killed for kill in campaign.kills)
    print(table(campaign))
    print(f"\n{killed} kills, {campaign.reads} reads of {campaign.releases_seen} releases by {chosen.readers} readers, "
          f"{len(campaign.reader_errors)} reader errors, {campaign.seconds:.0f} s")  # fmt: skip
    for failure in campaign.failures:
        print(failure)
    sys.exit(1 if campaign.failures else 0)


if __name__ == "__main__":
    main()
