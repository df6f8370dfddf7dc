"""From staged rows to the Parquet tables of an import: which rows are accepted beside the others.

Belongs here: rules, duplicates, unknown films, complete genomes, the order of rows in the tables, and the account of
every rejected row. Does not belong here: reading lines (`csv_file`), folders, fingerprints and the publication of an
import (`importer`).

Which of several rows is kept follows from their content, never from their place in the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from warehouse.errors import SourceError
from warehouse.files import file_sha256
from warehouse.ingest.csv_file import CsvFile
from warehouse.ingest.import_manifest import ImportedFile, IncompleteFilms, Output
from warehouse.ingest.layouts import Staged
from warehouse.ingest.parquet_file import ParquetRatings
from warehouse.logs import say
from warehouse.queries import sql_text
from warehouse.schemas.row_rules import RowRule, RowRules

InputFile = CsvFile | ParquetRatings

UNKNOWN_FILM = "unknown film"
INCOMPLETE_FILM = "film does not have all tags"
DUPLICATE = "duplicate row"
_EXAMPLES = 5


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
        # By month, user and film; two whole numbers sort in two thirds of the time that a time and two numbers take.
        "(year(rated_at) * 12 + month(rated_at))::INTEGER, user_id::BIGINT * 4294967296 + movie_id",
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


@dataclass
class Work:
    """One import under way: a connection of its own, and the folder it fills."""

    con: duckdb.DuckDBPyConnection
    folder: Path
    rules: RowRules
    progress: bool
    files: list[ImportedFile] = field(default_factory=list)
    tables: dict[str, Output] = field(default_factory=dict)

    @contextmanager
    def beside(self) -> Iterator["Work"]:
        """The same import for another thread: a second connection with temporary tables of its own."""
        with self.con.cursor() as con:
            yield replace(self, con=con)

    def say(self, text: str) -> None:
        """Tell people what is going on, on stderr."""
        if self.progress:
            say(text)

    def value(self, sql: str) -> int:
        """First value of a query."""
        row = self.con.execute(sql).fetchone()
        assert row is not None
        return row[0]

    def copy(self, table: str, query: str) -> int:
        """Write a query's rows to `<table>.parquet`."""
        path = self.folder / f"{table}.parquet"
        self.con.execute(f"COPY ({query}) TO {sql_text(str(path))} (FORMAT parquet)")
        rows = self.value(f"SELECT count(*) FROM read_parquet({sql_text(str(path))})")
        self.tables[table] = Output(rows, path.stat().st_size, file_sha256(path))
        return rows


# -- one file ----------------------------------------------------------------------------------------------------------


def _rules_of(work: Work, table: str) -> list[RowRule]:
    required = [RowRule(name, f"{name} IS NULL", f"{name} cannot be read") for name in _TABLES[table].required]
    return [*work.rules.get(table, ()), *required]


def _reasons(rules: Sequence[RowRule]) -> str:
    """SQL for the reason of the first rule a row breaks, NULL if it breaks none."""
    return "CASE " + " ".join(f"WHEN {rule.violated} THEN {sql_text(rule.reason)}" for rule in rules) + " END"


def _apply_rules(work: Work, table: str, per_unit: int) -> None:
    """Make the view ``rows`` of what was staged, ``bad`` of rows that break a rule, the view ``good`` of the rest."""
    rules = _rules_of(work, table)
    # A year is read from the title: one that cannot be meant is unknown, and no reason to reject the film.
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


def _reject(work: Work, query: str) -> None:
    """Add lines and reasons to ``bad``; the query may read ``good``."""
    work.con.execute(f"CREATE OR REPLACE TEMP TABLE worse AS {query}")
    work.con.execute("INSERT INTO bad FROM worse")
    work.con.execute("DROP TABLE worse")


def _reject_losers(work: Work, table: str) -> None:
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


def _columns(work: Work) -> list[str]:
    return [row[0] for row in work.con.execute("DESCRIBE rows").fetchall()]


def _stage(work: Work, file: InputFile) -> Staged:
    """Have the rows of a file in ``staged`` and ``unreadable``."""
    work.say(f"reading {file.path.name}: {file.data_rows:,} rows")
    return file.stage(work.con, _TABLES[file.table].key)


