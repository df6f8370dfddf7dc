"""The notebooks run from the first cell to the last over a home, and what is kept of them came from such a run."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks import NOTEBOOKS, executed


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_shows_in_the_repository(path: Path, sample_home: Path) -> None:
    begun = time.monotonic()
    notebook = executed(path, sample_home)
    assert time.monotonic() - begun < 300, "a reader would not wait for that"
    kept = outputs(json.loads(path.read_text(encoding="utf-8")))
    assert [output["output_type"] for output in outputs(notebook)] == [output["output_type"] for output in kept]
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) >= 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_kept_came_from_one_run_and_names_no_machine(path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in kept["cells"] if cell["cell_type"] == "code"]
    assert len(kept["cells"]) < 20
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "python -m tests.notebooks"
    assert {output["output_type"] for output in outputs(kept)} <= {"execute_result", "display_data", "stream"}
    found = re.findall(r"(?<![\w.:/])/(?:home|root|tmp|work|usr|var|private|Users)/[\w./-]*", json.dumps(outputs(kept)))
    assert found == []
