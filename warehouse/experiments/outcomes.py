"""What came of the answers of an experiment, client by client.

Belongs here: SQL from `ops.served_requests` and `ops.events` to the arrays of `recommender.experiments`. Does not
belong here: what the numbers say (`recommender.experiments.decisions`), or acting on it (`looking`).

An answer counts if it was given to a client with a key while the experiment ran (`experiment` in the request log). An
outcome counts once for an answer and a film that this answer recommended, however often it was sent.
"""

from typing import NamedTuple

import duckdb
import numpy as np

from recommender.experiments.bootstrap import Kinds
from warehouse.tables.experiments import Experiment

OUTCOMES = {
    "plays_per_answer": "type = 'play'",
    "clicks_per_answer": "type = 'click'",
    "likes_per_answer": "type = 'rating' AND rating >= $like_threshold",
}
"""Which events are the outcomes of a metric (`METRICS` of `warehouse.schemas.experiments`), as SQL."""


class Sides(NamedTuple):
    """Clients of both variants by what they did, and the releases that answered as champion."""

    champion: Kinds
    challenger: Kinds
    champions: list[str]


def read_sides(con: duckdb.DuckDBPyConnection, planned: Experiment) -> Sides:
    """Count answers and outcomes of each client."""
    rows = con.execute(
        f"""
        WITH answers AS (
            SELECT variant, client, answer_id, recommended_ids FROM ops.served_requests
            WHERE experiment = $experiment AND status = 200 AND client IS NOT NULL
        ),
        outcomes AS (
            SELECT answer_id, count(DISTINCT movie_id) AS outcomes FROM ops.events JOIN answers USING (answer_id)
            WHERE {OUTCOMES[planned.metric]} AND list_contains(recommended_ids, movie_id) GROUP BY answer_id
        ),
        clients AS (
            SELECT variant, client, count(*) AS answers, coalesce(sum(outcomes), 0) AS outcomes
            FROM answers LEFT JOIN outcomes USING (answer_id) GROUP BY variant, client
        )
        SELECT variant, outcomes, answers, count(*) FROM clients GROUP BY ALL ORDER BY ALL
        """,
        {"experiment": planned.experiment}
        | ({"like_threshold": planned.like_threshold} if planned.metric == "likes_per_answer" else {}),
    ).fetchall()
    champions = con.execute(
        "SELECT DISTINCT release FROM ops.served_requests WHERE experiment = ? AND variant = 'champion' ORDER BY 1",
        [planned.experiment],
    ).fetchall()
    return Sides(_kinds(rows, "champion"), _kinds(rows, "challenger"), [release for (release,) in champions])


def _kinds(rows: list[tuple[str, int, int, int]], variant: str) -> Kinds:
    values = np.array([row[1:] for row in rows if row[0] == variant], dtype=np.float64).reshape(-1, 3)
    return Kinds(values[:, 0], values[:, 1], values[:, 2].astype(np.int64))
