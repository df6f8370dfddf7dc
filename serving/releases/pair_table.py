"""The precomputed answers of a release as arrays: a look-up takes microseconds, and no file stays open.

Belongs here: loading `pair_recommendations` and finding a pair in it. Does not belong here: titles, HTTP.

A pair is looked up by bisection in the sorted keys. The table of 1,000 sign-up films takes some 35 MB this way; asking
DuckDB for each pair instead costs a millisecond, and several when cores are busy.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from recommender.data.weights import SCORE_ONE


@dataclass(frozen=True)
class PairTable:
    """All pairs of a release that have recommendations.

    Attributes
    ----------
    keys : int64 array, shape (pairs,)
        ``movie_a * 2**32 + movie_b`` with movie_a < movie_b, ascending.
    starts : int32 or int64 array, shape (pairs + 1,)
        Pair p's rows are ``starts[p]:starts[p + 1]``, best first.
    movie_ids : int32 array, shape (rows,)
    scores : integer array, shape (rows,)
        In millionths.
    votes : int32 or uint16 array, shape (rows,)
    """

    keys: NDArray[np.int64]
    starts: NDArray[np.integer]
    movie_ids: NDArray[np.int32]
    scores: NDArray[np.integer]
    votes: NDArray[np.integer]

    def find(self, one: int, other: int) -> list[tuple[int, float, int]]:
        """Look a pair up in either order.

        Returns
        -------
        list of (movie_id, score, votes)
            Best first; empty if the pair has no recommendations.
        """
        key = (min(one, other) << 32) + max(one, other)
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            return []
        rows = slice(self.starts[at], self.starts[at + 1])
        scores = self.scores[rows] / SCORE_ONE
        return list(zip(self.movie_ids[rows].tolist(), scores.tolist(), self.votes[rows].tolist(), strict=True))


def load_pair_table(con: duckdb.DuckDBPyConnection) -> PairTable:
    """Read the table of a release.

    Parameters
    ----------
    con : DuckDBPyConnection
        Open on a published release.

    Returns
    -------
    PairTable
    """
    # Releases are written in order and scanned in order; should that ever change, sorting costs a second.
    table = _read(con, "") or _read(con, " ORDER BY movie_a, movie_b, rank")
    assert table is not None
    return table


def _read(con: duckdb.DuckDBPyConnection, order: str) -> PairTable | None:
    """Read the rows as they come; None if they do not come pair by pair, in order of rank.

    The ids of a pair are read from its first row only: they are most of the bytes and say the same in all its rows.
    """
    # Releases from before the score of films have none: they were ordered by votes.
    (scored,) = con.execute(
        "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'pair_recommendations' AND column_name = 'score'"
    ).fetchone() or (0,)
    score = "score" if scored else "votes::DOUBLE AS score"
    rows = con.execute(f"SELECT rank, movie_id, {score}, votes FROM pair_recommendations{order}").fetchnumpy()
    pairs = con.execute(f"SELECT movie_a, movie_b FROM pair_recommendations WHERE rank = 1{order}").fetchnumpy()
    keys = (pairs["movie_a"].astype(np.int64) << 32) + pairs["movie_b"]
    ranks, votes = rows["rank"], rows["votes"]
    starts = np.flatnonzero(ranks == 1)
    steps_by_one = np.count_nonzero(ranks[1:] - ranks[:-1] == 1) == len(ranks) - len(starts)
    if len(starts) != len(keys) or not steps_by_one or (keys[1:] <= keys[:-1]).any():
        return None
    scores = np.rint(rows["score"] * SCORE_ONE).astype(np.int64)
    small = len(votes) == 0 or int(votes.max()) < 2**16
    return PairTable(
        keys,
        np.append(starts, len(votes)).astype(np.int32 if len(votes) < 2**31 else np.int64),
        rows["movie_id"],
        scores.astype(np.int32) if scores.max(initial=0) < 2**31 else scores,
        votes.astype(np.uint16) if small else votes,
    )
