"""Releases in PostgreSQL: a schema per release, and views in the schema `marquee` that are switched in one transaction.

Belongs here: the statements. Does not belong here: the order of the steps (`export`) or what is exported
(`release_file`).

A release is loaded, indexed and verified in one transaction: its schema is there complete, or not at all, whenever the
process or the server dies. The views are replaced in another one. A transaction that has read one of them finds the
others of the same release, because the switch waits for its end; nobody ever waits longer than a moment for the switch,
because it gives way and tries again.
"""

import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from pyarrow import csv

from warehouse.errors import MissingExtraError
from warehouse.exports.address import Address, ExportError
from warehouse.exports.checksum import POSTGRESQL, checksum_query
from warehouse.exports.release_file import EXPORTED, Fingerprint, ReleaseFile
from warehouse.exports.target import Seen
from warehouse.faults import step
from warehouse.schemas.definitions import comment_statements

try:
    import psycopg
except ImportError:
    raise MissingExtraError(
        "exports to PostgreSQL need the package psycopg: pip install 'marquee[postgresql]'"
    ) from None

LIVE = "marquee"
"""Schema of the views that a product reads."""

TYPES = {
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "VARCHAR": "text",
    "VARCHAR[]": "text[]",
    "JSON": "json",
    "TIMESTAMP": "timestamp",
}
"""PostgreSQL's types by DuckDB's. `json`, not `jsonb`: it keeps the text as it is, which is compared."""

CONNECTION = {"connect_timeout": 10, "tcp_user_timeout": 60_000, "application_name": "marquee export"}
LOCK_TIMEOUT_MS = 100
"""How long the switch waits for one view. All together stay below PostgreSQL's `deadlock_timeout` of a second: in a
deadlock with a reader it is the switch that gives way."""
SWITCH_SECONDS = 60.0
CSV = csv.WriteOptions(include_header=False, quoting_style="needed")
ARRAY = r"""'{{' || array_to_string(
    list_transform("{0}", lambda e: '"' || replace(replace(e, '\', '\\'), '"', '\"') || '"'), ',') || '}}' AS "{0}" """


