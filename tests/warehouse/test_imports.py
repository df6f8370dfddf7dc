"""Imports as users do them: files in a folder, Parquet tables, rejected rows and a manifest out."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.command import DATA, ROOT
from warehouse.errors import SourceError
from warehouse.ingest import importer as imports
from warehouse.ingest import plain_reader
from warehouse.ingest.careful_reader import create_staging, stage_lines
from warehouse.ingest.csv_file import open_csv
from warehouse.ingest.import_manifest import SourceManifest
from warehouse.ingest.importer import import_ratings_file, import_source
from warehouse.ingest.lines import line_chunks
from warehouse.schemas.row_rules import row_rules
from warehouse.sources.resolve import LocalSource, resolve_source

RULES = row_rules()
TIME = 1_000_000_000

MOVIES = "movieId,title,genres\n1,Toy Story (1995),Adventure|Comedy\n2,Jumanji (1995),Fantasy\n3,Heat (1995),Crime\n"
RATINGS = f"userId,movieId,rating,timestamp\n1,1,4.0,{TIME}\n1,2,3.5,{TIME}\n2,3,5.0,{TIME}\n"


def write_source(folder: Path, **files: str | bytes) -> Path:
    """A source folder; names are given without .csv, with underscores for hyphens."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ({"movies": MOVIES, "ratings": RATINGS} | files).items():
        data = content.encode() if isinstance(content, str) else content
        (folder / f"{name.replace('_', '-')}.csv").write_bytes(data)
    return folder


def imported(folder: Path, sources: Path) -> SourceManifest:
    return import_source(LocalSource("test", folder), sources, RULES, progress=False)


def take(tmp_path: Path, **files: str | bytes) -> SourceManifest:
    return imported(write_source(tmp_path / "in", **files), tmp_path / "sources")


def rows(manifest: SourceManifest, table: str) -> list[tuple]:
    return pl.read_parquet(manifest.table(table)).rows()


def rejected(manifest: SourceManifest, source: str) -> list[tuple]:
    """Line, raw text and reason of a file's rejected rows."""
    return [row[1:] for row in rows(manifest, "rejected_rows") if row[0] == source]


def one_rejected(manifest: SourceManifest, source: str) -> tuple:
    (row,) = rejected(manifest, source)
    return row


def check_account(manifest: SourceManifest) -> None:
    for file in manifest.files:
        assert file.accepted + file.rejected == file.data_rows
        assert file.rejected == sum(file.rejected_by_reason.values())


# -- what becomes of good files ----------------------------------------------------------------------------------------


def test_sample_is_taken_in_whole(tmp_path: Path):
    manifest = import_source(resolve_source("sample", tmp_path), tmp_path, RULES, progress=False)
    assert manifest.counts == {"movies": 9742, "ratings": 100_836, "tags": 3683, "rejected_rows": 0}
    assert (manifest.has_scores, manifest.has_tags, manifest.n_tags) == (False, True, 0)
    assert (manifest.folder / "README.txt").is_file()
    schema = dict(row[:2] for row in duckdb.sql(f"DESCRIBE FROM read_parquet('{manifest.table('movies')}')").fetchall())
    assert schema == {"movie_id": "INTEGER", "title": "VARCHAR", "year": "SMALLINT", "genres": "VARCHAR[]"}
    schema = dict(
        row[:2] for row in duckdb.sql(f"DESCRIBE FROM read_parquet('{manifest.table('ratings')}')").fetchall()
    )
    assert schema == {"user_id": "INTEGER", "movie_id": "INTEGER", "rating": "FLOAT", "rated_at": "TIMESTAMP"}


def test_second_import_returns_the_first(tmp_path: Path):
    first = take(tmp_path)
    (first.folder / "marker").touch()
    again = imported(shutil.copytree(tmp_path / "in", tmp_path / "elsewhere"), tmp_path / "sources")
    assert again == first
    assert (first.folder / "marker").exists()


