"""An experiment from the command line: planned, looked at, refused, ended; its record; and the gate of a challenger."""

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from serving.request_log import LoggedRequest, RequestLog
from tests.campaigns.faults import Platform
from tests.command import marquee, marquee_json
from tests.homes import copy_home
from tests.orchestration.test_partitions import change, working_table
from warehouse.faults import EXPERIMENT_STEPS
from warehouse.home import Home
from warehouse.releases.exposure import bucket

FILMS = [11, 12, 13]


def link(home: Path, name: str) -> str | None:
    path = home / "published" / f"{name}.duckdb"
    return path.resolve().stem if path.is_symlink() else None


def releases_of(home: Path) -> tuple[str, str]:
    """The live release and the one before it."""
    newer, older = (entry["release"] for entry in marquee_json(home, "releases")["releases"])
    return newer, older


class Given(NamedTuple):
    """An answer, and what a client did with it: type of event, film, stars."""

    client: str
    challenger: bool
    did: list[tuple[str, int, float | None]]


def traffic(home: Path, experiment: str | None, given: list[Given], status: int = 200) -> None:
    """Answers as the service logs them, and events as they are loaded."""
    log = RequestLog(Home(home), rows=10_000, seconds=60, most_bytes=10**9)
    now = datetime.now(UTC).replace(tzinfo=None)
    events = []
    for answer in given:
        name = uuid.uuid4().hex
        variant = "challenger" if answer.challenger else "champion"
        log.append(
            LoggedRequest(
                now, "users", status, f"release-{variant}", "m", "d", variant, "table", 3, [], [], FILMS, 1.0, False,
                answer_id=name, client=answer.client, experiment=experiment,
            )
        )  # fmt: skip
        events += [
            (uuid.uuid4().hex, kind, 7, film, stars, now, name, None, now, "http") for kind, film, stars in answer.did
        ]
    log.close()
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        (last,) = con.execute("SELECT coalesce(max(seq), 0) FROM ops.events").fetchone() or (0,)
        rows = [(last + number, *event) for number, event in enumerate(events, start=1)]
        con.executemany("INSERT INTO ops.events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def clients(number: int, share: float, plays: tuple[float, float], seed: int = 1) -> Iterator[Given]:
    """Clients divided by chance, one to three answers each; plays per answer of champion and challenger."""
    chance = random.Random(seed)
    for client in range(number):
        meets = chance.random() < share
        for _ in range(chance.randint(1, 3)):
            played = [film for film in FILMS if chance.random() < plays[meets] / len(FILMS)]
            yield Given(f"client-{client}", meets, [("play", film, None) for film in played])


def start(home: Path, name: str, *more: object, share: float = 0.5) -> str:
    """Start an experiment with the older release; return that."""
    older = releases_of(home)[1]
    marquee(home, "experiment", "start", name, "--challenger", older, "--share", share, *more)
    return older


def test_a_challenger_is_tried_and_withdrawn(home_of_two: Path) -> None:
    newer, older = releases_of(home_of_two)
    start(home_of_two, "longer-lists", "--why", "are longer lists played more?", share=0.1)
    assert (link(home_of_two, "current"), link(home_of_two, "challenger")) == (newer, older)
    exposure = json.loads((home_of_two / "published" / "exposure.json").read_text())
    assert exposure == {"experiment": "longer-lists", "challenger": older, "share": 0.1}
    states = {entry["release"]: entry["state"] for entry in marquee_json(home_of_two, "releases")["releases"]}
    assert states == {newer: "live", older: "challenger"}
    marquee(home_of_two, "retire", "--keep", 1)
    assert (home_of_two / "published" / "challenger.duckdb").exists()
    assert marquee_json(home_of_two, "doctor")["healthy"]
    found = marquee_json(home_of_two, "experiment", "status")
    assert (found["state"], found["decision"], found["last_look"]) == ("running", "too early", None)
    assert "longer-lists: too early (running)" in marquee(home_of_two, "experiment", "status").stdout
    again = marquee(home_of_two, "experiment", "start", "another", "--challenger", older, expect=1).stderr
    assert "the experiment longer-lists runs; end it first" in again

    refused = marquee(home_of_two, "experiment", "stop", "longer-lists", "--promote", expect=1).stderr
    assert "too early (0 and 0 clients: too few to compare), so the challenger does not go live" in refused
    assert "needs a reason" in marquee(
        home_of_two, "experiment", "stop", "longer-lists", "--promote", "--force", expect=1
    ).stderr  # fmt: skip
    assert link(home_of_two, "current") == newer
    marquee(home_of_two, "experiment", "stop", "longer-lists", "--withdraw", "--why", "nobody came")
    assert (link(home_of_two, "current"), link(home_of_two, "challenger")) == (newer, None)
    assert not (home_of_two / "published" / "exposure.json").exists()
    assert "does not run; none does" in marquee(
        home_of_two, "experiment", "stop", "longer-lists", "--withdraw", expect=1
    ).stderr  # fmt: skip
    assert "its name chose its clients" in marquee(
        home_of_two, "experiment", "start", "longer-lists", "--challenger", older, expect=1
    ).stderr  # fmt: skip
    found = marquee_json(home_of_two, "experiment", "status", "longer-lists")
    assert [(event["event"], event["why"]) for event in found["events"]] == [
        ("started", "are longer lists played more?"), ("withdrawn", "nobody came"),
    ]  # fmt: skip
    assert found["state"] == "withdrawn"
    entry = next(e for e in marquee_json(home_of_two, "releases")["releases"] if e["release"] == older)
    assert [(e["event"], e["why"]) for e in entry["events"]][-2:] == [
        ("challenger", "experiment longer-lists: are longer lists played more?"),
        ("withdrawn", "experiment longer-lists: nobody came"),
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["start", "Big Lists", "--challenger", "OLDER"], 2, "cannot be the name"),
        (["start", "a", "--challenger", "OLDER", "--share", 1], 2, "--share 1.0"),
        (["start", "a", "--challenger", "OLDER", "--share", "nan"], 2, "--share nan"),
        (["start", "a", "--challenger", "OLDER", "--margin", 0], 2, "--margin 0.0"),
        (["start", "a", "--challenger", "OLDER", "--metric", "sales"], 2, "choose plays_per_answer"),
        (["start", "a", "--challenger", "LIVE"], 1, "is live; a challenger is another release"),
        (["start", "a", "--challenger", "20200101T000000Z-00000000"], 1, "there is no release"),
        (["stop", "a"], 2, "--promote or --withdraw"),
        (["stop", "a", "--promote", "--withdraw"], 2, "--promote or --withdraw"),
        (["status"], 1, "there was no experiment yet"),
        (["look"], 1, "no experiment runs"),
        (["plot", "a"], 1, "there was no experiment yet"),
    ],
)
def test_what_cannot_be_is_refused(two_releases: Path, words: list[object], code: int, said: str) -> None:
    newer, older = releases_of(two_releases)
    words = [{"OLDER": older, "LIVE": newer}.get(str(word), word) for word in words]
    assert said in marquee(two_releases, "experiment", *words, expect=code).stderr


