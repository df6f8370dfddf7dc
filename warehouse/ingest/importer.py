"""From the files of a source to Parquet under `sources/<fingerprint>/`, once, with an account of every row.

Belongs here: which files are taken, fingerprints, and the atomic publication of an import as a folder. Does not belong
here: which rows are accepted (`acceptance`), reading lines (`csv_file`), finding files (`warehouse.sources.resolve`),
the rules themselves (an argument), the tables of the home (`warehouse.tables`).

What the tables contain depends on the content of the files only, not on the order of their lines; only the line
numbers in rejected_rows.parquet do. A folder appears under its final name complete or not at all.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from warehouse.errors import SourceError
from warehouse.files import TEMPORARY, appear, bytes_sha256, file_sha256, remove_leftovers, write_json
from warehouse.ingest.acceptance import InputFile, Work, import_genome, import_table
from warehouse.ingest.csv_file import CsvFile, open_csv
from warehouse.ingest.import_manifest import (
    MANIFEST_NAME,
    IncompleteFilms,
    ManifestError,
    Output,
    SourceManifest,
    read_manifest,
)
from warehouse.ingest.parquet_file import MAGIC, open_parquet
from warehouse.logs import say
from warehouse.queries import sql_text
from warehouse.schemas.row_rules import RowRules
from warehouse.sources.archive import unpack
from warehouse.sources.resolve import LocalSource, check_names, is_document, is_wanted

__all__ = ["FORMAT_VERSION", "SourceError", "SourceManifest", "import_ratings_file", "import_source"]

FORMAT_VERSION = 1
"""Part of every fingerprint: raise it when the same files would be converted to something else."""

MEMORY_LIMIT = "3GB"
"""DuckDB's during an import: 28 million ratings are sorted within it; with less, they go by way of the disk."""

FILE_OF_TABLE = {
    "movies": "movies.csv",
    "ratings": "ratings.csv",
    "tags": "tags.csv",
    "genome_tags": "genome-tags.csv",
    "genome_scores": "genome-scores.csv",
}

# -- the folder --------------------------------------------------------------------------------------------------------


def _fingerprint(parts: Sequence[tuple[str, str]]) -> str:
    """First 16 hex digits of the hash over sorted (logical name, sha256 of the content) and the format version."""
    lines = [f"marquee import {FORMAT_VERSION}", *(f"{name} {content}" for name, content in sorted(parts))]
    return bytes_sha256("".join(f"{line}\n" for line in lines).encode())[:16]


@contextmanager
def _only_import(sources_dir: Path) -> Iterator[None]:
    """Let one import at a time write below `sources_dir`, and clear away what killed ones left."""
    sources_dir.mkdir(parents=True, exist_ok=True)
    with (sources_dir / ".lock").open("w") as lock:
        # Released by the system when the process ends, however it ends.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another import into this home")
            fcntl.flock(lock, fcntl.LOCK_EX)
        remove_leftovers(sources_dir)
        yield


def _existing(folder: Path, progress: bool) -> SourceManifest | None:
    """An import that was made before; a damaged one is put aside for a new one."""
    if not folder.exists():
        return None
    try:
        return read_manifest(folder)
    except ManifestError as error:
        if progress:
            say(f"importing again: {error}")
        folder.rename(folder.with_name(f"{TEMPORARY}damaged-{folder.name}"))
        return None


def _publish(work: Work, manifest: SourceManifest, sources_dir: Path, documents: Iterable[Path] = ()) -> SourceManifest:
    """Give a complete folder its final name, so that it survives a power cut whole or not at all."""
    for document in documents:
        shutil.copyfile(document, work.folder / document.name)
    write_json(work.folder / MANIFEST_NAME, manifest.to_json())
    target = sources_dir / manifest.fingerprint
    appear(work.folder, target)
    return replace(manifest, folder=target)


def _from_archive(sources_dir: Path, archive_sha256: str) -> SourceManifest | None:
    """An import of this very zip, recognised without unpacking it."""
    for path in sorted(sources_dir.glob(f"[0-9a-f]*/{MANIFEST_NAME}")):
        try:
            manifest = read_manifest(path.parent)
        except ManifestError:
            continue
        if manifest.archive_sha256 == archive_sha256 and manifest.format_version == FORMAT_VERSION:
            return manifest
    return None


