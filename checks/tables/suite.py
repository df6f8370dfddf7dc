"""The checks of the working tables, each with its asset, and the record that spares a table a second look.

Belongs here: which checks there are, what each reads, and running those whose tables have changed since their result
was recorded. A result is recorded under ``table@version``, where the version follows from the versions of all tables
the check reads, the thresholds and the code of the checks. Does not belong here: the checks themselves, what Dagster
shows of them (`checks.asset_checks`), the staged release (`checks.release.suite`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import duckdb

from checks.results import timed
from checks.settings import CheckSettings
from checks.tables import content as data
from checks.tables import index
from checks.tables.conformance import check_foreign_keys, check_name, check_schema
from checks.tables.content import Context
from warehouse.queries import one_row, utc_now
from warehouse.schemas.models import WORKING_MODELS
from warehouse.schemas.table import Table, foreign_keys
from warehouse.tables.check_results import CheckResult, record_results, recorded_results
from warehouse.tables.versions import digest

KEEP_RESULTS = timedelta(days=90)
"""How long results of table versions are kept; those of releases stay."""

FILES = "files"
MODEL = "model"
PARAMETERS = "parameters"
TODAY = "today"


@dataclass(frozen=True)
class TableCheck:
    """A check of a working table.

    Attributes
    ----------
    name : str
        Unique over all checks.
    asset : str
        ``schema/table`` of the asset whose tab shows it.
    table : str
        The table it is mostly about, as ``schema.table``.
    description : str
        What must hold.
    run : callable
    reads : tuple of str
        What its outcome depends on: tables, or one of FILES (everything imported), MODEL (the newest model), PARAMETERS
        (the model's), TODAY.
    stops : bool
        Whether a failure stops the run: what follows from malformed rows is not worth computing.
    gates : bool
        Whether a release needs its result to be promoted.
    """

    name: str
    asset: str
    table: str
    description: str
    run: Callable[[Context], CheckResult]
    reads: tuple[str, ...]
    stops: bool = False
    gates: bool = True


ASSET_OF = {
    "raw.rating_months": "raw/ratings",
    "recs.user_states": "recs/user_recommendations",
    "ops.source": "raw/source_files",
    "ops.table_versions": "raw/source_files",
}
"""Assets of tables that are no assets themselves; registry tables and those of requests are no input of a release."""

BOOKS = (
    "ops.schema_versions",
    "ops.releases",
    "ops.release_events",
    "ops.check_results",
    "ops.request_files",
    "ops.served_requests",
    "ops.event_files",
    "ops.events",
    "ops.experiments",
    "ops.experiment_events",
)


def _reads(table: str) -> str:
    """What the version of a table follows from."""
    if table.startswith("ops.") or table in {"raw.source_files", "raw.rating_files", "raw.rejected_rows"}:
        return FILES
    if table == "recs.user_states":
        return "recs.user_recommendations"
    return MODEL if table in {"model.annoy_indexes", "model.item_models"} else table


def _schema_check(table: str, model: type[Table]) -> TableCheck:
    asset = ASSET_OF.get(table, table.replace(".", "/"))
    width = ("raw.genome_tags",) if table in {"raw.genome", "model.user_vectors"} else ()
    return TableCheck(
        check_name(table),
        asset,
        table,
        f"{table} has the columns, types, ranges and keys of its schema",
        partial(_run_schema, table, model, asset),
        (_reads(table), *width),
        stops=True,
    )


def _run_schema(table: str, model: type[Table], asset: str, context: Context) -> CheckResult:
    # That no user has a rank twice is checked in the release, where the table is sorted.
    return check_schema(context.warehouse.con, table, model, asset, unique=table != "recs.user_recommendations")


def _orphans_check(table: str, model: type[Table]) -> TableCheck:
    asset = ASSET_OF.get(table, table.replace(".", "/"))
    return TableCheck(
        check_name(table, "orphans"),
        asset,
        table,
        f"ids in {table} exist where they come from: " + ", ".join(f"{a} in {b}" for a, (b, _) in keys(model)),
        partial(_run_orphans, table, model, asset),
        (_reads(table), *(target for _, (target, _) in keys(model))),
        stops=True,
    )


def keys(model: type[Table]) -> list[tuple[str, tuple[str, str]]]:
    """Foreign keys of a model as a list."""
    return list(foreign_keys(model).items())


def _run_orphans(table: str, model: type[Table], asset: str, context: Context) -> CheckResult:
    return check_foreign_keys(context.warehouse.con, table, model, asset)


def _about(
    run: Callable[[Context], CheckResult], table: str, *reads: str, asset: str = "", gates: bool = True
) -> TableCheck:
    """A data or index check, named and described by its function."""
    summary = " ".join((run.__doc__ or "").split("\n\n")[0].split())
    return TableCheck(run.__name__, asset or table.replace(".", "/"), table, summary, run, reads, gates=gates)


TABLE_CHECKS: tuple[TableCheck, ...] = (
    *(_schema_check(table, model) for table, model in WORKING_MODELS.items() if table not in BOOKS),
    *(
        _orphans_check(table, model)
        for table, model in WORKING_MODELS.items()
        if foreign_keys(model) and table not in BOOKS
    ),
    _about(data.rejected_share, "raw.rejected_rows", FILES),
    _about(data.ratings_add_up, "raw.ratings", "raw.ratings", FILES),
    _about(data.films_without_all_tags, "raw.genome", "raw.genome", FILES),
    _about(data.likes_with_vector, "model.film_likes", "model.film_likes", "raw.genome"),
    _about(data.user_vector_norms, "model.user_vectors", "model.user_vectors"),
    _about(data.users_without_vector, "model.user_vectors", "model.user_vectors", gates=False),
    _about(data.ratings_per_month, "raw.ratings", "raw.ratings", gates=False),
    _about(data.rating_distribution, "raw.ratings", "raw.ratings"),
    _about(data.ratings_freshness, "raw.ratings", "raw.ratings", FILES, TODAY, gates=False),
    _about(index.index_recall, "model.annoy_indexes", MODEL),
    _about(index.index_files, "model.annoy_indexes", MODEL),
    _about(index.index_answers, "model.annoy_indexes", MODEL, "model.likes", "raw.genome", PARAMETERS),
)
"""Every check of a working table."""


@cache
def checks_version() -> str:
    """Hash of the code of the checks: a changed check looks again."""
    found = sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def thresholds_version(settings: CheckSettings) -> str:
    """Version of what results follow from besides data: thresholds, and the code of the checks."""
    return digest(settings.model_dump(), checks_version())[:12]


def results_of(context: Context, checks: Iterable[TableCheck] = TABLE_CHECKS) -> list[CheckResult]:
    """Results for the tables as they are now: recorded ones where there are any, the others made and recorded.

    Parameters
    ----------
    context : Context
    checks : iterable of TableCheck

    Returns
    -------
    list of CheckResult
        One per check, in their order.
    """
    warehouse = context.warehouse
    versions = _versions(context)
    results, fresh = [], []
    malformed: set[str] = set()
    for check in checks:
        subject = _subject(context, check, versions)
        known = [found for found in recorded_results(warehouse.con, subject) if found.check_name == check.name]
        result = known[0] if known else timed(partial(_run, context, check, versions, malformed))[0]
        if check.stops and result.blocks:
            malformed.add(check.table)
        results.append(result)
        if not known:
            fresh.append((subject, result))
    if fresh:
        limit = utc_now() - KEEP_RESULTS
        with warehouse.transaction() as con:
            con.execute("DELETE FROM ops.check_results WHERE contains(subject, '@') AND checked_at < ?", [limit])
            for subject, result in fresh:
                record_results(con, subject, [result])
    return results


def _run(context: Context, check: TableCheck, versions: dict[str, str], malformed: set[str]) -> CheckResult:
    """Look at a table, unless it is not there, or malformed and the question is one of sense."""
    missing = [table for table in {check.table, *check.reads} if "." in table and table not in versions]
    if missing:
        reason = f"{', '.join(sorted(missing))} does not exist yet; materialize {check.asset}"
        return CheckResult(check.name, check.asset, False, "error", None, None, reason)
    unreadable = sorted(malformed & {check.table, *check.reads})
    if unreadable and not check.stops:
        reason = f"not looked at, because {', '.join(unreadable)} does not meet its schema"
        return CheckResult(check.name, check.asset, False, "error" if check.gates else "warn", None, None, reason)
    return check.run(context)


def _subject(context: Context, check: TableCheck, versions: dict[str, str]) -> str:
    """``table@version``: the same as long as nothing has changed that the check's outcome depends on."""
    special = {
        PARAMETERS: context.parameters.model_dump(),
        TODAY: f"{datetime.now(UTC):%Y-%m-%d}",
    }
    inputs = [special.get(name) or versions.get(name) for name in check.reads]
    version = digest(inputs, versions.get(f"rows {check.table}"), thresholds_version(context.settings))
    return f"{check.table}@{version[:16]}"


def _versions(context: Context) -> dict[str, str]:
    """Versions of all tables there are, of the imports and of the newest model; and each table's number of rows."""
    con = context.warehouse.con
    found = {f"{schema}.{table}": "" for schema, table in _tables(con)}
    for name, version in con.execute("SELECT table_name, version FROM ops.table_versions ORDER BY 1").fetchall():
        table = name.partition("/")[0]  # shards of a table count together
        found[table] = digest(found.get(table), version)
    imports = con.execute(
        "SELECT fingerprint, '' FROM ops.source UNION ALL SELECT fingerprint, name FROM raw.rating_files"
    )
    found[FILES] = digest(sorted(imports.fetchall()))
    found[MODEL] = digest(_model_files(context))
    for table in [name for name in found if "." in name and not name.startswith("ops.")]:
        found[f"rows {table}"] = str(one_row(con, f"SELECT count(*) FROM {table}")[0])
    return found


def _model_files(context: Context) -> list[object]:
    """The newest model, and size and time of its files: a file somebody has touched is looked at again."""
    row = one_row(context.warehouse.con, "SELECT max(model_version), count(*) FROM model.annoy_indexes")
    if row[0] is None:
        return []
    files = sorted(context.warehouse.home.model_folder(row[0]).glob("*"))
    return [*row, *((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)]


def _tables(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name IN ('raw', 'model', 'recs', 'ops')"
    ).fetchall()


BOOK_CHECKS: tuple[TableCheck, ...] = tuple(
    TableCheck(
        check_name(table),
        "published/live_release",
        table,
        f"{table} has the columns, types, ranges and keys of its schema; looked at once a day",
        partial(_run_schema, table, WORKING_MODELS[table], "published/live_release"),
        (TODAY,),
        gates=False,
    )
    for table in BOOKS
    if table in WORKING_MODELS
)
"""Of the registry tables: what they say is no input of a release, so nothing waits for them."""

REQUIRED_TABLE_CHECKS = frozenset(check.name for check in TABLE_CHECKS if check.gates)
"""Names of the table checks without whose recorded result no release goes live."""