def test_a_challenger_needs_its_checks(home_of_two: Path) -> None:
    _, older = releases_of(home_of_two)
    change(home_of_two, "DELETE FROM ops.check_results WHERE check_name = 'likes_with_vector'")
    refused = marquee(home_of_two, "experiment", "start", "a", "--challenger", older, expect=1).stderr
    assert "likes_with_vector has no recorded result" in refused
    assert link(home_of_two, "challenger") is None


def test_what_is_counted_and_what_is_said(home_of_two: Path) -> None:
    """Counted once more here; then it is better, the report shows it, and it is promoted."""
    older = start(home_of_two, "counted", "--metric", "likes_per_answer")
    others = [Given("x", False, [("rating", FILMS[0], 5.0)])] * 50
    traffic(home_of_two, "another", others)
    traffic(home_of_two, None, others)
    traffic(home_of_two, "counted", others, status=404)
    chance, given = random.Random(2), []
    for client in range(400):
        meets = bucket("counted", f"client-{client}") < 0.5
        for _ in range(chance.randint(1, 4)):
            liked = [film for film in FILMS if chance.random() < (0.3 if meets else 0.1)]
            did = [("rating", film, chance.choice([4.0, 4.5, 5.0])) for film in liked]
            did += did[:1]  # a film counts once for an answer
            did += [("rating", 99, 5.0), ("play", FILMS[0], None), ("rating", FILMS[0], 3.5)]  # these do not count
            given.append(Given(f"client-{client}", meets, did))
    traffic(home_of_two, "counted", given)
    found = marquee_json(home_of_two, "experiment", "look")
    look = found["last_look"]
    for side, meets in (("champion", False), ("challenger", True)):
        mine = [answer for answer in given if answer.challenger == meets]
        likes = sum(
            len({film for kind, film, stars in answer.did if kind == "rating" and (stars or 0) >= 4 and film in FILMS})
            for answer in mine
        )
        assert look[side] == {
            "clients": len({answer.client for answer in mine}),
            "answers": len(mine),
            "outcomes": likes,
            "value": pytest.approx(likes / len(mine)),
        }
    assert look["champions"] == ["release-champion"]
    assert look["difference"] == pytest.approx(look["challenger"]["value"] - look["champion"]["value"])
    assert look["low"] < look["difference"] < look["high"]
    assert found["decision"] == "better", found["text"]
    assert look["low"] > 0
    assert [event["event"] for event in marquee_json(home_of_two, "experiment", "look")["events"]] == [
        "started", "looked",
    ], "a look that finds nothing new is not recorded"  # fmt: skip
    svg = marquee(home_of_two, "experiment", "plot").stdout
    assert svg.startswith("<svg")
    assert "counted: better" in svg
    assert "polygon" in svg

    ended = marquee_json(home_of_two, "experiment", "stop", "counted", "--promote", "--why", "more is liked")
    assert link(home_of_two, "current") == older
    assert link(home_of_two, "challenger") is None
    low, high = ended["last_look"]["bootstrap"]
    assert 0 < low < look["difference"] < high
    assert high - low < look["high"] - look["low"], "an interval for one look is narrower"
    assert "promoted" in {event["event"] for event in ended["events"]}
    live = next(entry for entry in marquee_json(home_of_two, "releases")["releases"] if entry["state"] == "live")
    assert live["events"][-1]["why"] == "experiment counted: better; more is liked"
    assert marquee_json(home_of_two, "doctor")["healthy"]


