"""Units on the nodes of a Ray cluster, or on the processes of a Ray that is started on this machine for the purpose.

Belongs here: connecting, handing units out, and what a node does. Does not belong here: what a unit is (`units`).

A unit is a task that takes all the processors of a node; few units are under way at a time. Ray repeats a task whose
node or process has died. A node opens the pack by its address, checks it once per process, and maps it into memory: it
is never sent with a task. It sends the Parquet file back, so that only the writer writes to the home, and nodes need
only read the pack. Ray is an optional extra, imported where it is used.
"""

import importlib.util
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from recommender.errors import MarqueeError
from warehouse.code import code_version
from warehouse.compute.packs import MANIFEST, PackError, damaged_files, read_manifest
from warehouse.compute.unit_files import FinishedUnit, finish
from warehouse.compute.units import Unit, WorkPack
from warehouse.errors import MissingExtraError
from warehouse.files import file_sha256

UNDER_WAY = 2
"""Units handed out at a time for each that the cluster can compute at once: no node waits for the next one."""

RETRIES = 10
"""How often a unit is begun again whose node or process has died."""

LOOK_SECONDS = 20.0
"""After so long without a finished unit it is looked whether a node is left."""


class RayError(MarqueeError):
    """The cluster cannot be reached, or cannot compute the units; the message says which and why."""


class Pack(NamedTuple):
    """Where a node finds a pack, how it gets there, and what it must be.

    Attributes
    ----------
    address : str
    fetch : callable
        From the address to a folder of the node, called once per process. The default takes the address as a path that
        all nodes share.
    manifest : str
        SHA-256 of its manifest, which names those of all files.
    code : str
        `code_version` of the writer: another version could compute other rows.
    """

    address: str
    fetch: Callable[[str], Path]
    manifest: str
    code: str


def require_ray() -> None:
    """Raise MissingExtraError unless Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("Ray is not installed; install it with: pip install 'marquee[ray]'")


class RayWorkers:
    """The nodes of a Ray cluster.

    Parameters
    ----------
    address : str
        ``host:port`` of a cluster that this machine belongs to; empty: Ray is started here and ended afterwards. A
        connection that this process has already is used as it is.
    fetch : callable
        How a node gets at the pack, from its address; default: by the path.
    """

    def __init__(self, address: str = "", fetch: Callable[[str], Path] = Path) -> None:
        require_ray()
        self._address, self._fetch = address, fetch

    def compute(self, pack: Path, units: Sequence[Unit]) -> Iterator[tuple[Unit, FinishedUnit]]:
        """Compute units on the nodes; cancel what is under way if this is interrupted or one fails for good."""
        if not units:
            return
        described = Pack(str(pack), self._fetch, file_sha256(pack / MANIFEST), code_version())
        with _connected(self._address) as ray:
            yield from _handed_out(ray, described, units)


@contextmanager
def _connected(address: str) -> Iterator[ModuleType]:
    """Connect to the cluster, or start one here. No usage statistics, no dashboard."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    if ray.is_initialized():
        yield ray
        return
    dashboard = None if address else False  # a cluster has its own or none
    try:
        _knock(address)
        ray.init(
            address=address or "local", include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR
        )
    except (OSError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        advice = "" if os.environ.get("RAY_AUTH_MODE") or not address else "; if it wants a token: RAY_AUTH_MODE=token"
        raise RayError(f"{where} cannot be used ({' '.join(str(error).split())[:300]}){advice}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at an address: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _handed_out(ray: ModuleType, pack: Pack, units: Sequence[Unit]) -> Iterator[tuple[Unit, FinishedUnit]]:
    """Hand units out, a few at a time, and yield them as they are finished."""
    threads, at_once = _sizes(ray)
    task = ray.remote(num_cpus=threads, max_retries=RETRIES, scheduling_strategy="SPREAD")(_on_node)
    waiting, under_way = list(reversed(units)), dict[Any, Unit]()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < UNDER_WAY * at_once:
                unit = waiting.pop()
                under_way[task.remote(pack, unit.name, threads)] = unit
            finished, _ = ray.wait(list(under_way), timeout=LOOK_SECONDS)
            if not finished and not any(cpus >= threads for cpus in _processors(ray)):
                raise RayError(f"no node with {threads} processors is left in the Ray cluster; start one and run again")
            for reference in finished:
                yield under_way.pop(reference), _result(ray, reference)
    finally:
        for reference in under_way:
            ray.cancel(reference, force=True)


def _sizes(ray: ModuleType) -> tuple[int, int]:
    """Threads of a unit, the processors of the smallest node; and how many units the cluster can compute at once."""
    processors = [cpus for cpus in _processors(ray) if cpus]
    if not processors:
        raise RayError("the Ray cluster has no node with processors; start one with: ray start --address=HOST:PORT")
    threads = min(processors)
    return threads, sum(cpus // threads for cpus in processors)


def _processors(ray: ModuleType) -> list[int]:
    """Processors of each living node."""
    return [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]


def _result(ray: ModuleType, reference: Any) -> FinishedUnit:
    """What a task returned.

    Raises
    ------
    MarqueeError
        If that is what the task raised, or it was lost more often than it is repeated.
    """
    try:
        finished: FinishedUnit = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MarqueeError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise RayError(f"a unit was lost {RETRIES} times with its node ({str(error)[:300]}); run again") from error
    return finished


_opened: dict[Pack, WorkPack] = {}
"""The pack that this process of a node has open: at most one."""


def _on_node(pack: Pack, name: str, threads: int) -> FinishedUnit:
    """Compute a unit in a process of a node."""
    if code_version() != pack.code:
        raise RayError(
            f"a node runs other code ({code_version()}) than the writer ({pack.code}); install the same on all nodes"
        )
    if pack not in _opened:
        _opened.clear()
        _opened[pack] = WorkPack(_verified(pack), threads)
    return finish(_opened[pack], Unit.named(name))


def _verified(pack: Pack) -> Path:
    """Get the folder of a pack, every byte of it as the writer's manifest says."""
    folder = pack.fetch(pack.address)
    manifest = read_manifest(folder)
    wrong = damaged_files(folder, manifest)
    if file_sha256(folder / MANIFEST) != pack.manifest:
        wrong.append(MANIFEST)
    if wrong:
        raise PackError(f"{folder} is not the pack that the writer made: {', '.join(wrong)} differ")
    return folder
