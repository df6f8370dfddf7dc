"""What all lists have in common: filters before the cut, pages, reasons, and what answers where a list has nothing."""

import base64
import json
import shutil
from typing import Any

import numpy as np
import pytest

from recommender.data.weights import SCORE_ONE, SHARE_ONE
from serving.http.app import create_app
from serving.releases.snapshot import Snapshot
from serving.settings import ServingSettings
from tests.command import marquee, marquee_json
from tests.serving.conftest import TestClient, TwoReleases
from tests.serving.test_releases import wait_for
from warehouse.releases.reader import open_release


def films(body: dict[str, Any]) -> list[tuple[int, float, int | None]]:
    return [(film["movie_id"], film["score"], film["votes"]) for film in body["recommendations"]]


def pages(client: TestClient, path: str, num: int, most: int = 30) -> list[dict[str, Any]]:
    """All pages of a list, one after the other."""
    found, cursor = [], ""
    joined = f"{path}{'&' if '?' in path else '?'}num={num}"
    for _ in range(most):
        found.append(client.get(joined + cursor).raise_for_status().json())
        if found[-1]["cursor"] is None:
            return found
        cursor = f"&cursor={found[-1]['cursor']}"
    return found


@pytest.fixture(scope="module")
def lists(snapshot: Snapshot) -> list[str]:
    """One question for each kind of list that names films."""
    ids = snapshot.films.signup_ids
    return [f"/pairs/{ids[0]}/{ids[1]}", f"/recommend?ids={ids[0]},{ids[1]}&engine=exact"]


@pytest.mark.parametrize("kind", [0, 1])
def test_a_filter_acts_before_the_cut(client: TestClient, snapshot: Snapshot, lists: list[str], kind: int) -> None:
    """A filtered list is what remains of the whole one, and full; films_left counts what could have been in it."""
    path = lists[kind] + ("&" if "?" in lists[kind] else "?")
    whole = [film for page in pages(client, lists[kind], 100) for film in page["recommendations"]]
    genre = whole[12]["genres"][0]
    years = sorted(film["year"] for film in whole if film["year"])
    low, high = years[len(years) // 4], years[3 * len(years) // 4]
    named = set(map(int, snapshot.films.signup_ids[:2]))
    for query, passes in (
        (f"genre={genre.upper()}", lambda film: genre in film["genres"]),
        (f"years={low}-{high}", lambda film: low <= (film["year"] or 0) <= high),
        (f"years={low}", lambda film: film["year"] == low),
        (f"exclude={whole[0]['movie_id']},{whole[2]['movie_id']}", lambda film: film["rank"] not in (1, 3)),
    ):
        body = client.get(f"{path}{query}&num=8").raise_for_status().json()
        expected = [(f["movie_id"], f["score"], f["votes"]) for f in whole if passes(f)][:8]
        assert films(body) == expected
        assert len(expected) == 8 or query == f"years={low}"
        assert [film["rank"] for film in body["recommendations"]] == list(range(1, len(expected) + 1))
        cards = [{**snapshot.films.card(movie), "rank": 0} for movie in snapshot.positions if movie not in named]
        if not query.startswith("exclude"):
            assert body["films_left"] == sum(passes(card) for card in cards)
    assert client.get(lists[kind]).json()["films_left"] is None


def test_films_named_come_back_if_they_may(client: TestClient, snapshot: Snapshot, lists: list[str]) -> None:
    ids = snapshot.films.signup_ids[:2]
    for path in lists:
        kept = client.get(f"{path}{'&' if '?' in path else '?'}seen=keep&num=50").json()
        usual = client.get(f"{path}{'&' if '?' in path else '?'}num=50").json()
        assert set(ids) <= {movie for movie, *_ in films(kept)}
        rest = [film for film in films(kept) if film[0] not in ids]
        assert rest == films(usual)[: len(rest)]


@pytest.mark.parametrize("kind", [0, 1])
def test_pages_neither_repeat_nor_skip(client: TestClient, lists: list[str], kind: int) -> None:
    whole = pages(client, lists[kind], 100)
    single = [film for page in whole for film in films(page)]
    assert len({movie for movie, *_ in single}) == len(single) > 40
    for extra in ("", "years=1900-2100"):
        path = lists[kind] + (("&" if "?" in lists[kind] else "?") + extra if extra else "")
        paged = pages(client, path, 7, most=200)
        found = [film for page in paged for film in films(page)]
        if not extra:
            assert found == single
        assert len({movie for movie, *_ in found}) == len(found)
        assert [film["rank"] for page in paged for film in page["recommendations"]] == list(range(1, len(found) + 1))
        assert all(len(page["recommendations"]) == 7 for page in paged[1:-1])


def test_a_cursor_goes_on_in_its_own_list_only(client: TestClient, snapshot: Snapshot) -> None:
    ids = snapshot.films.signup_ids
    cursor = client.get(f"/recommend?ids={ids[0]}&num=3").json()["cursor"]
    assert client.get(f"/recommend?ids={ids[0]}&num=5&cursor={cursor}").status_code == 200  # num may change
    turned = base64.urlsafe_b64encode(bytes([*base64.urlsafe_b64decode(cursor + "==")][::-1])).decode().rstrip("=")
    other = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).replace(
        snapshot.release.encode(), b"20200101T000000Z-00000000"
    )
    for query, status in (
        (f"ids={ids[1]}&cursor={cursor}", 422),
        (f"ids={ids[0]}&genre=Drama&cursor={cursor}", 422),
        (f"ids={ids[0]}&engine=annoy&cursor={cursor}", 422),
        (f"ids={ids[0]}&cursor={cursor[:-1]}", 422),
        (f"ids={ids[0]}&cursor={'B' + cursor[1:]}", 422),
        (f"ids={ids[0]}&cursor={turned}", 422),
        (f"ids={ids[0]}&cursor={base64.urlsafe_b64encode(other).decode().rstrip('=')}", 410),
    ):
        refused = client.get(f"/recommend?{query}")
        assert (refused.status_code, refused.json()["parameter"]) == (status, "cursor"), query


