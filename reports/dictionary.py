"""The data dictionary: what a release's file holds, as its own catalogue says it, and where its columns come from.

Belongs here: reading the catalogue of an open release, the rules and the lineage of its tables, the working tables that
these come from. Does not belong here: the descriptions (`warehouse.schemas`), or how the page looks (`templates`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import duckdb

from warehouse.queries import count_rows, records, sql_name
from warehouse.schemas.definitions import SCHEMAS
from warehouse.schemas.in_words import column_rules, table_facts
from warehouse.schemas.lineage import sources_of
from warehouse.schemas.models import PUBLISHED_MODELS, WORKING_MODELS
from warehouse.schemas.table import sql_types

EXAMPLES = 3
"""Rows of each table that are shown."""

HERE = "database_name = current_database() AND NOT internal"


@dataclass(frozen=True)
class Column:
    """A column: its SQL type, what it means, which values it may have, and the columns it comes from."""

    name: str
    type: str
    description: str = ""
    rules: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Relation:
    """A table, view or macro.

    Attributes
    ----------
    name : str
    kind : str
        ``table``, ``view`` or ``macro``.
    call : str
        How a query names it.
    description : str
    columns : list of Column
    rows : int or None
        Of tables.
    facts : list of str
        What holds of a table as a whole.
    sql : str
        What a view or macro is made of.
    behind : dict of str to list of str
        By schema: the working tables that a table is made from, directly or not.
    example : list of tuple
        Its first rows.
    """

    name: str
    kind: str
    call: str
    description: str
    columns: list[Column]
    rows: int | None = None
    facts: list[str] = field(default_factory=list)
    sql: str = ""
    behind: dict[str, list[str]] = field(default_factory=dict)
    example: list[tuple[Any, ...]] = field(default_factory=list)


def published_relations(con: duckdb.DuckDBPyConnection) -> list[Relation]:
    """Tables in the order of the contract, then views, then macros of an open release."""
    tables = {row["name"]: row for row in _catalogue(con, "duckdb_tables()", "table_name AS name, comment")}
    known = [name for name in PUBLISHED_MODELS if name in tables]
    views = _catalogue(con, "duckdb_views()", "view_name AS name, comment, sql")
    macros = _catalogue(
        con,
        "duckdb_functions()",
        "function_name AS name, comment, parameters, macro_definition AS sql",
        "function_type = 'table_macro'",
    )
    return [
        *(_table(con, tables[name]) for name in dict.fromkeys([*known, *tables])),
        *(_view(con, row) for row in views),
        *(_macro(con, row) for row in macros),
    ]


def working_relations(published: Iterable[Relation]) -> list[Relation]:
    """The working tables that a release's tables are made from, as the models describe them."""
    needed = {table for relation in published for tables in relation.behind.values() for table in tables}
    found = []
    for name, model in WORKING_MODELS.items():
        if name not in needed:
            continue
        described, sources = model.to_schema().columns, sources_of(name)
        columns = [
            Column(column, kind, described[column].description, column_rules(model, column), _names(sources, column))
            for column, kind in sql_types(model).items()
        ]
        text = " ".join((model.__doc__ or "").split())
        found.append(Relation(name, "table", name, text, columns, facts=table_facts(model), behind=_behind(name)))
    return found


def _catalogue(con: duckdb.DuckDBPyConnection, function: str, columns: str, only: str = "true") -> list[dict[str, Any]]:
    return records(con.execute(f"SELECT {columns} FROM {function} WHERE {HERE} AND {only} ORDER BY name"))


def _described(con: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    return records(
        con.execute(
            "SELECT column_name AS name, data_type AS type, coalesce(comment, '') AS description FROM duckdb_columns() "
            f"WHERE {HERE} AND table_name = ? ORDER BY column_index",
            [name],
        )
    )


def _table(con: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> Relation:
    name = row["name"]
    model, sources = PUBLISHED_MODELS.get(name), sources_of(name) if name in PUBLISHED_MODELS else {}
    known = model.to_schema().columns if model else {}
    columns = [
        Column(
            **column,
            rules=column_rules(model, column["name"]) if model and column["name"] in known else "",
            sources=_names(sources, column["name"]),
        )
        for column in _described(con, name)
    ]
    example = con.execute(f"FROM {sql_name(name)} LIMIT {EXAMPLES}").fetchall()
    facts = table_facts(model, published=True) if model else []
    return Relation(
        name, "table", name, row["comment"] or "", columns, count_rows(con, sql_name(name)), facts,
        behind=_behind(name) if model else {}, example=example,
    )  # fmt: skip


def _view(con: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> Relation:
    columns = [Column(**column) for column in _described(con, row["name"])]
    return Relation(row["name"], "view", row["name"], row["comment"] or "", columns, sql=row["sql"])


def _macro(con: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> Relation:
    nothing = ", ".join("NULL" for _ in row["parameters"])
    found = con.execute(f"DESCRIBE FROM {sql_name(row['name'])}({nothing})").fetchall()
    columns = [Column(name, kind) for name, kind, *_ in found]
    call = f"{row['name']}({', '.join(row['parameters'])})"
    return Relation(row["name"], "macro", call, row["comment"] or "", columns, sql=row["sql"])


def _names(sources: dict[str, list[tuple[str, str]]], column: str) -> tuple[str, ...]:
    return tuple(f"{table}.{name}" for table, name in sources.get(column, []))


def _behind(table: str) -> dict[str, list[str]]:
    """All working tables that a table is made from, by schema, in the order of the models."""
    reached, new = set[str](), {table}
    while new:
        new = {owner for name in new for found in sources_of(name).values() for owner, _ in found} - reached - {table}
        reached |= new
    by_schema = {schema: [name for name in WORKING_MODELS if name in reached and name.startswith(f"{schema}.")]
                 for schema in SCHEMAS}  # fmt: skip
    return {schema: names for schema, names in by_schema.items() if names}
