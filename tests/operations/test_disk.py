"""Full disk, read-only folder: one clear line, exit 1, and the old release stays live."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import marquee, marquee_json

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount what these tests need")


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Path]:
    """A folder below which tests may mount; everything is unmounted afterwards."""
    yield tmp_path
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if line.split()[1].startswith(str(tmp_path)):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)


def mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


def one_line(home: Path, *arguments: object) -> str:
    """What a failing command says: its last line; nothing like a traceback."""
    said = marquee(home, *arguments, expect=1).stderr
    return "\n".join(line for line in said.splitlines() if line.startswith("marquee:"))


def test_a_full_disk_leaves_the_old_release_live(small_live: Path, mounts: Path) -> None:
    size = sum(path.stat().st_size for path in small_live.rglob("*") if path.is_file())
    home = mounts / "full"
    home.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size + 1_500_000}", "tmpfs", home)
    shutil.copytree(small_live, home, symlinks=True, dirs_exist_ok=True)
    before = marquee_json(home, "query", "SELECT release FROM release")["rows"]
    said = one_line(home, "refresh", "--set", "top_movies=40", "--set", "neighbours=9")
    assert "no space" in said.lower() or "disk" in said.lower() or "space left" in said.lower(), said
    assert marquee_json(home, "query", "SELECT release FROM release")["rows"] == before
    subprocess.run(["mount", "-o", f"remount,size={3 * size}", str(home)], check=True)
    assert marquee_json(home, "refresh", "--set", "top_movies=40", "--set", "neighbours=9")["state"] == "live"


def test_a_read_only_folder_leaves_the_old_release_live(small_home: Path, mounts: Path) -> None:
    published = small_home / "published"
    mount("--bind", published, published)
    mount("-o", "remount,bind,ro", published)
    before = marquee_json(small_home, "query", "SELECT release FROM release")["rows"]
    said = one_line(small_home, "refresh", "--set", "top_movies=40", "--set", "neighbours=9")
    assert "read-only" in said.lower(), said
    assert marquee_json(small_home, "query", "SELECT release FROM release")["rows"] == before
    examined = marquee_json(small_home, "doctor", expect=1)
    assert any("cannot be written" in finding["text"] for finding in examined["findings"])
