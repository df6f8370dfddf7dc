"""Answers: their shape, their origin, and that live answers and the table say the same."""

import itertools

import pytest

from recommender.errors import MarqueeError, UsageError
from serving.answers import answer, asked_list
from serving.http.app import create_app
from serving.releases.snapshot import Snapshot, load_snapshot
from serving.settings import ServingSettings
from tests.command import marquee
from tests.serving.conftest import TestClient, TwoReleases
from warehouse.home import Home
from warehouse.releases.reader import NoReleaseError, open_release

ORIGIN = {"release", "model_version", "deployment", "answer_id", "source"}
SHAPE = {*ORIGIN, "input", "inputs", "unknown", "films_left", "events_until", "recommendations", "cursor"}
FILM = {"rank", "movie_id", "title", "year", "genres", "score", "votes", "because", "common_tags"}


def test_both_recommendations_have_the_documented_shape(client: TestClient, snapshot: Snapshot) -> None:
    one, other = snapshot.films.signup_ids[:2]
    for path in (f"/recommend?ids={one},{other}&num=5", f"/pairs/{one}/{other}"):
        response = client.get(path)
        body = response.json()
        assert response.status_code == 200
        assert set(body) == SHAPE
        assert body["input"] == [snapshot.films.title(one), snapshot.films.title(other)]
        assert body["unknown"] == []
        assert [film["rank"] for film in body["recommendations"]] == list(range(1, len(body["recommendations"]) + 1))
        assert set(body["recommendations"][0]) == FILM
        assert response.headers["marquee-release"] == body["release"] == snapshot.release
        assert response.headers["marquee-model-version"] == body["model_version"] == snapshot.model_version
        assert response.headers["marquee-deployment"] == body["deployment"] == "test"


def test_two_films_live_agree_with_the_table(snapshot: Snapshot) -> None:
    for one, other in itertools.combinations(snapshot.films.signup_ids, 2):
        stored = snapshot.pairs.find(one, other)
        assert snapshot.rank_films([one, other], snapshot.neighbourhood.parameters.per_pair, "exact") == stored
        assert snapshot.rank_films([other, one], 3, "exact") == stored[:3]
        assert snapshot.rank_films([one, other], 50, "exact")[: len(stored)] == stored


def test_pairs_are_those_of_the_published_table(client: TestClient, built: TwoReleases, snapshot: Snapshot) -> None:
    with open_release(built.home) as con:
        for one, other in itertools.islice(itertools.combinations(snapshot.films.signup_ids, 2), 25):
            expected = con.execute(
                "SELECT rank, movie_id, title, score, votes FROM recommend_pair(?, ?)", [one, other]
            ).fetchall()
            for path in (f"/pairs/{one}/{other}", f"/pairs/{other}/{one}"):
                found = client.get(path).json()["recommendations"]
                columns = ("rank", "movie_id", "title", "score", "votes")
                assert [tuple(film[column] for column in columns) for film in found] == expected


def test_ids_may_be_separated_or_repeated(client: TestClient, snapshot: Snapshot) -> None:
    one, two, three = snapshot.films.signup_ids[:3]
    answers = [
        client.get(f"/recommend?{query}").json()
        for query in (f"ids={one},{two},{three}", f"ids={one}&ids={two}&ids={three}", f"ids={one}&ids={two},{three}")
    ]
    assert len({answer.pop("answer_id") for answer in answers}) == 3
    assert answers[0] == answers[1] == answers[2]


def test_unknown_films_are_left_out_and_listed(client: TestClient, snapshot: Snapshot) -> None:
    known = snapshot.films.signup_ids[0]
    body = client.get(f"/recommend?ids=2000000001,{known},2000000000").json()
    assert body["unknown"] == [2000000001, 2000000000]
    assert body["recommendations"] == client.get(f"/recommend?ids={known}").json()["recommendations"]


def test_both_engines_answer_and_say_so(client: TestClient, snapshot: Snapshot) -> None:
    ids = ",".join(map(str, snapshot.films.signup_ids[:5]))
    found = {}
    for engine in ("exact", "annoy"):
        response = client.get(f"/recommend?ids={ids}&engine={engine}")
        assert response.headers["marquee-engine"] == engine
        found[engine] = {film["movie_id"] for film in response.json()["recommendations"]}
    assert len(found["exact"] & found["annoy"]) >= 8
    assert client.get(f"/recommend?ids={ids}").headers["marquee-engine"] == "exact"


def test_films_asked_for_are_never_recommended(client: TestClient, snapshot: Snapshot) -> None:
    ids = snapshot.films.signup_ids[:30]
    found = client.get(f"/recommend?ids={','.join(map(str, ids))}&num=100").json()["recommendations"]
    assert not {film["movie_id"] for film in found} & set(ids)


