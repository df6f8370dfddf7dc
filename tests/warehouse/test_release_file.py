"""A release as an analyst meets it: readable by old clients, described inside, with views and macros naming films."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from warehouse.releases.release_file import STORAGE_VERSION

OLDEST = "1.2.2"
"""The oldest DuckDB on PyPI's line 1.2 with wheels for the Python that is tested."""

SCRIPT = """
import json, sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
a, b = con.execute("SELECT movie_a, movie_b FROM pair_recommendations LIMIT 1").fetchone()
print(json.dumps({
    "version": duckdb.__version__,
    "pair": con.execute("FROM recommend_pair(?, ?)", [b, a]).fetchall(),
    "titles": con.execute("SELECT count(*) FROM pairs_with_titles").fetchone()[0],
    "vector": con.execute("SELECT relevance FROM genome ORDER BY movie_id LIMIT 1").fetchone()[0],
    "comment": con.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'ratings'").fetchone()[0],
}))
"""


def release(home: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True)


@pytest.fixture(scope="module")
def old_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the oldest DuckDB that releases claim to be readable by."""
    assert OLDEST.startswith(STORAGE_VERSION.removeprefix("v").removesuffix(".0"))
    folder = tmp_path_factory.mktemp("duckdb")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, f"duckdb=={OLDEST}"], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"duckdb {OLDEST} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return folder


def test_the_oldest_duckdb_claimed_reads_a_release(small_live: Path, old_duckdb: Path) -> None:
    path = str(small_live / "published" / "current.duckdb")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path],
        env={"PYTHONPATH": str(old_duckdb)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["version"] == OLDEST
    with release(small_live) as con:
        a, b = con.execute("SELECT movie_a, movie_b FROM pair_recommendations LIMIT 1").fetchall()[0]
        assert found["pair"] == [list(row) for row in con.execute("FROM recommend_pair(?, ?)", [a, b]).fetchall()]
        assert found["titles"] == con.execute("SELECT count(*) FROM pair_recommendations").fetchall()[0][0]
        vector = con.execute("SELECT relevance FROM genome ORDER BY movie_id LIMIT 1").fetchall()[0][0]
    assert found["vector"] == pytest.approx(vector)
    assert found["comment"]


def test_everything_in_a_release_says_what_it_is(small_live: Path) -> None:
    with release(small_live) as con:
        described = {
            kind: dict(con.execute(query).fetchall())
            for kind, query in {
                "tables": "SELECT table_name, comment FROM duckdb_tables()",
                "columns": "SELECT table_name || '.' || column_name, comment FROM duckdb_columns() "
                "SEMI JOIN duckdb_tables() USING (table_name)",
                "views": "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal",
                "macros": "SELECT function_name, comment FROM duckdb_functions() WHERE function_name IN "
                "('recommend_pair', 'pairs_of', 'recommend_user', 'similar_to')",
            }.items()
        }
    assert len(described["tables"]) == 14
    assert set(described["views"]) == {"pairs_with_titles", "users_with_titles"}
    assert set(described["macros"]) == {"recommend_pair", "pairs_of", "recommend_user", "similar_to"}
    assert [(kind, name) for kind, found in described.items() for name, text in found.items() if not text] == []


def test_pairs_of_a_film_are_found_whichever_side_it_is_on(small_live: Path) -> None:
    with release(small_live) as con:
        (film,) = con.execute("SELECT median(movie_id)::INTEGER FROM signup_movies WHERE position <= 9").fetchall()[0]
        rows = con.execute("SELECT movie_a, movie_b, rank, movie_id, score, votes FROM pair_recommendations").fetchall()
        titles = dict(con.execute("SELECT movie_id, title FROM movies").fetchall())
        others = [((a, b)[a == film], rank, *rest) for a, b, rank, *rest in rows if film in (a, b)]
        expected = sorted((o, titles[o], rank, m, titles[m], score, votes) for o, rank, m, score, votes in others)
        assert con.execute("FROM pairs_of(?)", [film]).fetchall() == expected
        assert {other > film for other, *_ in others} == {True, False}
        named = con.execute("FROM pairs_with_titles").fetchall()
    assert sorted(named) == sorted((a, titles[a], b, titles[b], r, m, titles[m], s, v) for a, b, r, m, s, v in rows)
