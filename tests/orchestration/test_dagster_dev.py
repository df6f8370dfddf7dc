"""`dagster dev -w workspace.yaml`: it starts, and every job and a single partition can be launched from it.

Launched as the UI does it, through the webserver's GraphQL, and waited for; the runs of `marquee run` are beside them.
"""

from pathlib import Path
from typing import Any

import pytest

from orchestration.schedules import ALL_SHARDS
from tests.dagster_dev import Webserver
from tests.orchestration.test_partitions import busiest_months

TOP_40 = {"resources": {"parameters": {"config": {"top_movies": 40}}}}


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


def test_a_single_month_and_a_single_shard_can_be_materialized(webserver: Webserver, live_copy: Path) -> None:
    month, _ = busiest_months(live_copy)
    assert webserver.launch("reload_ratings", {}, {"dagster/partition": month}) == "SUCCESS"
    assets = [["recs", "pair_recommendations"]]
    assert webserver.launch("__ASSET_JOB", TOP_40, {"dagster/partition": "3"}, assets) == "SUCCESS"


def test_runs_of_the_command_line_stand_beside_them(webserver: Webserver) -> None:
    assert {"import_source", "retrain_model"} <= {
        run["jobName"] for run in webserver.runs() if run["status"] == "SUCCESS"
    }