def test_pages_stay_in_their_release_until_it_is_retired(releases: TwoReleases) -> None:
    with TestClient(create_app(releases.home, ServingSettings(request_log=False, poll_seconds=0.02))) as client:
        one, other = (film["movie_id"] for film in client.get("/signup-movies").json()["movies"][:2])
        path = f"/recommend?ids={one},{other}&engine=exact&num=5"
        expected = films(client.get(f"{path[:-1]}15").json())
        first = client.get(path).json()
        releases.switch(releases.first)
        wait_for(lambda: client.get("/health/ready").json()["release"] == releases.first)
        assert films(client.get(path).json()) != expected[:5]
        second = client.get(f"{path}&cursor={first['cursor']}")
        assert second.headers["marquee-release"] == second.json()["release"] == releases.second
        third = client.get(f"{path}&cursor={second.json()['cursor']}").json()
        assert films(first) + films(second.json()) + films(third) == expected
        shutil.rmtree(releases.home.pack_folder(releases.second))
        releases.home.release_file(releases.second).unlink()
    with TestClient(create_app(releases.home, ServingSettings(request_log=False))) as client:
        gone = client.get(f"{path}&cursor={first['cursor']}")
        assert (gone.status_code, gone.json()["parameter"]) == (410, "cursor")
        assert releases.second in gone.json()["detail"]


