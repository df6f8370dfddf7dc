"""Loading of the HTTP service's request log, each file once, and what the requests of late were like.

Belongs here: SQL between `<home>/requests/*.parquet` and `ops.served_requests`. Does not belong here: writing the log
(`serving.request_log`) or judging it (`checks.tables.incoming`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from warehouse.database import Warehouse
from warehouse.queries import one_row, utc_now

KEEP = timedelta(days=90)
"""Requests older than this are deleted: the table is for drift, not for ever."""


@dataclass(frozen=True)
class RequestFacts:
    """Requests of the last `days` days.

    Attributes
    ----------
    requests : int
    empty : int
        Answered with no film at all.
    with_unknown : int
        Naming at least one film that the release does not know.
    popularity_drift : float or None
        Population stability index between the films asked for and the likes of the ratings, over tenths of the likes;
        None without requests.
    """

    requests: int
    empty: int
    with_unknown: int
    popularity_drift: float | None


def load_requests(warehouse: Warehouse) -> tuple[int, int]:
    """Load the files that are complete, in one transaction, then delete them; return files and rows loaded.

    A file whose name is on record was loaded by a writer that died before deleting it: it is deleted now.
    """
    folder = warehouse.home.requests
    known = {row[0] for row in warehouse.con.execute("SELECT name FROM ops.request_files").fetchall()}
    present = sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))
    new = [path for path in present if path.name not in known]
    rows = 0
    now = utc_now()
    with warehouse.transaction() as con:
        for path in new:
            inserted = con.execute(
                "INSERT INTO ops.served_requests BY NAME FROM read_parquet($file)", {"file": str(path)}
            ).fetchone()
            count = int(inserted[0]) if inserted else 0
            con.execute("INSERT INTO ops.request_files VALUES (?, ?, ?)", [path.name, count, now])
            rows += count
        con.execute("DELETE FROM ops.served_requests WHERE requested_at < ?", [now - KEEP])
    for path in present:
        path.unlink()
    return len(new), rows


def request_facts(con: duckdb.DuckDBPyConnection, days: int) -> RequestFacts:
    """Summarise the requests of the last days that asked for recommendations."""
    since = utc_now() - timedelta(days=days)
    requests, empty, with_unknown = one_row(
        con,
        "SELECT count(*), count(*) FILTER (len(recommended_ids) = 0), count(*) FILTER (len(unknown_ids) > 0) "
        "FROM ops.served_requests WHERE requested_at >= ?",
        [since],
    )
    return RequestFacts(requests, empty, with_unknown, _popularity_drift(con, since) if requests else None)


def _popularity_drift(con: duckdb.DuckDBPyConnection, since: datetime) -> float | None:
    """PSI between tenths of all likes and the films asked for, by the popularity of the film."""
    (drift,) = one_row(
        con,
        """
        WITH tenths AS (
            SELECT movie_id, likes,
                least(9, CAST(floor(10 * (sum(likes) OVER (ORDER BY likes DESC, movie_id) - likes) / sum(likes) OVER ())
                AS INTEGER)) AS tenth
            FROM model.film_likes WHERE likes > 0
        ),
        expected AS (SELECT tenth, sum(likes) / (SELECT sum(likes) FROM tenths) AS share FROM tenths GROUP BY 1),
        asked AS (
            SELECT unnest(known_ids) AS movie_id FROM ops.served_requests
            WHERE requested_at >= $since
        ),
        found AS (SELECT tenth, count(*) / (SELECT count(*) FROM asked) AS share FROM asked JOIN tenths USING (movie_id)
            GROUP BY 1)
        SELECT sum((f - e) * ln(f / e)) FROM (
            SELECT greatest(coalesce(found.share, 0), 1e-4) AS f, greatest(expected.share, 1e-4) AS e
            FROM expected LEFT JOIN found USING (tenth)
        )
        """,
        {"since": since},
    )
    return None if drift is None else float(drift)
