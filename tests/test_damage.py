"""Damaged inputs of many kinds, each through the command line: a bad row is kept with its reason, a bad file is refused
in one line, bad data fail a check. The live release stays what it was, readable throughout; afterwards good input goes
through without anybody cleaning up.

The kinds are the keys of `LINES` (rows of a good file), `LANDING` (files of new ratings), `SOURCES` (data sets that are
refused), `REJECTED` (data sets that are loaded but fail a check before promotion) and `INSTALLATION` (the home itself).
"""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from tests.command import marquee, marquee_json
from tests.homes import copy_home

TIME = 1_500_000_000
HEADER = "userId,movieId,rating,timestamp\n"
SETTINGS = ("--set", "top_movies=20")

LINES: dict[str, tuple[bytes, str]] = {
    "a field is missing": (b"9001,FILM,4.0", "expected 4 columns, found 3"),
    "a field too many": (b"9001,FILM,4.0,1500000000,7", "expected 4 columns, found 5"),
    "an empty line": (b"", "empty line"),
    "the user is not a number": (b"nobody,FILM,4.0,1500000000", "user_id is missing or cannot be read"),
    "the user is zero": (b"0,FILM,4.0,1500000000", "user_id is below 1"),
    "the user does not fit 32 bits": (b"2147483648,FILM,4.0,1500000000", "user_id is beyond 32 bits"),
    "the film is unknown": (b"9001,99999999,4.0,1500000000", "unknown film"),
    "the film is missing": (b"9001,,4.0,1500000000", "movie_id is missing or cannot be read"),
    "too many stars": (b"9001,FILM,50,1500000000", "rating is above 5.0"),
    "too few stars": (b"9001,FILM,0,1500000000", "rating is below 0.5"),
    "stars are not a number": (b"9001,FILM,nan,1500000000", "rating is missing or cannot be read"),
    "stars are words": (b"9001,FILM,four,1500000000", "rating is missing or cannot be read"),
    "the time lies in the future": (b"9001,FILM,4.0,100000000000", "rated_at lies in the future"),
    "the time is before MovieLens": (b"9001,FILM,4.0,1", "rated_at is before 1995-01-01"),
    "the time is text": (b"9001,FILM,4.0,yesterday", "rated_at is missing or cannot be read"),
    "a quote is never closed": (
        b'9001,FILM,"4.0,1500000000',
        "a quote is never closed, or text follows the closing one",
    ),
    "bytes that are no text": (b"\xff\xfe\x00\x01", "text is neither UTF-8 nor Windows-1252"),
    "the same row twice": (b"9002,FILM,4.0,1500000000\n9002,FILM,4.0,1500000000", "duplicate row"),
    "an older rating of the same film": (
        b"9003,FILM,4.0,1500000000\n9003,FILM,2.0,1400000000",
        "superseded by a later rating of the same film by the same user",
    ),
}
"""What is appended to a good file of new ratings (FILM is a film of the home), and the reason it is rejected for."""

LANDING: dict[str, tuple[str, bytes, str]] = {
    "half written": ("new.csv", HEADER.encode() + b"9001,1,4.0,1500000000\n9001,2,4.0,15", "half written"),
    "empty": ("new.csv", b"", "empty"),
    "no header": ("new.csv", b"9001,1,4.0,1500000000\n", "no header"),
    "a column is missing": ("new.csv", b"userId,movieId,timestamp\n1,1,1\n", "column rating missing"),
    "UTF-16": ("new.csv", HEADER.encode("utf-16"), "UTF-16"),
    "no Parquet": ("new.parquet", HEADER.encode(), "not a Parquet file"),
    "Parquet cut short": ("new.parquet", b"PAR1" + bytes(100), "not a whole Parquet file"),
}
"""Name and content of a file of new ratings, and what the refusal says."""


def live(home: Path) -> str:
    return (home / "published" / "current.duckdb").resolve().stem


def read(home: Path) -> tuple[object, ...]:
    """What a consumer gets, through a connection of its own."""
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as con:
        pairs = con.execute("SELECT count(*), bit_xor(hash(COLUMNS(*)))::VARCHAR FROM pair_recommendations").fetchall()
        return (*con.execute("SELECT release FROM release").fetchall()[0], *pairs[0])


