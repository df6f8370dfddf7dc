"""The landing folder: which files wait, which are still being written, and where they go."""

import os
import time
from pathlib import Path

import pytest

from warehouse.ingest.landing import (
    INGESTED,
    REFUSED,
    SETTLED_SECONDS,
    batch_key,
    is_settled,
    landed_files,
    put_away,
    refuse,
    signature,
)


def test_only_whole_files_of_ratings_wait(tmp_path: Path) -> None:
    for name in ("b.csv", "a.CSV", "c.parquet", "d.pq", ".e.csv", "~f.csv", "_g.csv", "h.csv.part", "i.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    assert [path.name for path in landed_files(tmp_path)] == ["a.CSV", "b.csv", "c.parquet", "d.pq"]
    assert landed_files(tmp_path / "missing") == []


@pytest.mark.parametrize("change", ["longer", "same length", "another file of the same name", "gone"])
def test_what_changes_is_not_settled(tmp_path: Path, change: str) -> None:
    path = tmp_path / "new.csv"
    path.write_text("1,2,3")
    long_ago = time.time() - 60
    os.utime(path, (long_ago, long_ago))
    before = signature(path)
    assert is_settled(path, before)
    assert is_settled(path, before, long_ago + SETTLED_SECONDS + 0.001)
    assert not is_settled(path, before, long_ago + SETTLED_SECONDS - 0.001)
    assert not is_settled(path, None)
    if change == "longer":
        path.write_text("1,2,3,4")
        os.utime(path, (long_ago, long_ago))
    elif change == "same length":
        path.write_text("4,5,6")
        os.utime(path, (long_ago + 1, long_ago + 1))
    elif change == "gone":
        path.unlink()
    else:
        other = tmp_path / "other.csv"
        other.write_text("1,2,3")
        os.utime(other, (long_ago, long_ago))
        other.replace(path)
    assert not is_settled(path, before)


def test_a_batch_is_its_files_in_their_state_in_any_order() -> None:
    one, other = ("a.csv", (1, 2, 3)), ("b.csv", (4, 5, 6))
    assert batch_key([one, other]) == batch_key([other, one])
    changed = [[one], [one, ("b.csv", (4, 5, 7))], [one, ("c.csv", (4, 5, 6))]]
    assert len({batch_key([one, other]), *map(batch_key, changed)}) == 4


def test_files_that_leave_replace_nothing(tmp_path: Path) -> None:
    for number in range(2):
        for name in ("good.csv", "bad.csv"):
            (tmp_path / name).write_text(f"{name} {number}")
        put_away(tmp_path / "good.csv", f"mark{number}")
        refuse(tmp_path / "bad.csv", f"reason {number}")
    assert landed_files(tmp_path) == []
    assert {path.name: path.read_text() for path in (tmp_path / INGESTED).iterdir()} == {
        "good.csv": "good.csv 0",
        "good-mark1.csv": "good.csv 1",
    }
    refused = {path: path.with_name(f"{path.name}.reason.txt") for path in landed_files(tmp_path / REFUSED)}
    assert sorted((path.read_text(), reason.read_text()) for path, reason in refused.items()) == [
        ("bad.csv 0", "reason 0\n"),
        ("bad.csv 1", "reason 1\n"),
    ]
