"""Which tests to run for what is changed, for `make check`: prints their files.

A module is tested by the files of its package's test folder that import it, or another part of its sub-package, or are
named after it; if none does, by any test file that does; else by the whole folder. A page is tested by `test_docs.py`.
What is changed is what differs from the branch `main`, uncommitted and new files included.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "assets",
    "benchmarks",
    "checks",
    "marquee",
    "orchestration",
    "recommender",
    "reports",
    "serving",
    "warehouse",
}


def changed_files() -> list[Path]:
    """Files that differ from `main`, or from the last commit where there is no such branch; relative to the root."""
    since = _git("merge-base", "HEAD", "main") or ["HEAD"]
    found = _git("diff", "--name-only", *since) + _git("ls-files", "--others", "--exclude-standard")
    return [Path(name) for name in found]


def files_to_run(changed: Iterable[Path]) -> list[str]:
    """Test files and folders for changed files, relative to the root."""
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")}
    tests = {path: text for path, text in texts.items() if path.name.startswith("test_")}
    found: set[Path] = set()
    for path in changed:
        folder = Path("tests", path.parts[0])
        if path in tests:
            found.add(path)
        elif path.suffix == ".py" and path.parts[0] in {*PACKAGES, "tests"}:
            importing = {test for test, text in tests.items() if _imports(text, path)}
            own = {test for test in tests if folder in test.parents}
            own = {test for test in own if test in importing or test.stem == f"test_{path.stem}"}
            found |= own or importing or {folder}
        elif path.suffix == ".md":
            found.add(Path("tests", "test_docs.py"))
        elif path.parts[0] in PACKAGES:
            found.add(folder)
    return sorted(str(path) for path in found if (ROOT / path).exists())


def _imports(text: str, path: Path) -> bool:
    """Whether a test imports a module, by its own name or from its package, or another module of its sub-package."""
    package, name = ".".join(path.parts[:-1]), path.stem
    if name == "__init__" or (len(path.parts) > 2 and path.parts[0] in PACKAGES):
        return re.search(rf"^(from|import) {package}\b", text, re.MULTILINE) is not None
    pattern = rf"^from {package}\.{name} import|^import {package}\.{name}\b|^from {package} import .*\b{name}\b"
    return re.search(pattern, text, re.MULTILINE) is not None


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


if __name__ == "__main__":
    print("\n".join(files_to_run(changed_files())))