def test_signup_movies_come_most_liked_first(client: TestClient, snapshot: Snapshot) -> None:
    body = client.get("/signup-movies").json()
    assert body["release"] == snapshot.release
    assert [film["movie_id"] for film in body["movies"]] == snapshot.films.signup_ids
    assert [film["position"] for film in body["movies"]] == list(range(1, 41))
    likes = [film["likes"] for film in body["movies"]]
    assert likes == sorted(likes, reverse=True)
    assert set(body["movies"][0]) == {"position", "movie_id", "title", "year", "genres", "likes"}


def test_signup_movies_are_the_same_zipped_or_not(client: TestClient) -> None:
    plain = client.get("/signup-movies", headers={"Accept-Encoding": "identity"})
    zipped = client.get("/signup-movies", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert plain.json() == zipped.json()


def test_release_leads_down_to_the_source_files(client: TestClient, snapshot: Snapshot) -> None:
    body = client.get("/release").json()
    assert (body["release"], body["model_version"]) == (snapshot.release, snapshot.model_version)
    assert body["model"]["model_version"] == snapshot.model_version
    assert all(len(file["sha256"]) == 64 for file in body["model"]["files"].values())
    files = {file["name"]: file for file in body["source"]["files"]}
    assert {"movies.csv", "ratings.csv"} <= set(files)
    assert all(len(file["sha256"]) == 64 for file in files.values())
    assert body["parameters"]["top_movies"] == 40
    assert all(check["passed"] for check in body["checks"] if check["severity"] == "error")


def test_health_and_metrics(client: TestClient, snapshot: Snapshot) -> None:
    assert client.get("/health/live").json() == {"status": "live", "deployment": "test"}
    assert client.get("/health/ready").json()["release"] == snapshot.release
    one, other = snapshot.films.signup_ids[:2]
    for _ in range(2):  # the second is a hit of the cache
        client.get(f"/pairs/{one}/{other}")
    client.get(f"/recommend?ids={one},2000000000")
    text = client.get("/metrics").text
    assert f'marquee_answers_total{{engine="table",release="{snapshot.release}",variant="champion"}}' in text
    assert 'marquee_requests_total{endpoint="/pairs/{a}/{b}",status="200"}' in text
    assert 'marquee_request_seconds_bucket{endpoint="/recommend"' in text
    assert "marquee_unknown_ids_total" in text
    assert 'marquee_cache_lookups_total{result="hit"}' in text


def test_without_a_release_everything_but_liveness_says_503(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.mktemp("empty")).create()
    with TestClient(create_app(home, ServingSettings(request_log=False))) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/").status_code == 200
        for path in ("/health/ready", "/recommend?ids=1", "/pairs/1/2", "/movies?q=a", "/signup-movies", "/release"):
            response = client.get(path)
            assert response.status_code == 503, path
            assert response.headers["content-type"] == "application/problem+json"
            assert "marquee run" in response.json()["detail"]
            assert "retry-after" in response.headers


def test_the_command_lines_answer_is_the_services(built: TwoReleases, client: TestClient, snapshot: Snapshot) -> None:
    ids = snapshot.films.signup_ids[:3]
    expected = client.get(f"/recommend?ids={','.join(map(str, ids))}&num=4&engine=exact").json()
    found = answer(built.home, asked_list("recommend", (), ids=ids, num=4))
    assert found == {**expected, "deployment": "command-line", "answer_id": found["answer_id"]}
    with pytest.raises(MarqueeError, match="named twice"):
        asked_list("recommend", (), ids=[ids[0], ids[0]])
    wrong = marquee(built.home.root, "recommend", ids[0], "-n", 500, expect=2).stderr
    assert "--num" in wrong
    with pytest.raises(UsageError, match="num"):
        asked_list("recommend", (), ids=ids, num=500)
    with pytest.raises(NoReleaseError):
        answer(Home(built.home.root / "nowhere"), asked_list("recommend", (), ids=ids))


def test_a_release_without_its_index_still_answers_exactly(releases: TwoReleases) -> None:
    (releases.home.root / "models").unlink()
    with TestClient(create_app(releases.home, ServingSettings(request_log=False, engine="annoy"))) as client:
        film = client.get("/signup-movies").json()["movies"][0]["movie_id"]
        assert client.get(f"/recommend?ids={film}").headers["marquee-engine"] == "exact"
        refused = client.get(f"/recommend?ids={film}&engine=annoy")
        assert (refused.status_code, refused.json()["parameter"]) == (409, "engine")


def test_nothing_of_a_release_is_written_to(releases: TwoReleases) -> None:
    path = releases.home.release_file(releases.second)
    before = (path.read_bytes(), sorted(item.name for item in releases.home.published.iterdir()))
    snapshot = load_snapshot(releases.home, path)
    assert not snapshot.neighbourhood.catalogue.vectors.flags.writeable
    with TestClient(create_app(releases.home, ServingSettings(request_log=False))) as client:
        client.get("/recommend?ids=1")
    assert (path.read_bytes(), sorted(item.name for item in releases.home.published.iterdir())) == before
