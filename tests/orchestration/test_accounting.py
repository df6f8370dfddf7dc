"""Nothing that came in is lost: what is in use, what was replaced and what was rejected add up over all files, and an
analyst finds each of them in the release."""

import hashlib
from pathlib import Path
from typing import Any

import duckdb

from tests.command import marquee_json
from tests.orchestration.test_partitions import working_table

HEADER = "userId,movieId,rating,timestamp\n"
LATER, LATEST = 1_900_000_000 - 2**28, 1_900_000_000 - 2**27


def published(home: Path, query: str) -> list[Any]:
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def test_every_row_is_accounted_for_over_all_files(small_home: Path, tmp_path: Path) -> None:
    (old_user, old_film, _), (user, film, stars) = published(
        small_home, "SELECT user_id, movie_id, rating FROM ratings ORDER BY rated_at DESC, user_id LIMIT 2"
    )
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    rows = [
        f"{old_user},{old_film},0.5,800000000",  # older than the source's
        f"{user},{film},1.5,{LATER}",  # replaces the source's
        f"910001,{film},5.0,{LATER}",  # replaced by the second file
        f"910002,{film},5.0,{LATER}",
        f"910003,{film},50,{LATER}",
    ]
    first.write_text(HEADER + "\n".join(rows) + "\n")
    second.write_text(HEADER + f"910001,{film},2.0,{LATEST}\n910002,{film},5.0,{LATER}\n910004,{film},4.0,{LATER}\n")
    for file in (first, second):
        marquee_json(small_home, "ingest", file)
    assert working_table(
        small_home, "SELECT name, accepted, superseded, rejected FROM raw.rating_files ORDER BY 1"
    ) == [
        ("first.csv", 2, 2, 1),
        ("second.csv", 2, 1, 0),
    ]
    assert marquee_json(small_home, "refresh", "--set", "top_movies=40")["state"] == "live"
    files = published(small_home, "SELECT name, sha256, bytes, rows, rejected FROM source_files")
    mine = {row[0]: row[1:] for row in files if row[0] in ("first.csv", "second.csv")}
    assert mine == {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, count, lost)
        for path, count, lost in ((first, 5, 3), (second, 3, 1))
    }
    in_use = sum(row[3] - row[4] for row in files if row[0] in ("ratings.csv", *mine))
    assert [(in_use,)] == published(small_home, "SELECT count(*) FROM ratings")
    found = {(file, line, raw): reason for file, line, raw, reason in published(small_home, "FROM rejected_rows")}
    assert found["first.csv", None, f"{old_user},{old_film},0.5,800000000"].startswith("superseded by a later rating")
    assert found["first.csv", None, f"910001,{film},5.0,{LATER}"].startswith("superseded by a later rating")
    assert found["second.csv", None, f"910002,{film},5.0,{LATER}"] == "duplicate of a row of another file"
    assert found["first.csv", 6, f"910003,{film},50,{LATER}"] == "rating is above 5.0"
    (replaced,) = [raw for file, _, raw in found if file == "ratings.csv" and raw.startswith(f"{user},{film},{stars},")]
    assert found["ratings.csv", None, replaced].startswith("superseded by a later rating")


def test_a_file_without_a_usable_row_leaves_its_rows_in_the_next_release(small_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "useless.csv"
    file.write_text(HEADER + f"1,1,many,{LATER}\n" * 3)
    marquee_json(small_home, "ingest", file, expect=None)
    marquee_json(small_home, "refresh", "--set", "top_movies=40")
    found = published(small_home, "SELECT line, reason FROM rejected_rows WHERE file = 'useless.csv' ORDER BY line")
    assert found == [(line, "rating is missing or cannot be read") for line in (2, 3, 4)]