def test_ratings_are_sorted_by_month_user_and_film(tmp_path: Path):
    manifest = import_source(resolve_source("sample", tmp_path), tmp_path, RULES, progress=False)
    table = pl.read_parquet(manifest.table("ratings"))
    assert table.equals(table.sort(pl.col("rated_at").dt.truncate("1mo"), "user_id", "movie_id"))


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy Story (1995)", 1995),
        ("Series (1995-1998)", 1995),
        ("Series (1995–1998)", 1995),
        ("Series (2006– )", 2006),
        ("Spaces (1995)  ", 1995),
        ("No year", None),
        ("1984", None),
        ("(1995) first", None),
        ("Far future (9999)", None),
        ("Too early (1066)", None),
        ("2001 (1968)", 1968),
    ],
)
def test_year_is_read_from_the_end_of_the_title(tmp_path: Path, title: str, year: int | None):
    manifest = take(tmp_path, movies=f"movieId,title,genres\n1,{title},Drama\n2,b (2000),Drama\n3,c (2001),Drama\n")
    assert rows(manifest, "movies")[0] == (1, title, year, ["Drama"])


def test_no_genres_listed_is_an_empty_list(tmp_path: Path):
    manifest = take(tmp_path, movies="movieId,title,genres\n1,A (2000),(no genres listed)\n2,B,\n3,C,X|Y\n")
    assert [row[3] for row in rows(manifest, "movies")] == [[], [], ["X", "Y"]]


def test_quoted_commas_and_doubled_quotes_in_titles(tmp_path: Path):
    movies = 'movieId,title,genres\n1,"Good, the ""Bad"" (1966)",Western\n2,A "B" (2000),Drama\n3,"""Q"" (1)",Drama\n'
    manifest = take(tmp_path, movies=movies)
    titles = [row[1] for row in rows(manifest, "movies")]
    assert titles == ['Good, the "Bad" (1966)', 'A "B" (2000)', '"Q" (1)']


def test_crlf_bom_column_order_and_extra_columns_change_nothing(tmp_path: Path):
    plain = take(tmp_path / "a")
    ratings = "\r\n".join(
        ["\ufefftimestamp,note,movieId,rating,userId"]
        + [f'{time},"x, y",{film},{stars},{user}' for user, film, stars, time in
           (line.split(",") for line in RATINGS.splitlines()[1:])]
    )  # fmt: skip
    other = take(
        tmp_path / "b", ratings=ratings + "\r\n", movies=b"\xef\xbb\xbf" + MOVIES.replace("\n", "\r\n").encode()
    )
    for table in ("movies", "ratings", "rejected_rows"):
        assert rows(plain, table) == rows(other, table)


def test_both_readers_give_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fast = import_source(resolve_source("sample", tmp_path), tmp_path / "fast", RULES, progress=False)
    genome = "movieId,tagId,relevance\n" + "".join(
        f"{film},{tag},{value}\n"
        for film in (1, 2)
        for tag, value in enumerate(["0.029000000000000026", "5.0E-4", "1", "0.33325"], 1)
    )
    tags = "tagId,tag\n1,a\n2,b\n3,c\n4,d\n"
    fast_genome = take(tmp_path / "fast-genome", genome_scores=genome, genome_tags=tags)
    monkeypatch.setattr(plain_reader, "read_plain", lambda header, layout, lines: None)
    slow = import_source(resolve_source("sample", tmp_path), tmp_path / "slow", RULES, progress=False)
    slow_genome = take(tmp_path / "slow-genome", genome_scores=genome, genome_tags=tags)
    for one, other in ((fast, slow), (fast_genome, slow_genome)):
        assert one.fingerprint == other.fingerprint
        assert one.counts == other.counts
        for table in one.tables:
            assert pl.read_parquet(one.table(table)).equals(pl.read_parquet(other.table(table)))


def test_small_chunks_give_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = {"ratings": RATINGS + "x,1,4.0,1\n\n" + f"3,1,4.0,{TIME}\n3,2,4.0,{TIME}"}
    whole = take(tmp_path / "whole", **files)
    monkeypatch.setattr("warehouse.ingest.lines.CHUNK_BYTES", 40)
    parts = take(tmp_path / "parts", **files)
    for table in whole.tables:
        assert rows(whole, table) == rows(parts, table)


def test_shuffled_lines_give_the_same_tables(tmp_path: Path):
    sample = ROOT / "sample"
    straight = imported(sample, tmp_path / "straight")
    shuffled = tmp_path / "in"
    shuffled.mkdir()
    for name in ("movies.csv", "ratings.csv", "tags.csv"):
        header, *lines = (sample / name).read_text().splitlines(keepends=True)
        random.Random(7).shuffle(lines)
        (shuffled / name).write_text(header + "".join(lines))
    other = imported(shuffled, tmp_path / "shuffled")
    assert other.fingerprint != straight.fingerprint
    for table in straight.tables:
        assert pl.read_parquet(straight.table(table)).equals(pl.read_parquet(other.table(table)))


