"""What kernels share: names under which machine code is kept, threads, compressed rows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recommender.data.csr import picked, transposed
from recommender.kernels.jit import code_hash
from recommender.kernels.threads import even_ranges, run_parallel, thread_count

ROOT = Path(__file__).parents[2]


def hashes_with(tmp_path: Path, changed: str = "") -> list[str]:
    """Hashes of two modules' code in a copy of the package in which one file has a line more."""
    package = tmp_path / (changed.replace("/", "_") or "same")
    package.mkdir()
    subprocess.run(["cp", "-r", str(ROOT / "recommender"), str(package / "recommender")], check=True)
    if changed:
        path = package / "recommender" / changed
        path.write_text(path.read_text(encoding="utf-8") + "\n# a line more\n", encoding="utf-8")
    names = ("recommender.neighbours.candidates", "recommender.data.encoder")
    program = (
        f"import {', '.join(names)}; from recommender.kernels.jit import code_hash; print({names}, "
        f"*(code_hash(name) for name in {names}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=package, env={"PYTHONPATH": str(package)}, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()[-2:]


def test_only_kernels_that_use_a_changed_module_are_compiled_again(tmp_path: Path) -> None:
    candidates, encoder = hashes_with(tmp_path)
    assert hashes_with(tmp_path, "parameters.py") == [candidates, encoder]
    changed = hashes_with(tmp_path, "kernels/simd.py")  # candidates calls its intrinsics, the encoder none
    assert changed[0] != candidates
    assert changed[1] == encoder
    assert code_hash("recommender.data.csr") == code_hash("recommender.data.csr")


def test_machine_code_of_earlier_source_is_deleted(tmp_path: Path) -> None:
    package = tmp_path / "recommender"
    subprocess.run(["cp", "-r", str(ROOT / "recommender"), str(package)], check=True)
    for path in package.rglob("*.nb[ic]"):
        path.unlink()
    folder = package / "data" / "__pycache__"
    program = (
        "import numpy as np; from recommender.data.csr import picked; "
        "picked(np.zeros(1, 'i8'), np.zeros(0, 'i4'), np.zeros(0, 'i8'))"
    )

    def run() -> set[str]:
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True)
        return {path.name.split("-")[1] for path in folder.glob("csr.picked*.nbi")}

    before = run()
    path = package / "data" / "csr.py"
    path.write_text(path.read_text(encoding="utf-8") + "\n# a line more\n", encoding="utf-8")
    after = run()
    assert len(before) == len(after) == 1
    assert before != after


def test_ranges_cover_everything_once() -> None:
    for total, parts in [(0, 4), (1, 4), (10, 3), (7, 7), (5, 1)]:
        ranges = even_ranges(total, parts)
        assert [n for low, high in ranges for n in range(low, high)] == list(range(total))
        assert all(low < high for low, high in ranges)


def test_tasks_keep_their_order_and_their_errors() -> None:
    assert run_parallel(lambda n: n * n, range(20), 3) == [n * n for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        run_parallel(lambda n: 1 // n, [1, 0, 2], 2)
    with pytest.raises(ValueError, match="at least 1"):
        thread_count(0)


def test_rows_are_picked_and_transposed() -> None:
    rng = np.random.default_rng(3)
    dense = rng.random((30, 12)) < 0.3
    indptr = np.concatenate(([0], np.cumsum(dense.sum(axis=1)))).astype(np.int64)
    entries = np.nonzero(dense)[1].astype(np.int32)
    rows = np.array([4, 0, 29, 4])
    some, columns = picked(indptr, entries, rows)
    assert [columns[some[n] : some[n + 1]].tolist() for n in range(4)] == [
        np.flatnonzero(dense[r]).tolist() for r in rows
    ]
    by_column, found = transposed(indptr, entries, 12)
    for column in range(12):
        assert found[by_column[column] : by_column[column + 1]].tolist() == np.flatnonzero(dense[:, column]).tolist()
    entries[entries == 5] = -1  # skipped
    assert transposed(indptr, entries, 12)[0][6] == transposed(indptr, entries, 12)[0][5]
    assert 5 not in picked(indptr, entries, np.arange(30))[1]
