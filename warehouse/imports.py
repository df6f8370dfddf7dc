"""From the files of a source to Parquet under `sources/<fingerprint>/`, once, with an account of every row.

Belongs here: what makes a row acceptable in its context (rules, duplicates, unknown films, a complete genome), the
order and layout of the Parquet tables, and the atomic publication of the folder. Does not belong here: reading lines
(`warehouse.csv_rows`), finding files (`warehouse.sources`), the rules themselves (an argument), DuckDB tables of the
home (`assets`).

What the tables contain depends on the content of the files only, not on the order of their lines; only the line
numbers in rejected_rows.parquet do. A folder appears under its final name complete or not at all.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from warehouse.csv_rows import CsvFile, create_staging, open_csv, raw_lines, read_plain, stage_lines
from warehouse.manifests import (
    MANIFEST_NAME,
    ImportedFile,
    IncompleteFilms,
    ManifestError,
    Output,
    SourceManifest,
    read_manifest,
)
from warehouse.rules import RowRule, RowRules
from warehouse.source_error import SourceError
from warehouse.sources import LocalSource, check_names

FORMAT_VERSION = 1
"""Part of every fingerprint: raise it when the same files would be converted to something else."""

FILE_OF_TABLE = {
    "movies": "movies.csv",
    "ratings": "ratings.csv",
    "tags": "tags.csv",
    "genome_tags": "genome-tags.csv",
    "genome_scores": "genome-scores.csv",
}
UNKNOWN_FILM = "unknown film"
INCOMPLETE_FILM = "film does not have all tags"
DUPLICATE = "duplicate row"
_EXAMPLES = 5
_TEMPORARY = ".tmp-"

RawText = Callable[[np.ndarray], Iterator[tuple[np.ndarray, list[str]]]]


@dataclass(frozen=True)
class _Table:
    """How staged rows of one file become a table.

    Attributes
    ----------
    rows : str
        Columns of the table, as SQL over ``staged``.
    required : tuple of str
        Columns that must not be NULL, whatever the rules say.
    key : tuple of str
        What may occur once.
    winner : str
        Order in which rows of one key are preferred, before the line number: by content, never by position.
    order : str
        Order of the rows in the Parquet file.
    """

    rows: str
    required: tuple[str, ...]
    key: tuple[str, ...]
    winner: str
    order: str


_YEAR = r"regexp_extract(title, '\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\s*\)\s*$', 1)"

_TABLES = {
    "movies": _Table(
        f"movie_id, title, TRY_CAST({_YEAR} AS SMALLINT) AS year, CASE WHEN genres IS NOT NULL THEN list_filter("
        "string_split(genres, '|'), lambda genre: genre NOT IN ('', '(no genres listed)')) END AS genres",
        ("movie_id", "title", "genres"),
        ("movie_id",),
        "title, genres",
        "movie_id",
    ),
    "ratings": _Table(
        "user_id, movie_id, rating, make_timestamp(rated_at * {per_unit}) AS rated_at",
        ("user_id", "movie_id", "rating", "rated_at"),
        ("user_id", "movie_id"),
        "rated_at DESC, rating DESC",
        "date_trunc('month', rated_at), user_id, movie_id",
    ),
    "tags": _Table(
        "user_id, movie_id, tag, make_timestamp(tagged_at * {per_unit}) AS tagged_at",
        ("user_id", "movie_id", "tag", "tagged_at"),
        ("user_id", "movie_id", "tag", "tagged_at"),
        "tagged_at",
        "user_id, movie_id, tag, tagged_at",
    ),
    "genome_tags": _Table("tag_id, tag", ("tag_id", "tag"), ("tag_id",), "tag", "tag_id"),
    "genome_scores": _Table(
        "movie_id, tag_id, relevance",
        ("movie_id", "tag_id", "relevance"),
        ("movie_id", "tag_id"),
        "relevance DESC",
        "movie_id, tag_id",
    ),
}

# Why a row lost against another of the same key; w_ are the winner's values.
_LOST = {
    "movies": f"CASE WHEN title = w_title AND genres = w_genres THEN '{DUPLICATE}' "
    "ELSE 'movie_id belongs to another film of this file' END",
    "ratings": f"CASE WHEN rated_at < w_rated_at THEN 'superseded by a later rating of the same film by the same user' "
    "WHEN rating < w_rating THEN 'superseded by a higher rating of the same film by the same user at the same time' "
    f"ELSE '{DUPLICATE}' END",
    "tags": f"'{DUPLICATE}'",
    "genome_tags": f"CASE WHEN tag = w_tag THEN '{DUPLICATE}' ELSE 'tag_id belongs to another tag of this file' END",
    "genome_scores": f"CASE WHEN relevance = w_relevance THEN '{DUPLICATE}' "
    "ELSE 'superseded by a higher relevance of the same film and tag' END",
}


def sql_text(value: str) -> str:
    """A string as an SQL literal, for the statements that take no parameters (COPY, SET)."""
    return "'" + value.replace("'", "''") + "'"


@dataclass
class _Work:
    """One import under way: a connection of its own, and the folder it fills."""

    con: duckdb.DuckDBPyConnection
    folder: Path
    rules: RowRules
    progress: bool
    files: list[ImportedFile] = field(default_factory=list)
    tables: dict[str, Output] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Tell people what is going on, on stderr."""
        if self.progress:
            print(text, file=sys.stderr, flush=True)

    def value(self, sql: str) -> int:
        """First value of a query."""
        row = self.con.execute(sql).fetchone()
        assert row is not None
        return row[0]

    def copy(self, table: str, query: str) -> int:
        """Write a query's rows to `<table>.parquet`."""
        path = self.folder / f"{table}.parquet"
        self.con.execute(f"COPY ({query}) TO {sql_text(str(path))} (FORMAT parquet, COMPRESSION zstd)")
        rows = self.value(f"SELECT count(*) FROM read_parquet({sql_text(str(path))})")
        self.tables[table] = Output(rows, path.stat().st_size)
        return rows


