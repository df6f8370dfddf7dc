"""`dagster dev -w workspace.yaml`: it starts, and every job and a single partition can be launched from it.

Launched as the UI does it, through the webserver's GraphQL, and waited for; the runs of `marquee run` are beside them.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestration.schedules import ALL_SHARDS
from tests.command import ROOT, marquee
from tests.orchestration.test_partitions import busiest_months

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
RUNS = "query { runsOrError { ... on Runs { results { jobName status } } } }"
TOP_40 = {"resources": {"parameters": {"config": {"top_movies": 40}}}}


class Webserver:
    """A running `dagster dev`, asked through GraphQL."""

    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def ask(self, query: str, **variables: Any) -> Any:
        """Send a query; return its data."""
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(
        self, job: str, config: dict[str, Any], tags: dict[str, str], assets: list[list[str]] | None = None
    ) -> str:
        """Launch and wait; return the final status."""
        selector: dict[str, Any] = {
            "repositoryLocationName": "marquee",
            "repositoryName": "__repository__",
            "jobName": job,
        }
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
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            status = str(self.ask(STATUS, id=launched["run"]["runId"])["runOrError"]["status"])
            if status in {"SUCCESS", "FAILURE", "CANCELED"}:
                return status
            time.sleep(0.5)
        raise AssertionError(f"{job} did not finish")


@pytest.fixture(scope="module")
def home(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("dev") / "home"
    shutil.copytree(small_live, copy, symlinks=True)
    return copy


@contextmanager
def dagster_dev(home: Path, *options: str, log: Path | None = None, **environment: str) -> Iterator[Webserver]:
    """Run `dagster dev` on a home; everything it and its processes say goes to `log`."""
    marquee(home, "home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "-w", "workspace.yaml", "-p", str(port), *options]
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
        yield Webserver(port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def webserver(home: Path) -> Iterator[Webserver]:
    with dagster_dev(home) as running:
        yield running


@pytest.mark.parametrize(
    ("job", "tags", "config"),
    [
        ("import_source", {}, {}),
        ("ingest_ratings", {}, TOP_40),
        ("refresh_recommendations", ALL_SHARDS, TOP_40),
        ("retrain_model", ALL_SHARDS, TOP_40),
    ],
)
def test_every_job_can_be_launched(
    webserver: Webserver, job: str, tags: dict[str, str], config: dict[str, Any]
) -> None:
    assert webserver.launch(job, config, tags) == "SUCCESS"


def test_a_single_month_and_a_single_shard_can_be_materialized(webserver: Webserver, home: Path) -> None:
    month, _ = busiest_months(home)
    assert webserver.launch("reload_ratings", {}, {"dagster/partition": month}) == "SUCCESS"
    assets = [["recs", "pair_recommendations"]]
    assert webserver.launch("__ASSET_JOB", TOP_40, {"dagster/partition": "3"}, assets) == "SUCCESS"


def test_runs_of_the_command_line_stand_beside_them(webserver: Webserver) -> None:
    runs = webserver.ask(RUNS)["runsOrError"]["results"]
    assert {"import_source", "retrain_model"} <= {run["jobName"] for run in runs if run["status"] == "SUCCESS"}
