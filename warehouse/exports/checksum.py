"""A checksum of a table that does not depend on the order of its rows, the same in DuckDB and in PostgreSQL.

Belongs here: the SQL of it, in both dialects. Does not belong here: comparing.

Each value becomes an integer below P = 2^31 - 1: a number by its remainder, a score as millionths, a text by its MD5. A
row is the value of the polynomial with these coefficients at BASE, modulo P. The checksum is the sum over all rows of
its square, modulo P: without the square, two rows that exchange values would go unnoticed. All products stay below
2^63. Two different rows have the same value once in 2^31 times; that is no protection against an adversary, and
none is needed: what it finds is damage and mistakes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

P = 2**31 - 1
BASE = 1_103_515_245


@dataclass(frozen=True)
class Dialect:
    """How a database writes what the checksum needs; `{}` stands for a column."""

    text: str
    array: str
    time: str


DUCKDB = Dialect(
    text="CAST('0x' || substr(md5({}), 1, 7) AS BIGINT)",
    array="array_to_string({}, '|')",
    time="epoch_us({})",
)
POSTGRESQL = Dialect(
    text="('x0' || substr(md5({}), 1, 7))::bit(32)::bigint",
    array="array_to_string({}, '|')",
    time="(extract(epoch FROM {}) * 1000000)::bigint",
)


def checksum_query(source: str, types: Mapping[str, str], dialect: Dialect) -> str:
    """SQL that gives the rows and the checksum of a table.

    Parameters
    ----------
    source : str
        A table, or a query in brackets.
    types : mapping
        DuckDB types by column.
    dialect : Dialect
    """
    row = "0"
    for name, kind in types.items():
        row = f"(({row}) * {BASE} + {_number(name, kind, dialect)}) % {P}"
    total = f"coalesce(sum(value * value % {P}), 0)"
    return f"SELECT count(*), {total} FROM (SELECT {row} AS value FROM {source} AS counted) AS valued"


def _number(name: str, kind: str, dialect: Dialect) -> str:
    """An integer from 0 to P - 1 for a value; P - 1 for NULL."""
    column = f'"{name}"'
    if kind in {"SMALLINT", "INTEGER", "BIGINT", "BOOLEAN"}:
        number = f"CAST(CAST({column} AS INTEGER) AS BIGINT)" if kind == "BOOLEAN" else f"CAST({column} AS BIGINT)"
    elif kind == "DOUBLE":
        number = f"CAST(round({column} * 1000000) AS BIGINT)"
    elif kind == "TIMESTAMP":
        number = dialect.time.format(column)
    else:
        text = dialect.array.format(column) if kind.endswith("[]") else f"CAST({column} AS TEXT)"
        number = dialect.text.format(text)
    return f"coalesce(abs({number}) % {P - 1}, {P - 1})"