# -- one file ----------------------------------------------------------------------------------------------------------


def _rules_of(work: _Work, table: str) -> list[RowRule]:
    required = [RowRule(name, f"{name} IS NULL", f"{name} cannot be read") for name in _TABLES[table].required]
    return [*work.rules.get(table, ()), *required]


def _reasons(rules: Sequence[RowRule]) -> str:
    """SQL for the reason of the first rule a row breaks, NULL if it breaks none."""
    return "CASE " + " ".join(f"WHEN {rule.violated} THEN {sql_text(rule.reason)}" for rule in rules) + " END"


def _apply_rules(work: _Work, table: str, per_unit: int) -> None:
    """Make the view ``rows`` of what was staged, ``bad`` of rows that break a rule, the view ``good`` of the rest."""
    rules = _rules_of(work, table)
    # A year is read from the title: one that cannot be meant is unknown, and no reason to turn the film away.
    years = [rule for rule in rules if rule.column == "year"]
    rules = [rule for rule in rules if rule.column != "year"]
    rows = f"SELECT line, {_TABLES[table].rows.replace('{per_unit}', str(per_unit))} FROM staged"
    if years:
        unlikely = " OR ".join(f"({rule.violated})" for rule in years)
        rows = f"SELECT * REPLACE (CASE WHEN NOT ({unlikely}) THEN year END AS year) FROM ({rows})"
    work.con.execute(f"CREATE OR REPLACE TEMP VIEW rows AS {rows}")
    work.con.execute(
        f"CREATE OR REPLACE TEMP TABLE bad AS "
        f"SELECT line, reason FROM (SELECT line, {_reasons(rules)} AS reason FROM rows) WHERE reason IS NOT NULL"
    )
    work.con.execute("CREATE OR REPLACE TEMP VIEW good AS FROM rows ANTI JOIN bad USING (line)")


def _reject(work: _Work, query: str) -> None:
    """Add lines and reasons to ``bad``; the query may read ``good``."""
    work.con.execute(f"CREATE OR REPLACE TEMP TABLE worse AS {query}")
    work.con.execute("INSERT INTO bad FROM worse")
    work.con.execute("DROP TABLE worse")


