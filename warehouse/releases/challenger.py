"""The challenger: a release tried beside the live one, behind `published/challenger.duckdb`.

Belongs here: pointing that symlink and recording it. A challenger has passed the same checks as a live release, or is
forced with a reason. Does not belong here: the live release (`warehouse.releases.registry`), which is not touched.
"""

from collections.abc import Collection

from warehouse.database import Warehouse
from warehouse.files import flush_to_disk, point_link
from warehouse.releases.registry import ReleaseError, live_release, record_event, refusals, require_files


def challenge(
    warehouse: Warehouse, release: str, required: Collection[str], *, who: str, why: str, force: bool = False
) -> bool:
    """Make a release the challenger.

    Parameters
    ----------
    warehouse : Warehouse
    release : str
    required : collection of str
        Names of the blocking checks that must have passed.
    who, why : str
        For the record.
    force : bool
        In spite of failed or missing checks; `why` must then be given.

    Returns
    -------
    bool
        False if it was the challenger already.

    Raises
    ------
    ReleaseError
        If the release is unknown or live, its files are missing, or a check forbids it.
    """
    home = warehouse.home
    require_files(warehouse, release)
    if live_release(home) == release:
        raise ReleaseError(f"{release} is live; a challenger is another release, see: marquee releases")
    if live_release(home, home.challenger) == release:
        return False
    reasons = refusals(warehouse.con, release, required)
    if reasons and not force:
        raise ReleaseError(f"{release} cannot be the challenger: " + "; ".join(reasons))
    if force and not why.strip():
        raise ReleaseError("a forced challenger needs a reason: --why TEXT")
    point_link(home.challenger, f"{release}.duckdb")
    record_event(warehouse, release, "challenger", who, why)
    return True


def withdraw(warehouse: Warehouse, *, who: str, why: str) -> str:
    """Have no challenger any more; its release stays.

    Returns
    -------
    str
        The release that was the challenger.

    Raises
    ------
    ReleaseError
        If there is none.
    """
    home = warehouse.home
    release = live_release(home, home.challenger)
    if release is None:
        raise ReleaseError("there is no challenger; make a release one with: marquee promote RELEASE --challenger")
    home.challenger.unlink()
    flush_to_disk(home.published)
    record_event(warehouse, release, "withdrawn", who, why)
    return release