def _keep_rejected(work: Work, file: InputFile) -> None:
    """Add the unreadable and the bad rows of a file to ``rejected``, with their text."""
    source = file.path.name
    work.con.execute("INSERT INTO rejected SELECT ?, line, raw, reason FROM unreadable", [source])
    work.con.execute("DELETE FROM unreadable")
    numbers = work.con.execute("SELECT line FROM bad ORDER BY line").fetchnumpy()["line"].astype(np.int64)
    if not len(numbers):
        return
    for lines, texts in file.raw(work.con, numbers):
        work.con.register("raw_text", pa.table({"line": lines, "raw": pa.array(texts, pa.large_string())}))
        work.con.execute(
            "INSERT INTO rejected SELECT ?, line, raw_text.raw, bad.reason FROM raw_text JOIN bad USING (line)",
            [source],
        )
        work.con.unregister("raw_text")


def _account(work: Work, file: InputFile, accepted: int, reasons: Mapping[str, int], notes: Sequence[str]) -> None:
    """Record a file's fate, and make sure that it adds up and is still the file whose hash was taken."""
    rejected = sum(reasons.values())
    if accepted + rejected != file.data_rows or file.path.stat().st_size != file.bytes:
        raise SourceError(f"{file.path} changed while it was read; run the import again when nobody writes it")
    if file.data_rows and not file.ends_with_newline:
        notes = (*notes, "the last line has no line end: the file may have been cut short")
    size, name = file.bytes, file.path.name
    work.files.append(
        ImportedFile(name, size, file.sha256, file.data_rows, accepted, rejected, dict(reasons), tuple(notes))
    )


def _reason_counts(work: Work, source: str) -> dict[str, int]:
    query = "SELECT reason, count(*) FROM rejected WHERE source = ? GROUP BY reason ORDER BY 2 DESC, 1"
    return dict(work.con.execute(query, [source]).fetchall())


def _refuse_half_written(work: Work, file: InputFile) -> None:
    """Raise if the last line has no end and is no row: someone is still writing the file, or was cut off."""
    if file.ends_with_newline:
        return
    cut = work.con.execute(
        "SELECT reason FROM (SELECT line, reason FROM bad UNION ALL SELECT line, reason FROM unreadable) "
        "WHERE line = ?",
        [file.data_rows + 1],
    ).fetchone()
    if cut:
        raise SourceError(
            f"{file.path}: half written: the last line, {file.data_rows + 1}, is cut off ({cut[0]}); "
            "write the file elsewhere and move it here when complete"
        )


def import_table(work: Work, file: InputFile, *, must_be_whole: bool = False) -> None:
    """Convert one file to the table of its name.

    Parameters
    ----------
    work : Work
        With the table ``known_films(movie_id)`` if the file is about films defined elsewhere.
    must_be_whole : bool
        Whether a cut last line makes the file unusable rather than the line.
    """
    staged = _stage(work, file)
    _apply_rules(work, file.table, file.per_unit)
    if must_be_whole:
        _refuse_half_written(work, file)
    if file.table in ("ratings", "tags"):
        _reject(work, f"SELECT line, '{UNKNOWN_FILM}' AS reason FROM good ANTI JOIN known_films USING (movie_id)")
    if not staged.ascending:
        _reject_losers(work, file.table)
    _keep_rejected(work, file)
    accepted = work.copy(file.table, f"SELECT * EXCLUDE (line) FROM good ORDER BY {_TABLES[file.table].order}")
    _account(work, file, accepted, _reason_counts(work, file.path.name), staged.notes)


# -- the genome --------------------------------------------------------------------------------------------------------


def import_genome(work: Work, file: CsvFile, n_tags: int) -> IncompleteFilms:
    """Gather the scores of each film to one vector; films without all tags are left out, one rejected row each."""
    name = file.path.name
    staged = _stage(work, file)
    _apply_rules(work, "genome_scores", per_unit=1)
    _reject(work, "SELECT line, 'unknown tag' AS reason FROM good ANTI JOIN known_tags USING (tag_id)")
    if not staged.ascending:
        _reject_losers(work, "genome_scores")
    _keep_rejected(work, file)
    reasons = _reason_counts(work, name)
    incomplete = _leave_films_out(work, n_tags)
    films = work.con.execute("SELECT reason, sum(scores)::BIGINT FROM left_out GROUP BY 1").fetchall()
    # What a film is left out for is counted in lines, so that the file's account adds up.
    for reason, lines in films:
        reasons[reason] = reasons.get(reason, 0) + lines
    work.con.execute("CREATE OR REPLACE TEMP TABLE bad AS SELECT line, detail AS reason FROM left_out")
    _keep_rejected(work, file)
    count = work.copy(
        "genome",
        "SELECT movie_id, list(relevance ORDER BY tag_id) AS relevance FROM whole_films "
        "GROUP BY movie_id ORDER BY movie_id",
    )
    _account(work, file, count * n_tags, reasons, staged.notes)
    return incomplete


def _leave_films_out(work: Work, n_tags: int) -> IncompleteFilms:
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