def test_what_was_said_stands(home_of_two: Path) -> None:
    """Later a few clients ask so often that the interval is wide again: the challenger may go live all the same."""
    start(home_of_two, "noisy")
    traffic(home_of_two, "noisy", list(clients(600, 0.5, (0.3, 0.9))))
    assert marquee_json(home_of_two, "experiment", "look")["last_look"]["decision"] == "better"
    crowd = [
        Given(f"often-{n}", n % 2 == 0, [("play", FILMS[0], None)] * (n < 2)) for n in range(6) for _ in range(800)
    ]
    traffic(home_of_two, "noisy", crowd)
    found = marquee_json(home_of_two, "experiment", "look")
    assert found["last_look"]["decision"] == "too early"
    assert found["decision"] == "better"
    assert "the last look alone says: too early" in marquee(home_of_two, "experiment", "status").stdout
    assert marquee_json(home_of_two, "experiment", "stop", "noisy", "--promote")["state"] == "promoted"


def test_lost_clients_end_it_and_are_told(home_of_two: Path) -> None:
    newer, older = releases_of(home_of_two)
    start(home_of_two, "lossy")
    given = clients(1200, 0.5, (0.5, 0.5))
    traffic(home_of_two, "lossy", [one for one in given if not one.challenger or one.client.endswith(("1", "3", "5"))])
    report = marquee_json(
        home_of_two, "refresh", "--set", "top_movies=40", "--set", "per_pair=7", "--set", "neighbours=10"
    )
    assert "experiment_not_violated" in report["warnings"]
    assert link(home_of_two, "challenger") is None
    found = marquee_json(home_of_two, "experiment", "status")
    assert (found["state"], found["decision"]) == ("violated", "violated")
    assert "more than chance explains" in found["text"]
    assert found["events"][-1]["why"] == found["text"]
    entry = next(e for e in marquee_json(home_of_two, "releases")["releases"] if e["release"] == older)
    assert entry["events"][-1]["event"] == "withdrawn"
    assert "more than chance explains" in entry["events"][-1]["why"]
    again = marquee_json(
        home_of_two, "refresh", "--set", "top_movies=40", "--set", "per_pair=7", "--set", "neighbours=10"
    )
    assert "experiment_not_violated" not in again["warnings"], "told once"
    assert newer == link(home_of_two, "current")