@given(order=st.permutations(range(6)))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_which_rating_is_kept_does_not_depend_on_the_order(tmp_path_factory: pytest.TempPathFactory, order: list[int]):
    lines = [
        f"1,1,2.0,{TIME}",
        f"1,1,3.0,{TIME + 5}",
        f"1,1,4.5,{TIME + 5}",
        f"1,1,4.5,{TIME + 5}",
        f"1,1,5.0,{TIME - 5}",
        f"2,1,1.0,{TIME}",
    ]
    text = "userId,movieId,rating,timestamp\n" + "".join(lines[i] + "\n" for i in order)
    manifest = take(tmp_path_factory.mktemp("order"), ratings=text)
    kept = [(row[0], row[2]) for row in rows(manifest, "ratings")]
    assert kept == [(1, 4.5), (2, 1.0)]
    assert Counter(reason for _, _, reason in rejected(manifest, "ratings.csv")) == {
        "superseded by a later rating of the same film by the same user": 2,
        "superseded by a higher rating of the same film by the same user at the same time": 1,
        "duplicate row": 1,
    }


# -- bad input: files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["movies.csv", "ratings.csv"])
def test_missing_file(tmp_path: Path, name: str):
    folder = write_source(tmp_path / "in")
    (folder / name).unlink()
    with pytest.raises(SourceError, match=f"{name} missing"):
        resolve_source(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ratings": ""}, "ratings.csv: the file is empty .*userId,movieId,rating,timestamp"),
        ({"movies": "\n\n"}, "movies.csv: the file is empty"),
        ({"ratings": "userId,movieId,rating,timestamp\n"}, "no rows after the first line"),
        ({"ratings": "userId,movieId,timestamp\n1,1,1\n"}, "ratings.csv: column rating missing"),
        ({"ratings": f"1,1,4.0,{TIME}\n"}, "ratings.csv: no header: .*userId,movieId,rating,timestamp"),
        ({"ratings": RATINGS.replace("\n", "\r")}, "ratings.csv: no header"),
        ({"movies": "movieId;title;genres\n1;a;b\n"}, "movies.csv: no header: .*movieId,title,genres"),
        ({"movies": "movieId,title,title,genres\n1,a,b,c\n"}, "column title appears twice"),
        ({"movies": MOVIES.encode("utf-16")}, "UTF-16"),
        ({"movies": b"PK\x03\x04" + bytes(5000)}, "no header"),
        (
            {"ratings": f"userId,movieId,rating,timestamp\n1,99,4.0,{TIME}\n"},
            "none of the 1 rows .* line 2: unknown film",
        ),
        ({"genome_tags": "tagId,tag\n1,a\n"}, "genome-tags.csv is there but genome-scores.csv is not"),
        (
            {"genome_tags": "tagId,tag\n1,a\n2,b\n", "genome_scores": "movieId,tagId,relevance\n1,1,0.5\n"},
            "genome-scores.csv: none of the 1 rows can be used, .*film has 1 of 2 tags",
        ),
    ],
)
def test_files_that_are_no_data_set(tmp_path: Path, files: dict, message: str):
    with pytest.raises(SourceError, match=message) as caught:
        take(tmp_path, **files)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "sources").glob("[0-9a-f]*"))
    assert not list((tmp_path / "sources").glob(".incoming-*"))


