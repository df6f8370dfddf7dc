"""The Python client: a release file and a service give the same answers, and say why where they have none."""

from collections.abc import Iterator

import pytest

from marquee.client import Client, ClientError, Film, NoListError
from serving.releases.snapshot import Snapshot
from tests.serving.conftest import TwoReleases, running
from tests.serving.test_releases import expose
from warehouse.releases.exposure import Exposure


@pytest.fixture(scope="module")
def clients(built: TwoReleases) -> Iterator[list[Client]]:
    with (
        running(built.home, request_log=False) as address,
        Client(built.home.current) as file,
        Client(address) as service,
    ):
        yield [file, service]


def test_a_file_and_a_service_give_the_same_answers(clients: list[Client], snapshot: Snapshot) -> None:
    one, other = snapshot.films.signup_ids[:2]
    user = int(snapshot.listed_users[0])
    for client in clients:
        assert client.release == snapshot.release
        assert client.get_top_movies() == [Film(**snapshot.films.title(movie)) for movie in snapshot.films.signup_ids]
        found = client.get_recs(other, one)
        assert [(film.movie_id, film.score, film.votes) for film in found] == snapshot.pairs.find(one, other)
    file, service = clients
    assert file.get_recs(one, other) == service.get_recs(one, other)
    assert file.for_user(user, 12) == service.for_user(user, 12)
    assert file.similar(one) == service.similar(one)
    assert len(file.for_user(user, 12)) == 12


def test_where_there_is_no_list_both_say_so(clients: list[Client], snapshot: Snapshot) -> None:
    for client in clients:
        for ask in (
            lambda client=client: client.get_recs(snapshot.films.signup_ids[0], 2000000000),
            lambda client=client: client.for_user(2000000000),
            lambda client=client: client.similar(2000000000),
        ):
            with pytest.raises(NoListError, match="2000000000"):
                ask()


def test_a_visitor_meets_the_challenger_of_an_experiment(releases: TwoReleases, snapshot: Snapshot) -> None:
    one, other = snapshot.films.signup_ids[:2]
    lists = {
        name: Client(releases.home.release_file(name)).get_recs(one, other)
        for name in (releases.first, releases.second)
    }
    assert lists[releases.first] != lists[releases.second]
    expose(releases.home, Exposure("everybody", releases.first, 1.0))
    with running(releases.home, request_log=False) as address, Client(address) as client:
        with_key, without = client.get_recs(one, other, visitor="somebody"), client.get_recs(one, other)
        assert (with_key, without) == (lists[releases.first], lists[releases.second])
        film = client.similar(one, visitor="somebody")
        assert len({with_key.answer_id, without.answer_id, film.answer_id} - {None}) == 3
        event = {"event_id": "1", "type": "play", "user_id": 1, "movie_id": film[0].movie_id,
                 "answer_id": film.answer_id, "position": film[0].rank}  # fmt: skip
        assert client.send_events([event]) == (1, 0, [])
        with pytest.raises(ClientError, match="Marquee-Client"):
            client.get_recs(one, other, visitor="some body")


def test_events_are_sent_in_parts_and_each_counts_once(releases: TwoReleases) -> None:
    with running(releases.home, request_log=False) as address, Client(address) as client:
        film = client.get_top_movies()[0].movie_id
        events = [{"event_id": str(n), "type": "play", "user_id": 1, "movie_id": film} for n in range(2_100)]
        events[1_500]["movie_id"] = 2_000_000_000
        found = client.send_events(events)
        assert found[:2] == (2_099, 0)
        assert [place for place, _ in found.refused] == [1_500]
        assert client.send_events(events[:10]) == (0, 10, [])
    with Client("http://127.0.0.1:9") as nowhere, pytest.raises(ClientError, match="cannot be asked"):
        nowhere.send_events(events[:1])
    with Client(releases.home.current) as file, pytest.raises(ClientError, match="takes no events"):
        file.send_events(events[:1])


def test_a_file_follows_the_link_and_says_what_is_missing(releases: TwoReleases) -> None:
    with Client(releases.home.current) as client:
        assert client.release == releases.second
        releases.switch(releases.first)
        assert client.release == releases.first
    with pytest.raises(ClientError, match=r"nowhere\.duckdb"):
        _ = Client(releases.home.root / "nowhere.duckdb").release
    with pytest.raises(ClientError, match="cannot be asked"):
        Client("http://127.0.0.1:9").get_top_movies()
