"""Means to operate a home in tests: jobs, ticks and kills."""

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import build_defs
from orchestration.instance import prepare_instance
from orchestration.sensors import landing_sensor
from tests.campaigns.faults import Platform
from tests.homes import made_once
from warehouse.home import Home

HEADER = "userId,movieId,rating,timestamp\n"
TOP_40 = {"resources": {"parameters": {"config": {"top_movies": 40}}}}


@pytest.fixture
def platform(small_home: Path, small_source: Path) -> Platform:
    """A copy of the small home with the means to kill commands on it."""
    found = Platform(small_home.parent)
    found.source = small_source
    return found


@pytest.fixture
def platform_of_two(home_of_two: Path) -> Platform:
    """The same with two releases."""
    return Platform(home_of_two.parent)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a campaign's platform with its first release, for copying only."""
    return made_once(tmp_path_factory, "platform", lambda folder: Platform(folder).prepare())


@pytest.fixture
def tiny_platform(prepared: Path, tmp_path: Path) -> Platform:
    """A campaign's platform: a home so small that hundreds of kills and repairs take minutes."""
    return Platform(Path(shutil.copytree(prepared, tmp_path / "platform", symlinks=True)))


@pytest.fixture
def tick(small_home: Path) -> Callable[[str | None], dg.SensorResult]:
    """Evaluate the landing sensor as the daemon does, with the cursor of the tick before."""

    def evaluate(cursor: str | None) -> dg.SensorResult:
        with prepare_instance(Home(small_home)) as instance:
            context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=build_defs())
            found = landing_sensor(context)
        assert isinstance(found, dg.SensorResult)
        return found

    return evaluate
