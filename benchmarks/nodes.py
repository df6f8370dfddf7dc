"""The picture of nodes in docs/images: when a refresh of all lists would end on 1 to 64 nodes, from measured times.

Run as ``python -m benchmarks.nodes REPORT``, where REPORT is what ``marquee refresh --json`` printed after all lists
were made anew on this machine. Belongs here: the simulation. Does not belong here: measuring.

A node fetches the pack, prepares, then computes units until none is left to begin. The writer does the rest alone: it
writes the pack before, and commits, stages and checks afterwards. With more users, units, pack and the writer's part
grow in proportion, which is too much for pairs (`docs/scale.md` says by how much).
"""

import argparse
import heapq
import json
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from warehouse.compute.units import SHARDS

NODES = (1, 2, 4, 8, 16, 32, 64)
USERS = (1, 10, 100)
"""Times as many users as measured."""


@dataclass(frozen=True)
class Measured:
    """Seconds of a refresh on nodes like this machine, and bytes.

    Attributes
    ----------
    tables : tuple of float
        Seconds of one node for all units of a table, by table.
    preparing : float
        Seconds before a process begins its first unit.
    writer : float
        Seconds of the writer alone.
    pack_gigabytes : float
    network : float
        Gigabytes a second that the pack's storage gives out, to all nodes together.
    """

    tables: tuple[float, ...]
    preparing: float
    writer: float
    pack_gigabytes: float
    network: float = 1.2


def seconds(measured: Measured, nodes: int) -> float:
    """Simulate a refresh with as many units as there can be: seconds from its start to the live release."""
    fetched = measured.pack_gigabytes * nodes / measured.network if nodes > 1 else 0.0
    free = [fetched + measured.preparing] * nodes
    for table in measured.tables:
        for _ in range(SHARDS):
            heapq.heappush(free, heapq.heappop(free) + table / SHARDS)
    return measured.writer + max(free)


def times_as_many(measured: Measured, users: int) -> Measured:
    """The same refresh with so many times the users."""
    return replace(
        measured,
        tables=tuple(users * table for table in measured.tables),
        preparing=users * measured.preparing,
        writer=users * measured.writer,
        pack_gigabytes=users * measured.pack_gigabytes,
    )


def main() -> None:
    """Print and draw what the measured times come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--preparing", type=float, required=True, help="seconds before a process begins its first unit")
    parser.add_argument("--pack-gigabytes", type=float, required=True)
    parser.add_argument("--image", type=Path, default=Path("docs/images/nodes.svg"))
    options = parser.parse_args()
    report = json.loads(options.report.read_text())
    units = [stage["unit_seconds"] for stage in report["stages"].values() if stage.get("unit_seconds")]
    measured = Measured(
        tuple(units), options.preparing, report["seconds"]["total"] - sum(units), options.pack_gigabytes
    )
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for users in USERS:
        found = [seconds(times_as_many(measured, users), nodes) for nodes in NODES]
        print(
            f"{users} x users:",
            ", ".join(f"{nodes}: {value:,.0f} s" for nodes, value in zip(NODES, found, strict=True)),
        )
        axes.plot(NODES, found, "-o", markersize=4, label=f"{users} x users")
    axes.axhline(3600, linestyle=":", color="grey", label="an hour")
    axes.set(xscale="log", yscale="log", xlabel="nodes of two cores", ylabel="seconds of a refresh")
    axes.set_xticks(NODES, [str(nodes) for nodes in NODES])
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(fontsize=8)
    figure.savefig(options.image)


if __name__ == "__main__":
    main()