class PostgreSQL:
    """A database that releases are exported to."""

    default_keep = 24

    def __init__(self, address: Address) -> None:
        self._address = address
        self._doing = ""
        self._con: psycopg.Connection[Any]

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Connect and hold an advisory lock of the database, which PostgreSQL frees when the connection ends."""
        self._doing = "it cannot be reached"
        try:
            with psycopg.connect(self._address.resolved(), autocommit=True, **CONNECTION) as con:  # type: ignore[arg-type]
                self._con = con
                if not self._value("SELECT pg_try_advisory_lock(hashtext('marquee export'))"):
                    raise ExportError(f"{self._address.shown}: another export is running; try again when it has ended")
                yield
        except psycopg.Error as error:
            said = self._address.without_secrets(error)
            raise ExportError(f"{self._address.shown}: {self._doing}: {said}; {_advice(error)}") from None

    def held(self, release: str) -> set[str]:
        """Tables in the release's schema."""
        found = self._con.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema_of(release)])
        return {name for (name,) in found}

    def load(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Begin a transaction; create, fill and index the tables in it."""
        schema = schema_of(source.release)
        self._doing = f"{source.release} could not be loaded, and nothing there has changed"
        self._con.execute("BEGIN")
        self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for table in tables:
            self._doing = f"{table} of {source.release} could not be loaded, and nothing there has changed"
            self._fill(source, table, f"{schema}.{table}")
            step("export_table_loaded")

    def _fill(self, source: ReleaseFile, table: str, name: str) -> None:
        types = source.types(table)
        columns = ", ".join(f'"{column}" {TYPES[kind]}' for column, kind in types.items())
        self._con.execute(f"CREATE TABLE {name} ({columns})")
        selected = ", ".join(
            ARRAY.format(column) if kind.endswith("[]") else f'"{column}"' for column, kind in types.items()
        )
        # Frozen rows are seen by every transaction, also by one that began before the release was loaded.
        with self._con.cursor().copy(f"COPY {name} FROM STDIN (FORMAT csv, FREEZE)") as copy:
            for batch in source.batches(table, columns=selected):
                copy.write(_as_csv(batch))
        first, *others = source.keys(table)
        self._con.execute(f"ALTER TABLE {name} ADD PRIMARY KEY ({', '.join(first)})")
        for key in others:
            self._con.execute(f"ALTER TABLE {name} ADD UNIQUE ({', '.join(key)})")
        for statement in _comments(table, name, "TABLE"):
            self._con.execute(statement)
        self._con.execute(f"ANALYZE {name}")

    def verify(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Compare rows and checksums computed on both sides, then commit what was loaded."""
        for table in tables:
            self._doing = f"{table} of {source.release} could not be verified, and nothing there has changed"
            query = checksum_query(f"{schema_of(source.release)}.{table}", source.types(table), POSTGRESQL)
            rows, checksum = self._con.execute(query).fetchone() or (0, 0)
            there, wanted = Fingerprint(int(rows), int(checksum)), source.fingerprint(table)
            if there != wanted:
                raise ExportError(f"{self._address.shown}: {self._doing}: it has {there}, the release {wanted}")
        self._con.execute("COMMIT")

    def switch(self, release: str) -> bool:
        """Replace the views in one transaction; give way to readers, and try again."""
        self._doing = f"the views of the schema {LIVE} could not be switched to {release}, and are as they were"
        if self._live() == release and self._views() == self.held(release):
            return False
        order, pause, deadline = list(EXPORTED), 0.02, time.monotonic() + SWITCH_SECONDS
        while True:
            done: list[str] = []
            try:
                with self._con.transaction():
                    self._con.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                    self._replace_views(release, order, done)
                    step("export_switching")
                return True
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if time.monotonic() > deadline:
                    raise
            # A reader that has this view may wait for one that was replaced already: this one first, the next time.
            order.insert(0, order.pop(len(done)))
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _replace_views(self, release: str, order: Sequence[str], done: list[str]) -> None:
        """One view per table; a view of a table that this release has not would show another release, and goes."""
        self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {LIVE}")
        held, there = self.held(release), self._views()
        for table in order:
            if table in held:
                self._replace_view(table, f"{schema_of(release)}.{table}")
            elif table in there:
                self._con.execute(f"DROP VIEW {LIVE}.{table}")
            done.append(table)

    def _replace_view(self, table: str, shown: str) -> None:
        select = f"VIEW {LIVE}.{table} AS SELECT * FROM {shown}"
        try:
            with self._con.transaction():
                self._con.execute(f"CREATE OR REPLACE {select}")
        except psycopg.errors.InvalidTableDefinition:  # other columns: of an older or newer version
            self._con.execute(f"DROP VIEW {LIVE}.{table}")
            self._con.execute(f"CREATE {select}")
        for statement in _comments(table, f"{LIVE}.{table}", "VIEW"):
            self._con.execute(statement)

    def retire(self, keep: int) -> list[str]:
        """Drop the schemas of old releases; one that a reader still uses is left for the next export."""
        self._doing = "old releases could not be dropped"
        found = self._con.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ %s", [SCHEMA.pattern])
        schemas = sorted((name for (name,) in found), reverse=True)
        live, retired = self._live(), []
        for schema in schemas[keep:]:
            if release_of(schema) == live:
                continue
            try:
                with self._con.transaction():
                    self._con.execute(f"SET LOCAL lock_timeout = {10 * LOCK_TIMEOUT_MS}")
                    self._con.execute(f"DROP SCHEMA {schema} CASCADE")
            except psycopg.errors.LockNotAvailable:
                continue
            retired.append(release_of(schema))
            step("export_retired")
        return retired

    def seen(self) -> Seen:
        """The release named by `marquee.release`, and the rows of each view."""
        self._doing = "it cannot be read"
        views = [table for table in EXPORTED if table in self._views()]
        return Seen(self._live(), {view: self._value(f"SELECT count(*) FROM {LIVE}.{view}") for view in views})

    def _live(self) -> str | None:
        there = self._value(f"SELECT to_regclass('{LIVE}.release')")
        return self._value(f"SELECT release FROM {LIVE}.release") if there else None

    def _views(self) -> set[str]:
        found = self._con.execute("SELECT viewname FROM pg_views WHERE schemaname = %s", [LIVE])
        return {name for (name,) in found if name in EXPORTED}

    def _value(self, query: str) -> Any:
        row = self._con.execute(query).fetchone()
        return row[0] if row else None


SCHEMA = re.compile(r"^marquee_\d{8}t\d{6}z_[0-9a-f]{8}$")


def schema_of(release: str) -> str:
    """Schema of a release: its name in the letters that need no quotes."""
    return "marquee_" + release.lower().replace("-", "_")


def release_of(schema: str) -> str:
    """The release whose schema this is."""
    moment, _, code = schema.removeprefix("marquee_").partition("_")
    return f"{moment.upper()}-{code}"


def _as_csv(batch: pa.RecordBatch) -> memoryview:
    sink = io.BytesIO()
    csv.write_csv(batch, sink, CSV)
    return sink.getbuffer()


def _comments(table: str, name: str, kind: str) -> list[str]:
    """The descriptions of a table and its columns, at another name; PostgreSQL quotes texts as DuckDB does."""
    return [
        statement.replace(f" TABLE {table} ", f" {kind} {name} ", 1).replace(f" COLUMN {table}.", f" COLUMN {name}.", 1)
        for statement in comment_statements(table)
    ]


def _advice(error: psycopg.Error) -> str:
    """What to do about what PostgreSQL said."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "let this account create schemas: GRANT CREATE ON DATABASE ..."
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "a transaction that has read them is open for long: end it (pg_stat_activity), then try again"
    if isinstance(error, psycopg.errors.DiskFull):
        return "free space there, or keep fewer releases, then try again"
    if isinstance(error, psycopg.errors.DependentObjectsStillExist):
        return "something of yours uses a view whose columns have changed: drop it, export, create it again"
    if error.sqlstate is None:
        return "check the address, the server, and PGPASSWORD or PGPASSFILE, then try again"
    return "put that right, then try again"
