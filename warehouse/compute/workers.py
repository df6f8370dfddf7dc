"""Who computes units: here, the threads of this process.

Belongs here: what the writer expects of workers, and the default. Does not belong here: workers elsewhere
(`ray_nodes`), which units there are to compute (`warehouse.recommending`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from warehouse.compute.unit_files import FinishedUnit, finish
from warehouse.compute.units import Unit, WorkPack


class Workers(Protocol):
    """Computes units from a pack; the rows do not depend on who does it."""

    def compute(self, pack: Path, units: Sequence[Unit]) -> Iterator[tuple[Unit, FinishedUnit]]:
        """Compute units of a pack; yield each as soon as it is finished, in any order."""


class LocalWorkers:
    """The threads of this process: one unit after the other, each by all of them."""

    def compute(self, pack: Path, units: Sequence[Unit]) -> Iterator[tuple[Unit, FinishedUnit]]:
        """Compute units one after the other."""
        opened = WorkPack(pack)
        for unit in units:
            yield unit, finish(opened, unit)