# -- bad input: rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"1,1,5.5,{TIME}", "rating is above 5.0"),
        (f"1,1,0,{TIME}", "rating is below 0.5"),
        (f"1,1,-3,{TIME}", "rating is below 0.5"),
        (f"1,1,nan,{TIME}", "rating is missing or cannot be read"),
        (f"1,1,inf,{TIME}", "rating is missing or cannot be read"),
        (f"1,1,1e400,{TIME}", "rating is missing or cannot be read"),
        (f"1,1,,{TIME}", "rating is missing or cannot be read"),
        (f"1,1,four,{TIME}", "rating is missing or cannot be read"),
        (f"0,1,4,{TIME}", "user_id is below 1"),
        (f"1.5,1,4,{TIME}", "user_id is missing or cannot be read"),
        (f"0x1,1,4,{TIME}", "user_id is missing or cannot be read"),
        (f"1_0,1,4,{TIME}", "user_id is missing or cannot be read"),
        (f"1e1,1,4,{TIME}", "user_id is missing or cannot be read"),
        (f"2147483648,1,4,{TIME}", "user_id is beyond 32 bits"),
        (f"1,99999999999999999999999,4,{TIME}", "movie_id is beyond 32 bits"),
        (f"1,99,4,{TIME}", "unknown film"),
        ("1,1,4,yesterday", "rated_at is missing or cannot be read"),
        ("1,1,4,99999999999999", "rated_at is missing or cannot be read"),
        ("1,1,4,100000000000", "rated_at lies in the future"),
        ("1,1,4,-1", "rated_at is before 1995-01-01"),
        ("1,1,4", "expected 4 columns, found 3"),
        (f"1,1,4,{TIME},9", "expected 4 columns, found 5"),
        ("", "empty line"),
        ("total rubbish", "expected 4 columns, found 1"),
        (f'1,1,"4,{TIME}', "a quote is never closed, or text follows the closing one"),
    ],
)
def test_bad_rating_lines_are_kept_with_line_and_reason(tmp_path: Path, line: str, reason: str):
    manifest = take(tmp_path, ratings=RATINGS + line + f"\n3,1,4.0,{TIME}\n")
    assert one_rejected(manifest, "ratings.csv") == (5, line, reason)
    assert manifest.counts["ratings"] == 4
    check_account(manifest)


def test_unreadable_bytes_are_kept_as_escapes(tmp_path: Path):
    manifest = take(tmp_path, ratings=RATINGS.encode() + b"1,3,\x81\x00,1\n")
    assert one_rejected(manifest, "ratings.csv") == (5, "1,3,\\x81\\x00,1", "text is neither UTF-8 nor Windows-1252")


def test_latin_1_titles_are_read_and_noted(tmp_path: Path):
    movies = MOVIES.encode() + "4,Amélie (2001),Comedy\n".encode("latin-1") + "5,Café (2002),Drama\n".encode()
    manifest = take(tmp_path, movies=movies)
    assert [row[1] for row in rows(manifest, "movies")[3:]] == ["Amélie (2001)", "Café (2002)"]
    (file,) = (file for file in manifest.files if file.name == "movies.csv")
    assert file.notes == ("1 lines are not UTF-8 and were read as Windows-1252",)


@given(order=st.permutations(["1,B film (2000),Drama", "1,A film (2000),Drama", "1,A film (2000),Drama"]))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_duplicate_films(tmp_path_factory: pytest.TempPathFactory, order: list[str]):
    movies = "movieId,title,genres\n" + "\n".join(order) + "\n2,b,c\n3,d,e\n"
    manifest = take(tmp_path_factory.mktemp("films"), movies=movies)
    assert rows(manifest, "movies")[0][:2] == (1, "A film (2000)")
    assert Counter(reason for _, _, reason in rejected(manifest, "movies.csv")) == {
        "duplicate row": 1,
        "movie_id belongs to another film of this file": 1,
    }


def test_tags_of_unknown_films_and_twice_the_same(tmp_path: Path):
    tags = f'userId,movieId,tag,timestamp\n1,1,"a, b",{TIME}\n1,1,"a, b",{TIME}\n1,77,x,{TIME}\n1,2,,{TIME}\n'
    manifest = take(tmp_path, tags=tags)
    assert [row[:3] for row in rows(manifest, "tags")] == [(1, 1, "a, b")]
    assert [(line, reason) for line, _, reason in rejected(manifest, "tags.csv")] == [
        (3, "duplicate row"), (4, "unknown film"), (5, "tag is empty"),
    ]  # fmt: skip
    check_account(manifest)