@contextmanager
def _work(sources_dir: Path, rules: RowRules, threads: int | None, memory_limit: str, progress: bool) -> Iterator[Work]:
    """A connection and a temporary folder, both gone afterwards unless the folder was published."""
    scratch = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=sources_dir))
    folder = scratch / "import"
    folder.mkdir()
    con = duckdb.connect()
    try:
        con.execute(f"SET temp_directory = {sql_text(str(scratch / 'spill'))}")
        con.execute(f"SET memory_limit = {sql_text(memory_limit)}")
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        if threads is not None:
            con.execute(f"SET threads = {int(threads)}")
        # Not temporary tables: those belong to one connection, and files that are read side by side share these.
        con.execute("CREATE TABLE rejected (source VARCHAR, line BIGINT, raw VARCHAR, reason VARCHAR)")
        yield Work(con, folder, rules, progress)
    finally:
        con.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _finish(
    work: Work,
    kind: Literal["source", "ratings"],
    fingerprint: str,
    origin: str,
    n_tags: int = 0,
    incomplete: IncompleteFilms | None = None,
) -> SourceManifest:
    """Write the rejected rows and draw up the manifest."""
    work.copy("rejected_rows", "FROM rejected ORDER BY source, line")
    return SourceManifest(
        kind=kind,
        fingerprint=fingerprint,
        format_version=FORMAT_VERSION,
        origin=origin,
        imported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files=tuple(sorted(work.files, key=lambda file: file.name)),
        tables=dict(sorted(work.tables.items())),
        has_scores=bool(work.tables.get("genome", Output(0, 0)).rows),
        has_tags=bool(work.tables.get("tags", Output(0, 0)).rows),
        n_tags=n_tags,
        incomplete_genome_films=incomplete or IncompleteFilms(),
    )


# -- a source, or a file of ratings ------------------------------------------------------------------------------------


def _open_files(folder: Path) -> dict[str, CsvFile]:
    """Headers, hashes and line counts of the files of a source, by table."""
    present = {table: folder / name for table, name in FILE_OF_TABLE.items() if (folder / name).is_file()}
    check_names({path.name for path in present.values()}, str(folder))
    with ThreadPoolExecutor(2) as pool:
        files = dict(zip(present, pool.map(open_csv, present.values(), present.keys()), strict=True))
    for table in ("movies", "ratings"):
        if not files[table].data_rows:
            raise SourceError(f"{files[table].path}: there are no rows after the first line; get the file again")
    return files


def _documents(folder: Path) -> list[Path]:
    """Read-me and licence files: MovieLens' licence wants them beside any copy of the data."""
    return [path for path in folder.iterdir() if path.is_file() and is_document(path.name)]


def _require_rows(work: Work, file: CsvFile, table: str) -> None:
    """Refuse a source of whose films, ratings or genome nothing can be used, with an example."""
    if work.tables[table].rows:
        return
    example = work.con.execute(
        "SELECT line, reason FROM rejected WHERE source = ? ORDER BY line LIMIT 1", [file.path.name]
    ).fetchone()
    line, reason = example or (2, "no rows")
    raise SourceError(
        f"{file.path}: none of the {file.data_rows} rows can be used, for instance line {line}: {reason}; "
        "check that the file is what its name says"
    )


def _import_files(work: Work, files: Mapping[str, CsvFile]) -> tuple[int, IncompleteFilms]:
    """Convert all files; returns the number of genome tags and the films left out of the genome."""
    import_table(work, files["movies"])
    _require_rows(work, files["movies"], "movies")
    movies = sql_text(str(work.folder / "movies.parquet"))
    work.con.execute(f"CREATE TABLE known_films AS SELECT movie_id FROM read_parquet({movies})")
    # What describes films beside the ratings: either alone leaves a core idle half of the time.
    with work.beside() as other, ThreadPoolExecutor(1) as pool:  # its thread ends before its connection does
        genome = pool.submit(_import_tags, other, files)
        try:
            import_table(work, files["ratings"])
            _require_rows(work, files["ratings"], "ratings")
            return genome.result()
        except BaseException:
            # Nobody waits for what is thrown away; and a connection refuses to be closed while it is at work.
            other.con.interrupt()
            raise


def _import_tags(work: Work, files: Mapping[str, CsvFile]) -> tuple[int, IncompleteFilms]:
    """Convert tags and genome, if there are any; returns what `_import_files` does."""
    if "tags" in files:
        import_table(work, files["tags"])
    if "genome_scores" not in files:
        return 0, IncompleteFilms()
    import_table(work, files["genome_tags"])
    tags = sql_text(str(work.folder / "genome_tags.parquet"))
    work.con.execute(f"CREATE TEMP TABLE known_tags AS SELECT tag_id FROM read_parquet({tags})")
    n_tags = work.tables["genome_tags"].rows
    incomplete = import_genome(work, files["genome_scores"], n_tags)
    _require_rows(work, files["genome_scores"], "genome")
    return n_tags, incomplete


