"""The way of every export: lock, load what is missing, verify, switch, retire.

Belongs here: the order of the steps, the same for all targets, and what an export reports. Does not belong here: the
targets themselves.

A release that is held already is only switched to: a rollback loads nothing. Whenever the process dies, consumers see
the release from before or the new one, and the next export does what is left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from warehouse.exports.address import Address, TargetError
from warehouse.exports.release_file import EXPORTED, ReleaseFile
from warehouse.exports.target import Seen, Target
from warehouse.faults import step


@dataclass(frozen=True)
class ExportSpec:
    """What is asked for: an address, which tables (`release` is always among them) and how many releases are kept."""

    address: Address
    tables: tuple[str, ...] = EXPORTED
    keep: int | None = None


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    target : str
        The address without a password.
    release : str
    tables : list of str
        That were asked for.
    loaded : list of str
        Tables that were loaded; empty if the target had them already.
    switched : bool
        False if consumers saw this release before.
    retired : list of str
        Releases given up.
    seen : Seen
        What consumers find afterwards.
    seconds : dict
        By step.
    """

    target: str
    release: str
    tables: list[str]
    loaded: list[str]
    switched: bool
    retired: list[str]
    seen: Seen
    seconds: dict[str, float] = field(default_factory=dict)


def open_target(address: Address) -> Target:
    """The target of an address; nothing is connected yet.

    Raises
    ------
    TargetError
    """
    if address.kind == "postgresql":
        from warehouse.exports.postgresql import PostgreSQL

        return PostgreSQL(address)
    if address.kind == "redis":
        from warehouse.exports.redis_keys import RedisKeys

        return RedisKeys(address)
    from warehouse.exports.parquet_files import ParquetFiles

    return ParquetFiles(address)


def export_release(source: ReleaseFile, spec: ExportSpec, notify: Callable[[str], None]) -> Exported:
    """Bring a target to a release.

    Parameters
    ----------
    source : ReleaseFile
    spec : ExportSpec
    notify : callable
        Receives a line per step.

    Returns
    -------
    Exported

    Raises
    ------
    ExportError
        If the target cannot be reached, is locked, refuses, or holds something else than was loaded.
    TargetError
        If the address or the number of releases kept cannot be.
    """
    release, shown = source.release, spec.address.shown
    target = open_target(spec.address)
    keep = target.default_keep if spec.keep is None else spec.keep
    if keep < 1:
        raise TargetError(f"cannot keep {keep} releases in {shown}; keep at least 1")
    tables = [table for table in EXPORTED if table in {"release", *spec.tables}]
    watch = _Watch()
    with target.exclusive():
        missing = [table for table in tables if table not in target.held(release)]
        watch.done("connect")
        if missing:
            notify(f"loading {release} into {shown}")
            target.load(source, missing)
            step("export_loaded")
            watch.done("load")
            target.verify(source, missing)
            step("export_verified")
            watch.done("verify")
        switched = target.switch(release)
        step("export_switched")
        watch.done("switch")
        retired = target.retire(keep)
        watch.done("retire")
        return Exported(shown, release, tables, missing, switched, retired, target.seen(), watch.seconds)


class _Watch:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def done(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._since, 3)
        self._since = now
