"""Example queries on a release, with what they find: something to begin with.

Belongs here: the queries, in SQL that any DuckDB client runs as it is. Films and users in them are chosen from the
release, so that each finds something. Does not belong here: how results are shown (`templates`).
"""

from dataclasses import dataclass
from typing import Any

import duckdb

from warehouse.queries import one_row


@dataclass(frozen=True)
class Example:
    """A query and its result.

    Attributes
    ----------
    name : str
        Its anchor on the page.
    question : str
    sql : str
    columns : list of str
    rows : list of tuple
    """

    name: str
    question: str
    sql: str
    columns: list[str]
    rows: list[tuple[Any, ...]]


QUERIES: dict[str, tuple[str, str]] = {
    "pair": (
        "What may somebody like who likes two films?",
        "FROM recommend_pair({first}, {second});",
    ),
    "user": (
        "What is recommended to a user?",
        "FROM recommend_user({user})\nLIMIT 10;",
    ),
    "similar": (
        "Which films are like a film?",
        "FROM similar_to({first})\nLIMIT 10;",
    ),
    "popular": (
        "What do people like of late, in the 90 days up to the newest rating?",
        "SELECT rank, title, score AS likes\n"
        "FROM popular_movies JOIN movies USING (movie_id)\n"
        "WHERE list = 'recent'\nORDER BY rank\nLIMIT 10;",
    ),
    "tags": (
        "Which tags say most about a film?",
        "SELECT tag, round(relevance[tag_id], 3) AS relevance\n"
        "FROM genome, genome_tags\n"
        "WHERE movie_id = {first}\nORDER BY relevance[tag_id] DESC, tag_id\nLIMIT 10;",
    ),
    "frequent": (
        "Which films are recommended to most pairs, and how well known are they?",
        "SELECT title, likes, count(*) AS lists\n"
        "FROM pair_recommendations JOIN movies USING (movie_id)\n"
        "GROUP BY ALL\nORDER BY lists DESC, title\nLIMIT 10;",
    ),
    "hidden": (
        "Which films do few people like, but many lists hold?",
        "SELECT title, likes, count(*) AS users\n"
        "FROM user_recommendations JOIN movies USING (movie_id)\n"
        "WHERE likes < (SELECT median(likes) FROM signup_movies)\n"
        "GROUP BY ALL\nORDER BY users DESC, title\nLIMIT 10;",
    ),
    "years": (
        "How many ratings came in each year, and how good are they?",
        "SELECT year(rated_at) AS year, count(*) AS ratings, round(avg(rating), 2) AS stars\n"
        "FROM ratings\nGROUP BY ALL\nORDER BY year DESC\nLIMIT 12;",
    ),
    "quality": (
        "How good are the lists for held-out users, beside the baselines?",
        "SELECT method, round(value, 4) AS \"ndcg@10\", round(ci_low, 4) AS low, round(ci_high, 4) AS high\n"
        "FROM evaluation\n"
        "WHERE split = 'held-out users' AND slice = 'all' AND metric = 'ndcg@10'\nORDER BY value DESC, method;",
    ),
    "checks": (
        "Which checks came out worst?",
        "SELECT check_name, severity, passed, value, threshold, description\n"
        "FROM checks\nWHERE NOT passed\nORDER BY severity, check_name;",
    ),
    "rejected": (
        "Which input rows are not in use, and why?",
        "SELECT file, reason, count(*) AS rows, min(line) AS first_line\n"
        "FROM rejected_rows\nGROUP BY ALL\nORDER BY rows DESC, file, reason\nLIMIT 10;",
    ),
    "files": (
        "Which files was it made from?",
        "SELECT name, bytes, rows, rejected, sha256\nFROM source_files\nORDER BY name, sha256;",
    ),
}  # fmt: skip
"""By anchor: the question and the query."""


def run_examples(con: duckdb.DuckDBPyConnection) -> list[Example]:
    """Run the example queries on an open release; those that have no film or user to ask about are left out."""
    ids = con.execute("SELECT movie_id FROM signup_movies ORDER BY position LIMIT 2").fetchall()
    (user,) = one_row(con, "SELECT min(user_id) FROM user_recommendations")
    chosen = {
        "first": ids[0][0] if ids else None,
        "second": ids[1][0] if len(ids) > 1 else None,
        "user": user,
    }
    found = []
    for name, (question, query) in QUERIES.items():
        if any(f"{{{key}}}" in query and value is None for key, value in chosen.items()):
            continue
        sql = query.format(**chosen)
        result = con.execute(sql)
        columns = [column[0] for column in result.description or []]
        found.append(Example(name, question, sql, columns, result.fetchall()))
    return found