@pytest.fixture(scope="module")
def home(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home that goes through all that is refused or rejected; good input has a home of its own."""
    copy = copy_home(small_live, tmp_path_factory.mktemp("damage"))
    return copy


@pytest.fixture
def consumers_notice_nothing(home: Path) -> Iterator[None]:
    before = read(home)
    yield
    assert read(home) == before


damaged = pytest.mark.usefixtures("consumers_notice_nothing")
"""On every test of a damaged input: what is live stays live, and the same."""


def some_film(home: Path) -> bytes:
    """A movie_id of the live release, as it stands in a file."""
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as con:
        return str(con.execute("SELECT min(movie_id) FROM movies").fetchall()[0][0]).encode()


def refused(home: Path, *arguments: object) -> str:
    """Run a command that is refused: exit code 1 and one line that starts with our name."""
    done = marquee(home, *arguments, expect=1)
    lines = [line for line in done.stderr.splitlines() if line.startswith("marquee: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_bad_rows_are_kept_with_their_reason_and_good_ones_taken_in(small_home: Path, tmp_path: Path) -> None:
    home, before = small_home, read(small_home)
    path = tmp_path / "mixed.csv"
    lines, expected = [HEADER.encode().rstrip()], {}
    for kind, (text, reason) in LINES.items():
        lines += text.split(b"\n")
        expected[len(lines)] = (kind, reason)
    text = b"\n".join([*lines, b"9009,FILM,4.5,1500000000"]) + b"\n"
    path.write_bytes(text.replace(b"FILM", some_film(home)))
    report = marquee_json(home, "ingest", path)
    (file,) = report["files"]
    assert file["accepted"] == 3
    assert file["rejected"] == len(LINES)
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
        kept = con.execute("SELECT line, reason, raw FROM raw.rejected_rows WHERE source = 'mixed.csv'").fetchall()
        taken = con.execute("SELECT user_id, rating FROM raw.ratings WHERE user_id > 9000 ORDER BY 1").fetchall()
    assert {line: reason for line, reason, _ in kept} == {line: reason for line, (_, reason) in expected.items()}
    assert all(raw is not None for _, _, raw in kept)
    assert taken == [(9002, 4.0), (9003, 4.0), (9009, 4.5)]
    assert read(home) == before


@damaged
@pytest.mark.parametrize("kind", LANDING)
def test_bad_files_of_new_ratings_are_refused(home: Path, tmp_path: Path, kind: str) -> None:
    name, content, message = LANDING[kind]
    path = tmp_path / name
    path.write_bytes(content)
    assert message in refused(home, "ingest", path)


# -- sources -----------------------------------------------------------------------------------------------------------


def rewrite(path: Path, change: Callable[[int, list[str]], list[str] | None]) -> None:
    """Change the rows of a CSV file: `change` gets the number and the fields of a row; None drops it."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(new for number, row in enumerate(rows) if (new := change(number, row)) is not None)


def no_ratings(source: Path) -> None:
    (source / "ratings.csv").unlink()


def empty_movies(source: Path) -> None:
    (source / "movies.csv").write_text("")


def semicolons(source: Path) -> None:
    path = source / "ratings.csv"
    path.write_text(path.read_text().replace(",", ";"))


def only_a_header(source: Path) -> None:
    (source / "ratings.csv").write_text(HEADER)


def no_usable_rating(source: Path) -> None:
    rewrite(source / "ratings.csv", lambda _, row: [row[0], row[1], "many", row[3]])


def scores_without_tags(source: Path) -> None:
    (source / "genome-tags.csv").unlink()


def genome_of_other_films(source: Path) -> None:
    rewrite(source / "genome-scores.csv", lambda _, row: [str(int(row[0]) + 9_000_000), *row[1:]])


SOURCES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file is missing": (no_ratings, "ratings.csv missing"),
    "a file is empty": (empty_movies, "movies.csv: the file is empty"),
    "another separator": (semicolons, "no header"),
    "nothing but a header": (only_a_header, "no rows after the first line"),
    "no row can be used": (no_usable_rating, "can be used"),
    "scores without their tags": (scores_without_tags, "genome-tags.csv is not"),
    "a genome of other films": (genome_of_other_films, "unknown film"),
}
"""How a data set is damaged so that it is refused, and what the refusal says."""


@damaged
@pytest.mark.parametrize("kind", SOURCES)
def test_unusable_sources_are_refused(home: Path, edited_source: Callable[[], Path], kind: str) -> None:
    damage, message = SOURCES[kind]
    source = edited_source()
    damage(source)
    assert message in refused(home, "run", "--source", source, "--replace-source")