def test_the_shares_of_a_pair_follow_from_its_score(client: TestClient, snapshot: Snapshot) -> None:
    """What companions add is split as it is, what neighbours add by the products of the vectors."""
    data, catalogue = snapshot.neighbourhood, snapshot.neighbourhood.catalogue
    one, other = snapshot.films.signup_ids[2:4]
    places = [snapshot.positions[movie] for movie in (one, other)]
    vectors = catalogue.vectors[catalogue.vector_rows[places]].astype(float)
    body = client.get(f"/pairs/{one}/{other}").json()
    live = client.get(f"/recommend?ids={one},{other}&engine=exact&num=7").json()
    assert body["recommendations"] == live["recommendations"]
    for film in body["recommendations"]:
        place = snapshot.positions[film["movie_id"]]
        companions = data.shares_of(np.array(places, dtype=np.int32))[:, place] / SHARE_ONE
        companions = data.parameters.companion_weight * companions / 2
        total = film["score"] / (data.factors[place] / SCORE_ONE)
        products = vectors @ catalogue.vectors[catalogue.vector_rows[place]] if catalogue.vector_rows[place] >= 0 else 1
        parts = companions + max(total - companions.sum(), 0) * products / np.sum(products * np.ones(2))
        expected = dict(zip((one, other), parts / parts.sum(), strict=True))
        found = {reason["movie_id"]: reason["share"] for reason in film["because"]}
        assert found == pytest.approx({movie: share for movie, share in expected.items() if share > 1e-6}, abs=2e-6)
        assert sum(found.values()) == 1.0
        shares = [reason["share"] for reason in film["because"]]
        assert shares == sorted(shares, reverse=True)


def test_five_reasons_at_most_and_the_rest_together(client: TestClient, snapshot: Snapshot) -> None:
    ids = ",".join(map(str, snapshot.films.signup_ids[:9]))
    for film in client.get(f"/recommend?ids={ids}&num=20").json()["recommendations"]:
        assert sum(reason["share"] for reason in film["because"]) == 1.0
        assert 1 <= len(film["because"]) <= 5
        assert all(reason["movie_id"] in snapshot.films.signup_ids[:9] for reason in film["because"][:4])
        assert all((reason["movie_id"] is None) == (reason["title"] is None) for reason in film["because"])
    assert any(reason["movie_id"] is None for reason in film["because"])


def test_common_tags_are_above_the_average_in_both(client: TestClient, snapshot: Snapshot) -> None:
    catalogue = snapshot.neighbourhood.catalogue
    mean = catalogue.vectors.mean(axis=0)
    film = snapshot.films.signup_ids[0]
    vector = catalogue.vectors[catalogue.vector_rows[snapshot.positions[film]]]
    met = 0
    for found in client.get(f"/recommend?ids={film}&num=20").json()["recommendations"]:
        row = catalogue.vector_rows[snapshot.positions[found["movie_id"]]]
        if row < 0:
            assert found["common_tags"] == []
            continue
        excess = np.maximum(vector - mean, 0) * np.maximum(catalogue.vectors[row] - mean, 0)
        columns = [snapshot.tags.index(tag) for tag in found["common_tags"]]
        assert excess[columns] == pytest.approx(np.sort(excess)[::-1][: len(columns)])
        met += len(columns)
    assert met > 20


def test_what_nobody_can_answer_is_answered_with_popular_films(client: TestClient, snapshot: Snapshot) -> None:
    bare = next(m for m, has in zip(snapshot.films.movie_ids, snapshot.films.has_vector, strict=True) if not has)
    popular = client.get("/popular").json()
    order = sorted(
        zip(snapshot.films.likes, snapshot.films.movie_ids, strict=True), key=lambda film: (-film[0], film[1])
    )
    assert films(popular) == [(movie, float(likes), None) for likes, movie in order[:10]]
    assert popular["source"] == "popular"
    for path in ("/users/2000000000/recommendations", "/movies/2000000000/similar", "/recommend?ids=2000000000"):
        body = client.get(path).raise_for_status().json()
        assert (body["source"], films(body)) == ("popular", films(popular)), path
    body = client.get(f"/recommend?ids={bare},{2000000000}&genre=Drama&num=5").json()
    assert (body["source"], body["unknown"]) == ("popular", [2000000000])
    assert all("Drama" in film["genres"] and film["movie_id"] != bare for film in body["recommendations"])
    assert films(client.get("/popular?list=genre:drama&num=5").json())[:4] == films(
        client.get("/popular?genre=Drama&num=4").json()
    )
    assert all(1990 <= f["year"] < 2000 for f in client.get("/popular?list=decade:1990").json()["recommendations"])