def test_genome_is_gathered_and_incomplete_films_left_out(tmp_path: Path):
    scores = [(1, 2, 0.2), (1, 1, 0.1), (2, 1, 0.5), (3, 1, 0.3), (3, 2, 1.5), (9, 1, 0.9), (9, 2, 0.8), (1, 7, 0.7)]
    manifest = take(
        tmp_path,
        genome_tags='tagId,tag\n1,"a ""b"", c"\n2,d\n',
        genome_scores="movieId,tagId,relevance\n" + "".join(f"{m},{t},{r}\n" for m, t, r in scores),
    )
    assert manifest.n_tags == 2
    assert manifest.has_scores
    (film,) = rows(manifest, "genome")
    assert film[0] == 1
    assert film[1] == pytest.approx([0.1, 0.2])
    assert rows(manifest, "genome_tags") == [(1, 'a "b", c'), (2, "d")]
    assert rejected(manifest, "genome-scores.csv") == [
        (4, "2,1,0.5", "film has 1 of 2 tags"),
        (5, "3,1,0.3", "film has 1 of 2 tags"),
        (6, "3,2,1.5", "relevance is above 1.0"),
        (7, "9,1,0.9", "unknown film: all 2 scores"),
        (9, "1,7,0.7", "unknown tag"),
    ]
    assert manifest.incomplete_genome_films.count == 2
    assert manifest.incomplete_genome_films.examples == ("film 2: 1 of 2 tags", "film 3: 1 of 2 tags")
    check_account(manifest)


def test_real_excerpt_is_used_as_far_as_it_goes(tmp_path: Path):
    manifest = imported(DATA / "ml-latest-cut", tmp_path)
    check_account(manifest)
    assert manifest.n_tags == 1128
    assert manifest.counts["genome"] == 24
    assert manifest.incomplete_genome_films.examples == ("film 25: 343 of 1128 tags",)
    assert manifest.counts["ratings"] + len(rejected(manifest, "ratings.csv")) == 6_000
    assert {reason for _, _, reason in rejected(manifest, "ratings.csv")} == {"unknown film"}
    with (DATA / "ml-latest-cut" / "ratings.csv").open() as file:
        lines = file.read().splitlines()
    assert all(lines[line - 1] == raw for line, raw, _ in rejected(manifest, "ratings.csv"))


field = st.one_of(
    st.integers(-1, 4).map(str),
    st.sampled_from(
        ["", "4.0", "0.5", "nan", '"1"', '"', " 2", "2147483648", str(TIME), str(TIME + 1), "é", "\x00", "\r"]
    ),
    st.text(alphabet=st.characters(blacklist_characters="\n", blacklist_categories=("Cs",)), max_size=3),
)
good_line = st.tuples(
    st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 2.5, 4]), st.integers(TIME, TIME + 2)
).map(lambda values: ",".join(map(str, values)).encode())
bad_line = st.one_of(st.lists(field, max_size=6).map(lambda fields: ",".join(fields).encode()), st.binary(max_size=12))
any_line = st.one_of(good_line, bad_line.map(lambda line: line.replace(b"\n", b"")))


@given(lines=st.lists(any_line, max_size=12), last=st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], last: bool):
    folder = tmp_path_factory.mktemp("lines")
    content = b"userId,movieId,rating,timestamp\n" + b"\n".join(lines) + (b"\n" if last and lines else b"")
    path = folder / "landing.csv"
    path.write_bytes(content)
    expected = content.split(b"\n")[1:]
    if expected and expected[-1] == b"":
        expected.pop()
    try:
        manifest = import_ratings_file(path, folder / "sources", RULES, [1, 2, 3], progress=False)
    except SourceError:
        # Half written: only a last line without an end may be refused with the whole file.
        assert not last
        assert lines
        return
    check_account(manifest)
    (file,) = manifest.files
    refused = rejected(manifest, "landing.csv")
    assert file.data_rows == len(expected) == manifest.counts["ratings"] + len(refused)
    assert len({line for line, _, _ in refused}) == len(refused)
    assert all(2 <= line <= len(expected) + 1 and reason for line, _, reason in refused)
    kept = {row[:2] for row in rows(manifest, "ratings")}
    assert len(kept) == manifest.counts["ratings"]


number = st.one_of(
    st.integers(-2, 5).map(str),
    st.from_regex(r"[ +\-]?[0-9]{0,3}[.]?[0-9]{0,2}(e[0-9])?[ \r]?", fullmatch=True),
    st.sampled_from(
        [
            "",
            "nan",
            "inf",
            "0x1",
            "1_0",
            "4.0",
            "007",
            "2147483647",
            "2147483648",
            str(TIME),
            "\t1",
            "1\r",
            "\v1",
            "\u00a01",
            "\u30001",
            "+-1",
            "--1",
            "1e1",
            ".5",
            "5.",
            "1E+1",
            "1d1",
            "١",
        ]
    ),
)


