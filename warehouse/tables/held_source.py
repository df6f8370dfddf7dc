"""The source that a home holds, as recorded in ops.source.

Belongs here: asking which one it is. Does not belong here: loading it (`source`).
"""

import json
from typing import Any

import duckdb

from recommender.errors import MarqueeError
from warehouse.queries import records


class NoSourceError(MarqueeError):
    """The home holds no source yet; the message says how to load one."""


def current_source(con: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """Fingerprint, origin, genome_source, loaded_at and manifest of the source the home holds; None if it has none."""
    found = records(con.execute("FROM ops.source"))
    return {**found[0], "manifest": json.loads(found[0]["manifest"])} if found else None


def require_source(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Like `current_source`, but a home without one is an error.

    Raises
    ------
    NoSourceError
    """
    source = current_source(con)
    if source is None:
        raise NoSourceError("this home holds no ratings yet; load some with: marquee run --source sample")
    return source
