"""`marquee ingest`: new ratings arrive once, in the months they belong to; the next run recommends from them."""

from pathlib import Path

import duckdb

from checks.tables.incoming import FILE_CHECKS
from tests.command import marquee, marquee_json
from tests.orchestration.test_partitions import working_table

HEADER = "userId,movieId,rating,timestamp\n"
IN_2017, IN_2018 = 1_500_000_000, 1_530_000_000


def films(home: Path) -> list[int]:
    rows = working_table(home, "SELECT movie_id FROM recs.signup_movies ORDER BY position LIMIT 5")
    return [int(str(row[0])) for row in rows]


def test_new_ratings_touch_their_months_and_reach_the_release(small_home: Path, tmp_path: Path) -> None:
    a, b, c, *_ = films(small_home)
    file = tmp_path / "new.csv"
    file.write_text(HEADER + f"900001,{a},5.0,{IN_2018}\n900001,{b},4.5,{IN_2018}\n900001,{c},4.0,{IN_2017}\n")
    months_before = dict(working_table(small_home, "SELECT month, fingerprint FROM raw.rating_months"))
    report = marquee_json(small_home, "ingest", file, "--set", "top_movies=40")
    assert report["months"] == ["2017-07-01", "2018-06-01"]
    assert report["files"][0]["accepted"] == 3
    months_after = dict(working_table(small_home, "SELECT month, fingerprint FROM raw.rating_months"))
    changed = {str(month) for month in months_after if months_after[month] != months_before.get(month)}
    assert changed == {"2017-07-01", "2018-06-01"}
    assert working_table(small_home, "SELECT count(*) FROM model.likes WHERE user_id = 900001") == [(3,)]
    released = marquee_json(small_home, "run", "--set", "top_movies=40")
    assert released["state"] == "live"
    with duckdb.connect(released["database"], read_only=True) as con:
        assert con.execute("SELECT count(*) FROM ratings WHERE user_id = 900001").fetchone() == (3,)


def test_the_same_content_under_another_name_counts_once(small_home: Path, tmp_path: Path) -> None:
    a, b, *_ = films(small_home)
    text = HEADER + f"900002,{a},5.0,{IN_2018}\n900002,{b},3.0,{IN_2018}\n"
    (tmp_path / "one.csv").write_text(text)
    (tmp_path / "two.csv").write_text(text)
    first = marquee_json(small_home, "ingest", tmp_path / "one.csv", "--set", "top_movies=40")
    rows = working_table(small_home, "SELECT * FROM raw.ratings ORDER BY ALL")
    second = marquee_json(small_home, "ingest", tmp_path / "two.csv", "--set", "top_movies=40")
    assert [first["files"][0]["known"], second["files"][0]["known"]] == [False, True]
    assert second["months"] == []
    assert working_table(small_home, "SELECT * FROM raw.ratings ORDER BY ALL") == rows


def test_a_later_rating_replaces_an_earlier_one_in_another_month(small_home: Path, tmp_path: Path) -> None:
    a, *_ = films(small_home)
    (tmp_path / "early.csv").write_text(HEADER + f"900003,{a},5.0,{IN_2017}\n")
    (tmp_path / "late.csv").write_text(HEADER + f"900003,{a},2.0,{IN_2018}\n")
    marquee_json(small_home, "ingest", tmp_path / "late.csv", "--set", "top_movies=40")
    late_then_early = marquee_json(small_home, "ingest", tmp_path / "early.csv", "--set", "top_movies=40")
    assert late_then_early["months"] == []
    query = "SELECT rating FROM raw.ratings WHERE user_id = 900003"
    assert working_table(small_home, query) == [(2.0,)]
    (tmp_path / "latest.csv").write_text(HEADER + f"900003,{a},4.5,{IN_2018 + 40 * 86_400}\n")
    report = marquee_json(small_home, "ingest", tmp_path / "latest.csv", "--set", "top_movies=40")
    assert report["months"] == ["2018-06-01", "2018-08-01"]
    assert working_table(small_home, query) == [(4.5,)]


def test_rejected_rows_are_kept_with_line_and_reason(small_home: Path, tmp_path: Path) -> None:
    a, *_ = films(small_home)
    file = tmp_path / "mixed.csv"
    file.write_text(
        HEADER + f"900004,{a},5.0,{IN_2018}\n900004,{a},9.0,{IN_2018}\n900004,99999999,5.0,{IN_2018}\nx,y\n"
    )
    report = marquee_json(small_home, "ingest", file, "--set", "top_movies=40")
    assert (report["files"][0]["accepted"], report["files"][0]["rejected"]) == (1, 3)
    kept = working_table(
        small_home, "SELECT line, reason FROM raw.rejected_rows WHERE source = 'mixed.csv' ORDER BY line"
    )
    assert [row[0] for row in kept] == [3, 4, 5]


def test_a_file_of_nothing_but_rejected_rows_is_no_success(small_home: Path, tmp_path: Path) -> None:
    file, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    file.write_text(HEADER + f"900005,1,50,{IN_2018}\n" * 4 + f"0,1,4.0,{IN_2018}\n")
    good.write_text(HEADER + f"900005,{films(small_home)[0]},5.0,{IN_2018}\n")
    done = marquee(small_home, "ingest", file, good, expect=1)
    assert "bad.csv: 0 ratings ingested, 5 rows rejected\n    4 rows: rating is above 5.0\n" in done.stdout
    assert "good.csv: 1 ratings ingested, 0 rows rejected\n" in done.stdout
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("marquee: ")]
    assert "bad.csv: none of its 5 rows can be used" in said
    with duckdb.connect() as con:
        kept = con.execute("SELECT line FROM read_parquet(?) ORDER BY line", [said.split(" in ")[1]]).fetchall()
    assert kept == [(2,), (3,), (4,), (5,), (6,)]
    assert "rejected_share_per_file: bad.csv: 1 of its rows rejected, 5 of 5 " in done.stderr
    assert "(value 1, threshold 0.25)" in done.stderr
    assert working_table(small_home, "SELECT count(*) FROM raw.rejected_rows WHERE source = 'bad.csv'") == [(5,)]
    assert working_table(small_home, "SELECT user_id FROM raw.ratings WHERE user_id = 900005") == [(900005,)]


def test_how_many_rows_of_a_file_may_be_rejected_is_a_setting_of_the_home(small_home: Path, tmp_path: Path) -> None:
    a, *_ = films(small_home)
    file = tmp_path / "mixed.csv"
    file.write_text(HEADER + f"900006,{a},5.0,{IN_2018}\n900007,{a},9.0,{IN_2018}\n")
    settings = {"": (["rejected_share_per_file"], []), "rejected_share_error = 0.6": ([], ["rejected_share_per_file"]),
                "rejected_share_error = 0.6\nrejected_share_warn = 0.5": ([], [])}  # fmt: skip
    for text, (errors, warnings) in settings.items():
        (small_home / "checks.toml").write_text(text)
        report = marquee_json(small_home, "ingest", file)
        found = [[name for name in report[kind] if name in FILE_CHECKS] for kind in ("failed_checks", "warnings")]
        assert found == [errors, warnings], text


def test_a_file_that_is_no_table_is_refused_with_one_line(small_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("nothing to see here\n")
    done = marquee(small_home, "ingest", file, expect=1)
    assert "notes.csv" in done.stderr
    assert working_table(small_home, "SELECT count(*) FROM raw.rating_files") == [(0,)]
