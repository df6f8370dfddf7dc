"""The pages name only what is there: files, modules, commands with their options, make targets."""

import ast
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
import yaml

from orchestration.cli.app import app
from tests import changed
from tests.command import ROOT
from warehouse.exports.release_file import EXPORTED

PACKAGES = (*sorted(changed.PACKAGES), "tests")
VIEWS = {f"marquee.{table}" for table in EXPORTED}
"""Of exports, in PostgreSQL."""
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "deploy").rglob("*.md"),
    *(ROOT / ".github").rglob("*.md"),
]


def by_page(finder: Callable[[Path], list[str]]) -> dict[str, list[str]]:
    """What a finder finds wrong, by page."""
    found = {str(page.relative_to(ROOT)): finder(page) for page in PAGES}
    return {page: wrong for page, wrong in found.items() if wrong}


def code_of(text: str) -> str:
    """Fenced blocks and code spans of a page, one per line."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest))])


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    missing = []
    for link in found:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    return missing


def missing_names(page: Path) -> list[str]:
    """Names said to be in a linked module, as in `NAME` of [module.py](path/module.py), that it does not have."""
    text = " ".join(page.read_text(encoding="utf-8").split())
    found = re.findall(r"`(\w+)` (?:of|in) \[[^\]]*\]\(([^)#]+\.py)\)", text)
    sources = {path: (page.parent / path).read_text(encoding="utf-8") for _, path in found}
    return [f"{name} in {path}" for name, path in found if not re.search(rf"\b{name}\b", sources[path])]


def missing_files(text: str) -> list[str]:
    """Paths below one of the repository's folders that do not exist; patterns and placeholders are no paths."""
    folders = (*PACKAGES, "docs", "deploy", "sample")
    paths = re.findall(rf"(?<![\w/.$-])(?:{'|'.join(folders)})/[\w./-]*\w", text)
    return [path for path in paths if not (ROOT / path).exists()]


def missing_modules(text: str) -> list[str]:
    """Dotted names of our packages of which not even the first two parts are a module or something in one."""
    names = re.findall(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+", text)
    return [name for name in dict.fromkeys(names) if not is_there(name)]


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or is defined in one."""
    if name.endswith((".duckdb", ".lock", ".md", ".toml")):  # a page, or a file of a home
        return True
    if name in VIEWS:
        return True
    path = ROOT / name.replace(".", "/")
    if path.with_suffix(".py").exists() or path.is_dir():
        return True
    parent = path.parent.with_suffix(".py") if path.parent.with_suffix(".py").exists() else path.parent / "__init__.py"
    return parent.exists() and re.search(rf"\b{path.name}\b", parent.read_text(encoding="utf-8")) is not None


@functools.cache
def commands_of_marquee() -> dict[str, Any]:
    return dict(vars(typer.main.get_command(app))["commands"])


def wrong_commands(code: str) -> list[str]:
    """Commands `marquee x` and options that the command line does not have, modules and targets that are not there."""
    commands = commands_of_marquee()
    wrong = []
    for options, name, rest in re.findall(r"\bmarquee((?: --home [\w./]+)*) ([a-z]\w*)([^\n|;&]*)", code):
        if name not in commands:
            wrong.append(f"marquee{options} {name}")
            continue
        command, words = commands[name], rest.split()
        if group := getattr(command, "commands", None):
            if not words or words[0] not in group:  # only the group is named
                wrong += [f"marquee {name} {words[0]}"] if words else []
                continue
            name, command = f"{name} {words[0]}", group[words[0]]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        wrong += [f"marquee {name} {option}" for option in re.findall(r"--[a-z][\w-]*", rest) if option not in known]
    modules = re.findall(r"python -m ([\w.]+)", code)
    wrong += [f"python -m {name}" for name in modules if name.startswith(PACKAGES) and not is_there(name)]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return wrong + [f"make {name}" for name in re.findall(r"\bmake ([a-z-]+)", code) if name not in targets]


def test_links_lead_somewhere() -> None:
    assert by_page(missing_links) == {}
    assert by_page(missing_names) == {}


def test_files_and_modules_exist() -> None:
    assert by_page(lambda page: missing_files(page.read_text(encoding="utf-8"))) == {}
    assert by_page(lambda page: missing_modules(page.read_text(encoding="utf-8"))) == {}


def test_commands_exist() -> None:
    assert by_page(lambda page: wrong_commands(code_of(page.read_text(encoding="utf-8")))) == {}


def test_docstrings_of_modules_name_what_exists() -> None:
    wrong = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if found := missing_modules(text) + missing_files(text):
            wrong[str(path.relative_to(ROOT))] = found
    assert wrong == {}


def test_the_ci_runs_what_there_is() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    commands = [step["run"].replace("PYTHON=python ", "") for step in steps if "make" in step.get("run", "")]
    assert commands == ["make setup", "make lint", "make test"]
    assert wrong_commands("\n".join(commands)) == []
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-2:] == commands[-2:]


def test_a_decision_is_dated_explained_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for page in sorted(folder.glob("*.md")):
        if page.name == "README.md":
            continue
        text = page.read_text(encoding="utf-8")
        assert re.search(r"^\*Decided \d{1,2} [A-Z][a-z]+ 20\d\d\.\*$", text, re.MULTILINE), page.name
        parts = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequence"], page.name
        title = text.splitlines()[0].removeprefix("# ")
        assert f"[{title}]({page.name})" in index


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n\n[a](gone.md) [b](page.md#a-title) [c](#nowhere) [d](https://example.org)\n")
    assert missing_links(page) == ["gone.md", "#nowhere"]
    page.write_text(f"`Home` of [home]({ROOT}/warehouse/home.py), `Flat` in [it]({ROOT}/warehouse/home.py)")
    assert missing_names(page) == [f"Flat in {ROOT}/warehouse/home.py"]
    assert missing_files("see `warehouse/gone.py` and `warehouse/home.py`") == ["warehouse/gone.py"]
    assert missing_modules("`warehouse.gone`, `warehouse.home.Home`, `warehouse.home.Nothing`") == [
        "warehouse.gone",
        "warehouse.home.Nothing",
    ]
    code = "marquee fly\nmarquee --home x run --set a=b --speed 3\nmake sense\npython -m benchmarks.gone"
    assert wrong_commands(code) == ["marquee fly", "marquee run --speed", "python -m benchmarks.gone", "make sense"]
    code = "marquee keys\nmarquee keys add|list\nmarquee keys lend\nmarquee keys add NAME --scope read --for ever"
    assert wrong_commands(code) == ["marquee keys lend", "marquee keys add --for"]
    assert code_of("a `b` c\n```\nd\n```\n") == "d\n\nb"