def zipped(source: Path, path: Path, prefix: str = "ml/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in source.iterdir():
            archive.write(file, prefix + file.name)
    return path


@damaged
@pytest.mark.parametrize(
    ("kind", "message"), [("cut short", "not a zip, or cut short"), ("climbing out", "points outside of the archive")]
)
def test_bad_archives_are_refused(home: Path, small_source: Path, tmp_path: Path, kind: str, message: str) -> None:
    path = zipped(small_source, tmp_path / "ml.zip", prefix="../" if kind == "climbing out" else "ml/")
    if kind == "cut short":
        path.write_bytes(path.read_bytes()[:-500])
    assert message in refused(home, "run", "--source", path, "--replace-source")


def truncated_genome(source: Path) -> None:
    """Keep whole vectors of few and little liked films."""
    with (source / "ratings.csv").open(encoding="utf-8", newline="") as file:
        liked: dict[str, int] = {}
        for row in csv.DictReader(file):
            liked[row["movieId"]] = liked.get(row["movieId"], 0) + (float(row["rating"]) >= 4)
    with (source / "genome-scores.csv").open(encoding="utf-8", newline="") as file:
        films = sorted({row["movieId"] for row in csv.DictReader(file)}, key=lambda film: liked.get(film, 0))
    kept = set(films[20:60])
    rewrite(source / "genome-scores.csv", lambda _, row: row if row[0] in kept else None)


def holes_in_the_genome(source: Path) -> None:
    """Take one tag from every third film."""
    rewrite(source / "genome-scores.csv", lambda _, row: None if int(row[0]) % 3 == 0 and row[1] == "7" else row)


def all_the_same_stars(source: Path) -> None:
    rewrite(source / "ratings.csv", lambda _, row: [row[0], row[1], "4.0", row[3]])


def every_third_row_damaged(source: Path) -> None:
    rewrite(source / "ratings.csv", lambda n, row: ["?", *row[1:]] if n % 3 == 0 else row)


def films_and_users_swapped(source: Path) -> None:
    rewrite(source / "ratings.csv", lambda _, row: [row[1], row[0], *row[2:]])


REJECTED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a truncated genome": (truncated_genome, "likes_with_vector"),
    "films that lack tags": (holes_in_the_genome, "films_without_all_tags"),
    "all ratings the same": (all_the_same_stars, "rating_distribution"),
    "much of a file damaged": (every_third_row_damaged, "rejected_share"),
    "two columns swapped": (films_and_users_swapped, "rejected_share"),
}
"""How a data set is damaged so that it loads, and the check that keeps it from going live."""


@damaged
@pytest.mark.parametrize("kind", REJECTED)
def test_damaged_sources_fail_a_check_before_promotion(
    home: Path, edited_source: Callable[[], Path], kind: str
) -> None:
    damage, check = REJECTED[kind]
    source = edited_source()
    damage(source)
    done = marquee(home, "run", "--source", source, "--replace-source", *SETTINGS, "--json", expect=1)
    report = json.loads(done.stdout)
    assert report["state"] == "rejected"
    assert check in report["failed_checks"]
    assert any(f"{check} failed" in error for error in report["errors"])
    assert Path(report["database"]).exists()
    assert report["release"] in refused(home, "promote", report["release"])


# -- the installation --------------------------------------------------------------------------------------------------


@damaged
def test_thresholds_that_cannot_be_read_are_refused(home: Path) -> None:
    path = home / "checks.toml"
    for content, message in (("drift_warn = often", "cannot be read"), ("no_such_check = 1", "no_such_check")):
        path.write_text(content)
        assert message in refused(home, "refresh", *SETTINGS)
    path.unlink()


# -- and afterwards ----------------------------------------------------------------------------------------------------


def test_good_input_goes_through_without_cleaning(
    small_home: Path, small_source: Path, edited_source: Callable[[], Path], tmp_path: Path
) -> None:
    """After a file and a source that were refused and one that failed a check, in the same home."""
    path = tmp_path / "new.csv"
    path.write_text("this is no table\n")
    refused(small_home, "ingest", path)
    source = edited_source()
    films_and_users_swapped(source)
    report = marquee_json(small_home, "run", "--source", source, "--replace-source", *SETTINGS, expect=1)
    assert report["state"] == "rejected"
    no_ratings(source)
    refused(small_home, "run", "--source", source, "--replace-source")

    report = marquee_json(small_home, "run", "--source", small_source, "--replace-source", *SETTINGS)
    assert report["state"] == "live"
    assert report["failed_checks"] == []
    path.write_text(f"{HEADER}9001,{some_film(small_home).decode()},5.0,{TIME}\n")
    assert marquee_json(small_home, "ingest", path)["files"][0]["accepted"] == 1
    assert marquee_json(small_home, "refresh", *SETTINGS)["state"] == "live"


def test_changed_bytes_of_the_index_are_found_and_a_retrain_repairs_them(small_home: Path) -> None:
    home, before = small_home, live(small_home)
    settings = ("--set", "top_movies=40", "--set", "neighbours=11")
    path = home / "models" / newest_model(home) / "users.ann"
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    report = marquee_json(home, "refresh", *settings, expect=1)
    assert "index_files" in report["failed_checks"]
    assert live(home) == before
    assert marquee_json(home, "run", *settings)["state"] == "live"


def newest_model(home: Path) -> str:
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
        return str(con.execute("SELECT max(model_version) FROM model.annoy_indexes").fetchall()[0][0])


def test_a_release_without_its_pack_is_refused(three_releases: Path, tmp_path: Path) -> None:
    home = copy_home(three_releases, tmp_path)
    before = read(home)
    older = sorted(path.stem for path in (home / "published").glob("*Z-*.duckdb") if path.stem != live(home))[-1]
    shutil.rmtree(home / "published" / f"{older}.pack")
    assert "is gone" in refused(home, "promote", older, "--force", "--why", "to see")
    assert read(home) == before


INSTALLATION = ("thresholds that cannot be read", "an index with changed bytes", "a release whose pack is gone")


def test_there_are_enough_kinds() -> None:
    assert len(LINES) + len(LANDING) + len(SOURCES) + 2 + len(REJECTED) + len(INSTALLATION) >= 40
