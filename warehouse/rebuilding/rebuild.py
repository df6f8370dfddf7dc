"""Making the working database again, from what the home keeps besides it.

Belongs here: the order of the steps. The database is made under another name and gets its own when it is complete, so a
process that is killed leaves it missing or damaged as it was, and the command can be given again. The damaged file is
put aside. Does not belong here: what comes from where (the modules beside this one), or whether it is needed
(`warehouse.integrity`).
"""

import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from warehouse.database import WAIT_SECONDS, Warehouse, new_warehouse, open_warehouse
from warehouse.faults import step
from warehouse.files import TEMPORARY, appear, put_aside
from warehouse.home import Home
from warehouse.integrity import examine_database
from warehouse.locks import writer_lock
from warehouse.queries import count_rows, one_row
from warehouse.rebuilding.derived import parameters_of, restore_derived, whole_models
from warehouse.rebuilding.inputs import Imports, Say, provide_imports
from warehouse.rebuilding.registry import Registry, read_registry, write_registry
from warehouse.releases.registry import REGISTRY_MIRROR, mirror_registry
from warehouse.releases.repair import repair
from warehouse.tables.events import load_events
from warehouse.tables.ratings import add_rating_files_again
from warehouse.tables.requests import load_requests
from warehouse.tables.source import load_source

PURPOSE = "rebuild"
KEPT_NOWHERE = (
    "what no file keeps: requests that were loaded into the log, figures of releases' checks beyond those in their "
    "files, results of the tables' checks (these are repeated)"
)
COUNTED = (
    "raw.movies", "raw.ratings", "raw.rating_files", "raw.rejected_rows", "model.annoy_indexes", "ops.releases",
    "ops.release_events", "ops.check_results", "ops.experiments", "ops.events", "ops.served_requests",
)  # fmt: skip
"""Tables whose rows the report counts."""


class Rebuilt(NamedTuple):
    """What was done.

    Attributes
    ----------
    problems : list of str
        What was wrong with the database; empty: nothing, and nothing was done.
    put_aside : list of str
        Paths that damaged files have now.
    rows : dict of str to int
        By table.
    lost : list of str
        What could not be restored, in words.
    seconds : float
    """

    problems: list[str]
    put_aside: list[str]
    rows: dict[str, int]
    lost: list[str]
    seconds: float


def rebuild(home: Home, again: str | None, say: Say) -> Rebuilt:
    """Make the working database again, unless it is whole.

    Parameters
    ----------
    home : Home
    again : str, optional
        Where the source is imported from, should its import be gone.
    say : callable
        Told what is being done.

    Raises
    ------
    LostSourceError
        If the source's import is gone. Nothing was changed then.
    WriterBusyError
        If another process goes on writing for too long, or has the database open.
    """
    started = time.perf_counter()
    with ExitStack() as stack:
        # The turn too: a run that computes lists meanwhile would commit them into another database.
        for lock in (home.turn_lock, home.writer_lock):
            stack.enter_context(writer_lock(lock, PURPOSE, wait_seconds=WAIT_SECONDS, notify=say))
        problems = examine_database(home, gives_way=False).problems
        if not problems:
            return Rebuilt([], [], {}, [], round(time.perf_counter() - started, 3))
        say(f"making the working database again: {problems[0]}")
        aside, lost = _replace(home, again, say)
    rows = _finish(home, lost, say)
    return Rebuilt(problems, aside, rows, lost, round(time.perf_counter() - started, 3))


def _replace(home: Home, again: str | None, say: Say) -> tuple[list[str], list[str]]:
    """Make the database under another name, put the damaged one aside and give the new one its name."""
    temporary = home.root / f"{TEMPORARY}{home.warehouse.name}"
    for path in home.root.glob(f"{temporary.name}*"):
        path.unlink()
    shutil.rmtree(home.scratch, ignore_errors=True)
    home.create()
    registry = read_registry(home)
    imports = provide_imports(home, registry.releases, again, say)
    lost = [*registry.lost, *imports.lost]
    with new_warehouse(home, temporary) as warehouse:
        _fill(warehouse, registry, imports, lost, say)
    step("database_rebuilt")
    return _swap(home, temporary, registry.damaged), lost


def _fill(warehouse: Warehouse, registry: Registry, imports: Imports, lost: list[str], say: Say) -> None:
    """Fill an empty database: raw tables, registry, and what follows from both."""
    home = warehouse.home
    models = whole_models(home, lost)
    parameters = parameters_of(home, models, registry.releases)
    say(f"loading {imports.source.origin} and {len(imports.files)} files of ratings")
    with warehouse.transaction() as con:
        load_source(con, home, imports.source, parameters.genome_source)
        con.execute("UPDATE ops.source SET loaded_at = ?", [imports.loaded_at])
        if imports.files:
            add_rating_files_again(con, home, imports.files)
    say(f"entering {len(registry.releases)} releases and {len(models)} models")
    with warehouse.transaction() as con:
        write_registry(con, registry)
    restore_derived(warehouse, parameters, models, registry.releases, lost)


def _swap(home: Home, temporary: Path, damaged_registry: bool) -> list[str]:
    """Put damaged files aside, the database before its log: never does one stand there without the other."""
    aside = [put_aside(home.warehouse)]
    step("database_put_aside")
    log = home.root / f"{home.warehouse.name}.wal"
    if log.exists():
        aside.append(put_aside(log))
    if damaged_registry:
        aside.append(put_aside(home.published / REGISTRY_MIRROR))
    appear(temporary, home.warehouse)
    step("database_replaced")
    return [str(path) for path in aside if path is not None]


def _finish(home: Home, lost: list[str], say: Say) -> dict[str, int]:
    """Take in what is there of events and requests, as a refresh does, and write the records for readers anew."""
    with open_warehouse(home, PURPOSE, notify=say) as warehouse:
        for line in repair(warehouse):
            say(f"repaired: {line}")
        mirror_registry(warehouse)
        load_requests(warehouse)
        load_events(warehouse)
        con = warehouse.con
        (first,) = one_row(con, "SELECT coalesce(min(seq), 1) FROM ops.events")
        if first > 1:
            lost.append(f"events 1 to {first - 1:,}: their files were deleted a month after they had been loaded")
        lost.append(KEPT_NOWHERE)
        return {table: count_rows(con, table) for table in COUNTED}