@given(lines=st.lists(st.lists(number, min_size=3, max_size=5).map(",".join), min_size=1, max_size=3))
@settings(max_examples=400)
def test_plain_reader_takes_only_what_the_careful_one_reads_alike(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
):
    path = tmp_path_factory.mktemp("plain") / "ratings.csv"
    path.write_bytes(("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n").encode())
    file = open_csv(path, "ratings")
    (chunk,) = line_chunks(path, file.data_offset)
    plain = plain_reader.read_plain(file.header, file.layout, chunk)
    if plain is None:
        return
    con = duckdb.connect()
    create_staging(con, file.layout)
    stage_lines(con, file.header, file.layout, chunk)
    assert con.execute("FROM unreadable").fetchall() == []
    assert con.execute("FROM staged ORDER BY line").fetchall() == plain.rows()


# -- landing files -----------------------------------------------------------------------------------------------------


def landing(tmp_path: Path, content: bytes, name: str = "new.csv") -> SourceManifest:
    path = tmp_path / name
    path.write_bytes(content)
    return import_ratings_file(path, tmp_path / "sources", RULES, [1, 2, 3], progress=False)


def test_landing_file_is_recognised_under_another_name(tmp_path: Path):
    first = landing(tmp_path, RATINGS.encode())
    again = landing(tmp_path, RATINGS.encode(), "other.csv")
    assert again == first
    assert first.kind == "ratings"
    assert first.counts == {"ratings": 3, "rejected_rows": 0}


def test_other_known_films_make_another_import(tmp_path: Path):
    path = tmp_path / "new.csv"
    path.write_text(RATINGS)
    known = tmp_path / "movies.parquet"
    pl.DataFrame({"movie_id": [1]}, schema={"movie_id": pl.Int32}).write_parquet(known)
    one = import_ratings_file(path, tmp_path / "sources", RULES, known, progress=False)
    all_three = import_ratings_file(path, tmp_path / "sources", RULES, [1, 2, 3], progress=False)
    assert one.counts["ratings"] == 1
    assert all_three.counts["ratings"] == 3


def test_parquet_with_either_names(tmp_path: Path):
    con = duckdb.connect()
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    con.execute(
        f"COPY (SELECT i::BIGINT AS userId, 1 AS movieId, 4.5::DOUBLE AS rating, {TIME} + i AS timestamp "
        f"FROM range(1, 4) t(i)) TO '{theirs}'"
    )
    con.execute(
        f"COPY (SELECT i::INTEGER AS user_id, 1 AS movie_id, 4.5::FLOAT AS rating, "
        f"make_timestamp(({TIME} + i) * 1000000)::TIMESTAMPTZ AT TIME ZONE 'UTC' AS rated_at "
        f"FROM range(1, 4) t(i)) TO '{ours}'"
    )
    one, other = (import_ratings_file(p, tmp_path / "s", RULES, [1], progress=False) for p in (theirs, ours))
    csv = "userId,movieId,rating,timestamp\n" + "".join(f"{i},1,4.5,{TIME + i}\n" for i in (1, 2, 3))
    assert rows(one, "ratings") == rows(other, "ratings") == rows(landing(tmp_path, csv.encode()), "ratings")


def test_bad_parquet_rows_are_kept(tmp_path: Path):
    path = tmp_path / "new.parquet"
    frame = pl.DataFrame({"userId": [1, 2**40, None, 4], "movieId": 1, "rating": [9.0, 4, 4, 4], "timestamp": TIME})
    frame.write_parquet(path)
    manifest = import_ratings_file(path, tmp_path / "sources", RULES, [1], progress=False)
    assert rejected(manifest, "new.parquet") == [
        (1, f"1,1,9.0,{TIME}", "rating is above 5.0"),
        (2, f"1099511627776,1,4.0,{TIME}", "user_id is beyond 32 bits"),
        (3, f",1,4.0,{TIME}", "user_id is missing or cannot be read"),
    ]
    check_account(manifest)