def _reject_losers(work: _Work, table: str) -> None:
    """Keep one row per key."""
    spec = _TABLES[table]
    key = ", ".join(spec.key)
    work.con.execute(f"CREATE OR REPLACE TEMP TABLE twice AS SELECT {key} FROM good GROUP BY {key} HAVING count(*) > 1")
    if work.value("SELECT count(*) FROM twice"):
        columns = [name for name in _columns(work) if name not in ("line", *spec.key)] or ["line"]
        winners = ", ".join(f"first_value({name}) OVER best AS w_{name}" for name in columns)
        _reject(
            work,
            f"SELECT line, {_LOST[table]} AS reason FROM ("
            f"SELECT *, row_number() OVER best AS place, {winners} FROM good SEMI JOIN twice USING ({key}) "
            f"WINDOW best AS (PARTITION BY {key} ORDER BY {spec.winner}, line)) WHERE place > 1",
        )
    work.con.execute("DROP TABLE twice")


def _columns(work: _Work) -> list[str]:
    return [row[0] for row in work.con.execute("DESCRIBE rows").fetchall()]


def _is_ascending(rows: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether a two-column key grows from row to row: as in MovieLens' files, and then nothing is there twice."""
    first, second = (rows[name].to_numpy() for name in key)
    return bool(np.all((first[1:] > first[:-1]) | ((first[1:] == first[:-1]) & (second[1:] > second[:-1]))))


@contextmanager
def _staged(work: _Work, file: CsvFile) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """Have the rows of a file in ``staged``; tells whether they are known to be unique, and notes on the file."""
    work.say(f"reading {file.path.name}: {file.data_rows:,} rows")
    rows = read_plain(file)
    work.con.execute("DROP TABLE IF EXISTS staged")
    if rows is None:
        notes = stage_lines(work.con, file)
        yield False, notes
        work.con.execute("DROP TABLE staged")
        return
    create_staging(work.con, file.layout)
    work.con.execute("DROP TABLE staged")
    work.con.register("staged", rows.to_arrow())
    yield _is_ascending(rows, _TABLES[file.table].key), ()
    work.con.unregister("staged")


def _keep_rejected(work: _Work, source: str, raw: RawText) -> None:
    """Add the unreadable and the bad rows of a file to ``rejected``, with their text."""
    work.con.execute("INSERT INTO rejected SELECT ?, line, raw, reason FROM unreadable", [source])
    numbers = work.con.execute("SELECT line FROM bad ORDER BY line").fetchnumpy()["line"].astype(np.int64)
    if not len(numbers):
        return
    for lines, texts in raw(numbers):
        work.con.register("raw_text", pa.table({"line": lines, "raw": pa.array(texts, pa.large_string())}))
        work.con.execute(
            "INSERT INTO rejected SELECT ?, line, raw_text.raw, bad.reason FROM raw_text JOIN bad USING (line)",
            [source],
        )
        work.con.unregister("raw_text")


def _account(work: _Work, file: CsvFile, accepted: int, reasons: Mapping[str, int], notes: Sequence[str]) -> None:
    """Record a file's fate, and make sure that it adds up and is still the file whose hash was taken."""
    if accepted + sum(reasons.values()) != file.data_rows or file.path.stat().st_size != file.bytes:
        raise SourceError(f"{file.path} changed while it was read; run the import again when nobody writes it")
    if file.data_rows and not file.ends_with_newline:
        notes = (*notes, "the last line has no line end: the file may have been cut short")
    work.files.append(
        ImportedFile(file.path.name, file.bytes, file.sha256, file.data_rows, accepted, dict(reasons), tuple(notes))
    )


def _reason_counts(work: _Work, source: str) -> dict[str, int]:
    query = "SELECT reason, count(*) FROM rejected WHERE source = ? GROUP BY reason ORDER BY 2 DESC, 1"
    return dict(work.con.execute(query, [source]).fetchall())


def _import_table(work: _Work, file: CsvFile) -> None:
    """Convert one file to the table of its name. Films other than movies' must be in ``known_films``."""
    with _staged(work, file) as (unique, notes):
        _apply_rules(work, file.table, per_unit=1_000_000)
        if file.table in ("ratings", "tags"):
            _reject(work, f"SELECT line, '{UNKNOWN_FILM}' AS reason FROM good ANTI JOIN known_films USING (movie_id)")
        if not unique:
            _reject_losers(work, file.table)
        _keep_rejected(work, file.path.name, lambda numbers: raw_lines(file, numbers))
        columns = "* EXCLUDE (line)"
        accepted = work.copy(file.table, f"SELECT {columns} FROM good ORDER BY {_TABLES[file.table].order}")
    _account(work, file, accepted, _reason_counts(work, file.path.name), notes)


# -- the genome --------------------------------------------------------------------------------------------------------


def _import_genome(work: _Work, file: CsvFile, n_tags: int) -> IncompleteFilms:
    """Gather the scores of each film to one vector; films without all tags are left out, one rejected row each."""
    name = file.path.name
    with _staged(work, file) as (unique, notes):
        _apply_rules(work, "genome_scores", per_unit=1)
        _reject(work, "SELECT line, 'unknown tag' AS reason FROM good ANTI JOIN known_tags USING (tag_id)")
        if not unique:
            _reject_losers(work, "genome_scores")
        _keep_rejected(work, name, lambda numbers: raw_lines(file, numbers))
        reasons = _reason_counts(work, name)
        incomplete = _leave_films_out(work, n_tags)
        films = work.con.execute("SELECT reason, sum(scores)::BIGINT FROM left_out GROUP BY 1").fetchall()
        # What a film is left out for is counted in lines, so that the file's account adds up.
        for reason, lines in films:
            reasons[reason] = reasons.get(reason, 0) + lines
        work.con.execute("CREATE OR REPLACE TEMP TABLE bad AS SELECT line, detail AS reason FROM left_out")
        work.con.execute("DELETE FROM unreadable")
        _keep_rejected(work, name, lambda numbers: raw_lines(file, numbers))
        count = work.copy(
            "genome",
            "SELECT movie_id, list(relevance ORDER BY tag_id) AS relevance FROM whole_films "
            "GROUP BY movie_id ORDER BY movie_id",
        )
    _account(work, file, count * n_tags, reasons, notes)
    return incomplete


def _leave_films_out(work: _Work, n_tags: int) -> IncompleteFilms:
    """Make ``left_out`` of the films that are unknown or lack tags, and ``whole_films`` of the scores of the others."""
    work.con.execute(
        "CREATE OR REPLACE TEMP TABLE scored AS "
        "SELECT movie_id, count(*) AS scores, min(line) AS line FROM good GROUP BY movie_id"
    )
    work.con.execute(
        f"CREATE OR REPLACE TEMP TABLE left_out AS SELECT movie_id, scores, line, '{UNKNOWN_FILM}' AS reason, "
        f"'{UNKNOWN_FILM}: all ' || scores || ' scores' AS detail FROM scored ANTI JOIN known_films USING (movie_id) "
        f"UNION ALL SELECT movie_id, scores, line, '{INCOMPLETE_FILM}', "
        f"'film has ' || scores || ' of {n_tags} tags' FROM scored SEMI JOIN known_films USING (movie_id) "
        f"WHERE scores < {n_tags}"
    )
    work.con.execute(
        "CREATE OR REPLACE TEMP TABLE good_lines AS SELECT movie_id FROM scored ANTI JOIN left_out USING (movie_id)"
    )
    # Not a view on good: bad is about to be replaced.
    work.con.execute(
        "CREATE OR REPLACE TEMP TABLE whole_films AS SELECT movie_id, tag_id, relevance "
        "FROM good SEMI JOIN good_lines USING (movie_id)"
    )
    rows = work.con.execute(
        "SELECT movie_id, scores FROM left_out WHERE reason = ? ORDER BY movie_id", [INCOMPLETE_FILM]
    ).fetchall()
    return IncompleteFilms(
        len(rows), tuple(f"film {film}: {scores} of {n_tags} tags" for film, scores in rows[:_EXAMPLES])
    )


# -- the folder --------------------------------------------------------------------------------------------------------


def _fingerprint(parts: Sequence[tuple[str, str]]) -> str:
    """First 16 hex digits of the hash over sorted (logical name, sha256 of the content) and the format version."""
    digest = hashlib.sha256(f"marquee import {FORMAT_VERSION}\n".encode())
    for name, content in sorted(parts):
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def _only_import(sources_dir: Path) -> Iterator[None]:
    """Let one import at a time write below `sources_dir`, and clear away what killed ones left."""
    sources_dir.mkdir(parents=True, exist_ok=True)
    with (sources_dir / ".lock").open("w") as lock:
        # Released by the system when the process ends, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in sources_dir.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _existing(folder: Path, progress: bool) -> SourceManifest | None:
    """An import that was made before; a damaged one is put aside for a new one."""
    if not folder.exists():
        return None
    try:
        return read_manifest(folder)
    except ManifestError as error:
        if progress:
            print(f"importing again: {error}", file=sys.stderr)
        folder.rename(folder.with_name(f"{_TEMPORARY}damaged-{folder.name}"))
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(manifest: SourceManifest, folder: Path, sources_dir: Path) -> SourceManifest:
    """Give a complete folder its final name, so that it survives a power cut whole or not at all."""
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)
    target = sources_dir / manifest.fingerprint
    folder.rename(target)
    _sync(sources_dir)
    return replace(manifest, folder=target)


