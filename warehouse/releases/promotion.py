"""Promotion: which release is live, changed by one swap of a symlink and recorded.

Belongs here: promote, roll back, and the reasons to refuse, which hold for a challenger too. Does not belong here:
checking (`checks`), staging (`staging`), the record itself (`registry`), or a challenger (`warehouse.experiments`).
"""

from collections.abc import Collection

import duckdb

from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.files import point_link
from warehouse.releases.registry import ReleaseError, insert_event, live_release, mirror_registry
from warehouse.tables.check_results import recorded_results


def refusals(con: duckdb.DuckDBPyConnection, release: str, required: Collection[str]) -> list[str]:
    """Reasons not to promote a release: blocking checks that failed or have no result; empty if it may go live."""
    results = recorded_results(con, release)
    failed = [f"{result.check_name} failed: {result.text}" for result in results if result.blocks]
    missing = sorted(set(required) - {result.check_name for result in results})
    return failed + [f"{name} has no recorded result" for name in missing]


def promote(
    warehouse: Warehouse, release: str, required: Collection[str], *, who: str, why: str, force: bool = False
) -> bool:
    """Make a release the live one.

    Parameters
    ----------
    warehouse : Warehouse
    release : str
    required : collection of str
        Names of the blocking checks that must have passed.
    who, why : str
        For the record.
    force : bool
        Promote in spite of failed or missing checks; `why` must then be given.

    Returns
    -------
    bool
        False if it was live already.

    Raises
    ------
    ReleaseError
        If the release is unknown, its files are missing, or a check forbids it.
    """
    require_files(warehouse, release)
    if live_release(warehouse.home) == release:
        return False
    reasons = refusals(warehouse.con, release, required)
    if reasons and not force:
        raise ReleaseError(f"{release} cannot go live: " + "; ".join(reasons))
    if force and not why.strip():
        raise ReleaseError("a forced promotion needs a reason: --why TEXT")
    event = "forced" if reasons else "promoted"
    _swap(warehouse, release, event, who, why)
    return True


def refuse_what_no_longer_passes(con: duckdb.DuckDBPyConnection, release: str, required: Collection[str]) -> None:
    """Raise ReleaseError if a live release fails a check, by a threshold that has changed since, and was not forced."""
    row = con.execute(
        "SELECT event FROM ops.release_events WHERE release = ? AND event IN ('promoted', 'forced', 'restored') "
        "ORDER BY happened_at DESC LIMIT 1",
        [release],
    ).fetchone()
    reasons = refusals(con, release, required)
    if reasons and row is not None and row[0] == "promoted":
        raise ReleaseError(
            f"{release} is live, but would not go live now: {'; '.join(reasons)}. "
            "Go back with marquee rollback, repair the data, or change checks.toml"
        )


def rollback(warehouse: Warehouse, *, who: str, why: str) -> tuple[str, str]:
    """Go back to the release that was live before the present one; recomputes nothing.

    The release left behind is marked, so that a refresh that finds the same content again does not bring it back.

    Returns
    -------
    (str, str)
        The release left and the release that is live now.

    Raises
    ------
    ReleaseError
        If nothing is live or no earlier release is left.
    """
    leaving = live_release(warehouse.home)
    if leaving is None:
        raise ReleaseError("nothing is live, so there is nothing to roll back")
    earlier = [
        name
        for (name,) in warehouse.con.execute(
            """
            SELECT release FROM ops.release_events WHERE event IN ('promoted', 'forced')
            GROUP BY release HAVING release < ? ORDER BY release DESC
            """,
            [leaving],
        ).fetchall()
        if warehouse.home.release_file(name).exists()
    ]
    if not earlier:
        raise ReleaseError(f"no release older than {leaving} is left to go back to")
    # The verdict comes first: were the process to die after the swap, a refresh could bring the bad release back.
    with warehouse.transaction() as con:
        insert_event(con, leaving, "rolled_back", who, why)
    point_link(warehouse.home.current, f"{earlier[0]}.duckdb")
    with warehouse.transaction() as con:
        insert_event(con, earlier[0], "restored", who, why)
    step("promotion_recorded")
    mirror_registry(warehouse)
    return leaving, earlier[0]


def was_rolled_back(con: duckdb.DuckDBPyConnection, release: str) -> str | None:
    """Why the release was rolled back, if that is the last that was decided about it; else None."""
    row = con.execute(
        """
        SELECT event, why FROM ops.release_events
        WHERE release = ? AND event IN ('promoted', 'forced', 'restored', 'rolled_back')
        ORDER BY happened_at DESC LIMIT 1
        """,
        [release],
    ).fetchone()
    return str(row[1]) if row is not None and row[0] == "rolled_back" else None


def _swap(warehouse: Warehouse, release: str, event: str, who: str, why: str) -> None:
    """Point the symlink to a release and record it; the record comes second, because the symlink is the truth."""
    point_link(warehouse.home.current, f"{release}.duckdb")
    with warehouse.transaction() as con:
        insert_event(con, release, event, who, why)
    step("promotion_recorded")
    mirror_registry(warehouse)


def require_files(warehouse: Warehouse, release: str) -> None:
    """Raise ReleaseError unless a release is known and its files are there."""
    known = warehouse.con.execute("SELECT 1 FROM ops.releases WHERE release = ?", [release]).fetchone()
    if known is None:
        raise ReleaseError(f"there is no release {release}; see: marquee releases")
    for path in (warehouse.home.release_file(release), warehouse.home.pack_folder(release)):
        if not path.exists():
            raise ReleaseError(f"{release} cannot go live: {path} is gone (retired releases cannot return)")
