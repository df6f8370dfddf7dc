"""Folders that several tests look at: made once per session, whichever worker of pytest-xdist needs one first.

Belongs here: making, waiting and copying. What is in them is said by the fixtures. Whoever changes one works on a copy.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of this session below which `make` has made something; other workers wait for it."""
    base = tmp_path_factory.getbasetemp()
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = session / name, session / f"{name}.made"
    with FileLock(session / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def copy_home(home: Path, folder: Path) -> Path:
    """A copy of a home, to do anything with."""
    return Path(shutil.copytree(home, folder / "home", symlinks=True))
