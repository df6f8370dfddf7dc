"""Downloads from a real HTTP server on loopback: resumed, cut off, changed meanwhile, wrong, late."""

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from warehouse.errors import SourceError
from warehouse.sources.download import download, file_name

CONTENT = bytes(range(256)) * 4000


@dataclass
class Shelf:
    """What the server has, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    etag: str | None = '"one"'
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    address: str = ""

    def url(self, name: str) -> str:
        """Address of a file."""
        return f"{self.address}/{name}"

    def asked(self, name: str) -> list[dict[str, str]]:
        """Headers of the requests for a file."""
        return [headers for path, headers in self.requests if path == f"/{name}"]


def handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            shelf.requests.append((self.path, headers))
            content = shelf.files.get(self.path.lstrip("/"))
            is_data = not self.path.endswith(".md5")
            if is_data and shelf.statuses:
                return self.plain(shelf.statuses.pop(0))
            if content is None:
                return self.plain(404)
            if shelf.etag and headers.get("if-none-match") == shelf.etag:
                return self.plain(304)
            return self.content(content, headers, is_data)

        def plain(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def content(self, content: bytes, headers: dict[str, str], is_data: bool) -> None:
            start = 0
            wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
            if wanted and shelf.ranges and headers.get("if-range") == shelf.etag:
                start = int(wanted[1])
                if start >= len(content):
                    return self.plain(416)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            if shelf.etag:
                self.send_header("ETag", shelf.etag)
            self.end_headers()
            cut = shelf.cut_after.pop(0) if is_data and shelf.cut_after else None
            self.wfile.write(content[start:] if cut is None else content[start : start + cut])
            if cut is not None:
                self.close_connection = True

    return Handler


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    found = Shelf({"a.zip": CONTENT, "a.zip.md5": f"MD5 (a.zip) = {hashlib.md5(CONTENT).hexdigest()}\n".encode()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(found))
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pauses() -> list[float]:
    return []


def fetch(shelf: Shelf, folder: Path, pauses: list[float], name: str = "a.zip", **options: int) -> Path:
    return download(shelf.url(name), folder, progress=False, pause=pauses.append, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir() if path.name != ".lock")


def test_whole_file(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    path = fetch(shelf, tmp_path, pauses)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == [".json", ".zip"]
    assert not pauses


def test_progress_goes_to_stderr(shelf: Shelf, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    download(shelf.url("a.zip"), tmp_path)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "100%" in captured.err


def test_cut_transfers_are_resumed(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    shelf.cut_after = [300_000, 400_000]
    assert fetch(shelf, tmp_path, pauses).read_bytes() == CONTENT
    first, second, third = shelf.asked("a.zip")
    assert "range" not in first
    assert second["range"].startswith("bytes=")
    assert second["if-range"] == third["if-range"] == '"one"'
    assert int(third["range"][6:-1]) > int(second["range"][6:-1]) > 0
    assert pauses == [1.0, 1.0]


def test_next_run_goes_on_where_the_last_one_stopped(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    shelf.cut_after = [500_000]
    with pytest.raises(SourceError, match="run the same command again"):
        fetch(shelf, tmp_path, pauses, attempts=1)
    assert names(tmp_path) == [".json", ".part"]
    assert fetch(shelf, tmp_path, pauses).read_bytes() == CONTENT
    assert shelf.asked("a.zip")[-1]["range"] == "bytes=500000-"


def test_new_version_meanwhile_starts_over(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    shelf.cut_after = [500_000]
    with pytest.raises(SourceError):
        fetch(shelf, tmp_path, pauses, attempts=1)
    changed = CONTENT[::-1]
    shelf.files = {"a.zip": changed, "a.zip.md5": hashlib.md5(changed).hexdigest().encode()}
    shelf.etag = '"two"'
    assert fetch(shelf, tmp_path, pauses).read_bytes() == changed


@pytest.mark.parametrize(("etag", "ranges"), [(None, True), ('"one"', False), ('W/"weak"', True)])
def test_servers_that_cannot_resume(shelf: Shelf, tmp_path: Path, pauses: list[float], etag: str | None, ranges: bool):
    shelf.etag, shelf.ranges, shelf.cut_after = etag, ranges, [500_000]
    assert fetch(shelf, tmp_path, pauses).read_bytes() == CONTENT


def test_part_longer_than_the_file_is_thrown_away(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    shelf.cut_after = [500_000]
    with pytest.raises(SourceError):
        fetch(shelf, tmp_path, pauses, attempts=1)
    part = tmp_path / (file_name(shelf.url("a.zip")) + ".part")
    part.write_bytes(CONTENT + b"more")
    assert fetch(shelf, tmp_path, pauses).read_bytes() == CONTENT


def test_wrong_md5(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    shelf.files["a.zip.md5"] = b"0" * 32 + b"  a.zip\n"
    with pytest.raises(SourceError, match=r"its MD5 is .* but 0{32} is published"):
        fetch(shelf, tmp_path, pauses)
    assert names(tmp_path) == []


def test_part_that_rotted_is_found_out_by_its_md5(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    shelf.cut_after = [500_000]
    with pytest.raises(SourceError):
        fetch(shelf, tmp_path, pauses, attempts=1)
    part = tmp_path / (file_name(shelf.url("a.zip")) + ".part")
    part.write_bytes(b"x" + part.read_bytes()[1:])
    with pytest.raises(SourceError, match="MD5"):
        fetch(shelf, tmp_path, pauses)
    assert fetch(shelf, tmp_path, pauses).read_bytes() == CONTENT


def test_no_checksum_published(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    del shelf.files["a.zip.md5"]
    assert fetch(shelf, tmp_path, pauses).read_bytes() == CONTENT


def test_up_to_date_file_is_not_fetched_again(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    path = fetch(shelf, tmp_path, pauses)
    before = path.stat().st_mtime_ns
    assert fetch(shelf, tmp_path, pauses) == path
    assert path.stat().st_mtime_ns == before
    assert shelf.asked("a.zip")[-1]["if-none-match"] == '"one"'


def test_passing_errors_are_waited_out(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    shelf.statuses = [503, 500, 429]
    assert fetch(shelf, tmp_path, pauses).read_bytes() == CONTENT
    assert pauses == [1.0, 2.0, 4.0]


def test_missing_file_is_not_tried_again(shelf: Shelf, tmp_path: Path, pauses: list[float]):
    with pytest.raises(SourceError, match=r"none\.zip: the server answers 404"):
        fetch(shelf, tmp_path, pauses, name="none.zip")
    assert not pauses


def test_nobody_listens(tmp_path: Path, pauses: list[float]):
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9/a\.zip: "):
        download("http://127.0.0.1:9/a.zip", tmp_path, progress=False, pause=pauses.append, attempts=3)
    assert pauses == [1.0, 2.0]


def test_names_cannot_lead_elsewhere():
    assert re.fullmatch(r"[A-Za-z0-9_-]+-[0-9a-f]{8}\.zip", file_name("http://x/a/..%2f..%2f.ssh"))
    assert file_name("http://x/a.zip") != file_name("http://y/a.zip")