def test_the_command_filters_and_goes_on(built: TwoReleases, client: TestClient, snapshot: Snapshot) -> None:
    one, other = snapshot.films.signup_ids[:2]
    options = ("--genre", "Drama", "--years", "1980-2010", "--exclude", snapshot.films.signup_ids[2], "-n", 4)
    found = marquee_json(built.home.root, "recommend", one, other, *options)
    query = f"genre=Drama&years=1980-2010&exclude={snapshot.films.signup_ids[2]}&num=4"
    expected = client.get(f"/recommend?ids={one},{other}&engine=exact&{query}").json()
    assert found == {**expected, "deployment": "command-line", "answer_id": found["answer_id"]}
    said = marquee(built.home.root, "recommend", one, "--years", "1999-1990", expect=2).stderr
    assert "1990-1999" in said
    assert "name films or a user" in marquee(built.home.root, "recommend", expect=2).stderr


@pytest.fixture(scope="module")
def member(snapshot: Snapshot) -> int:
    """A user with a list and more likes than an answer names."""
    likes = np.diff(snapshot.neighbourhood.likes.indptr)
    rows = np.flatnonzero(np.isin(snapshot.neighbourhood.likes.user_ids, snapshot.listed_users) & (likes > 20))
    return int(snapshot.neighbourhood.likes.user_ids[rows[0]])


def test_a_users_list_is_that_of_the_table(
    client: TestClient, built: TwoReleases, snapshot: Snapshot, member: int
) -> None:
    path = f"/users/{member}/recommendations"
    with open_release(built.home) as con:
        query = "SELECT movie_id, score, NULL FROM user_recommendations WHERE user_id = ? ORDER BY rank"
        stored = con.execute(query, [member]).fetchall()
        liked = con.execute("SELECT count(*) FROM ratings WHERE user_id = ? AND rating >= 4", [member]).fetchone()
        seen = {
            movie for (movie,) in con.execute("SELECT movie_id FROM ratings WHERE user_id = ?", [member]).fetchall()
        }
    body = client.get(f"{path}?num=20").json()
    assert films(body) == stored[:20]
    assert (body["source"], body["unknown"], body["films_left"]) == ("users", [], None)
    assert (len(body["input"]), body["inputs"]) == (20, liked[0])
    paged = [film for page in pages(client, path, 100) for film in films(page)]
    assert paged[: len(stored)] == stored
    assert {movie for movie, *_ in paged} == set(snapshot.positions) - seen  # every film, once, but those rated
    genre = body["recommendations"][3]["genres"][0]
    filtered = client.get(f"{path}?genre={genre}&num=6").json()
    cards = [(film, snapshot.films.card(film[0])) for film in paged]
    assert films(filtered) == [film for film, card in cards if genre in card["genres"]][:6]
    assert filtered["films_left"] == sum(genre in card["genres"] for _, card in cards)
    kept = client.get(f"{path}?seen=keep&num=100").json()
    assert seen & {movie for movie, *_ in films(kept)}
    assert [film for film in films(kept) if film[0] not in seen] == paged[: sum(f[0] not in seen for f in films(kept))]
    cursor = client.get(f"{path}?num=5").json()["cursor"]
    stranger = next(user for user in snapshot.listed_users.tolist() if user != member)
    refused = client.get(f"/users/{stranger}/recommendations?num=5&cursor={cursor}")
    assert (refused.status_code, refused.json()["parameter"]) == (422, "cursor")


def test_the_reasons_of_a_user_are_parts_of_the_score(client: TestClient, snapshot: Snapshot, member: int) -> None:
    assert snapshot.lists is not None
    items, likes = snapshot.lists.items, snapshot.neighbourhood.likes
    row = int(np.flatnonzero(likes.user_ids == member)[0])
    liked = likes.films[likes.indptr[row] : likes.indptr[row + 1]].tolist()
    rank = {film: place for place, film in enumerate(items.films.tolist())}
    size, explained = len(items.weights), 0
    for film in client.get(f"/users/{member}/recommendations?num=20").json()["recommendations"]:
        column = rank[snapshot.positions[film["movie_id"]]]
        parts = {
            int(snapshot.neighbourhood.catalogue.movie_ids[a]): max(0, int(items.weights[rank[a], column]))
            for a in liked
            if rank[a] < size and column < size
        }
        total, shares = sum(parts.values()), {reason["movie_id"]: reason["share"] for reason in film["because"]}
        if total == 0:
            assert shares == {}
            continue
        assert sum(shares.values()) == 1.0
        for movie, share in shares.items():
            if movie is not None:
                assert share == pytest.approx(parts[movie] / total, abs=2e-6)
        most = sorted(parts.values(), reverse=True)[: len(shares) - (None in shares)]
        assert [parts[movie] for movie in shares if movie is not None] == most
        explained += 1
    assert explained > 10


