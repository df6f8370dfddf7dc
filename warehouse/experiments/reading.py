"""Experiments as they are shown: by `marquee experiment status`, in the report of a release, in Dagster.

Belongs here: from the record for readers to one description of each, without waiting for a writer. Does not belong
here: how it is drawn or printed (`assets.experiment_plot`, `orchestration.cli.experiments`).
"""

from datetime import datetime
from typing import Any

from recommender.experiments.decisions import TOO_EARLY
from warehouse.home import Home
from warehouse.releases.exposure import list_experiments
from warehouse.tables.experiments import ENDS

NOT_LOOKED = "nobody has looked at it yet"


def described_experiments(home: Home) -> list[dict[str, Any]]:
    """Describe all experiments, the newest first: `described` of each."""
    return [described(entry) for entry in reversed(list_experiments(home))]


def described(entry: dict[str, Any]) -> dict[str, Any]:
    """Describe an experiment.

    Parameters
    ----------
    entry : dict
        Of `warehouse.releases.exposure.list_experiments`.

    Returns
    -------
    dict
        The plan; ``state`` (``running``, or how it ended), ``started_at``, ``ended_at``; ``decision``, which stands
        after all looks, ``text`` and ``last_look`` with all figures; ``looks``: ``days`` since the start,
        ``difference``, ``low``, ``high``, ``margin``, ``decision`` of each; and all ``events``.
    """
    events = entry["events"]
    started, last = events[0], events[-1]
    looks = [event for event in events if "decision" in event["found"]]
    found = looks[-1]["found"] if looks else {"stands": TOO_EARLY, "text": NOT_LOOKED}
    ended = last["event"] in ENDS
    begun = datetime.fromisoformat(str(started["at"]))
    return {
        **{name: value for name, value in entry.items() if name != "events"},
        "state": last["event"] if ended else "running",
        "started_at": started["at"],
        "ended_at": last["at"] if ended else None,
        "looked_at": looks[-1]["at"] if looks else None,
        "decision": found["stands"],
        "text": found["text"],
        "last_look": found if looks else None,
        "looks": [
            {
                "days": round((datetime.fromisoformat(str(event["at"])) - begun).total_seconds() / 86_400, 6),
                **{name: event["found"][name] for name in ("difference", "low", "high", "margin", "decision")},
            }
            for event in looks
        ],
        "events": events,
    }
