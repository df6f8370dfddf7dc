"""Starting an experiment and ending it: what a person decides.

Belongs here: the reasons to refuse. Does not belong here: what is found meanwhile (`looking`), what the service follows
(`warehouse.releases.exposure`).
"""

import json
import re
from collections.abc import Collection
from typing import Any

from recommender.errors import MarqueeError, UsageError
from recommender.experiments.decisions import BETTER, NO_DIFFERENCE
from warehouse.database import Warehouse
from warehouse.experiments.looking import at_the_end, end, figures
from warehouse.experiments.outcomes import OUTCOMES, read_sides
from warehouse.queries import one_row
from warehouse.releases import registry
from warehouse.releases.exposure import write_exposure
from warehouse.releases.promotion import promote, refusals, require_files
from warehouse.tables.experiments import Experiment, insert_event, insert_experiment, last_found, running_experiment


class ExperimentError(MarqueeError):
    """An experiment cannot be started or ended in that way; the message names it and says what to do."""


class PlanError(UsageError):
    """A plan of an experiment that cannot be; the message names the value."""


def start(warehouse: Warehouse, planned: Experiment, required: Collection[str], *, who: str, why: str) -> None:
    """Have a share of the clients meet a challenger.

    Parameters
    ----------
    warehouse : Warehouse
    planned : Experiment
        As `plan` made it.
    required : collection of str
        Names of the blocking checks that the challenger must have passed.
    who, why : str
        For the record.

    Raises
    ------
    ExperimentError
        If another one runs, the name was used, or the release cannot be a challenger.
    """
    con, name = warehouse.con, planned.experiment
    running = running_experiment(con)
    if running is not None:
        raise ExperimentError(
            f"the experiment {running.experiment} runs; end it first: marquee experiment stop {running.experiment} "
            "--promote or --withdraw"
        )
    if one_row(con, "SELECT count(*) FROM ops.experiments WHERE experiment = ?", [name])[0]:
        raise ExperimentError(f"there was an experiment {name}; its name chose its clients, so take another one")
    champion = registry.live_release(warehouse.home)
    if champion is None or champion == planned.challenger:
        raise ExperimentError(f"{champion or 'nothing'} is live; a challenger is another release: marquee releases")
    reasons = refusals(con, planned.challenger, required)
    if reasons:
        raise ExperimentError(f"{planned.challenger} cannot be the challenger: " + "; ".join(reasons))
    with warehouse.transaction():
        insert_experiment(con, planned)
        insert_event(con, name, "started", who, why, {"champion": champion})
        registry.insert_event(con, planned.challenger, "challenger", who, f"experiment {name}: {why}".strip(": "))
    write_exposure(warehouse)
    registry.mirror_registry(warehouse)


def plan(warehouse: Warehouse, name: str, challenger: str, share: float, metric: str, margin: float) -> Experiment:
    """Make a plan of what was asked for; ratings count as likes as the challenger's model has it.

    Raises
    ------
    PlanError
        If a value cannot be.
    ReleaseError
        If there is no such release, or its files are gone.
    """
    from warehouse.schemas.experiments import NAME  # pandera takes a third of a second to load

    if not re.fullmatch(NAME, name):
        raise PlanError(f"{name[:80]!r} cannot be the name of an experiment: at most 64 of a-z, 0-9, '.', '_' and '-'")
    if not 0.0 < share < 1.0:
        raise PlanError(f"--share {share}: a share of the clients is more than 0 and less than 1")
    if not 0.0 < margin <= 1.0:
        raise PlanError(f"--margin {margin}: a share of the champion's {metric}, more than 0 and at most 1")
    if metric not in OUTCOMES:
        raise PlanError(f"--metric {metric}: not known; choose {', '.join(OUTCOMES)}")
    require_files(warehouse, challenger)
    (parameters,) = one_row(warehouse.con, "SELECT parameters FROM ops.releases WHERE release = ?", [challenger])
    return Experiment(challenger=challenger, experiment=name, share=share, metric=metric, margin=margin,
                      like_threshold=float(json.loads(parameters)["like_threshold"]))  # fmt: skip


def stop(
    warehouse: Warehouse,
    name: str,
    event: str,
    required: Collection[str],
    *,
    who: str,
    why: str,
    force: bool = False,
) -> dict[str, Any]:
    """End the experiment that runs, after a last look.

    Parameters
    ----------
    warehouse : Warehouse
    name : str
        It must be the one that runs.
    event : {'promoted', 'withdrawn'}
        Whether the challenger goes live.
    required : collection of str
        Names of the blocking checks that a live release must have passed.
    who, why : str
        For the record.
    force : bool
        Promote though nothing says that the challenger is better or as good; `why` must then be given.

    Returns
    -------
    dict
        The figures of the last look, with the bootstrap over clients.

    Raises
    ------
    ExperimentError
        If it does not run, or nothing says that the challenger may go live.
    """
    planned = running_experiment(warehouse.con)
    if planned is None or planned.experiment != name:
        now = f"{planned.experiment} does" if planned else "none does"
        raise ExperimentError(f"the experiment {name} does not run; {now}: marquee experiment status")
    sides = read_sides(warehouse.con, planned)
    found = figures(warehouse.home, planned, sides, last_found(warehouse.con, name)) | at_the_end(sides)
    if event == "promoted":
        _refuse_early(name, found, why, force)
        text = f"experiment {name}: {found['stands']}; {why or found['text']}"
        promote(warehouse, planned.challenger, required, who=who, why=text)
    end(warehouse, planned, event, found, who=who, why=why or found["text"])
    return found


def _refuse_early(name: str, found: dict[str, Any], why: str, force: bool) -> None:
    """Raise unless the challenger may go live."""
    decision = found["stands"]
    if decision in (BETTER, NO_DIFFERENCE):
        return
    if force and why.strip():
        return
    if force:
        raise ExperimentError("a forced promotion needs a reason: --why TEXT")
    raise ExperimentError(
        f"{name}: {decision} ({found['text']}), so the challenger does not go live. In spite of it: --force --why TEXT"
    )
