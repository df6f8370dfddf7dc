"""Alerts reach a real webhook, once a run, and say what failed; freshness policies are where they belong."""

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from checks.asset_checks import check_result
from orchestration.alerts import AlertError, alert_failed_check, alert_run_failure, send_alert
from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from tests.command import marquee
from tests.dagster_dev import REPOSITORY, dagster_dev, wait_for
from warehouse.home import Home
from warehouse.tables.check_results import CheckResult


class Webhook:
    """A local server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                webhook.messages.append(json.loads(body))
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    found = Webhook()
    monkeypatch.setenv("MARQUEE_WEBHOOK_URL", found.url)
    yield found
    found.server.shutdown()


def run(home: Path, job: str, config: dict[str, Any]) -> dg.ExecuteInProcessResult:
    with prepare_instance(Home(home)) as instance:
        defs = build_defs().resolve_job_def(job)
        return defs.execute_in_process(run_config=config, instance=instance, raise_on_error=False)


def test_a_failed_run_is_told(small_home: Path, tmp_path: Path, webhook: Webhook) -> None:
    config = {"ops": {"raw__rating_files": {"config": {"files": [str(tmp_path / "missing.csv")]}}}}
    result = run(small_home, "ingest_ratings", config)
    assert not result.success
    with prepare_instance(Home(small_home)) as instance:
        context = dg.build_run_status_sensor_context(
            "alert_run_failure", result.get_run_failure_event(), instance, result.dagster_run
        ).for_run_failure()
        alert_run_failure(context)
    (message,) = webhook.messages
    assert message["event"] == "run_failure"
    assert message["job"] == "ingest_ratings"
    assert message["run"] == result.run_id
    assert "ingest_ratings failed" in message["text"]
    assert "missing.csv cannot be read: No such file" in message["text"]
    assert "not repeated" in message["text"]
    assert message["will_retry"] is False


def test_a_warning_of_a_successful_run_is_told_once(small_home: Path, webhook: Webhook) -> None:
    @dg.asset_check(asset=dg.AssetKey(["a", "b"]), name="is_round")
    def is_round() -> dg.AssetCheckResult:
        return check_result(CheckResult("is_round", "a/b", False, "warn", 4.0, 0.0, "it is square"))

    job = dg.Definitions(
        asset_checks=[is_round], jobs=[dg.define_asset_job("look", selection=dg.AssetSelection.all_asset_checks())]
    ).resolve_job_def("look")
    with prepare_instance(Home(small_home)) as instance:
        for _ in range(3):
            result = job.execute_in_process(instance=instance)
            context = dg.build_run_status_sensor_context(
                "alert_failed_check", result.get_run_success_event(), instance, result.dagster_run
            )
            alert_failed_check(context)
    (message,) = webhook.messages
    (check,) = message["failed_checks"]
    assert (check["severity"], check["value"], check["threshold"]) == ("WARN", 4.0, 0.0)
    assert "is_round: it is square (value 4, threshold 0)" in message["text"]


def test_every_file_that_cannot_be_used_is_told(small_home: Path, webhook: Webhook) -> None:
    for name, content in {
        "one.csv": "userId,movieId,rating,timestamp\n1,1,50,1500000000\n",
        "two.csv": "no table\n",
    }.items():
        path = small_home / "landing" / name
        path.write_text(content)
        os.utime(path, (time.time() - 60, time.time() - 60))
        result = run(small_home, "ingest_ratings", {})
        assert result.success
        with prepare_instance(Home(small_home)) as instance:
            alert_failed_check(
                dg.build_run_status_sensor_context(
                    "alert_failed_check", result.get_run_success_event(), instance, result.dagster_run
                )
            )
    first, second = (message["text"] for message in webhook.messages)
    assert "rejected_share_per_file: one.csv: 1 of its rows rejected, 1 of 1 (rating is above 5.0: 1)" in first
    assert "(value 1, threshold 0.25)" in first
    assert "files_readable: one.csv was refused: none of the 1 rows" in first
    assert "files_readable: two.csv was refused: " in second


JOB_PAGE = """
query JobPage($selector: PipelineSelector!) {
  pipelineOrError(params: $selector) { ... on Pipeline { runs { runId status } } }
}
"""


def test_a_failed_command_is_posted_and_on_its_jobs_page(small_home: Path, tmp_path: Path, webhook: Webhook) -> None:
    with dagster_dev(small_home, MARQUEE_WEBHOOK_URL=webhook.url) as webserver:
        # The sensor looks at what happens after its first tick.
        wait_for(lambda: len(webserver.sensor_ticks("alert_run_failure")) > 0, 240, "the first tick")
        marquee(small_home, "ingest", tmp_path / "missing.csv", expect=1)
        selector = {**REPOSITORY, "pipelineName": "ingest_ratings"}
        (run,) = webserver.ask(JOB_PAGE, selector=selector)["pipelineOrError"]["runs"]
        assert run["status"] == "FAILURE"
        wait_for(lambda: bool(webhook.messages), 240, "the alert")
    (message,) = webhook.messages
    assert message["run"] == run["runId"]
    assert "missing.csv" in message["text"]


def test_a_webhook_that_refuses_makes_the_tick_fail_without_telling_the_address(webhook: Webhook) -> None:
    webhook.status = 500
    with pytest.raises(AlertError, match="answered 500") as refused:
        send_alert({"text": "x"})
    assert "127.0.0.1" not in str(refused.value)


def test_without_an_address_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARQUEE_WEBHOOK_URL", raising=False)
    assert send_alert({"text": "x"}) is False


def test_what_ages_has_a_freshness_policy() -> None:
    specs = {spec.key.to_user_string(): spec.freshness_policy for spec in build_defs().resolve_all_asset_specs()}
    aging = {name for name, policy in specs.items() if policy is not None}
    outside = {"inputs/landing", "inputs/events", "consumers/request_log"}
    assert aging == {"published/live_release", "model/annoy_indexes", *outside}
