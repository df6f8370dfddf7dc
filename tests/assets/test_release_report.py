"""The report of a release: there, complete in itself, readable, and honest about what the checks object to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import violations
from tests.command import marquee, marquee_json
from tests.homes import copy_home, made_once

IN_2018 = 1_530_000_000


@pytest.fixture(scope="session")
def rejected_home(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose live release is followed by one with hundreds of users unlike those before: rejected for drift."""

    def make(folder: Path) -> None:
        home = copy_home(small_live, folder)
        found = marquee_json(home, "query", "SELECT movie_id FROM signup_movies ORDER BY position LIMIT 3")
        films = [movie for (movie,) in found["rows"]]
        lines = [f"{800_000 + user},{film},5.0,{IN_2018}" for user in range(600) for film in films]
        file = folder / "crowd.csv"
        file.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
        marquee(home, "ingest", file)
        report = marquee_json(home, "refresh", "--set", "top_movies=40", expect=1)
        assert report["state"] == "rejected"
        assert report["failed_checks"]

    return made_once(tmp_path_factory, "rejected", make) / "home"


@pytest.fixture
def open_report(browser: Browser, rejected_home: Path) -> Iterator[Callable[..., Page]]:
    """Open the rejected release's report; it must ask nobody for anything and log nothing."""
    newest = marquee_json(rejected_home, "releases")["releases"][0]
    said: list[str] = []

    def open_one(**options: object) -> Page:
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url != address else None)
        page.goto(address)
        return page

    address = Path(newest["report"]).as_uri()
    yield open_one
    assert said == []


def test_every_release_has_one_that_names_its_origin(rejected_home: Path) -> None:
    for entry in marquee_json(rejected_home, "releases")["releases"]:
        text = Path(entry["report"]).read_text(encoding="utf-8")
        assert Path(entry["report"]).parent == rejected_home / "published"
        for expected in (entry["release"], entry["model_version"], entry["source_fingerprint"], entry["sha256"]):
            assert expected in text
        checks = marquee_json(rejected_home, "query", "SELECT check_name FROM checks", "--release", entry["release"])[
            "rows"
        ]
        assert all(name in text for (name,) in checks)
    assert entry["report"] in marquee(rejected_home, "releases").stdout


def test_a_rejected_one_says_why_and_beside_what(rejected_home: Path, tmp_path: Path) -> None:
    rejected, *_, live = marquee_json(rejected_home, "releases")["releases"]
    text = Path(rejected["report"]).read_text(encoding="utf-8")
    assert "Rejected:" in text.split("<style>")[0]
    objections = text.split("What the checks object to")[1].split("How good it is")[0]
    for name in rejected["failed_checks"]:
        assert name in objections
    assert f"compared with the live release {live['release']}" in text
    assert "crowd.csv" in text
    assert "Rejected" not in Path(live["report"]).read_text(encoding="utf-8")
    home = copy_home(rejected_home, tmp_path)
    again = marquee(home, "refresh", "--set", "top_movies=40", expect=1)
    newest = marquee_json(home, "releases")["releases"][0]
    assert newest["report"] in again.stderr


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_readable(open_report: Callable[..., Page], scheme: str, width: int) -> None:
    page = open_report(viewport={"width": width, "height": 900}, color_scheme=scheme)
    red = page.evaluate("parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")
    assert (red > 128) == (scheme == "light")
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert violations(page) == []


def test_markup_in_a_title_is_text(edited_source: Callable[[], Path], tmp_path: Path) -> None:
    source = edited_source()
    films = (source / "movies.csv").read_text(encoding="utf-8").splitlines()
    named = [f'{line.split(",")[0]},<b onclick="x">{line.split(",")[0]}</b> (1999),Drama' for line in films[1:]]
    named = [line.replace('"', "'") for line in named]
    (source / "movies.csv").write_text("\n".join([films[0], *named]) + "\n", encoding="utf-8")
    report = marquee_json(tmp_path / "home", "run", "--source", source, "--set", "top_movies=40")["report"]
    text = Path(report).read_text(encoding="utf-8")
    assert "<b onclick" not in text
    assert "&lt;b onclick" in text
