"""Which code makes content: a hash that is the same wherever the same files are installed.

Belongs here: the hash. Does not belong here: what is recorded with it (`tables.versions`, `compute`).
"""

import hashlib
from functools import cache
from pathlib import Path

CODE_THAT_MAKES_CONTENT = ("recommender", "warehouse", "assets")
"""Packages whose code decides what a release contains."""


@cache
def code_version() -> str:
    """Hash (12 hex) of the code that makes content; the same for the same files, wherever they are installed."""
    root = Path(__file__).parents[1]
    found = hashlib.sha256()
    for package in CODE_THAT_MAKES_CONTENT:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in {".py", ".sql"}:
                found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]