def test_a_challenger_that_goes_live_otherwise_ends_it(home_of_two: Path) -> None:
    older = start(home_of_two, "overtaken")
    marquee(home_of_two, "promote", older)
    found = marquee_json(home_of_two, "experiment", "look", expect=1)
    assert found["state"] == "violated"
    assert "went live while the experiment ran" in found["text"]


def test_a_release_made_meanwhile_shows_it_in_its_report(home_of_two: Path) -> None:
    start(home_of_two, "shown", "--metric", "plays_per_answer", "--margin", 0.1)
    traffic(home_of_two, "shown", list(clients(600, 0.5, (0.3, 0.9))))
    marquee(home_of_two, "experiment", "look")
    report = marquee_json(
        home_of_two, "refresh", "--set", "top_movies=40", "--set", "per_pair=8", "--set", "neighbours=10"
    )
    text = Path(report["report"]).read_text(encoding="utf-8")
    section = text.split("<h2>Experiments</h2>")[1].split("<h2>")[0]
    assert "<b>shown</b> (running): better" in section
    assert "<svg" in section


def test_a_start_or_a_stop_that_is_killed_is_finished(two_releases: Path, tmp_path: Path) -> None:
    for at in EXPERIMENT_STEPS:
        folder = tmp_path / at
        folder.mkdir()
        platform = Platform(copy_home(two_releases, folder).parent)
        home, older = platform.home.root, releases_of(platform.home.root)[1]
        words = ["experiment", "start", "killed", "--challenger", older]
        if at == "exposure_ending":
            assert platform.run(*words) == 0
            words = ["experiment", "stop", "killed", "--withdraw"]
        process = platform.start(words, at)
        process.join(60)
        assert process.exitcode == -9, at
        marquee(home, "retire", "--keep", 5)  # any writer repairs
        found = marquee_json(home, "experiment", "status")
        running = at != "exposure_ending"
        assert found["state"] == ("running" if running else "withdrawn")
        assert link(home, "challenger") == (older if running else None)
        assert (home / "published" / "exposure.json").exists() == running
        assert marquee_json(home, "doctor")["healthy"]
        assert working_table(home, "SELECT count(*) FROM ops.experiments") == [(1,)]


def test_a_damaged_file_of_the_experiment_is_written_anew(home_of_two: Path) -> None:
    start(home_of_two, "damaged")
    exposure = home_of_two / "published" / "exposure.json"
    before = exposure.read_text()
    exposure.write_text("{")
    findings = {found["subject"]: found for found in marquee_json(home_of_two, "doctor", expect=1)["findings"]}
    assert "exposure.json cannot be read" in findings["experiment"]["text"]
    assert "exposure.json" in marquee(home_of_two, "retire", "--keep", 5).stderr
    assert exposure.read_text() == before
    exposure.unlink()
    assert "exposure.json names None" in marquee(home_of_two, "doctor", expect=1).stdout
