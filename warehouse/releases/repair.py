"""Repair: completing or undoing what a writer that died left behind, at the start of every run.

Belongs here: what needs no decision by a person. Does not belong here: looking for damage (`doctor`, which changes
nothing).
"""

import json

from warehouse.database import Warehouse
from warehouse.files import remove_leftovers
from warehouse.queries import count_rows
from warehouse.releases.exposure import repair_exposure
from warehouse.releases.registry import (
    REGISTRY_MIRROR,
    STAGING_NOTE,
    ReleaseError,
    acting_user,
    insert_event,
    live_release,
    mirror_registry,
    mirrored_registry,
)
from warehouse.releases.retirement import delete_release
from warehouse.tables.inputs import RECORD, record_inputs
from warehouse.tables.ratings import accounted_ratings, record_superseded


def repair(warehouse: Warehouse) -> list[str]:
    """Repair what a writer that died left behind; return what was done, in words.

    Temporary files are deleted, and the files of a release that was never registered or is retired already. A symlink
    that was swapped without a record gets one. What readers see does not change.
    """
    home, con = warehouse.home, warehouse.con
    done = [
        f"deleted the unfinished {name}" for name in remove_leftovers(home.published) + remove_leftovers(home.models)
    ]
    done += _drop_unregistered(warehouse) + _finish_retirements(warehouse)
    if accounted_ratings(con) != count_rows(con, "raw.ratings"):
        with warehouse.transaction():
            record_superseded(con, home)
        done.append("counted the ratings that another file replaces")
    if record_inputs(con, home):
        done.append(f"wrote {RECORD} as the tables have it")
    live = live_release(home)
    if live is not None:
        row = con.execute(
            "SELECT release FROM ops.release_events WHERE event IN ('promoted', 'forced', 'restored') "
            "ORDER BY happened_at DESC LIMIT 1"
        ).fetchone()
        if row is None or row[0] != live:
            with warehouse.transaction():
                insert_event(con, live, "promoted", acting_user(), "recovered: the writer died before recording it")
            mirror_registry(warehouse)
            done.append(f"recorded that {live} is live")
    if not done and _mirror_is_behind(warehouse):
        mirror_registry(warehouse)
        done.append(f"brought {REGISTRY_MIRROR} up to date")
    return done + repair_exposure(warehouse)


def _drop_unregistered(warehouse: Warehouse) -> list[str]:
    """Delete the files of a release whose writer died before it was registered; the next refresh makes it anew."""
    home, note = warehouse.home, warehouse.home.published / STAGING_NOTE
    if not note.exists():
        return []
    release = str(json.loads(note.read_text(encoding="utf-8"))["release"])
    known = warehouse.con.execute("SELECT 1 FROM ops.releases WHERE release = ?", [release]).fetchone()
    done = []
    if known is None and live_release(home) != release and delete_release(home, release):
        done.append(f"deleted the unregistered release {release}")
    if known is not None:
        mirror_registry(warehouse)
    note.unlink()
    return done


def _finish_retirements(warehouse: Warehouse) -> list[str]:
    """Delete what is left of releases whose retirement was recorded but not completed."""
    home = warehouse.home
    spared = {live_release(home), live_release(home, home.challenger)}
    retired = warehouse.con.execute(
        "SELECT release FROM ops.release_events GROUP BY release HAVING arg_max(event, happened_at) = 'retired'"
    ).fetchall()
    done = [
        f"finished the retirement of {name}" for (name,) in retired if name not in spared and delete_release(home, name)
    ]
    if done:
        mirror_registry(warehouse)
    return done


def _mirror_is_behind(warehouse: Warehouse) -> bool:
    """Whether the copy for readers lacks an event that was recorded, or cannot be read."""
    row = warehouse.con.execute(
        "SELECT count(*) FROM ops.release_events SEMI JOIN ops.releases USING (release)"
    ).fetchone()
    try:
        mirrored = sum(len(entry["events"]) for entry in mirrored_registry(warehouse.home))
    except ReleaseError:
        return True
    return row is not None and int(row[0]) != mirrored
