"""Arrows only downward: which package may import which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "recommender": set(),
    "warehouse": {"recommender"},
    "serving": {"warehouse", "recommender"},
    "checks": {"warehouse", "recommender"},
    "assets": {"checks", "warehouse", "recommender"},
    "benchmarks": {"recommender", "warehouse", "checks"},
    "orchestration": {"assets", "checks", "serving", "warehouse", "recommender", "benchmarks"},
}
FOREIGN = {"recommender": {"dagster", "duckdb"}, "warehouse": {"dagster"}, "serving": {"dagster"}}


def imported(path: Path) -> set[str]:
    """Top-level names a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_downward(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        names = imported(path)
        upward = (names & set(MAY_IMPORT)) - MAY_IMPORT[package] - {package}
        assert not upward, f"{path.relative_to(ROOT)} imports {upward}"
        assert not names & FOREIGN.get(package, set()), f"{path.relative_to(ROOT)} imports {names & FOREIGN[package]}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_module_says_what_belongs_in_it(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"
