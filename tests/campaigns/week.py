"""A simulated week of operation: seven nights and 168 hours of schedules, sensor and files that land in between.

Belongs here: the plan of the week, living through it, and the proof that it went well. Does not belong here: how ticks
are evaluated and runs started (`tests.campaigns.daemon`), killing at every step (`tests.campaigns.faults`), or
measuring speed (`benchmarks.run`).

The stand-in for the daemon lives for the whole week; so does an HTTP service, which has to follow every release.
Started by ``make week``.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measure import MARQUEE, marquee
from benchmarks.synth import generate
from tests.campaigns.daemon import LONGEST, Daemon, Run, Service, Ticks, until
from tests.campaigns.readers import read_once
from warehouse.home import Home
from warehouse.ingest.landing import INGESTED, REFUSED, landed_files
from warehouse.locks import writer_lock
from warehouse.releases.reader import open_release
from warehouse.releases.registry import list_releases, live_release

SOURCE = {"users": 300, "movies": 60, "ratings": 6_000, "genome_movies": 40}
START = datetime(2018, 10, 1, tzinfo=UTC)
"""A Monday, just after the last generated rating."""
HOURS = 7 * 24
RETRAIN_HOUR = 3
KEPT = 24
"""Releases that the platform keeps by default, besides the live one."""
KILLED_AT = "release_written"
FIRST_USER, USERS_EACH, FILMS_EACH = 1_000_000, 3, 8
"""Files of new ratings: so many users each, with ids from here on, who rate so many films each."""
CARRIES_RATINGS = frozenset({"new", "late", "parquet"})
"""Kinds of files with ratings that were never there before."""


# The plan of the week


@dataclass(frozen=True)
class Hour:
    """What happens in the hour before a full hour of the clock, and at it.

    Attributes
    ----------
    number : int
        Hours since the start of the week.
    drop : str
        Kind of file that lands half an hour before: ``new``, ``late`` (ratings of months long ago), ``parquet``,
        ``again`` (content that landed before, under another name), ``broken``, or nothing.
    situation : str
        ``busy``: somebody at the command line holds the warehouse, so that the ingest is unfinished at the full hour.
        ``in line``: so it is at all four ticks of the retrain. ``landing``: the file lands while the refresh is under
        way. ``killed``: the process of the refresh is killed. Else nothing special.
    """

    number: int
    drop: str = ""
    situation: str = ""

    @property
    def clock(self) -> datetime:
        """The full hour."""
        return START + timedelta(hours=self.number)

    @property
    def is_night(self) -> bool:
        """Whether it is the hour of the retrain."""
        return self.clock.hour == RETRAIN_HOUR


FIRST_HOURS = (
    Hour(0),
    Hour(1, "new"),
    Hour(2, "again"),
    Hour(3, "late", "busy"),
    Hour(4, "parquet", "landing"),
    Hour(5, "new", "busy"),
    Hour(6),
)
"""The short form of the week: one night and a few hours in which most of what can happen does."""

NIGHTS = ("busy", "in line", "", "busy", "", "in line", "")
KINDS = ("new", "late", "new", "parquet", "new", "again", "late", "broken")


def plan(hours: int = HOURS, seed: int = 1) -> list[Hour]:
    """Plan a week, or its first hours: a file lands in two of five hours, every fifth hour with one is special."""
    rng = random.Random(seed)
    week = list(FIRST_HOURS)
    files = 0
    for number in range(len(week), HOURS):
        drop = KINDS[files % len(KINDS)] if rng.random() < 0.4 else ""
        files += bool(drop)
        hour = Hour(number, drop)
        if hour.is_night:
            night = NIGHTS[number // 24]
            hour = Hour(number, "new" if night else drop, night)
        elif drop == "new" and files % 5 == 0:
            hour = Hour(number, drop, rng.choice(("busy", "landing", "killed")))
        week.append(hour)
    return week[:hours]


# Files that land


class Feed:
    """Makes files of ratings and puts them into the landing folder, with the time of the moved clock inside."""

    def __init__(self, home: Home, source: Path) -> None:
        self._landing = home.landing
        self._movies = pl.read_csv(source / "movies.csv")["movieId"].to_list()
        self._last: Path | None = None
        self._rng = random.Random(2)
        self.dropped: Counter[str] = Counter()

    def drop(self, kind: str, clock: datetime) -> None:
        """Put a file into the landing folder, as if it had lain there for a minute."""
        name = f"{clock:%Y-%m-%dT%H}-{kind}" + (".parquet" if kind == "parquet" else ".csv")
        path = self._landing / name
        if kind == "broken":
            path.write_text("this is no table\n", encoding="utf-8")
        elif kind == "again":
            assert self._last is not None, "nothing has landed yet that could land again"
            shutil.copyfile(self._landing / INGESTED / self._last.name, path)
        else:
            self._write_ratings(
                path, clock - timedelta(days=365 * self._rng.randint(2, 9)) if kind == "late" else clock
            )
        if kind == "new":
            self._last = path
        minute_ago = time.time() - 60
        os.utime(path, (minute_ago, minute_ago))
        self.dropped[kind] += 1

    def _write_ratings(self, path: Path, when: datetime) -> None:
        """Users who were never seen before rate some films each."""
        first = FIRST_USER + USERS_EACH * sum(self.dropped.values())
        rows = [
            (user, movie, self._rng.choice((3.0, 4.0, 4.5, 5.0)), int(when.timestamp()) - self._rng.randint(0, 1800))
            for user in range(first, first + USERS_EACH)
            for movie in self._rng.sample(self._movies, FILMS_EACH)
        ]
        frame = pl.DataFrame(rows, schema=["userId", "movieId", "rating", "timestamp"], orient="row")
        if path.suffix == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path)


# The week


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process now."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return round(int(done.stdout) * 1024 / 1e6, 1)


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return round(sum(item.lstat().st_size for item in files) / 1e6, 1)


@dataclass
class Day:
    """What one simulated day came to, and sizes at its end, in megabytes.

    Attributes
    ----------
    gave_way : int
        Ticks skipped because a run was unfinished.
    releases : int
        New ones made that day.
    kept : int
        Releases whose files are there.
    """

    day: int
    hours: int
    launched: int
    skipped: int
    gave_way: int
    releases: int
    kept: int
    daemon_memory: float
    service_memory: float
    published: float
    models: float
    warehouse: float
    sources: float
    dagster: float
    seconds: float


@dataclass
class Report:
    """The week: its days, what was counted, and what must not happen and did."""

    hours: int
    days: list[Day] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    releases: int = 0
    releases_expected: int = 0
    writing_spans: int = 0
    waited_in_line: int = 0
    service_answers: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Week:
    """Lives through a plan and compares what happens with what should.

    Two debts tell when a release is due: ratings that no release has seen yet, and ratings that no model has seen yet.
    A refresh pays the first, a retrain both; without a debt neither may make a release.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.home = Home(folder / "home")
        self._say = say
        source = folder / "source"
        generate(source, **SOURCE, seed=1)
        marquee(self.home.root, "run", "--source", source)
        self.feed = Feed(self.home, source)
        self.daemon = Daemon(self.home, folder / "runs.log")
        self.service = Service(self.home)
        self.report = Report(0)
        self._movies = pl.read_csv(source / "movies.csv")["movieId"].to_list()[:2]
        self._release_owed = self._model_owed = False
        self._expected = 0
        self._landed: list[str] = []

    def live_through(self, hours: list[Hour]) -> Report:
        """Live through the hours in order; return what came of them."""
        begun = time.perf_counter()
        self.report.hours = len(hours)
        known = len(self._releases())
        for first in range(0, len(hours), 24):
            self._day(hours[first : first + 24])
        self.report.releases = len(self._releases()) - known
        self.report.files = dict(self.feed.dropped)
        self.report.service_answers = self.service.answers
        self._examine()
        self.report.seconds = round(time.perf_counter() - begun, 1)
        return self.report

    def _day(self, hours: list[Hour]) -> None:
        begun, before, self.daemon.ticks = time.perf_counter(), len(self._releases()), Ticks()
        for hour in hours:
            self._hour(hour)
        day = Day(
            day=len(self.report.days) + 1,
            hours=len(hours),
            **asdict(self.daemon.ticks),
            releases=len(self._releases()) - before,
            kept=len(self._kept()),
            daemon_memory=resident_megabytes(os.getpid()),
            service_memory=resident_megabytes(self.service.pid),
            published=_megabytes(self.home.published),
            models=_megabytes(self.home.models),
            warehouse=_megabytes(self.home.warehouse),
            sources=_megabytes(self.home.sources),
            dagster=_megabytes(self.home.dagster),
            seconds=round(time.perf_counter() - begun, 1),
        )
        self.report.days.append(day)
        self._say(f"day {day.day}: {day}")

    def _hour(self, hour: Hour) -> None:
        """One hour: a file lands, the sensor looks, the full hour strikes; then count releases and ask the service."""
        before = len(self._releases())
        due = {"": self._quiet, "busy": self._busy, "in line": self._busy, "landing": self._landing}
        due.get(hour.situation, self._quiet)(hour)
        made = len(self._releases()) - before
        expected, self._expected = self._expected, 0
        self.report.releases_expected += expected
        if made != expected:
            self._fail(hour, f"{made} new releases instead of {expected}")
        try:
            read_once(self.home.current)
            self.service.follows(live_release(self.home), self._movies)
        except (AssertionError, OSError, TimeoutError) as error:
            self._fail(hour, f"a reader: {error}")

    def _quiet(self, hour: Hour) -> None:
        """Every run ends before the next tick."""
        self._file_lands(hour)
        self._done(hour, self._sensor_looks(hour))
        self._strike(hour)

    def _busy(self, hour: Hour) -> None:
        """Whoever holds the warehouse keeps the ingest from finishing: the ticks of the full hour give way to it."""
        self._file_lands(hour)
        started: list[Run | str] = []
        with self._warehouse_held():
            started.append(self._sensor_looks(hour))
            self._expect_way_given(hour, self.daemon.schedule("hourly_refresh", hour.clock), started[0])
            if hour.is_night:
                quarters = 3 if hour.situation == "in line" else 1
                for quarter in range(quarters):
                    tick = self.daemon.schedule("nightly_retrain", hour.clock + timedelta(minutes=15 * quarter))
                    self._expect_way_given(hour, tick, started[0])
            if hour.situation == "in line":
                started.append(self.daemon.schedule("nightly_retrain", hour.clock + timedelta(minutes=45)))
                retrain = started[1]
                if isinstance(retrain, Run):
                    until(lambda: self.daemon.waits_in_line(retrain), "a retrain waiting in line")
                    self.report.waited_in_line += 1
        # They may take the warehouse in either order: ratings that the retrain has not seen are owed an hour later.
        for run in self.daemon.in_order_of_writing(started):
            self._done(hour, run)
        if hour.is_night and hour.situation == "busy":
            self._done(hour, self.daemon.schedule("nightly_retrain", hour.clock + timedelta(minutes=15)))
            again = self.daemon.schedule("nightly_retrain", hour.clock + timedelta(minutes=30))
            if not isinstance(again, str) or "tonight" not in again:
                self._fail(hour, f"the retrain was not content with one run a night: {again}")

    def _landing(self, hour: Hour) -> None:
        """A file lands while the refresh is under way; it is taken in afterwards."""
        with self._warehouse_held():
            refresh = self.daemon.schedule("hourly_refresh", hour.clock)
            self._file_lands(hour)
            self._expect_way_given(hour, self._sensor_looks(hour), refresh)
        self._done(hour, refresh)
        self._done(hour, self.daemon.sensor(hour.clock + timedelta(minutes=2)))

    def _strike(self, hour: Hour) -> None:
        """The ticks of a full hour, one after the other."""
        kill_at = KILLED_AT if hour.situation == "killed" and self._release_owed else ""
        refresh = self.daemon.schedule("hourly_refresh", hour.clock, kill_at)
        if kill_at and isinstance(refresh, Run):
            if self.daemon.wait(refresh):
                self._fail(hour, "a run that was to be killed succeeded")
        else:
            self._done(hour, refresh)
        if hour.is_night:
            for quarter in range(4):
                clock = hour.clock + timedelta(minutes=15 * quarter)
                self._done(hour, self.daemon.schedule("nightly_retrain", clock))

    @contextmanager
    def _warehouse_held(self) -> Iterator[None]:
        """Hold the warehouse as somebody at the command line might."""
        with writer_lock(self.home.writer_lock, "somebody at the command line", wait_seconds=LONGEST):
            yield

    def _file_lands(self, hour: Hour) -> None:
        if hour.drop:
            self.feed.drop(hour.drop, hour.clock - timedelta(minutes=30))
            self._landed.append(hour.drop)

    def _sensor_looks(self, hour: Hour) -> Run | str:
        """Two ticks of the sensor: the first sees a file, the second finds it unchanged."""
        first = self.daemon.sensor(hour.clock - timedelta(minutes=29))
        if not isinstance(first, str):
            self._fail(hour, "the sensor took a file at first sight")
        return self.daemon.sensor(hour.clock - timedelta(minutes=28)) if landed_files(self.home.landing) else first

    def _expect_way_given(self, hour: Hour, tick: Run | str, to: Run | str) -> None:
        """A tick must have been skipped; at the hour of the retrain, the refresh has its own reason."""
        named = to.run_id[:8] if isinstance(to, Run) else "?"
        if not isinstance(tick, str) or not (named in tick or "nightly retrain" in tick):
            self._fail(hour, f"a tick did not give way to {to}: {tick}")

    def _done(self, hour: Hour, run: Run | str) -> None:
        """Wait for a run, and settle what it owed."""
        if isinstance(run, str):
            return
        if not self.daemon.wait(run):
            self._fail(hour, f"{run.job} (run {run.run_id[:8]}) did not succeed")
        elif run.job == "ingest_ratings":
            new = CARRIES_RATINGS & set(self._landed)
            self._landed.clear()
            self._release_owed |= bool(new)
            self._model_owed |= bool(new)
        elif run.job == "retrain_model":
            self._expected += self._release_owed or self._model_owed
            self._release_owed = self._model_owed = False
        else:
            self._expected += self._release_owed
            self._release_owed = False

    def _fail(self, hour: Hour, what: str) -> None:
        self.report.failures.append(f"hour {hour.number} ({hour.situation or 'quiet'}): {what}")
        self._say(self.report.failures[-1])

    def _releases(self) -> list[dict[str, Any]]:
        return list_releases(self.home)

    def _kept(self) -> list[Path]:
        return [path for path in self.home.published.glob("*Z-*.duckdb") if not path.is_symlink()]

    def _examine(self) -> None:
        """What the whole week must have come to."""
        report, failures = self.report, self.report.failures
        spans = self.daemon.writing_spans()
        report.writing_spans = len(spans)
        report.runs = dict(Counter(f"{run.job_name} {run.status.value}" for run in self.daemon.instance.get_runs()))
        for before, after in pairwise(spans):
            if after[0] < before[1]:
                failures.append(f"{before[2]} and {after[2]} wrote at the same time")
        waiting = landed_files(self.home.landing)
        if waiting:
            failures.append(f"files still wait: {', '.join(path.name for path in waiting)}")
        refused = len(list((self.home.landing / REFUSED).glob("*.reason.txt")))
        if refused != report.files.get("broken", 0):
            failures.append(f"{refused} files were refused instead of {report.files.get('broken', 0)}")
        self._examine_ratings()
        if len(self._kept()) > KEPT + 1:
            failures.append(f"{len(self._kept())} releases are kept instead of {KEPT}")
        examined = subprocess.run(
            [str(MARQUEE), "--home", str(self.home.root), "doctor"], capture_output=True, text=True, check=False
        )
        if examined.returncode:
            failures.append(f"doctor: {examined.stdout}")
        if len(report.days) > 2:
            self._examine_growth()

    def _examine_ratings(self) -> None:
        """Every rating that landed is in the live release, once."""
        landed = sum(self.report.files.get(kind, 0) for kind in CARRIES_RATINGS) * USERS_EACH * FILMS_EACH
        query = f"SELECT count(*), count(DISTINCT (user_id, movie_id)) FROM ratings WHERE user_id >= {FIRST_USER}"
        with open_release(self.home) as con:
            found = con.execute(query).fetchone()
        if found != (landed, landed) and not self._release_owed:
            self.report.failures.append(f"{landed} ratings landed, the live release has {found}")

    def _examine_growth(self) -> None:
        """Memory and the working database since the second day; releases since as many are kept as ever will be."""
        days = self.report.days
        full = next((day for day in days if day.kept >= KEPT), days[-1])
        since = dict.fromkeys(("daemon_memory", "service_memory", "warehouse"), days[1])
        for what, first in (since | dict.fromkeys(("published", "models"), full)).items():
            before, after = getattr(first, what), getattr(days[-1], what)
            if after > 1.15 * before + 5:
                self.report.failures.append(f"{what} grew from {before} MB on day {first.day} to {after} MB")

    def end(self) -> None:
        """Stop what runs for the whole week."""
        self.service.stop()
        self.daemon.instance.dispose()


def simulate(folder: Path, hours: int = HOURS, *, say: Callable[[str], None] = print) -> Report:
    """Live through a week, or its first hours, in a new home below a folder."""
    week = Week(folder, say)
    try:
        return week.live_through(plan(hours))
    finally:
        week.end()


COLUMNS = {
    "day": "day", "launched": "runs", "skipped": "ticks skipped", "gave_way": "of these gave way",
    "releases": "releases made", "kept": "kept", "daemon_memory": "daemon MB", "service_memory": "service MB",
    "published": "published MB", "models": "models MB", "warehouse": "warehouse MB", "sources": "sources MB",
    "dagster": "dagster MB", "seconds": "took s",
}  # fmt: skip


def table(report: Report) -> str:
    """The days as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(str(getattr(day, name)) for name in COLUMNS) + " |" for day in report.days]
    return "\n".join(lines)


def main() -> None:
    """Simulate, print the table, and fail if anything happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=HOURS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/week.json"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marquee-week-") as folder:
        report = simulate(Path(folder), chosen.hours, say=lambda text: print(text, file=sys.stderr, flush=True))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    print(table(report))
    print({name: value for name, value in asdict(report).items() if name != "days"})
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
