"""Exports as Parquet files in a folder: contents for three readers, pointer, kills at every step, what goes wrong."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest

from tests.command import marquee
from tests.operations.test_disk import mount, mounts  # noqa: F401  (a fixture)
from tests.warehouse.exports.conftest import TABLES, Exporter, enlarge, releases_of, rows_of
from warehouse.faults import EXPORT_STEPS


def current(target: Path) -> str:
    return str(json.loads((target / "current.json").read_text())["release"])


def folders(target: Path) -> set[str]:
    return {path.name for path in target.iterdir() if path.is_dir()}


def test_a_release_is_written_as_it_is_for_every_reader(home_of_two: Path, tmp_path: Path, export: Exporter) -> None:
    older, newer = releases_of(home_of_two)
    target = tmp_path / "target"
    first = export(home_of_two, target)
    assert (first["release"], first["seen"], first["loaded"]) == (newer, newer, list(TABLES))
    pointer = json.loads((target / "current.json").read_text())
    text = (target / newer / "manifest.json").read_bytes()
    assert (pointer["release"], pointer["manifest_sha256"]) == (newer, hashlib.sha256(text).hexdigest())
    manifest = json.loads(text)
    for table, order in TABLES.items():
        files = f"{target}/{newer}/{table}/**/*.parquet"
        wanted = rows_of(home_of_two, newer, f"FROM {table} ORDER BY {order}")
        names = [column["name"] for column in manifest["tables"][table]]
        columns = ", ".join(names)
        found = duckdb.sql(f"SELECT {columns} FROM read_parquet('{files}') ORDER BY {order}").fetchall()
        assert found == wanted, table
        by = order.split(", ")
        assert pl.read_parquet(files).select(names).sort(by).rows() == [
            tuple(list(value) if isinstance(value, list) else value for value in row) for row in wanted
        ], table
        partitioned = ds.dataset(target / newer / table, partitioning="hive")
        assert partitioned.count_rows() == len(wanted) == first["rows"][table]
        there = {
            str(path.relative_to(target / newer)) for path in (target / newer / table).rglob("*") if path.is_file()
        }
        listed = {file["path"]: file for file in manifest["files"] if file["table"] == table}
        assert set(listed) == there
        for name, file in listed.items():
            content = (target / newer / name).read_bytes()
            assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert sum(file["rows"] for file in listed.values()) == len(wanted)
    shards = ds.dataset(target / newer / "user_recommendations", partitioning="hive")
    assert all(row["user_id"] % 16 == row["shard"] for row in shards.to_table(columns=["user_id", "shard"]).to_pylist())

    marquee(home_of_two, "rollback", "--why", "a test")
    assert export(home_of_two, f"file://{target}")["seen"] == older == current(target)
    marquee(home_of_two, "promote", newer)
    back = export(home_of_two, target)
    assert (back["loaded"], back["switched"], back["seen"]) == ([], True, newer)
    assert export(home_of_two, target)["switched"] is False
    assert folders(target) == {older, newer}
    assert export(home_of_two, target, "--keep", 1)["retired"] == [older]
    assert folders(target) == {newer}


def test_readers_find_complete_releases_only(home_of_two: Path, tmp_path: Path, export: Exporter) -> None:
    older, newer = releases_of(home_of_two)
    target = tmp_path / "target"
    rows = {release: len(rows_of(home_of_two, release, "FROM pair_recommendations")) for release in (older, newer)}
    export(home_of_two, target, "--release", older)
    stopped, reads, problems = threading.Event(), [], []

    def read() -> None:
        while not stopped.is_set():
            release = current(target)
            pairs = ds.dataset(target / release / "pair_recommendations", partitioning="hive").count_rows()
            manifest = json.loads((target / release / "manifest.json").read_text())
            if (pairs, manifest["release"]) != (rows[release], release):
                problems.append((release, pairs, manifest["release"]))
            reads.append(release)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(6):
        release = (newer, older)[turn % 2]
        export(home_of_two, target, "--release", release)
        while reader.is_alive() and reads[-1:] != [release]:
            time.sleep(0.01)
        if release == older:
            shutil.rmtree(target / newer)  # read by nobody now; written again the next time
    stopped.set()
    reader.join(30)
    assert problems == []
    assert set(reads) == {older, newer}


def test_an_export_killed_at_any_step_is_finished_by_the_next(
    two_releases: Path, tmp_path: Path, export: Exporter, killed: Callable[[str, str, str], str]
) -> None:
    older, newer = releases_of(two_releases)
    export(two_releases, tmp_path / "before", "--release", older)
    for step in EXPORT_STEPS:
        target = Path(shutil.copytree(tmp_path / "before", tmp_path / step))
        killed(str(target), newer, step)
        assert current(target) == (newer if step in {"export_switched", "export_retired"} else older)
        assert export(two_releases, target, "--release", newer, "--keep", 1)["seen"] == newer
        assert (current(target), folders(target)) == (newer, {newer})
        assert not list(target.rglob(".incoming-*"))


def test_a_place_that_cannot_be_written_is_told_in_one_line(
    home_of_two: Path,
    tmp_path: Path,
    export: Exporter,
    mounts: Path,  # noqa: F811
) -> None:
    older, newer = releases_of(home_of_two)

    def said(target: object, code: int = 1) -> str:
        return marquee(home_of_two, "export", target, expect=code).stderr.splitlines()[-1]

    (tmp_path / "file").write_text("no folder")
    assert "File exists" in said(tmp_path / "file")
    assert "Not a directory" in said(tmp_path / "file" / "below")
    assert "no target has addresses like this" in said("mysql://db/films", 2)
    (home_of_two / "exports.toml").write_text(f'[lake]\nurl = "{tmp_path}/lake"\nkeep = 1\n')
    assert "has no target laek, only lake; for a folder write ./laek" in said("laek", 2)
    for text, words in {
        'lake = "x"': "lake: ",
        '[lake]\nurl = "x"\nkeep = 0': "lake.keep",
        '[lake]\nurl = "x"\ntables = ["ratings"]': "ratings cannot be exported",
        '[lake]\nurl = "x"\ncolour = 1': "lake.colour",
        '[Lake]\nurl = "x"': "a name has small letters",
        "[lake": "cannot be read",
    }.items():
        (home_of_two / "exports.toml").write_text(text)
        assert words in said("lake", 2), text
    (home_of_two / "exports.toml").unlink()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "current.json").write_text(json.dumps({"release": newer, "promoted_at": "yesterday"}))
    assert "not that of an export" in said(tmp_path / "store", 2)

    if os.geteuid() == 0:
        enlarge(home_of_two, 5_000)
        small, closed = mounts / "small", mounts / "closed"
        small.mkdir()
        closed.mkdir()
        mount("-t", "tmpfs", "-o", "size=600k", "tmpfs", small)
        export(home_of_two, small, "--release", older)
        assert "No space left on device" in said(small)
        assert current(small) == older
        mount("--bind", closed, closed)
        mount("-o", "remount,bind,ro", closed)
        assert "Read-only file system" in said(closed / "target")
        subprocess.run(["mount", "-o", "remount,size=9m", str(small)], check=True)
        assert export(home_of_two, small)["seen"] == newer

    (tmp_path / "busy").mkdir()
    with (tmp_path / "busy" / ".export.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another export is running" in said(tmp_path / "busy")


@pytest.mark.parametrize(
    ("package", "module", "target", "extra"),
    [
        ("psycopg", "warehouse.exports.postgresql", "postgresql://db/films", "postgresql"),
        ("redis", "warehouse.exports.redis_keys", "redis://cache/0", "redis"),
        ("obstore.store", "", "s3://bucket/films", "store"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    two_releases: Path, monkeypatch: pytest.MonkeyPatch, package: str, module: str, target: str, extra: str
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert f"pip install 'marquee[{extra}]'" in marquee(two_releases, "export", target, expect=2).stderr