@contextmanager
def _work(
    sources_dir: Path, rules: RowRules, threads: int | None, memory_limit: str, progress: bool
) -> Iterator[_Work]:
    """A connection and a temporary folder, both gone afterwards unless the folder was published."""
    scratch = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=sources_dir))
    folder = scratch / "import"
    folder.mkdir()
    con = duckdb.connect()
    try:
        con.execute(f"SET temp_directory = {sql_text(str(scratch / 'spill'))}")
        con.execute(f"SET memory_limit = {sql_text(memory_limit)}")
        con.execute("SET TimeZone = 'UTC'")
        if threads is not None:
            con.execute(f"SET threads = {int(threads)}")
        con.execute("CREATE TEMP TABLE rejected (source VARCHAR, line BIGINT, raw VARCHAR, reason VARCHAR)")
        yield _Work(con, folder, rules, progress)
    finally:
        con.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _finish(
    work: _Work,
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
        tables=work.tables,
        has_scores=bool(work.tables.get("genome", Output(0, 0)).rows),
        has_tags=bool(work.tables.get("tags", Output(0, 0)).rows),
        n_tags=n_tags,
        incomplete_genome_films=incomplete or IncompleteFilms(),
    )


# -- the two doors -----------------------------------------------------------------------------------------------------


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


