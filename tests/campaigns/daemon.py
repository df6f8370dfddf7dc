"""A stand-in for Dagster's daemon whose clock can be moved, and the HTTP service beside it, for the simulated week.

Belongs here: evaluating ticks, starting runs and asking Dagster's records about them. Does not belong here: what
happens when (`tests.campaigns.week`).

The code location is loaded from workspace.yaml, as Dagster does it. Ticks of the real schedules and of the real landing
sensor are evaluated for any moment against the home's real Dagster instance. What they request is started with its tags
as a process per run, as the daemon does; the processes are forked from one that has done the imports.
"""

import importlib
import os
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import yaml

from benchmarks.measure import MARQUEE
from tests.campaigns import forks
from tests.servers import free_port
from warehouse.faults import KILL_VARIABLE
from warehouse.home import HOME_VARIABLE, Home

WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
LONGEST = 300.0
"""Seconds after which whatever is waited for is given up."""


def _code_location() -> dg.Definitions:
    """The Definitions that workspace.yaml names."""
    (location,) = yaml.safe_load(WORKSPACE.read_text(encoding="utf-8"))["load_from"]
    defs = importlib.import_module(location["python_module"]["module_name"]).defs
    assert isinstance(defs, dg.Definitions)
    return defs


def _environment(home: Home) -> None:
    os.environ[HOME_VARIABLE] = str(home.root)
    os.environ["DAGSTER_HOME"] = str(home.dagster)


def _run(root: Path, log: Path, request: dict[str, Any], kill_at: str) -> None:
    """Body of the process of one run."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _environment(Home(root))
    if kill_at:
        os.environ[KILL_VARIABLE] = kill_at
    job = _code_location().resolve_job_def(request.pop("job"))
    with dg.DagsterInstance.get() as instance:
        job.execute_in_process(instance=instance, raise_on_error=False, **request)


@dataclass
class Run:
    """A run that was started: its id, its job and its process."""

    run_id: str
    job: str
    process: Any


@dataclass
class Ticks:
    """What the ticks of a day came to."""

    launched: int = 0
    skipped: int = 0
    gave_way: int = 0


class Daemon:
    """Evaluates schedules and the landing sensor for moments of the moved clock, and starts what they request."""

    def __init__(self, home: Home, log: Path) -> None:
        _environment(home)
        self._defs = _code_location()
        self._home, self._log = home, log
        self._repository = self._defs.get_repository_def()
        self.instance = dg.DagsterInstance.get()
        self._cursor: str | None = None
        self.ticks = Ticks()

    def schedule(self, name: str, clock: datetime, kill_at: str = "") -> Run | str:
        """Evaluate a schedule's tick; the run it started, or why it was skipped."""
        definition = self._repository.get_schedule_def(name)
        context = dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=clock, repository_def=self._repository
        )
        found = definition.evaluate_tick(context)
        tags = {"dagster/schedule_name": name, "week/clock": clock.isoformat()}
        return self._outcome(definition.job_name, found, tags, kill_at)

    def sensor(self, clock: datetime) -> Run | str:
        """Evaluate a tick of the landing sensor; the run it started, or why it was skipped."""
        definition = self._repository.get_sensor_def("landing_files")
        context = dg.build_sensor_context(instance=self.instance, cursor=self._cursor, definitions=self._defs)
        found = definition.evaluate_tick(context)
        self._cursor = found.cursor
        tags = {"dagster/sensor_name": definition.name, "week/clock": clock.isoformat()}
        return self._outcome("ingest_ratings", found, tags)

    def _outcome(self, job: str, found: Any, tags: dict[str, str], kill_at: str = "") -> Run | str:
        if not found.run_requests:
            self.ticks.skipped += 1
            self.ticks.gave_way += "finish" in str(found.skip_message)
            return str(found.skip_message)
        (request,) = found.run_requests
        self.ticks.launched += 1
        return self._launch(job, dict(request.run_config), {**request.tags, **tags}, kill_at)

    def _launch(self, job: str, config: dict[str, Any], tags: dict[str, str], kill_at: str) -> Run:
        """Start a run in a process of its own; return when Dagster knows of it."""
        run_id = str(uuid.uuid4())
        request = {"job": job, "run_config": config, "tags": tags, "run_id": run_id}
        process = forks.Process(target=_run, args=(self._home.root, self._log, request, kill_at))
        process.start()
        until(lambda: self.instance.get_run_by_id(run_id) is not None or not process.is_alive(), f"start of {job}")
        return Run(run_id, job, process)

    def wait(self, run: Run) -> bool:
        """Wait for a run to end; whether it succeeded."""
        run.process.join(LONGEST)
        found = self.instance.get_run_by_id(run.run_id)
        return found is not None and found.status == dg.DagsterRunStatus.SUCCESS

    def waits_in_line(self, run: Run) -> bool:
        """Whether a run has said by now that it waits for another writer."""
        return any("waiting for" in str(entry.user_message) for entry in self.instance.all_logs(run.run_id))

    def in_order_of_writing(self, runs: list[Run | str]) -> list[Run]:
        """Wait for runs to end; return them in the order in which they began to write."""
        started = [run for run in runs if isinstance(run, Run)]
        for run in started:
            self.wait(run)

        def began(run: Run) -> float:
            steps = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
            return min((entry.timestamp for entry in steps), default=0.0)

        return sorted(started, key=began)

    def writing_spans(self) -> list[tuple[float, float, str]]:
        """First and last moment of the steps of every run, by Dagster's event log, in order."""
        kinds = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
        spans = []
        for run in self.instance.get_runs():
            moments = [entry.timestamp for entry in self.instance.all_logs(run.run_id, of_type=kinds)]
            if moments:
                spans.append((min(moments), max(moments), f"{run.job_name} (run {run.run_id[:8]})"))
        return sorted(spans)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises
    ------
    TimeoutError
    """
    deadline = time.monotonic() + LONGEST
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {LONGEST:.0f} s")
        time.sleep(0.02)


class Service:
    """`marquee serve` over the home, for the whole week."""

    def __init__(self, home: Home) -> None:
        port = free_port()
        self._process = subprocess.Popen(
            [str(MARQUEE), "--home", str(home.root), "serve", "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.pid = self._process.pid
        self.answers = 0

    def follows(self, release: str | None, movies: list[int]) -> None:
        """Ask until the answer comes from this release."""

        def answers_from_it() -> bool:
            try:
                found = self._client.get("/recommend", params={"ids": ",".join(map(str, movies))})
            except httpx.TransportError:
                return False
            self.answers += found.status_code == 200
            return found.status_code == 200 and found.json()["release"] == release

        until(answers_from_it, f"an answer of the service from {release}")

    def stop(self) -> None:
        """End the service."""
        self._client.close()
        self._process.terminate()
        self._process.wait(60)