def test_similar_films_are_those_of_the_table(client: TestClient, built: TwoReleases, snapshot: Snapshot) -> None:
    film = snapshot.films.signup_ids[5]
    path = f"/movies/{film}/similar"
    with open_release(built.home) as con:
        query = "SELECT similar_id, score, NULL FROM similar_movies WHERE movie_id = ? ORDER BY rank"
        stored = con.execute(query, [film]).fetchall()
    body = client.get(path).json()
    assert films(body) == stored[:10]
    assert (body["source"], body["input"]) == ("similar", [snapshot.films.title(film)])
    assert all(found["because"][0]["movie_id"] == film for found in body["recommendations"])
    paged = [found for page in pages(client, path, 7, most=200) for found in films(page)]
    assert paged[: len(stored)] == stored
    assert len({movie for movie, *_ in paged}) == len(paged) > len(stored)
    years = sorted(snapshot.films.card(movie)["year"] or 0 for movie, *_ in paged)
    low = years[len(years) // 2]
    expected = [found for found in paged if (snapshot.films.card(found[0])["year"] or 0) >= low][:8]
    assert films(client.get(f"{path}?years={low}-2100&num=8").json()) == expected
    assert films(marquee_json(built.home.root, "similar", film, "-n", 3)) == stored[:3]


def test_popular_lists_are_those_of_the_table(client: TestClient, built: TwoReleases) -> None:
    with open_release(built.home) as con:
        stored: dict[str, list[tuple[int, float, None]]] = {}
        for name, *film in con.execute(
            "SELECT list, movie_id, score, NULL FROM popular_movies ORDER BY list, rank"
        ).fetchall():
            stored.setdefault(name, []).append(tuple(film))
    assert {"all", "recent"} < set(stored)
    for name, expected in stored.items():
        assert films(client.get("/popular", params={"list": name, "num": 100}).json()) == expected, name


def test_users_drawn_have_a_list(client: TestClient, built: TwoReleases) -> None:
    drawn = [user["user_id"] for user in client.get("/users?num=5").json()["users"]]
    assert len(set(drawn)) == 5
    for user in drawn:
        assert client.get(f"/users/{user}/recommendations?fallback=no").json()["source"] == "users"
    found = marquee_json(built.home.root, "recommend", "--user", drawn[0], "-n", 5)
    assert films(found) == films(client.get(f"/users/{drawn[0]}/recommendations?num=5").json())


def test_a_release_from_before_these_lists_is_served(releases: TwoReleases) -> None:
    folder = releases.home.pack_folder(releases.second)
    manifest = json.loads((folder / "manifest.json").read_text())
    old = {"user_", "movie_", "likes_", "vector", "companion_"}
    for name in list(manifest["files"]):
        if name.startswith("user_list") or not any(name.startswith(start) for start in old):
            del manifest["files"][name]
            (folder / name).unlink()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with TestClient(create_app(releases.home, ServingSettings(request_log=False))) as client:
        one, other = (film["movie_id"] for film in client.get("/signup-movies").json()["movies"][:2])
        assert client.get(f"/pairs/{one}/{other}").json()["source"] == "pairs"
        for path in ("/users/1/recommendations", f"/movies/{one}/similar"):
            assert client.get(path).json()["source"] == "popular"
            assert client.get(f"{path}?fallback=no").status_code == 404
        assert client.get("/popular").json()["recommendations"]
        assert client.get("/users").json()["users"] == []
        recent = client.get("/popular?list=recent")
        assert (recent.status_code, recent.json()["parameter"]) == (404, "list")