def _require_rows(work: _Work, file: CsvFile) -> None:
    """A source none of whose films or ratings can be used is refused with an example."""
    if work.tables[file.table].rows:
        return
    example = work.con.execute(
        "SELECT line, reason FROM rejected WHERE source = ? ORDER BY line LIMIT 1", [file.path.name]
    ).fetchone()
    line, reason = example or (2, "no rows")
    raise SourceError(
        f"{file.path}: none of the {file.data_rows} rows can be used, for instance line {line}: {reason}; "
        "check that the file is what its name says"
    )


def _import_files(work: _Work, files: Mapping[str, CsvFile]) -> tuple[int, IncompleteFilms]:
    """Convert all files; returns the number of genome tags and the films left out of the genome."""
    _import_table(work, files["movies"])
    _require_rows(work, files["movies"])
    movies = sql_text(str(work.folder / "movies.parquet"))
    work.con.execute(f"CREATE TEMP TABLE known_films AS SELECT movie_id FROM read_parquet({movies})")
    _import_table(work, files["ratings"])
    _require_rows(work, files["ratings"])
    if "tags" in files:
        _import_table(work, files["tags"])
    if "genome_scores" not in files:
        return 0, IncompleteFilms()
    _import_table(work, files["genome_tags"])
    tags = sql_text(str(work.folder / "genome_tags.parquet"))
    work.con.execute(f"CREATE TEMP TABLE known_tags AS SELECT tag_id FROM read_parquet({tags})")
    n_tags = work.tables["genome_tags"].rows
    return n_tags, _import_genome(work, files["genome_scores"], n_tags)


def import_source(
    local: LocalSource,
    sources_dir: Path,
    rules: RowRules,
    *,
    threads: int | None = None,
    memory_limit: str = "2GB",
    progress: bool = True,
) -> SourceManifest:
    """Convert a data set to Parquet under `sources_dir`, unless that was done before.

    Parameters
    ----------
    local : LocalSource
        From `warehouse.sources.resolve_source`.
    sources_dir : Path
        The home's ``sources`` folder; made if need be.
    rules : RowRules
        What a row must meet, e.g. ``checks.door.row_rules()``.
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
        files = _open_files(local.path)
        fingerprint = _fingerprint([(file.path.name, file.sha256) for file in files.values()])
        if (existing := _existing(sources_dir / fingerprint, progress)) is not None:
            return existing
        n_tags, incomplete = _import_files(work, files)
        manifest = _finish(work, "source", fingerprint, local.origin, n_tags, incomplete)
        return _publish(manifest, work.folder, sources_dir)
