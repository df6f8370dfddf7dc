"""Lists computed by the nodes of a Ray cluster: the same rows, whichever nodes there are and whatever becomes of them.

One cluster serves the file: its nodes are processes of this machine, with a processor each.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.assets.test_evaluation import measured_at_once
from tests.command import ROOT, marquee, marquee_json, start_marquee
from tests.homes import copy_home
from tests.operations.test_units import NINE, RETRAINED, recommended, when_stopped
from tests.orchestration.test_partitions import change
from warehouse.database import open_warehouse
from warehouse.faults import KILL_VARIABLE, STOP_VARIABLE
from warehouse.home import Home
from warehouse.tables.evaluation import read_evaluation

PAIRS = "recs/pair_recommendations"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of one node; a test that adds nodes removes them."""
    with patch.dict(os.environ, {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}):
        from ray.cluster_utils import Cluster

        running = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        yield running
        running.shutdown()


@pytest.fixture
def on_ray(cluster: Any) -> tuple[str, ...]:
    """Arguments of a refresh that uses the cluster."""
    return (*NINE, "--engine-workers", "ray", "--ray-address", cluster.address)


@pytest.fixture(scope="module")
def stale(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the lists of all pairs and users are out of date for a refresh; for copying."""
    home = copy_home(small_live, tmp_path_factory.mktemp("stale"))
    change(home, RETRAINED)
    return home


def rows_of(home: Path, *words: object, **environment: str) -> tuple[list[list[tuple[object, ...]]], tuple[int, int]]:
    """Refresh in a process of its own; the lists, and how many units were computed and found."""
    with patch.dict(os.environ, {"RAY_AUTH_MODE": "disabled", **environment}):
        units = marquee_json(home, "refresh", *words)["stages"][PAIRS]
    return recommended(home), (units["units_computed"], units["units_reused"])


def test_nodes_make_the_rows_of_threads_one_or_three_also_when_one_is_lost_or_the_driver(
    cluster: Any, on_ray: tuple[str, ...], stale: Path, tmp_path: Path
) -> None:
    homes = iter([copy_home(stale, tmp_path / str(number)) for number in range(5)])
    expected, units = rows_of(next(homes), *NINE)
    assert units == (20, 0)
    assert all(expected)
    assert rows_of(next(homes), *on_ray) == (expected, (20, 0))  # one node

    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    assert rows_of(next(homes), *on_ray) == (expected, (20, 0))  # three nodes

    killed = next(homes)
    assert start_marquee(killed, "refresh", *on_ray, **{KILL_VARIABLE: "unit_finished"}).wait(240) == -signal.SIGKILL
    assert rows_of(killed, *on_ray) == (expected, (19, 1))

    shrinking = next(homes)
    process = start_marquee(shrinking, "refresh", *on_ray, **{STOP_VARIABLE: "unit_finished"})
    when_stopped(process)
    cluster.remove_node(nodes.pop(), allow_graceful=False)  # with the units under way on it, and finished ones
    while process.poll() is None:
        process.send_signal(signal.SIGCONT)  # it stops at every unit
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 0, process.communicate()
    assert recommended(shrinking) == expected
    cluster.remove_node(nodes.pop())


def test_a_killed_evaluation_goes_on_on_a_node_with_what_is_missing(
    cluster: Any, on_ray: tuple[str, ...], small_home: Path
) -> None:
    changed = ("--set", "top_movies=41")
    killed = start_marquee(small_home, "run", *changed, **{KILL_VARIABLE: "unit_finished"})
    assert killed.wait(timeout=240) == -signal.SIGKILL
    (unit,) = (small_home / "work").glob("*/evaluation-*.parquet")
    with patch.dict(os.environ, {"RAY_AUTH_MODE": "disabled"}):
        report = marquee_json(small_home, "run", *changed, *on_ray[len(NINE) :], expect=None)
    units = report["stages"]["model/evaluation"]
    assert (units["units_computed"], units["units_reused"]) == (2, 1)
    assert not unit.exists()
    with open_warehouse(Home(small_home), "a test") as warehouse:
        assert read_evaluation(warehouse.con) == measured_at_once(warehouse, top_movies=41)


def test_what_cannot_be_is_said_and_leaves_nothing_behind(
    cluster: Any, on_ray: tuple[str, ...], stale: Path, tmp_path: Path
) -> None:
    """A pack that is damaged on its way, an interrupt, and a cluster that is not there."""
    home = copy_home(stale, tmp_path)
    process = start_marquee(home, "refresh", *on_ray, **{STOP_VARIABLE: "work_pack_appeared"})
    when_stopped(process)
    (vectors,) = (home / "work").glob("*/pack/vectors.npy")
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "is not the pack that the writer made: vectors.npy differ" in said

    process = start_marquee(home, "refresh", *on_ray, **{STOP_VARIABLE: "unit_finished"})
    when_stopped(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "interrupted by a signal" in said
    assert "Traceback" not in said
    nobody = ("--engine-workers", "ray", "--ray-address", "127.0.0.1:1")
    assert "the Ray cluster at 127.0.0.1:1 cannot be used" in marquee(home, "refresh", *NINE, *nobody, expect=1).stderr
    assert rows_of(home, *NINE)[1] == (19, 1)


WITHOUT_RAY = "import sys; sys.modules['ray'] = None; from orchestration.cli.app import main; main()"


def test_without_ray_the_command_says_what_to_install(tmp_path: Path) -> None:
    words = ["--home", str(tmp_path / "home"), "run", "--engine-workers", "ray"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RAY, *words], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "marquee: Ray is not installed; install it with: pip install 'marquee[ray]'\n"
    assert not (tmp_path / "home").exists()
    assert "goes with --engine-workers ray" in marquee(tmp_path, "run", "--ray-address", "a:1", expect=2).stderr
