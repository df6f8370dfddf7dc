"""A look at the experiment that runs: its figures, what they say, and its end if it is violated.

Belongs here: from the counts to the record. Does not belong here: counting (`outcomes`), the statistics
(`recommender.experiments`), or what a person decides (`running`).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from recommender.experiments.bootstrap import bootstrap_difference
from recommender.experiments.comparison import compare
from recommender.experiments.decisions import ENOUGH_CLIENTS, ENOUGH_OUTCOMES, TOO_EARLY, VIOLATED, decide
from recommender.experiments.ratios import Moments, moments
from recommender.experiments.sample_ratio import evidence
from warehouse.database import Warehouse
from warehouse.experiments.outcomes import Sides, read_sides
from warehouse.home import Home
from warehouse.releases import registry
from warehouse.releases.exposure import write_exposure
from warehouse.tables.experiments import Experiment, insert_event, last_found, running_experiment


class Look(NamedTuple):
    """What a look found.

    Attributes
    ----------
    planned : Experiment
    found : dict
        The figures, of JSON types: `figures`.
    is_new : bool
        False if the look before it found the same; then nothing was recorded.
    """

    planned: Experiment
    found: dict[str, Any]
    is_new: bool

    @property
    def is_violated(self) -> bool:
        """Whether this look ended the experiment."""
        return bool(self.found["decision"] == VIOLATED)


def look(warehouse: Warehouse, *, who: str) -> Look | None:
    """Look at the experiment that runs and record it; end it if it is violated.

    Returns
    -------
    Look or None
        None if none runs.
    """
    planned = running_experiment(warehouse.con)
    if planned is None:
        return None
    sides, before = read_sides(warehouse.con, planned), last_found(warehouse.con, planned.experiment)
    found = figures(warehouse.home, planned, sides, before)
    if found["decision"] == VIOLATED:
        end(warehouse, planned, "violated", found | at_the_end(sides), who=who, why=found["text"])
        return Look(planned, found, True)
    is_new = found != before
    if is_new:
        with warehouse.transaction() as con:
            insert_event(con, planned.experiment, "looked", who, found["text"], found)
        write_exposure(warehouse)
    return Look(planned, found, is_new)


def end(warehouse: Warehouse, planned: Experiment, event: str, found: Mapping[str, Any], *, who: str, why: str) -> None:
    """Record the end of an experiment and have no challenger any more."""
    with warehouse.transaction() as con:
        insert_event(con, planned.experiment, event, who, why, found)
        if event != "promoted":
            registry.insert_event(con, planned.challenger, "withdrawn", who, f"experiment {planned.experiment}: {why}")
    write_exposure(warehouse)
    registry.mirror_registry(warehouse)


def figures(home: Home, planned: Experiment, sides: Sides, before: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of both variants, their difference with its confidence sequence, and what may be said.

    What was said once stands while later looks say that it is too early: the sequence holds at all looks together.

    Returns
    -------
    dict
        ``decision`` of this look, what ``stands`` after all looks, and ``text``; ``champion`` and ``challenger``
        (clients, answers, outcomes, value); ``champions``, the releases; ``difference``, ``low``, ``high`` and
        ``margin`` in outcomes per answer; ``sample_ratio`` (planned, found, log_evidence). What cannot be computed is
        None.
    """
    theirs, ours = (moments(*kinds) for kinds in (sides.champion, sides.challenger))
    found = compare(theirs, ours, planned.margin)
    decision = str(decide(theirs, ours, found, planned.share))
    clients = float(theirs.clients + ours.clients)
    values = {name: _number(getattr(found, name)) for name in ("difference", "low", "high", "margin")}
    result = {
        "decision": decision,
        "stands": before.get("stands", TOO_EARLY) if decision == TOO_EARLY else decision,
        "champion": _side(theirs, found.champion),
        "challenger": _side(ours, found.challenger),
        "champions": sides.champions,
        **values,
        "sample_ratio": {
            "planned": planned.share,
            "found": _number(ours.clients / clients) if clients else None,
            "log_evidence": _number(evidence(ours.clients, theirs.clients, planned.share)),
        },
    }
    gone = _challenger_gone(home, planned)
    if gone:
        return result | {"decision": VIOLATED, "stands": VIOLATED, "text": gone}
    return result | {"text": _worded(planned, result)}


def at_the_end(sides: Sides) -> dict[str, Any]:
    """The difference once more, with the bootstrap over clients."""
    return {"bootstrap": bootstrap_difference(sides.champion, sides.challenger)}


def _challenger_gone(home: Home, planned: Experiment) -> str:
    """Why the challenger cannot be tried any more; empty if it can."""
    if registry.live_release(home) == planned.challenger:
        return f"the challenger {planned.challenger} went live while the experiment ran: there is nothing to compare"
    if not home.release_file(planned.challenger).exists():
        return f"the file of the challenger {planned.challenger} is gone"
    return ""


def _side(sums: Moments, value: np.ndarray) -> dict[str, Any]:
    counts = {name: int(getattr(sums, name)) for name in ("clients", "answers", "outcomes")}
    return {**counts, "value": _number(value)}


def _number(value: Any) -> float | None:
    """A number for JSON; None for what is not known or not bounded."""
    return round(float(value), 9) if math.isfinite(float(value)) else None


def _worded(planned: Experiment, found: Mapping[str, Any]) -> str:
    """What was found, in one line."""
    theirs, ours, ratio = found["champion"], found["challenger"], found["sample_ratio"]
    if found["decision"] == VIOLATED:
        total = theirs["clients"] + ours["clients"]
        return (
            f"{ours['clients']:,} of {total:,} clients met the challenger, {ratio['found']:.2%} instead of "
            f"{planned.share:.2%}: more than chance explains, so answers or their records are missing on one side"
        )
    clients = f"{ours['clients']:,} and {theirs['clients']:,} clients"
    if found["difference"] is None or found["low"] is None:
        return f"{clients}: too few to compare"
    text = (
        f"{planned.metric} {ours['value']:.4g} against {theirs['value']:.4g}: {found['difference']:+.4g} "
        f"({found['low']:+.4g} to {found['high']:+.4g}), margin {found['margin']:.4g}, {clients}"
    )
    few = min(ours["clients"], theirs["clients"]) < ENOUGH_CLIENTS
    rare = min(ours["outcomes"], theirs["outcomes"]) < ENOUGH_OUTCOMES
    if found["decision"] == TOO_EARLY and (few or rare):
        text += f"; each variant needs {ENOUGH_CLIENTS} clients and {ENOUGH_OUTCOMES} outcomes"
    return text
