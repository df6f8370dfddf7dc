"""SQL statements longer than a few lines, one per file, read by name. Parameters are DuckDB's ``$name``."""

from functools import cache
from itertools import takewhile
from pathlib import Path


@cache
def sql(name: str) -> str:
    """Text of the statement in ``<name>.sql`` of this folder."""
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")


def description(name: str) -> str:
    """What a statement is for: the comment that its file begins with."""
    lines = takewhile(lambda line: line.startswith("--"), sql(name).splitlines())
    return " ".join(line.removeprefix("--").strip() for line in lines)
