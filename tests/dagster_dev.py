"""A running `dagster dev` over a home, as tests use it: started for real, asked through the webserver's GraphQL.

Belongs here: starting, launching, waiting and reading. What must come of it is for the tests to say.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.command import BIN, ROOT, marquee
from tests.servers import free_port

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
RUNS = "query { runsOrError { ... on Runs { results { runId jobName status } } } }"
TICKS = """
query Ticks($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) {
    ... on Sensor { sensorState { ticks { status skipReason runIds } } }
  }
}
"""
REPOSITORY = {"repositoryLocationName": "marquee", "repositoryName": "__repository__"}
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


class Webserver:
    """A running `dagster dev` over a home, asked through GraphQL."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def ask(self, query: str, **variables: Any) -> Any:
        """Send a query; return its data."""
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def start(
        self, job: str, config: dict[str, Any], tags: dict[str, str], assets: list[list[str]] | None = None
    ) -> str:
        """Launch a run; return its id."""
        selector: dict[str, Any] = {**REPOSITORY, "jobName": job}
        if assets is not None:
            selector["assetSelection"] = [{"path": path} for path in assets]
        params = {
            "selector": selector,
            "runConfigData": config,
            "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, run_id: str) -> str:
        """Status of a run now."""
        return str(self.ask(STATUS, id=run_id)["runOrError"]["status"])

    def wait(self, run_id: str) -> str:
        """Wait for a run to end; return the final status."""
        wait_for(lambda: self.status(run_id) in ENDED, 180, f"the end of run {run_id}")
        return self.status(run_id)

    def launch(
        self, job: str, config: dict[str, Any], tags: dict[str, str], assets: list[list[str]] | None = None
    ) -> str:
        """Launch and wait; return the final status."""
        return self.wait(self.start(job, config, tags, assets))

    def runs(self) -> list[dict[str, str]]:
        """All runs with id, job and status."""
        return list(self.ask(RUNS)["runsOrError"]["results"])

    def sensor_ticks(self, name: str) -> list[dict[str, Any]]:
        """Ticks of a sensor, newest first, each with its status, reason to skip and runs."""
        found = self.ask(TICKS, selector={**REPOSITORY, "sensorName": name})
        return list(found["sensorOrError"]["sensorState"]["ticks"])


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


@contextmanager
def dagster_dev(home: Path, *options: str, log: Path | None = None, **environment: str) -> Iterator[Webserver]:
    """Run `dagster dev`, webserver and daemon, over a home; everything they say goes to `log`."""
    marquee(home, "home")
    port = free_port()
    command = [str(BIN / "dagster"), "dev", "-w", "workspace.yaml", "-p", str(port), *options]
    with (log or Path(os.devnull)).open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "MARQUEE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"), **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        for _ in range(240):
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/server_info").status_code == 200:
                    break
            time.sleep(0.5)
        else:
            raise AssertionError("dagster dev did not start")
        yield Webserver(home, port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
