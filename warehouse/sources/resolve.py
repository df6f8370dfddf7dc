"""From what a user names as a source to files on this machine.

Belongs here: the meaning of `--source` (the bundled sample, a folder, a zip, an address, a known name) and the test
that the files a data set needs are there. Does not belong here: fetching (`warehouse.sources.download`), unpacking
(`warehouse.sources.archive`), reading what is in the files (`warehouse.ingest.importer`).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import SourceError
from warehouse.logs import say
from warehouse.sources.archive import find_members, open_archive
from warehouse.sources.download import download

__all__ = ["KNOWN_SOURCES", "REQUIRED_FILES", "SOURCE_FILES", "LocalSource", "SourceError", "resolve_source"]

REQUIRED_FILES = ("movies.csv", "ratings.csv")
SOURCE_FILES = (*REQUIRED_FILES, "tags.csv", "genome-tags.csv", "genome-scores.csv")
GROUPLENS = "https://files.grouplens.org/datasets/movielens"
KNOWN_SOURCES = {
    name: f"{GROUPLENS}/{name}.zip" for name in ("ml-latest", "ml-latest-small", "ml-25m", "ml-32m", "ml-20m")
}
SAMPLE = Path(__file__).resolve().parents[2] / "sample"
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


def is_wanted(name: str) -> bool:
    """Whether a file of an archive is to be unpacked."""
    return name in SOURCE_FILES or is_document(name)


def _archive(origin: str, path: Path) -> LocalSource:
    with open_archive(path) as archive:
        check_names(set(find_members(archive, path, is_wanted)), str(path))
    return LocalSource(origin, path)


def _download(url: str, folder: Path, progress: bool) -> LocalSource:
    path = download(url, folder, progress=progress)
    try:
        return _archive(url, path)
    except SourceError as error:
        # Kept, it would be taken for up to date and refused again without asking the server.
        path.unlink(missing_ok=True)
        raise SourceError(f"{url} is no MovieLens archive: {error}") from None


def _folder(origin: str, path: Path) -> LocalSource:
    check_names({entry.name for entry in path.iterdir() if entry.is_file()}, str(path))
    return LocalSource(origin, path)


def resolve_source(text: str, home_sources_dir: Path, *, progress: bool = True) -> LocalSource:
    """Find the files a user means, downloading them where needed.

    Parameters
    ----------
    text : str
        ``sample``, one of `KNOWN_SOURCES`, an http(s) address of a zip, a folder, or a zip. A folder that has the name
        of the first two is meant when written as a path (``./sample``).
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
    url = KNOWN_SOURCES.get(text, text)
    if text in KNOWN_SOURCES and Path(text).exists() and progress:
        say(f"{text} is taken from {url}; for what lies here, write ./{text}")
    if re.match(r"https?://", url, re.IGNORECASE):
        return _download(url, home_sources_dir / "downloads", progress)
    if "://" in text:
        raise SourceError(f"{text}: only http and https addresses can be fetched; download it and name the file")
    path = Path(text).expanduser()
    if path.is_dir():
        return _folder(str(path.resolve()), path.resolve())
    if path.is_file():
        return _archive(str(path.resolve()), path.resolve())
    raise SourceError(
        f"{text}: no such folder or zip, and not a known name; use sample, a folder, a .zip, an address or one of "
        f"{', '.join(KNOWN_SOURCES)}"
    )
