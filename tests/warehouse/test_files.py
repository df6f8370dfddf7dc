"""Files are there whole or not at all, also for a reader who looks all the time and after a writer that died."""

import hashlib
import json
import threading
from pathlib import Path

import pytest

from warehouse.files import TEMPORARY, appear, file_sha256, point_link, remove_leftovers, write_json, write_text


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000  # more than one read
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_reader_sees_the_old_text_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    path, link = tmp_path / "facts.json", tmp_path / "current"
    texts = {letter * 200_000 for letter in "ab"}
    for name in "ab":
        (tmp_path / name).write_text(name)
    write_text(path, min(texts))
    point_link(link, "a")
    seen, stop = set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add((path.read_text(), link.read_text()))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        write_text(path, sorted(texts)[turn % 2])
        point_link(link, "ab"[turn % 2])
    stop.set()
    reader.join()
    assert {text for text, _ in seen} == texts
    assert {name for _, name in seen} == {"a", "b"}
    assert {item.name for item in tmp_path.iterdir()} == {"facts.json", "current", "a", "b"}


def test_json_ends_with_a_line_end_and_writes_paths_as_text(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"folder": tmp_path, "films": 3})
    assert path.read_text().endswith("}\n")
    assert json.loads(path.read_text()) == {"folder": str(tmp_path), "films": 3}


def test_a_folder_appears_with_all_it_holds_and_replaces_no_other(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / f"{TEMPORARY}{name}").mkdir()
        (tmp_path / f"{TEMPORARY}{name}" / "file").write_text(name)
    appear(tmp_path / f"{TEMPORARY}new", tmp_path / "final")
    with pytest.raises(OSError, match="not empty"):
        appear(tmp_path / f"{TEMPORARY}old", tmp_path / "final")
    assert (tmp_path / "final" / "file").read_text() == "new"


def test_a_link_is_made_and_replaces_one_that_points_nowhere(tmp_path: Path) -> None:
    link = tmp_path / "current"
    (tmp_path / f"{TEMPORARY}current").symlink_to("left by a writer that died")
    point_link(link, "gone")
    point_link(link, "there")
    assert link.readlink() == Path("there")
    assert list(tmp_path.iterdir()) == [link]


def test_leftovers_are_removed_and_nothing_behind_their_links(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    (tmp_path / f"{TEMPORARY}file").write_text("half")
    (tmp_path / f"{TEMPORARY}folder").mkdir()
    (tmp_path / f"{TEMPORARY}folder" / "file").write_text("half")
    (tmp_path / f"{TEMPORARY}link").symlink_to(kept)
    assert sorted(remove_leftovers(tmp_path)) == [f"{TEMPORARY}{name}" for name in ("file", "folder", "link")]
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]
