"""From what a user names as a source to files on this machine.

Belongs here: the meaning of `--source` (the bundled sample, a folder, a zip, an address, a known name) and the test
that the files a data set needs are there. Does not belong here: fetching (`warehouse.downloads`), unpacking
(`warehouse.archives`), reading what is in the files (`warehouse.imports`).
"""

from dataclasses import dataclass
from pathlib import Path

from warehouse.source_error import SourceError

__all__ = ["KNOWN_SOURCES", "REQUIRED_FILES", "SOURCE_FILES", "LocalSource", "SourceError", "resolve_source"]

REQUIRED_FILES = ("movies.csv", "ratings.csv")
SOURCE_FILES = (*REQUIRED_FILES, "tags.csv", "genome-tags.csv", "genome-scores.csv")
GROUPLENS = "https://files.grouplens.org/datasets/movielens"
KNOWN_SOURCES = {
    name: f"{GROUPLENS}/{name}.zip" for name in ("ml-latest", "ml-latest-small", "ml-25m", "ml-32m", "ml-20m")
}
SAMPLE = Path(__file__).resolve().parent.parent / "sample"
"""The bundled data set lies beside the packages: the project is installed in place (editable)."""


@dataclass(frozen=True)
class LocalSource:
    """A data set on this machine, not read yet.

    Attributes
    ----------
    origin : str
        Where it came from, for people: ``sample``, a path or an address.
    path : Path
        A folder with the CSV files, or a zip that holds them.
    """

    origin: str
    path: Path

    @property
    def is_archive(self) -> bool:
        """Whether the files still lie in a zip."""
        return self.path.is_file()


def is_document(name: str) -> bool:
    """Whether a file is a read-me or a licence."""
    return Path(name).stem.lower() in ("readme", "license", "licence") and Path(name).suffix.lower() in (
        "",
        ".txt",
        ".md",
    )


def check_names(names: set[str], where: str) -> None:
    """Raise SourceError unless a data set with these file names has all that belongs together."""
    missing = [name for name in REQUIRED_FILES if name not in names]
    if missing:
        raise SourceError(
            f"{where}: {' and '.join(missing)} missing; "
            f"a source needs {' and '.join(REQUIRED_FILES)} as MovieLens has them"
        )
    genome = {"genome-tags.csv", "genome-scores.csv"}
    if len(genome & names) == 1:
        (present,), (absent,) = genome & names, genome - names
        raise SourceError(f"{where}: {present} is there but {absent} is not; add {absent}, or remove {present}")


def _folder(origin: str, path: Path) -> LocalSource:
    check_names({entry.name for entry in path.iterdir() if entry.is_file()}, str(path))
    return LocalSource(origin, path)


def resolve_source(text: str, home_sources_dir: Path, *, progress: bool = True) -> LocalSource:
    """Find the files a user means, downloading them where needed.

    Parameters
    ----------
    text : str
        ``sample``, a folder, a zip, an http(s) address of a zip, or one of `KNOWN_SOURCES`. A folder or file of that
        name wins over a known name only when written as a path (``./ml-latest``).
    home_sources_dir : Path
        The home's ``sources`` folder; downloads are kept in it.
    progress : bool
        Whether to show progress on stderr.

    Raises
    ------
    SourceError
        If there is no such thing, or it cannot be a MovieLens data set.
    """
    if text == "sample":
        return _folder(text, SAMPLE)
    path = Path(text).expanduser()
    if path.is_dir():
        return _folder(str(path.resolve()), path.resolve())
    raise SourceError(
        f"{text}: no such folder or zip, and not a known name; use sample, a folder, a .zip, an address or one of "
        f"{', '.join(KNOWN_SOURCES)}"
    )