@pytest.mark.parametrize("cut", [1, 8, 40, 200])
def test_half_written_parquet(tmp_path: Path, cut: int):
    path = tmp_path / "new.parquet"
    pl.DataFrame({"userId": [1], "movieId": [1], "rating": [4.0], "timestamp": [TIME]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(SourceError, match=r"new\.parquet: not a"):
        import_ratings_file(path, tmp_path / "sources", RULES, [1], progress=False)


def test_parquet_without_a_column(tmp_path: Path):
    path = tmp_path / "new.parquet"
    pl.DataFrame({"userId": [1], "movieId": [1], "stars": [4.0], "timestamp": [TIME]}).write_parquet(path)
    with pytest.raises(SourceError, match="column rating missing"):
        import_ratings_file(path, tmp_path / "sources", RULES, [1], progress=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"1,1,4.0,1000000000\n", "no header"),
        (RATINGS.encode() + b"3,1,4.0,10000", "half written: the last line, 5, is cut off"),
        (RATINGS.encode() + b"3,1", "half written"),
    ],
)
def test_landing_files_that_are_refused(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(SourceError, match=message):
        landing(tmp_path, content)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="not a regular file"):
        import_ratings_file(tmp_path / "pipe.csv", tmp_path / "sources", RULES, [1, 2, 3], progress=False)


def test_text_named_parquet(tmp_path: Path):
    with pytest.raises(SourceError, match="not a Parquet file"):
        landing(tmp_path, RATINGS.encode(), "new.parquet")


# -- the folder --------------------------------------------------------------------------------------------------------


def test_manifest_names_everything(tmp_path: Path):
    manifest = take(tmp_path, ratings=RATINGS + "x\n")
    stored = json.loads((manifest.folder / "manifest.json").read_text())
    assert stored["fingerprint"] == manifest.folder.name
    assert stored["kind"] == "source"
    assert stored["counts"] == {"movies": 3, "ratings": 3, "rejected_rows": 1}
    ratings = next(file for file in stored["files"] if file["name"] == "ratings.csv")
    assert ratings["rejected_by_reason"] == {"expected 4 columns, found 1": 1}
    assert ratings["bytes"] == (tmp_path / "in" / "ratings.csv").stat().st_size


def test_leftovers_of_killed_imports_are_removed(tmp_path: Path):
    leftover = tmp_path / "sources" / ".incoming-killed"
    (leftover / "import").mkdir(parents=True)
    take(tmp_path)
    assert not leftover.exists()


def test_imports_at_the_same_time_take_turns(tmp_path: Path):
    folder = write_source(tmp_path / "in")
    with ThreadPoolExecutor(4) as pool:
        manifests = list(pool.map(lambda _: imported(folder, tmp_path / "sources"), range(4)))
    assert all(manifest == manifests[0] for manifest in manifests)
    assert sorted(p.name for p in (tmp_path / "sources").iterdir()) == [".lock", manifests[0].fingerprint]


def test_damaged_import_is_made_again(tmp_path: Path):
    first = take(tmp_path)
    first.table("ratings").write_bytes(b"")
    again = imported(tmp_path / "in", tmp_path / "sources")
    assert again.fingerprint == first.fingerprint
    assert len(rows(again, "ratings")) == 3


def test_killed_at_any_moment_leaves_nothing_or_everything(tmp_path: Path):
    script = (
        "import sys, os; from pathlib import Path; from warehouse.ingest import importer as imports\n"
        "from warehouse.schemas.row_rules import row_rules\n"
        "from warehouse.sources.resolve import LocalSource\n"
        "real, left = imports.Work.copy, [int(sys.argv[3])]\n"
        "def copy(*args):\n    left[0] -= 1\n    left[0] or os._exit(9)\n    return real(*args)\n"
        "imports.Work.copy = copy\n"
        "imports.import_source(LocalSource('t', Path(sys.argv[1])), Path(sys.argv[2]), row_rules(), progress=False)\n"
    )
    folder, sources = write_source(tmp_path / "in"), tmp_path / "sources"
    for moment in (1, 3):
        command = [sys.executable, "-c", script, str(folder), str(sources), str(moment)]
        assert subprocess.run(command, cwd=ROOT, env=os.environ, check=False).returncode == 9
        assert not list(sources.glob("[0-9a-f]*"))
    assert imported(folder, sources).counts["ratings"] == 3
    assert not list(sources.glob(".incoming-*"))


def test_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_source(tmp_path / "in")
    real = imports.import_table

    def meanwhile(work, file, **options):
        with (folder / "ratings.csv").open("a") as ratings:
            ratings.write(f"9,1,4.0,{TIME}\n")
        real(work, file, **options)

    monkeypatch.setattr(imports, "import_table", meanwhile)
    with pytest.raises(SourceError, match="changed while it was read"):
        imported(folder, tmp_path / "sources")
