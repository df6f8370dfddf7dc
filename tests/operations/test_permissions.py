"""Who may not write: an account without permission is told in one line, readers need none, and nothing changes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from numba.core.caching import _CacheLocator

from recommender.warm_up import warm_up
from tests.command import ROOT, marquee_json

NOBODY = 65534
SETPRIV = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
BIN = Path(sys.executable).parent
SETTINGS = ("--set", "top_movies=40", "--set", "neighbours=9")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another user"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)"),
]


def own(folder: Path, user: int) -> None:
    """Give a folder and all that is in it to a user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def give_compiled_loops(cache: Path) -> None:
    """Put compiled loops where numba looks for them if the folder of the code cannot be written."""
    warm_up()
    for path in (ROOT / "recommender").rglob("*.nb[ic]"):
        folder = cache / _CacheLocator.get_suitable_cache_subpath(str(path.parents[1] / "any.py"))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)


@pytest.fixture
def home(small_live: Path) -> Iterator[Path]:
    """A home that every account may read and that belongs to root; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="marquee-permissions-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
    folder.chmod(0o755)
    (folder / "nobody").mkdir()
    give_compiled_loops(folder / "nobody" / ".cache" / "numba")
    own(folder / "nobody", NOBODY)
    shutil.copytree(small_live, folder / "home", symlinks=True)
    probe = subprocess.run([*SETPRIV, str(BIN / "python"), "-c", "import duckdb"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("the account nobody cannot run this Python")
    yield folder / "home"
    shutil.rmtree(folder)


def as_nobody(home: Path, *arguments: object, expect: int) -> str:
    """Run a command as nobody; return what it said."""
    done = subprocess.run(
        [*SETPRIV, str(BIN / "marquee"), "--home", str(home), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        env={"PATH": os.environ["PATH"], "HOME": str(home.parent / "nobody")},
        check=False,
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def live(home: Path) -> object:
    return marquee_json(home, "query", "SELECT release FROM release")["rows"]


def test_readers_need_no_permission_to_write(home: Path) -> None:
    assert str(live(home)[0][0]) in as_nobody(home, "query", "SELECT release FROM release", "--json", expect=0)
    assert str(live(home)[0][0]) in as_nobody(home, "releases", expect=0)
    ((film,),) = marquee_json(home, "query", "SELECT movie_id FROM signup_movies LIMIT 1")["rows"]
    assert "votes" in as_nobody(home, "recommend", film, expect=0)


@pytest.mark.parametrize("command", [("refresh", *SETTINGS), ("rollback",), ("retire", "--keep", "1")])
def test_a_writer_without_permission_is_told_in_one_line(home: Path, command: tuple[str, ...]) -> None:
    before = live(home)
    said = as_nobody(home, *command, expect=1).strip().splitlines()[-1]
    assert said.startswith("marquee: ")
    assert "ermission denied" in said or "readonly" in said, said
    assert str(home) in said or "Dagster" in said, said
    assert live(home) == before


def test_a_folder_that_lost_its_owner_leaves_the_old_release_live(home: Path) -> None:
    own(home, NOBODY)
    own(home / "published", 0)
    before = live(home)
    said = as_nobody(home, "refresh", *SETTINGS, expect=1)
    (line,) = (line for line in said.splitlines() if line.startswith("marquee: "))
    assert "ermission denied" in line, line
    assert "published" in line, line
    assert live(home) == before
    assert "published" in as_nobody(home, "doctor", expect=1)
    own(home / "published", NOBODY)
    as_nobody(home, "refresh", *SETTINGS, expect=0)
    assert live(home) != before
    assert marquee_json(home, "doctor")["healthy"]
