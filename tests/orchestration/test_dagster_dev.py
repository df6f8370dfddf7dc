"""`dagster dev -w workspace.yaml`: it starts, and every job and a single partition can be launched from it.

Launched as the UI does it, through the webserver's GraphQL, and waited for; the runs of `marquee run` are beside them.
"""

from typing import Any

import pytest

from tests.dagster_dev import Webserver
from tests.orchestration.test_partitions import busiest_months, working_table

TOP_40 = {"resources": {"parameters": {"config": {"top_movies": 40}}}}


@pytest.mark.parametrize(
    ("job", "config"),
    [
        ("import_source", {}),
        ("ingest_ratings", TOP_40),
        ("refresh_recommendations", TOP_40),
        ("retrain_model", TOP_40),
    ],
)
def test_every_job_can_be_launched(webserver: Webserver, job: str, config: dict[str, Any]) -> None:
    assert webserver.launch(job, config, {}) == "SUCCESS"


def test_a_single_month_and_a_single_shard_can_be_materialized(webserver: Webserver) -> None:
    month, _ = busiest_months(webserver.home)
    assert webserver.launch("reload_ratings", {}, {"dagster/partition": month}) == "SUCCESS"
    assets = [["recs", "pair_recommendations"]]
    assert webserver.launch("__ASSET_JOB", TOP_40, {"dagster/partition": "3"}, assets) == "SUCCESS"


def test_vectors_and_index_which_one_step_makes_can_be_made_alone(webserver: Webserver) -> None:
    def made() -> list[tuple[object, ...]]:
        return working_table(
            webserver.home,
            "SELECT (SELECT count(*) FROM model.annoy_indexes), version FROM ops.table_versions "
            "WHERE table_name = 'model.user_vectors'",
        )

    def settings(**changed: object) -> dict[str, Any]:
        return {"resources": {"parameters": {"config": {"top_movies": 40, **changed}}}}

    ((indexes, vectors),) = made()
    assert isinstance(indexes, int)
    other_trees, other_vectors = settings(annoy_trees=5), settings(weighting="idf")
    assert webserver.launch("__ASSET_JOB", other_trees, {}, [["model", "annoy_indexes"]]) == "SUCCESS"
    assert made() == [(indexes + 1, vectors)]
    assert webserver.launch("__ASSET_JOB", other_vectors, {}, [["model", "user_vectors"]]) == "SUCCESS"
    ((indexes_then, vectors_then),) = made()
    assert indexes_then == indexes + 1
    assert vectors_then != vectors


def test_runs_of_the_command_line_stand_beside_them(webserver: Webserver) -> None:
    assert {"import_source", "retrain_model"} <= {
        run["jobName"] for run in webserver.runs() if run["status"] == "SUCCESS"
    }
