"""What a user may name as a source, and archives that must not be unpacked."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from warehouse.errors import SourceError
from warehouse.ingest.import_manifest import SourceManifest
from warehouse.ingest.importer import import_source
from warehouse.schemas.row_rules import row_rules
from warehouse.sources import archive as archives
from warehouse.sources import resolve as sources
from warehouse.sources.resolve import resolve_source

RULES = row_rules()
MOVIES = b"movieId,title,genres\n1,Toy Story (1995),Comedy\n"
RATINGS = b"userId,movieId,rating,timestamp\n1,1,4.0,1000000000\n"


def write_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def data_set(folder: str = "ml/") -> dict[str, bytes]:
    return {f"{folder}movies.csv": MOVIES, f"{folder}ratings.csv": RATINGS, f"{folder}README.txt": b"cite us"}


def take(text: object, home: Path) -> SourceManifest:
    local = resolve_source(str(text), home / "sources", progress=False)
    return import_source(local, home / "sources", RULES, progress=False)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


# -- names -------------------------------------------------------------------------------------------------------------


def test_sample_and_folder(tmp_path: Path):
    local = resolve_source("sample", tmp_path)
    assert local.origin == "sample"
    assert not local.is_archive
    folder = resolve_source(str(local.path), tmp_path)
    assert folder.path == local.path


@pytest.mark.parametrize("folder", ["", "ml/", "ml-latest-small/"])
def test_zip_gives_the_same_import_as_its_folder(tmp_path: Path, folder: str):
    path = write_zip(tmp_path / "a.zip", data_set(folder) | {f"{folder}links.csv": b"x", "__MACOSX/._ml": b"x"})
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "movies.csv").write_bytes(MOVIES)
    (plain / "ratings.csv").write_bytes(RATINGS)
    from_zip = take(path, tmp_path / "one")
    from_folder = take(plain, tmp_path / "other")
    assert from_zip.fingerprint == from_folder.fingerprint
    assert from_zip.counts == from_folder.counts
    assert (from_zip.folder / "README.txt").read_bytes() == b"cite us"
    assert sorted(p.name for p in (tmp_path / "one" / "sources").iterdir()) == [".lock", from_zip.fingerprint]


def test_same_zip_is_recognised_without_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_zip(tmp_path / "a.zip", data_set())
    first = take(path, tmp_path)
    monkeypatch.setattr("warehouse.ingest.importer.unpack", None)
    assert take(path, tmp_path) == first


def test_address_and_known_name(tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch):
    folder, address = served
    path = write_zip(folder / "ml-latest.zip", data_set())
    (folder / "ml-latest.zip.md5").write_text(hashlib.md5(path.read_bytes()).hexdigest() + "  ml-latest.zip\n")
    monkeypatch.setitem(sources.KNOWN_SOURCES, "ml-latest", f"{address}/ml-latest.zip")
    by_address = take(f"{address}/ml-latest.zip", tmp_path / "home")
    by_name = take("ml-latest", tmp_path / "home")
    assert by_address == by_name
    assert by_address.origin == f"{address}/ml-latest.zip"


def test_known_names_are_grouplens_addresses():
    assert sources.KNOWN_SOURCES["ml-25m"] == "https://files.grouplens.org/datasets/movielens/ml-25m.zip"
    assert set(sources.KNOWN_SOURCES) == {"ml-latest", "ml-latest-small", "ml-20m", "ml-25m", "ml-32m"}


def test_address_of_a_page_is_refused_and_not_kept(tmp_path: Path, served: tuple[Path, str]):
    folder, address = served
    (folder / "page.zip").write_text("<html>please log in</html>")
    with pytest.raises(SourceError, match=r"page\.zip is no MovieLens archive: .* not a zip"):
        take(f"{address}/page.zip", tmp_path)
    assert not list((tmp_path / "sources" / "downloads").glob("*.zip"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no-such-thing", "no such folder or zip, and not a known name; use sample"),
        ("ftp://example.org/a.zip", "only http and https"),
    ],
)
def test_names_that_mean_nothing(tmp_path: Path, text: str, message: str):
    with pytest.raises(SourceError, match=message):
        resolve_source(text, tmp_path)


# -- archives ----------------------------------------------------------------------------------------------------------


def test_not_a_zip(tmp_path: Path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"hello")
    with pytest.raises(SourceError, match=r"a\.zip: not a zip"):
        take(path, tmp_path)


def test_zip_cut_short(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", data_set())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="not a zip, or cut short"):
        take(path, tmp_path)


def test_zip_with_a_damaged_member(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", data_set(), zipfile.ZIP_STORED)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Toy Story", b"Toy Stork", 1))
    with pytest.raises(SourceError, match=r"movies\.csv is damaged \(Bad CRC"):
        take(path, tmp_path)
    assert [p.name for p in (tmp_path / "sources").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "name", ["../ratings.csv", "/etc/ratings.csv", "ml/../../x.csv", "..\\ratings.csv", "C:/ratings.csv", "C:x.csv"]
)
def test_path_escapes(tmp_path: Path, name: str):
    path = write_zip(tmp_path / "a.zip", data_set() | {name: RATINGS})
    with pytest.raises(SourceError, match="points outside of the archive"):
        take(path, tmp_path)


def test_symbolic_link(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", {"ml/movies.csv": MOVIES})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("ml/ratings.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(SourceError, match="is a link"):
        take(path, tmp_path)


def test_zip_bomb(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", data_set() | {"ml/tags.csv": bytes(50 << 20)})
    assert path.stat().st_size < 100_000
    with pytest.raises(SourceError, match="more than 200 times"):
        take(path, tmp_path)


def test_zip_that_lies_about_its_sizes(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", {"movies.csv": MOVIES, "ratings.csv": RATINGS + b"1,1,4.0,1000000000\n" * 99})
    content = bytearray(path.read_bytes())
    size = len(RATINGS) + 99 * 19
    declared = content.rindex(size.to_bytes(4, "little"))
    content[declared : declared + 4] = len(RATINGS).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"ratings\.csv is damaged"):
        take(path, tmp_path)


def test_too_much_and_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_zip(tmp_path / "a.zip", data_set())
    monkeypatch.setattr(archives, "MOST_BYTES", 10)
    with pytest.raises(SourceError, match="would unpack to more than"):
        take(path, tmp_path)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(SourceError, match="3 files are more than the 2 allowed"):
        take(path, tmp_path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a/readme.txt": b"x"}, "no ratings.csv at its root or in its top folder"),
        ({"ml/movies.csv": MOVIES}, "ratings.csv missing"),
        (data_set("a/") | data_set("b/"), "there are data sets in a, b"),
    ],
)
def test_archives_without_a_data_set(tmp_path: Path, members: dict[str, bytes], message: str):
    with pytest.raises(SourceError, match=message):
        take(write_zip(tmp_path / "a.zip", members), tmp_path)


def test_member_twice(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", data_set())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("ml/ratings.csv", RATINGS)
    with pytest.raises(SourceError, match="is in it twice"):
        take(path, tmp_path)
