"""The first hours of the simulated week (`make week`): a night, files that land, ticks that must give way."""

from pathlib import Path

import pytest

from tests.campaigns.week import FIRST_HOURS, HOURS, plan, simulate


@pytest.mark.campaign
def test_a_night_and_a_few_hours(tmp_path: Path) -> None:
    report = simulate(tmp_path, len(FIRST_HOURS))
    assert report.failures == []
    assert report.releases == report.releases_expected == 3
    (day,) = report.days
    assert day.launched == 11
    assert day.gave_way == 3
    assert report.service_answers >= len(FIRST_HOURS)
    assert (tmp_path / "home" / "landing" / "ingested").is_dir()


def test_the_plan_of_a_week() -> None:
    week = plan()
    assert [hour.number for hour in week] == list(range(HOURS))
    assert sum(hour.is_night for hour in week) == 7
    assert {hour.drop for hour in week} == {"", "new", "late", "again", "parquet", "broken"}
    assert {hour.situation for hour in week} == {"", "busy", "in line", "landing", "killed"}
    assert week[: len(FIRST_HOURS)] == list(FIRST_HOURS)