def import_source(
    local: LocalSource,
    sources_dir: Path,
    rules: RowRules,
    *,
    threads: int | None = None,
    memory_limit: str = MEMORY_LIMIT,
    progress: bool = True,
) -> SourceManifest:
    """Convert a data set to Parquet under `sources_dir`, unless that was done before.

    Parameters
    ----------
    local : LocalSource
        From `warehouse.sources.resolve.resolve_source`.
    sources_dir : Path
        The home's ``sources`` folder; made if need be.
    rules : RowRules
        What a row must meet, e.g. ``warehouse.schemas.row_rules.row_rules()``.
    threads : int, optional
        DuckDB threads; default: one per core.
    memory_limit : str
        DuckDB's; beyond it, it spills to disk below `sources_dir`.
    progress : bool
        Whether to tell on stderr what is being read.

    Raises
    ------
    SourceError
        If the files are no data set; rows that cannot be used do not raise but are kept in rejected_rows.parquet.
    """
    with _only_import(sources_dir), _work(sources_dir, rules, threads, memory_limit, progress) as work:
        folder, archive = local.path, None
        if local.is_archive:
            archive = file_sha256(local.path)
            if (existing := _from_archive(sources_dir, archive)) is not None:
                return existing
            work.say(f"unpacking {local.path.name}")
            folder = work.folder.parent / "unpacked"
            folder.mkdir()
            unpack(local.path, folder, is_wanted)
        files = _open_files(folder)
        fingerprint = _fingerprint([(file.path.name, file.sha256) for file in files.values()])
        if (existing := _existing(sources_dir / fingerprint, progress)) is not None:
            return existing
        n_tags, incomplete = _import_files(work, files)
        manifest = _finish(work, "source", fingerprint, local.origin, n_tags, incomplete)
        return _publish(work, replace(manifest, archive_sha256=archive), sources_dir, _documents(folder))


def _open_ratings(path: Path) -> InputFile:
    """A landing file by its content, not its suffix."""
    if path.exists() and not path.is_file():
        raise SourceError(f"{path}: not a regular file, and it is read twice; save the ratings to a file and name that")
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from None
    if is_parquet:
        return open_parquet(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise SourceError(f"{path}: not a Parquet file; write it again, or name it .csv if it is one")
    return open_csv(path, "ratings")


def _know_films(work: Work, known_movies: Path | Iterable[int]) -> str:
    """Fill ``known_films``; returns a hash of the films, because other films mean other rejected rows."""
    if isinstance(known_movies, Path):
        query = f"SELECT DISTINCT movie_id::INTEGER AS movie_id FROM read_parquet({sql_text(str(known_movies))})"
    else:
        work.con.register("films", pa.table({"movie_id": pa.array(list(known_movies), pa.int32())}))
        query = "SELECT DISTINCT movie_id FROM films"
    work.con.execute(f"CREATE TABLE known_films AS {query} ORDER BY movie_id")
    return _hash_of_films(work.con.execute("FROM known_films").fetchnumpy()["movie_id"])


def _hash_of_films(movie_ids: NDArray[np.int32]) -> str:
    return bytes_sha256(movie_ids.astype("<i4").tobytes())


def ratings_fingerprints(sha256s: Iterable[str], movies: Path) -> list[str]:
    """Fingerprints that files of ratings with this content have in a home whose films are those of a Parquet file."""
    films = _hash_of_films(np.unique(pq.read_table(movies, columns=["movie_id"])["movie_id"].to_numpy()))
    return [_ratings_fingerprint(sha256, films) for sha256 in sha256s]


def _ratings_fingerprint(sha256: str, films: str) -> str:
    return _fingerprint([("new ratings", sha256), ("known films", films)])


def import_ratings_file(
    path: Path,
    sources_dir: Path,
    rules: RowRules,
    known_movies: Path | Iterable[int],
    *,
    threads: int | None = None,
    memory_limit: str = MEMORY_LIMIT,
    progress: bool = True,
) -> SourceManifest:
    """Convert one file of new ratings to Parquet under `sources_dir`, unless that was done before.

    Parameters
    ----------
    path : Path
        CSV, or Parquet with MovieLens' column names or ours; its content decides which.
    sources_dir : Path
        The home's ``sources`` folder.
    rules : RowRules
        As for `import_source`.
    known_movies : Path or iterable of int
        A Parquet file with a column ``movie_id``, or the ids: ratings of other films are rejected.
    threads, memory_limit, progress
        As for `import_source`.

    Returns
    -------
    SourceManifest
        Of kind ``ratings``. Its fingerprint follows from the file's content and the known films, not from names.

    Raises
    ------
    SourceError
        If the file is half written, damaged or lacks a column.
    """
    with _only_import(sources_dir), _work(sources_dir, rules, threads, memory_limit, progress) as work:
        file = _open_ratings(path)
        films = _know_films(work, known_movies)
        fingerprint = _ratings_fingerprint(file.sha256, films)
        if (existing := _existing(sources_dir / fingerprint, progress)) is not None:
            return existing
        import_table(work, file, must_be_whole=True)
        return _publish(work, _finish(work, "ratings", fingerprint, str(path)), sources_dir)
