"""The site of a home: one folder of pages that opens from the file system, without a server or a network.

Belongs here: which pages there are, and writing them so that a reader sees the old site or the new. It is made of the
release files and of the registry's copy for readers, in whose folder it finds them; no writer waits for it. The same
files make the same bytes. Does not belong here: what is read (`history`, `dictionary`, `coverage`, `examples`), charts
(`charts`), how pages look (`templates`, `static`), or what is found by searching (`search`).
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import vl_convert
from altair import SCHEMA_VERSION

from recommender.errors import UsageError
from reports import pages as shown
from reports.dictionary import published_relations, working_relations
from reports.examples import run_examples
from reports.history import described, read_history
from reports.rendering import script_json, templates
from reports.search import search_index
from warehouse.experiments.reading import described_experiments
from warehouse.files import TEMPORARY
from warehouse.home import Home
from warehouse.releases.reader import open_release

HERE = Path(__file__).parent
GENERATOR = "marquee docs"

PAGES = {
    "index.html": "Overview",
    "dictionary.html": "Tables",
    "lineage.html": "Lineage",
    "releases.html": "Releases",
    "quality.html": "Quality",
    "coverage.html": "Coverage",
    "experiments.html": "Experiments",
    "queries.html": "Queries",
}
"""Pages by file, in the order of the menu, each rendered from the template of its name; both dictionaries from one."""

TITLES = {
    "index.html": "What is live",
    "dictionary.html": "Tables of a release",
    "lineage.html": "What they are made from",
    "quality.html": "Quality and drift",
    "coverage.html": "Coverage and concentration",
    "queries.html": "Example queries",
}
"""Headings that say more than the menu."""

INTRODUCTIONS = {
    "dictionary.html": "What the file of a release holds, as its own catalogue says it. Times are UTC without a zone.",
    "lineage.html": "The tables of the working database, which only the pipeline opens. n_tags is the number of rows "
    "of genome_tags. A chain of tables begins with the files that came in.",
}
"""What a page of tables begins with."""


class SiteError(UsageError):
    """The folder that was named holds something else; the message names it."""


class Site(NamedTuple):
    """What was written: the folder, the release its tables are those of, files and bytes."""

    folder: Path
    release: str
    files: int
    bytes: int


def write_site(home: Home, folder: Path) -> Site:
    """Make the site of a home and put it in place of the one that is in the folder, if there is one.

    Raises
    ------
    SiteError
        If the folder holds something else.
    NoReleaseError
        If there is no release.
    """
    folder = folder.resolve()
    _refuse_other_content(folder)
    release, files = make_site(home)
    temporary, old = (folder.parent / f"{TEMPORARY}{folder.name}-{word}{os.getpid()}" for word in ("", "old-"))
    try:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
    return Site(folder, release, len(files), sum(map(len, files.values())))


def _refuse_other_content(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if not index.is_file() or f'content="{GENERATOR}"' not in index.read_text(encoding="utf-8", errors="replace"):
        raise SiteError(f"{folder} holds something else; name a folder that is empty, new, or an earlier site")


def make_site(home: Home) -> tuple[str, dict[str, bytes]]:
    """Make the files of the site; return the release whose tables they describe, and them by path."""
    known = read_history(home)
    chosen = described(known)
    experiments = described_experiments(home)
    with open_release(home, chosen.name) as con:
        published = published_relations(con)
        pages = {
            "index.html": shown.overview(con, chosen, known),
            "dictionary.html": {"relations": published, "working": "lineage.html"},
            "coverage.html": shown.coverage(con, known),
            "queries.html": {"examples": run_examples(con)},
        }
    working = working_relations(published)
    pages |= {
        "lineage.html": {"relations": working, "working": ""},
        "releases.html": shown.releases(known),
        "quality.html": shown.quality(known, chosen),
        "experiments.html": {"experiments": [shown.experiment(found) for found in experiments]},
    }
    files: dict[str, bytes] = {}
    environment = templates()
    shared = {"pages": PAGES, "described": chosen, "generator": GENERATOR}
    for page, name in PAGES.items():
        template = environment.get_template("dictionary.html" if page == "lineage.html" else page)
        own = {"page": page, "title": TITLES.get(page, name), "intro": INTRODUCTIONS.get(page, "")}
        files[page] = template.render(**shared, **own, **pages[page]).encode()
    for one in known:
        if one.entry["report"]:
            files[f"reports/{one.name}.html"] = Path(one.entry["report"]).read_bytes()
    entries = search_index(published, working, known, chosen, pages["queries.html"]["examples"], experiments)
    files["static/search.js"] = f"const SEARCH = {script_json(entries)};\n".encode()
    for name in ("site.css", "site.js"):
        files[f"static/{name}"] = (HERE / "static" / name).read_bytes()
    version = ".".join(SCHEMA_VERSION.split(".")[:2])  # of Vega-Lite, as the charts are specified
    script = vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg]  # the snippet is optional
    files["static/vega.js"] = script.encode()
    return chosen.name, files
