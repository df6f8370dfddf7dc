"""Which clients meet the challenger: the experiment that runs, as the service sees it.

Belongs here: the files that say so, and the hash that divides the clients. `published/exposure.json` names the
experiment, its challenger and the share; `published/challenger.duckdb` points to the challenger, for whoever reads it
in SQL; `published/experiments.json` is the record for readers, who cannot open the working database. The tables are the
truth (`warehouse.tables.experiments`): files that differ from them, after a writer died, are written anew. Does not
belong here: starting and stopping (`warehouse.experiments`).
"""

import hashlib
import json
from typing import Any, NamedTuple

from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.files import flush_to_disk, point_link, write_json
from warehouse.home import Home
from warehouse.queries import count_rows
from warehouse.releases.registry import ReleaseError, live_release
from warehouse.tables.experiments import read_experiments, running_experiment

RECORD = "experiments.json"
"""Copy of the record beside the releases, for readers."""


class Exposure(NamedTuple):
    """What the service has to know of the experiment that runs."""

    experiment: str
    challenger: str
    share: float

    def meets_challenger(self, client: str) -> bool:
        """Whether a client meets the challenger: always the same, and others in every experiment."""
        return bucket(self.experiment, client) < self.share


def bucket(salt: str, client: str) -> float:
    """Place a client on [0, 1), evenly, and always the same for the same salt."""
    digest = hashlib.sha256(f"{salt}\0{client}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def read_exposure(home: Home) -> Exposure | None:
    """The experiment that runs; None if there is none.

    Raises
    ------
    ReleaseError
        If the file is damaged.
    """
    try:
        return Exposure(**json.loads(home.exposure.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ReleaseError(f"{home.exposure} cannot be read ({error}); the next writer writes it anew") from None


def write_exposure(warehouse: Warehouse) -> None:
    """Write the files anew from the tables.

    The link comes before the file that divides the clients, and goes after it: whoever follows the file finds a
    challenger.
    """
    home, planned = warehouse.home, running_experiment(warehouse.con)
    write_json(home.published / RECORD, {"experiments": read_experiments(warehouse.con)})
    step("experiment_recorded")
    if planned is None:
        for path in (home.exposure, home.challenger):
            path.unlink(missing_ok=True)
            step("exposure_ending")
        flush_to_disk(home.published)
    else:
        point_link(home.challenger, f"{planned.challenger}.duckdb")
        write_json(home.exposure, Exposure(planned.experiment, planned.challenger, planned.share)._asdict())


def repair_exposure(warehouse: Warehouse) -> list[str]:
    """Write the files anew if they are not what the tables say; return what was done, in words."""
    home, planned = warehouse.home, running_experiment(warehouse.con)
    wanted = None if planned is None else Exposure(planned.experiment, planned.challenger, planned.share)
    try:
        same = read_exposure(home) == wanted
    except ReleaseError:
        same = False
    linked = live_release(home, home.challenger) == (wanted and wanted.challenger)
    recorded = sum(len(entry["events"]) for entry in list_experiments(home))
    if same and linked and recorded == count_rows(warehouse.con, "ops.experiment_events"):
        return []
    write_exposure(warehouse)
    return [f"wrote {home.exposure.name} and {RECORD} as the tables have them"]


def list_experiments(home: Home) -> list[dict[str, Any]]:
    """All experiments, the oldest first, each with its events. Read from the copy; never waits for a writer."""
    path = home.published / RECORD
    return list(json.loads(path.read_text(encoding="utf-8"))["experiments"]) if path.exists() else []
