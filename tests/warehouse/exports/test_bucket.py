"""Exports as Parquet files in a bucket, against a real S3 server: contents, a lost race, a kill, what goes wrong."""

import hashlib
import json
from pathlib import Path

import pytest
from obstore.store import S3Store

from tests.command import marquee, start_marquee
from tests.object_server import BUCKET, ObjectServer
from tests.warehouse.exports.conftest import TABLES, Exporter, releases_of, rows_of
from warehouse.store.client import open_store


@pytest.fixture
def bucket(s3: ObjectServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of its own, and the credentials in the environment."""
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/exports/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"


def current(bucket: str) -> dict[str, str]:
    return dict(json.loads(bytes(open_store(bucket).get("current.json").bytes())))


def names(bucket: str) -> set[str]:
    return {item["path"] for batch in open_store(bucket).list() for item in batch}


def test_a_release_is_sent_switched_to_and_retired(home_of_two: Path, bucket: str, export: Exporter) -> None:
    older, newer = releases_of(home_of_two)
    first = export(home_of_two, bucket, "--release", older)
    assert (first["loaded"], first["seen"]) == (list(TABLES), older)
    assert export(home_of_two, bucket)["seen"] == newer == current(bucket)["release"]
    manifest = bytes(open_store(bucket).get(f"{newer}/manifest.json").bytes())
    assert hashlib.sha256(manifest).hexdigest() == current(bucket)["manifest_sha256"]
    rows = dict.fromkeys(TABLES, 0)
    for file in json.loads(manifest)["files"]:
        content = bytes(open_store(bucket).get(f"{newer}/{file['path']}").bytes())
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        rows[file["table"]] += file["rows"]
    assert rows == {table: len(rows_of(home_of_two, newer, f"FROM {table}")) for table in TABLES}
    back = export(home_of_two, bucket, "--release", older)
    assert (back["loaded"], back["switched"], back["seen"]) == ([], True, older)
    assert export(home_of_two, bucket, "--keep", 1)["retired"] == [older]
    assert {name.partition("/")[0] for name in names(bucket)} == {newer, "current.json"}


def test_who_comes_second_loses_and_a_killed_export_is_finished(
    two_releases: Path,
    bucket: str,
    export: Exporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older, newer = releases_of(two_releases)
    export(two_releases, bucket, "--release", older)
    put = S3Store.put

    def another_first(store: S3Store, name: str, *content: object, **options: object) -> object:
        """Somebody else replaces the pointer just before this export does."""
        if name == "current.json":
            put(store, name, json.dumps({"release": "another", "switched_at": "now"}).encode())
        return put(store, name, *content, **options)

    with monkeypatch.context() as patched:
        patched.setattr(S3Store, "put", another_first)
        said = marquee(two_releases, "export", bucket, expect=1).stderr
    assert "another export has switched readers meanwhile" in said
    assert current(bucket)["release"] == "another"
    assert export(two_releases, bucket)["switched"] is True
    for name in [name for name in names(bucket) if name.startswith(newer)]:
        open_store(bucket).delete(name)
    export(two_releases, bucket, "--release", older)
    for step in ("export_table_loaded", "export_switching"):
        process = start_marquee(two_releases, "export", bucket, MARQUEE_KILL_AT=step)
        process.communicate(timeout=60)
        assert process.returncode == -9
        assert current(bucket)["release"] == older
    assert export(two_releases, bucket)["seen"] == newer == current(bucket)["release"]


def test_what_goes_wrong_is_told_in_one_line(
    two_releases: Path, bucket: str, s3: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(url: str, code: int = 1) -> str:
        return marquee(two_releases, "export", url, expect=code).stderr.splitlines()[-1]

    assert "create it, or correct the address" in said("s3://no-such-bucket/x")
    assert "must hold no credentials" in said("s3://marquee:of-marquee@releases/x", 2)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something else")
    assert "check the credentials" in said(bucket)
    for name, value in s3.environment("reader").items():
        monkeypatch.setenv(name, value)
    assert "cannot be written" in said(bucket)
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("warehouse.store.client.RETRIES", {"max_retries": 0})
    assert "check the address, the endpoint in the environment and the network" in said(bucket)
