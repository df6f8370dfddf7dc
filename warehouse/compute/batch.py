"""Units that are computed together from one pack, and wait beside it until their rows are committed.

Belongs here: which of them are there already from a run that was killed, computing the others, reading them back. Does
not belong here: what a unit is (`units`), who computes it (`workers`, `ray_nodes`), what becomes of rows.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from warehouse.compute.packs import is_whole
from warehouse.compute.unit_files import Record, UnitFileError, is_finished, read_unit, write_unit
from warehouse.compute.units import Unit
from warehouse.compute.workers import Workers
from warehouse.faults import step

PACK = "pack"
"""Name of the pack in the folder of a batch."""

Notify = Callable[[str], None]
"""Receives what a person should know."""


@dataclass
class Batch:
    """Units and the folder they are written to.

    Attributes
    ----------
    folder : Path
        Has the pack, and a Parquet file with its record for each finished unit.
    version : str
        Of the pack, and thereby of all units.
    units : sequence of Unit
    workers : Workers
    notify : callable
    computed, reused : int
        Units computed here, and units found finished.
    """

    folder: Path
    version: str
    units: Sequence[Unit]
    workers: Workers
    notify: Notify
    computed: int = 0
    reused: int = 0

    def provide_pack(self, write: Callable[[Path], Path]) -> None:
        """Have the pack written, unless it is there whole from a run that did not get to its end.

        `write` gets its folder, writes it under a temporary name beside that, and returns the temporary one.
        """
        pack = self.folder / PACK
        if not is_whole(pack):
            shutil.rmtree(self.folder, ignore_errors=True)
            write(pack).rename(pack)
            step("work_pack_appeared")

    def compute(self) -> None:
        """Compute the units that are not there yet."""
        missing = [unit for unit in self.units if self._finished(unit) is None]
        self.reused += len(self.units) - len(missing)
        if self.reused:
            total = len(self.units)
            self.notify(f"{self.reused} of {total} units were computed by a run that did not get to its end")
        self._compute(missing)
        step("units_finished")

    def parts(self, table: str) -> Iterator[tuple[pa.Table, Record]]:
        """Rows and record of each unit of a table, in order; one that was damaged meanwhile is computed again."""
        for unit in self.units:
            if unit.table == table:
                found = self._finished(unit)
                if found is None:
                    self._compute([unit])
                    found = read_unit(self.folder, unit, self.version)
                yield found

    def delete_units(self) -> None:
        """Delete the finished units; the pack stays."""
        for path in self.folder.glob("*"):
            if path.is_file():
                path.unlink()

    def _compute(self, units: Sequence[Unit]) -> None:
        for unit, finished in self.workers.compute(self.folder / PACK, units):
            write_unit(self.folder, unit, finished)
            self.computed += 1

    def _finished(self, unit: Unit) -> tuple[pa.Table, Record] | None:
        """Rows and record of a unit that is there and whole; None if it is not, said where it is there and damaged."""
        if not is_finished(self.folder, unit):
            return None
        try:
            return read_unit(self.folder, unit, self.version)
        except UnitFileError as error:
            self.notify(f"{error}; the unit {unit.name} is computed again")
            return None
