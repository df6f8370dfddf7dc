"""`make check` runs tests for whatever is changed, and the nearest ones."""

from pathlib import Path

from tests.changed import PACKAGES, ROOT, files_to_run


def test_the_nearest_tests_are_chosen() -> None:
    assert files_to_run([Path("tests/test_changed.py"), Path("LICENSE")]) == ["tests/test_changed.py"]
    assert files_to_run([Path("docs/scale.md"), Path("README.md")]) == ["tests/test_docs.py"]
    assert "tests/recommender/test_exact.py" in files_to_run([Path("recommender/neighbours/candidates.py")])
    assert "tests/orchestration/test_run.py" in files_to_run([Path("orchestration/cli/run.py")])
    assert all(path.startswith("tests/warehouse/") for path in files_to_run([Path("warehouse/ingest/importer.py")]))
    assert files_to_run([Path("warehouse/sql/no_such_file.sql")]) == ["tests/warehouse"]
    assert "tests/test_changed.py" in files_to_run([Path("tests/changed.py")])


def test_every_module_has_tests() -> None:
    for package in PACKAGES:
        for path in ROOT.glob(f"{package}/**/*.py"):
            assert files_to_run([path.relative_to(ROOT)]), path
