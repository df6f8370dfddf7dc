"""The site of a home: complete in its folder, true to the release's catalogue, searched, the same when made again."""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, expect

from orchestration.instance import prepare_instance
from tests.browser import violations
from tests.command import marquee, marquee_json
from tests.conftest import OTHER_LISTS
from tests.orchestration.test_experiments import clients, traffic
from warehouse.home import Home
from warehouse.schemas.lineage import sources_of
from warehouse.schemas.models import PUBLISHED_MODELS, WORKING_MODELS

MADE_BY_STAGING = {"release": {"release", "created_at", "parameters", "code_version", "row_counts"}}
"""Columns of a release that come from no column of a working table."""


class Elements(HTMLParser):
    """Links and ids of a page, and its elements with their text: (tag, classes, id, text), in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.found: list[dict[str, Any]] = []
        self._open: list[dict[str, Any]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that begins."""
        named = {name: value or "" for name, value in attrs}
        self.links += [named[name] for name in ("href", "src") if name in named]
        self.ids += [named["id"]] if "id" in named else []
        element = {"tag": tag, "class": named.get("class", "").split(), "id": named.get("id", ""), "text": ""}
        self.found.append(element)
        if tag not in {"meta", "link", "input", "br", "img"}:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close it, and those in it that have no end of their own."""
        while self._open and self._open.pop()["tag"] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Text belongs to all elements that are open."""
        for element in self._open:
            element["text"] += data


@pytest.fixture(scope="module")
def site(two_releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    done = marquee_json(two_releases, "docs", folder)
    assert Path(done["index"]) == folder / "index.html"
    assert done["files"] == len(files_of(folder))
    assert done["bytes"] == sum(map(len, files_of(folder).values()))
    assert [path.name for path in folder.parent.iterdir()] == ["pages"]
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_link_leads_to_something_in_the_folder(site: Path) -> None:
    pages = {path: Elements(path) for path in site.rglob("*.html")}
    wrong = []
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), f"an id twice in {path}"
        for link in page.links:
            parts = urlsplit(link)
            if link == "data:,":  # no icon
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = not parts.scheme and not parts.netloc and target.is_file() and target.is_relative_to(site)
            if not there or (parts.fragment and unquote(parts.fragment) not in pages[target].ids):
                wrong.append(f"{path.name}: {link}")
    assert wrong == []
    searched = re.findall(r'"url":"([^"#]+)#([^"]+)"', (site / "static" / "search.js").read_text(encoding="utf-8"))
    assert len(searched) > 100
    assert [f"{page}#{name}" for page, name in searched if name not in pages[site / page].ids] == []


def test_the_dictionary_says_what_the_catalogue_says(site: Path, two_releases: Path) -> None:
    def rows(sql: str) -> list[list[Any]]:
        return list(marquee_json(two_releases, "query", sql)["rows"])

    sections: dict[str, list[dict[str, Any]]] = {}
    for element in Elements(site / "dictionary.html").found:
        if element["tag"] == "section":
            sections[element["id"]] = []
        elif sections:
            sections[list(sections)[-1]].append(element)

    def text(name: str, kind: str) -> str:
        (found,) = (element["text"] for element in sections[name] if kind in element["class"])
        return str(found)

    def columns(name: str) -> list[list[str]]:
        """The cells of each column's row."""
        found: list[list[str]] = []
        for element in sections[name]:
            if element["tag"] == "tr":
                found.append([])
            elif element["tag"] == "td" and found:
                found[-1].append(" ".join(element["text"].split()))
        described = [element["id"] for element in sections[name] if element["tag"] == "tr" and element["id"]]
        return [row for row in found if row][: len(described)]

    tables = dict(rows("SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal"))
    views = dict(rows("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"))
    macros = dict(
        rows(
            "SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal AND function_type = 'table_macro'"
        )
    )
    assert set(sections) == {*tables, *views, *macros}
    for name, comment in {**tables, **views, **macros}.items():
        assert text(name, "comment") == comment.replace("`", ""), name
        call = f"{name}(NULL, NULL)" if name == "recommend_pair" else f"{name}(NULL)" if name in macros else name
        types = [[column, kind] for column, kind, *_ in rows(f"DESCRIBE FROM {call}")]
        assert [row[:2] for row in columns(name)] == types, name
        assert text(name, "columns") == str(len(types))
    for name in tables:
        assert text(name, "rows") == f"{rows(f'SELECT count(*) FROM {name}')[0][0]:,}"
        comments = rows(f"SELECT comment FROM duckdb_columns() WHERE table_name = '{name}' ORDER BY column_index")
        assert [row[2] for row in columns(name)] == [comment.replace("`", "") for (comment,) in comments], name


def test_every_column_comes_from_columns_that_there_are() -> None:
    working = {table: set(model.to_schema().columns) for table, model in WORKING_MODELS.items()}
    for table, model in PUBLISHED_MODELS.items():
        sources = sources_of(table)
        assert set(model.to_schema().columns) - set(sources) == MADE_BY_STAGING.get(table, set()), table
        assert [
            f"{owner}.{name}" for found in sources.values() for owner, name in found if name not in working[owner]
        ] == []


