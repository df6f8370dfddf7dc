"""The notebooks of docs/notebooks: executed as a reader would, and written anew with what they then show.

Belongs here: executing one over a home, and ``python -m tests.notebooks``, which renews the outputs that are kept. Does
not belong here: what must come of it (`tests.test_notebooks`).
"""

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient

from tests.command import ROOT, marquee

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def executed(path: Path, home: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in a process of its own, which reads this home; an error is raised."""
    notebook = nbformat.read(path, as_version=4)
    with (
        tempfile.TemporaryDirectory() as settings,
        patch.dict(os.environ, MARQUEE_HOME=str(home), IPYTHONDIR=settings, JUPYTER_CONFIG_DIR=settings),
    ):
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return notebook


def main() -> None:
    """Execute all over a home with the bundled sample, and keep the outputs."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        marquee(home, "run", "--source", "sample")
        for path in NOTEBOOKS:
            nbformat.write(executed(path, home), path)


if __name__ == "__main__":
    main()
