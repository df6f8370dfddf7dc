"""A pipeline, an S3 server and a service on another machine, in short form (`make deployment`)."""

import pytest

from tests.campaigns.deployment import run_campaign
from tests.campaigns.faults import Platform
from tests.object_server import ObjectServer


@pytest.mark.campaign
def test_releases_reach_another_machine_under_load(tiny_platform: Platform, s3: ObjectServer) -> None:
    report = run_campaign(tiny_platform, s3, releases=6, away_seconds=3)
    assert report.failures == []
    assert report.kills == 2
    assert report.releases_seen >= 7
    assert report.requests > 100
    assert report.age_while_away >= 1
