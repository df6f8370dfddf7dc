"""Alerts reach a real webhook, once a run, and say what failed; freshness policies are where they belong."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.alerts import AlertError, alert_failed_check, alert_run_failure, send_alert
from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from warehouse.home import Home


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
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    found = Webhook()
    monkeypatch.setenv("MARQUEE_WEBHOOK_URL", f"http://127.0.0.1:{found.server.server_address[1]}/hook")
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


def test_a_warning_of_a_successful_run_is_told(small_home: Path, webhook: Webhook) -> None:
    @dg.asset_check(asset=dg.AssetKey(["a", "b"]), name="is_round")
    def is_round() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="it is square")

    job = dg.Definitions(
        asset_checks=[is_round], jobs=[dg.define_asset_job("look", selection=dg.AssetSelection.all_asset_checks())]
    ).resolve_job_def("look")
    with prepare_instance(Home(small_home)) as instance:
        result = job.execute_in_process(instance=instance)
        context = dg.build_run_status_sensor_context(
            "alert_failed_check", result.get_run_success_event(), instance, result.dagster_run
        )
        alert_failed_check(context)
    (message,) = webhook.messages
    assert message["failed_checks"] == [
        {"check": "is_round", "asset": "a/b", "severity": "WARN", "description": "it is square"}
    ]


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
    assert aging == {"published/live_release", "model/annoy_indexes", "raw/rating_files"}
