"""Lists of existing users as a consumer reads them: made of their likes, renewed for those whose ratings changed."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np

from orchestration.instance import execute
from tests.command import marquee, marquee_json
from tests.orchestration.test_partitions import change, working_table
from warehouse.home import Home

TOP = ("--set", "top_movies=40")
IN_2018 = 1_530_000_000
EVERYTHING = "SELECT * FROM recs.user_recommendations ORDER BY ALL"
SIMILAR = "SELECT * FROM recs.similar_movies ORDER BY ALL"


def published(home: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def test_lists_are_those_of_ease_made_from_the_published_ratings(small_live: Path) -> None:
    """Regression by regression, from the ratings of the file; whoever has three likes has fifty films, none rated."""
    rows = published(small_live, "SELECT user_id, movie_id, rating FROM ratings")
    likes = dict(published(small_live, "SELECT movie_id, likes FROM movies"))
    order = sorted(likes, key=lambda film: (-likes[film], film))
    items = [film for film in order if likes[film] >= 5]
    rated: dict[int, dict[int, float]] = {}
    for user, film, stars in rows:
        rated.setdefault(user, {})[film] = stars
    users = [user for user, films in rated.items() if max(films.values()) >= 4]
    x = np.array([[rated[user].get(film, 0) >= 4 for film in items] for user in users], dtype=float)
    weights = np.zeros((len(items), len(items)))
    for f in range(len(items)):
        others = [g for g in range(len(items)) if g != f]
        gram = x[:, others].T @ x[:, others] + 300.0 * np.eye(len(others))
        weights[others, f] = np.linalg.solve(gram, x[:, others].T @ x[:, f]) * (likes[items[f]] / len(users)) ** -0.15
    found: dict[int, list[tuple[int, float]]] = {}
    for user, film, score in published(
        small_live, "SELECT user_id, movie_id, score FROM user_recommendations ORDER BY user_id, rank"
    ):
        found.setdefault(user, []).append((film, score))
    assert set(found) == {user for user in users if sum(stars >= 4 for stars in rated[user].values()) >= 3}
    for user, listed in found.items():
        scores = dict(zip(items, x[users.index(user)] @ weights, strict=True))
        assert len(listed) == 50
        assert not set(rated[user]) & {film for film, _ in listed}
        close = 1e-6 * (len(rated[user]) + 1)  # weights are rounded to millionths
        for film, score in listed:
            assert abs(score - max(scores.get(film, 0.0), 0.0)) <= close
        last = listed[-1][1]
        left_out = set(order) - set(rated[user]) - {film for film, _ in listed}
        assert all(scores.get(film, 0.0) <= last + close for film in left_out)
        without = [film for film, score in listed if score == 0]
        assert without == sorted(without, key=order.index)


def lists_of(rows: list[tuple[object, ...]]) -> Mapping[object, list[tuple[object, ...]]]:
    lists: dict[object, list[tuple[object, ...]]] = {}
    for row in rows:
        lists.setdefault(row[0], []).append(row)
    return lists


def test_a_refresh_makes_lists_of_changed_users_and_carries_the_others_over(small_home: Path, tmp_path: Path) -> None:
    before, similar = lists_of(working_table(small_home, EVERYTHING)), working_table(small_home, SIMILAR)
    known = sorted(before)[3]
    film = before[known][0][2]
    new = [row[0] for row in working_table(small_home, "SELECT movie_id FROM recs.signup_movies LIMIT 5")]
    lines = [f"{known},{film},2.0,{IN_2018}", *(f"900001,{movie},5.0,{IN_2018}" for movie in new)]
    (tmp_path / "new.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    marquee_json(small_home, "ingest", tmp_path / "new.csv", *TOP)
    outcome = execute(Home(small_home), "refresh_recommendations", {"top_movies": 40})
    assert outcome.success, outcome.errors
    assert outcome.metadata["recs/user_recommendations"]["users_computed"] == 2
    assert outcome.metadata["recs/user_recommendations"]["buckets_replaced"] == 0
    assert outcome.metadata["recs/similar_movies"]["unchanged"] is True
    assert working_table(small_home, SIMILAR) == similar
    (said,) = published(small_home, "SELECT description FROM checks WHERE check_name = 'recomputed_similar'")
    assert str(said[0]).startswith("0 rows of similar films, as of the last retrain")
    rows = working_table(small_home, EVERYTHING)
    after = lists_of(rows)
    assert set(after) == {*before, 900001}
    assert {user for user in before if before[user] != after[user]} == {known}
    assert film not in {row[2] for row in after[known]}
    assert not {row[2] for row in after[900001]} & set(new)
    # Made anew for everybody, from the same item model, the lists are the same.
    change(small_home, "DELETE FROM ops.table_versions WHERE starts_with(table_name, 'recs.user_recommendations')")
    assert execute(Home(small_home), "refresh_recommendations", {"top_movies": 40}).success
    assert working_table(small_home, EVERYTHING) == rows
    again = execute(Home(small_home), "refresh_recommendations", {"top_movies": 40})
    assert again.metadata["recs/user_recommendations"]["unchanged"] is True
    # Lists of films that were carried over are compared with the live ones, all of them.
    change(small_home, "UPDATE recs.similar_movies SET score = score / 2 WHERE rank = 20")
    (tmp_path / "more.csv").write_text(f"userId,movieId,rating,timestamp\n900001,{film},5.0,{IN_2018}\n")
    marquee_json(small_home, "ingest", tmp_path / "more.csv", *TOP)
    refused = marquee_json(small_home, "refresh", *TOP, expect=1)
    assert (refused["state"], refused["failed_checks"]) == ("rejected", ["recomputed_similar"])
    retrained = marquee_json(small_home, "run", *TOP)
    assert retrained["state"] == "live"
    assert working_table(small_home, SIMILAR) != similar


def test_macros_and_view_answer_with_titles(small_live: Path) -> None:
    user = published(small_live, "SELECT min(user_id) FROM user_recommendations")[0][0]
    rows = published(small_live, f"SELECT rank, movie_id, title, score FROM recommend_user({user})")
    assert [row[0] for row in rows] == list(range(1, 51))
    query = f"SELECT rank, movie_id, title, score FROM users_with_titles WHERE user_id = {user} ORDER BY rank"
    assert rows == published(small_live, query)
    film = published(small_live, "SELECT movie_id FROM signup_movies WHERE position = 1")[0][0]
    similar = published(small_live, f"FROM similar_to({film})")
    assert [row[0] for row in similar] == list(range(1, 21))
    assert marquee(small_live, "query", "FROM popular_movies WHERE list = 'all' AND rank <= 3").stdout