def test_queries_find_what_is_shown(site: Path, two_releases: Path) -> None:
    elements = Elements(site / "queries.html").found
    queries = [element["text"] for element in elements if element["tag"] == "code" and element["text"].endswith(";")]
    headings = [element["id"] for element in elements if element["id"].startswith("query-")]
    assert len(queries) == len(headings) > 8
    bodies: list[int] = []
    for element in elements:
        if element["tag"] == "tbody":
            bodies.append(0)
        elif element["tag"] == "td" and bodies:
            bodies[-1] += 1
    for query, cells in zip(queries, bodies, strict=True):
        found = marquee_json(two_releases, "query", query)
        assert cells == (sum(map(len, found["rows"])) or 1), query  # or one cell: no rows


def test_again_it_is_the_same_and_nothing_else_is_replaced(site: Path, two_releases: Path, tmp_path: Path) -> None:
    before, release = files_of(site), marquee_json(two_releases, "releases")["releases"][0]["release"]
    done = marquee(two_releases, "docs", site).stdout
    assert files_of(site) == before
    assert release in done
    assert str(site / "index.html") in done
    assert [path.name for path in site.parent.iterdir()] == ["pages"]
    other = tmp_path / "papers"
    other.mkdir()
    (other / "index.html").write_text("mine")
    assert "papers holds something else" in marquee(two_releases, "docs", other, expect=2).stderr
    assert (other / "index.html").read_text() == "mine"
    with patch.dict("sys.modules", {"altair": None}):
        assert "pip install 'marquee[docs]'" in marquee(two_releases, "docs", tmp_path / "x", expect=2).stderr
    (tmp_path / "empty" / "published").mkdir(parents=True)
    assert "make one with: marquee run" in marquee(tmp_path / "empty", "docs", tmp_path / "x", expect=1).stderr
    assert not (tmp_path / "x").exists()


def test_experiments_and_releases_that_are_gone_are_told(home_of_two: Path, tmp_path: Path) -> None:
    newer, older = (entry["release"] for entry in marquee_json(home_of_two, "releases")["releases"])
    marquee(home_of_two, "experiment", "start", "tags", "--challenger", older, "--share", 0.5)
    traffic(home_of_two, "tags", list(clients(600, 0.5, (1.0, 2.0))))
    looked = marquee_json(home_of_two, "experiment", "look")
    marquee(home_of_two, "docs", tmp_path / "during")
    text = (tmp_path / "during" / "experiments.html").read_text(encoding="utf-8")
    assert looked["decision"] in text
    assert looked["text"].split(",")[0] in text
    assert f"{looked['last_look']['challenger']['clients']:,}" in text
    assert '"field":"difference"' in text
    marquee(home_of_two, "experiment", "stop", "tags", "--withdraw")
    marquee(home_of_two, "retire", "--keep", 1)
    marquee(home_of_two, "docs", tmp_path / "after")
    page = Elements(tmp_path / "after" / "releases.html")
    assert f"reports/{newer}.html" in page.links
    assert f"reports/{older}.html" not in page.links
    states = [element["text"] for element in page.found if "mark" in element["class"]]
    assert states == ["live", "retired"]


def test_the_live_release_names_the_pages_of_its_home(home_of_two: Path) -> None:
    marquee(home_of_two, "docs")
    marquee_json(home_of_two, "refresh", *OTHER_LISTS)
    with prepare_instance(Home(home_of_two)) as instance:
        (record,) = instance.fetch_materializations(dg.AssetKey(["published", "live_release"]), limit=1).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["docs"].value == str(home_of_two / "docs" / "index.html")


@pytest.fixture
def open_page(browser: Browser, site: Path) -> Iterator[Callable[..., Page]]:
    """Open pages from the file system; they must log nothing and ask for nothing outside their folder."""
    said: list[str] = []

    def open_one(name: str, **options: Any) -> Page:
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not inside(request.url) else None)
        page.goto((site / name).as_uri())
        return page

    def inside(url: str) -> bool:
        return url == "data:," or url.startswith(site.as_uri() + "/")

    yield open_one
    assert said == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_are_readable_and_draw_their_charts(
    open_page: Callable[..., Page], site: Path, width: int, scheme: str
) -> None:
    drawn = 0
    page = open_page("index.html", viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in sorted(site.glob("*.html")):
        page.goto(path.as_uri())
        charts = page.locator(".chart")
        for place in range(charts.count()):
            expect(charts.nth(place).locator("svg [role=graphics-symbol]").first).to_be_attached()
        drawn += charts.count()
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path.name
        assert violations(page, preload=False) == [], path.name  # else it fetches the style sheet
    assert drawn > 15
    red = page.evaluate("parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")
    assert (red > 128) == (scheme == "light")


def test_a_column_is_found_by_typing(open_page: Callable[..., Page]) -> None:
    page = open_page("coverage.html")
    page.keyboard.press("/")
    page.keyboard.type("rated_at")
    expect(page.locator("#results a").first).to_contain_text("ratings.rated_at")
    expect(page.locator("#found")).to_contain_text("found")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/dictionary\.html#ratings\.rated_at$"))
    row = page.locator("tr:target")
    expect(row).to_contain_text("rated_at")
    row.locator("a", has_text="raw.ratings.rated_at").click()
    expect(page).to_have_url(re.compile(r"/lineage\.html#raw\.ratings\.rated_at$"))
    page.locator("#search").fill("who is a neighbour of nobody")
    expect(page.locator("#results")).to_contain_text("Nothing found")
    page.keyboard.press("Escape")
    expect(page.locator("#results")).to_be_hidden()
    page.locator("#search").fill("drift")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent").startswith("drift_")
