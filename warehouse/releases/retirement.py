"""Retirement: deleting old releases, and the models that no release needs.

Belongs here: which files a release and a model consist of on disk, and their deletion. Never the live release, the
challenger, or a model that one of them or the next refresh needs. Does not belong here: retirements that a writer left
unfinished (`repair`).
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.home import Home
from warehouse.releases.registry import ReleaseError, insert_event, live_release, mirror_registry


@dataclass(frozen=True)
class Retired:
    """What retirement deleted: names of releases and models, and bytes freed."""

    releases: list[str]
    models: list[str]
    bytes: int


def retire(warehouse: Warehouse, keep: int, *, who: str, why: str) -> Retired:
    """Delete all releases but the newest `keep`, the live one and the challenger; and models no release needs.

    Parameters
    ----------
    warehouse : Warehouse
    keep : int
        At least 1.
    who, why : str
        For the record.

    Returns
    -------
    Retired
    """
    if keep < 1:
        raise ReleaseError(f"cannot keep {keep} releases; keep at least 1")
    home = warehouse.home
    spared = {live_release(home), live_release(home, home.challenger)}
    present = sorted((path.stem for path in home.published.glob("*Z-*.duckdb") if not path.is_symlink()), reverse=True)
    dropped = [release for release in present[keep:] if release not in spared]
    freed = 0
    for release in dropped:
        freed += sum(map(_size, _files_of(home, release)))
        with warehouse.transaction() as con:
            insert_event(con, release, "retired", who, why)
        step("retirement_recorded")
        delete_release(home, release)
    models = _unused_models(warehouse)
    for model in models:
        freed += _size(home.model_folder(model))
        shutil.rmtree(home.model_folder(model))
    if dropped:
        mirror_registry(warehouse)
    return Retired(dropped, models, freed)


def _files_of(home: Home, release: str) -> tuple[Path, Path, Path]:
    """Database, serving pack and report of a release."""
    return home.release_file(release), home.pack_folder(release), home.report_file(release)


def delete_release(home: Home, release: str) -> bool:
    """Delete a release's files; whether there were any."""
    file, pack, report = _files_of(home, release)
    if not (file.exists() or pack.exists() or report.exists()):
        return False  # on a read-only disk even the deletion of what is not there is an error
    file.unlink(missing_ok=True)
    step("release_deleted")
    shutil.rmtree(pack, ignore_errors=True)
    step("pack_deleted")
    report.unlink(missing_ok=True)
    return True


def _unused_models(warehouse: Warehouse) -> list[str]:
    """Model folders that neither a release that is there nor the next refresh needs."""
    home, con = warehouse.home, warehouse.con
    needed = {
        model
        for release, model in con.execute("SELECT release, model_version FROM ops.releases").fetchall()
        if home.release_file(release).exists()
    }
    newest = con.execute("SELECT max(model_version) FROM model.annoy_indexes").fetchone()
    needed.add(newest[0] if newest else None)
    return sorted(path.name for path in home.models.glob("*Z-*") if path.name not in needed)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    return path.stat().st_size if path.exists() else 0
