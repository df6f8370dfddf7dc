"""What a release is loaded into: films, the pair table, its lineage, each against the published database."""

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest

from serving.releases.films import load_films
from serving.releases.lineage import describe_model, describe_source
from serving.releases.pair_table import load_pair_table
from tests.serving.conftest import TwoReleases


@pytest.fixture(scope="module")
def shuffled() -> Iterator[duckdb.DuckDBPyConnection]:
    """A small release out of order, with a film nobody described and votes that need more than 16 bits."""
    con = duckdb.connect()
    con.execute(
        """
        CREATE TABLE movies(movie_id INT, title TEXT, year SMALLINT, genres TEXT[], likes BIGINT, has_vector BOOL);
        INSERT INTO movies VALUES (3, 'Three (1990)', 1990, ['War'], 5, true), (1, 'One', NULL, NULL, 9, false);
        CREATE TABLE signup_movies(position INT, movie_id INT, likes BIGINT);
        INSERT INTO signup_movies VALUES (2, 3, 5), (1, 1, 9);
        CREATE TABLE pair_recommendations(movie_a INT, movie_b INT, rank SMALLINT, movie_id INT, score DOUBLE,
            votes INT);
        INSERT INTO pair_recommendations VALUES
            (1, 3, 2, 8, 0.25, 4), (2, 3, 1, 9, 3000.5, 70000), (1, 3, 1, 7, 0.333333, 5);
        """
    )
    yield con
    con.close()


def test_films_come_most_liked_first(shuffled: duckdb.DuckDBPyConnection) -> None:
    films = load_films(shuffled)
    assert films.movie_ids == [1, 3]
    assert films.card(3) == {"movie_id": 3, "title": "Three (1990)", "year": 1990, "genres": ["War"]}
    assert films.card(4)["title"] == "Film 4"
    assert [card["position"] for card in films.signup_cards()] == [1, 2]
    assert films.signup_rank == {1: 1, 3: 2}


def test_a_pair_table_out_of_order_is_sorted(shuffled: duckdb.DuckDBPyConnection) -> None:
    table = load_pair_table(shuffled)
    assert table.find(3, 1) == [(7, 0.333333, 5), (8, 0.25, 4)]
    assert table.find(2, 3) == [(9, 3000.5, 70000)]
    assert table.find(1, 2) == table.find(9, 9) == []
    assert table.votes.dtype == np.int32


def test_a_release_without_pairs_answers_none() -> None:
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE pair_recommendations"
            "(movie_a INT, movie_b INT, rank SMALLINT, movie_id INT, score DOUBLE, votes INT)"
        )
        assert load_pair_table(con).find(1, 2) == []


def test_lineage_goes_on_without_the_files_beside_it(releases: TwoReleases) -> None:
    assert "cannot be read" in describe_model(releases.home.model_folder("gone"))["note"]
    assert "the import is gone" in describe_source(releases.home, "gone")["note"]
