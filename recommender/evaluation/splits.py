"""What the model may see and what it is asked: users held out, and pairs drawn from what they like.

Belongs here: the leak-free protocol. Does not belong here: training and recommending (`evaluation`), measures
(`metrics`).

Two ways to hold out. By *user*: a user's fold is a hash of the user_id, so it never changes, whoever joins. Each fold
in turn is asked about while the others train. To choose parameters, fold 0 is left out altogether: of the other four,
each in turn are validation users while three train. By *time*: the model sees ratings before a date, and is asked
about users who came after it.

In both, nothing of a user who is asked about is seen: not in likes, not in like counts, not in the sign-up list. A
case is a pair of sign-up films the user likes, as on the sign-up page; wanted is whatever else the user likes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIKED = 4.0
"""Stars from which on a held-out user counts as liking a film, whatever the model's own like_threshold is."""

FOLDS = 5

TEST_FOLD = 0

TEST_NAME = "held-out users"
LATER_NAME = "later users"
LONG_NAME = "later likes"
"""Names of the ways of holding out, as they stand in tables."""


@dataclass(frozen=True)
class Ratings:
    """Ratings that can be likes, one row per user and film.

    Attributes
    ----------
    user_ids, movie_ids : int32 arrays, shape (rows,)
        Sorted by user_id.
    stars : float32 array, shape (rows,)
    rated_at : int64 array, shape (rows,)
        Seconds since 1970.
    """

    user_ids: NDArray[np.int32]
    movie_ids: NDArray[np.int32]
    stars: NDArray[np.float32]
    rated_at: NDArray[np.int64]


def at_least(ratings: Ratings, stars: float) -> Ratings:
    """Keep the ratings of so many stars or more."""
    rows = ratings.stars >= stars
    return Ratings(ratings.user_ids[rows], ratings.movie_ids[rows], ratings.stars[rows], ratings.rated_at[rows])


@dataclass(frozen=True)
class Split:
    """Which rows the model may see, and which belong to users it is asked about; never both.

    Attributes
    ----------
    name : str
    seen, asked : bool arrays, shape (rows,)
    """

    name: str
    seen: NDArray[np.bool_]
    asked: NDArray[np.bool_]


@dataclass(frozen=True)
class Cases:
    """Questions: somebody likes these two films, what else?

    Attributes
    ----------
    user_ids : int32 array, shape (cases,)
        Held-out user each pair is drawn from.
    pairs : int32 array, shape (cases, 2)
        movie_ids of sign-up films, the smaller first.
    wanted : tuple of int32 arrays, one per case
        movie_ids the user likes besides, ascending; at least one.
    """

    user_ids: NDArray[np.int32]
    pairs: NDArray[np.int32]
    wanted: tuple[NDArray[np.int32], ...]


def scattered(user_ids: NDArray[np.integer], seed: int) -> NDArray[np.uint64]:
    """Hash user_ids to 64 bits (splitmix64, Steele et al. 2014); the same id always gets the same number."""
    with np.errstate(over="ignore"):
        x = user_ids.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def folds(user_ids: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Fold of each user, 0 to FOLDS - 1; int64, as long as `user_ids`."""
    return (scattered(user_ids, seed) % np.uint64(FOLDS)).astype(np.int64)


def test_splits(ratings: Ratings, seed: int, count: int) -> list[Split]:
    """Ask about the users of the first `count` folds, one fold at a time; the model sees everybody else."""
    fold = folds(ratings.user_ids, seed)
    return [Split(TEST_NAME, fold != asked, fold == asked) for asked in range(count)]


def validation_splits(ratings: Ratings, seed: int) -> list[Split]:
    """Ask about each other fold in turn; the model sees the rest, and nobody sees or asks about the test fold."""
    fold = folds(ratings.user_ids, seed)
    return [
        Split(f"validation {asked}", (fold != asked) & (fold != TEST_FOLD), fold == asked)
        for asked in range(FOLDS)
        if asked != TEST_FOLD
    ]


def later_split(ratings: Ratings, share: float = 0.2) -> Split:
    """Ask about users who came after a date; the model sees what others rated before it.

    The date is that before which all but `share` of the users had come. What earlier users rated after it is dropped.
    """
    if len(ratings.user_ids) == 0:
        nothing = np.zeros(0, dtype=bool)
        return Split(LATER_NAME, nothing, nothing)
    starts = np.flatnonzero(np.diff(ratings.user_ids, prepend=ratings.user_ids[0] - 1))
    came = np.minimum.reduceat(ratings.rated_at, starts)
    date = np.quantile(came, 1.0 - share, method="lower")
    late = np.repeat(came > date, np.diff(np.append(starts, len(ratings.user_ids))))
    return Split(LATER_NAME, ~late & (ratings.rated_at <= date), late)


def draw_cases(
    ratings: Ratings,
    split: Split,
    signup_movies: NDArray[np.integer],
    *,
    most: int,
    most_per_user: int,
    seed: int,
) -> Cases:
    """Draw pairs of sign-up films from what the users asked about like.

    Parameters
    ----------
    ratings : Ratings
    split : Split
    signup_movies : integer array
        movie_ids, chosen from what the model may see.
    most : int
        Cases at most. Where users are many, each has fewer pairs, then fewer users are asked: more users tell more.
    most_per_user : int
    seed : int
        With the user_id it decides the pairs of a user, whoever else is asked.

    Returns
    -------
    Cases
        Ordered by user, then pair. Users who like fewer than two sign-up films, or nothing besides, are left out.
    """
    rows = np.flatnonzero(split.asked & (ratings.stars >= LIKED))
    users, starts = np.unique(ratings.user_ids[rows], return_index=True)
    ends = np.append(starts[1:], len(rows))
    on_list = np.isin(ratings.movie_ids[rows], signup_movies)
    listed = np.concatenate(([0], np.cumsum(on_list)))
    suitable = np.flatnonzero((listed[ends] - listed[starts] >= 2) & (ends - starts > 2))
    suitable = suitable[np.argsort(scattered(users[suitable], seed + 1), kind="stable")]
    per_user = max(1, min(most_per_user, most // max(len(suitable), 1)))
    asked, pairs, wanted = [], [], []
    for n in np.sort(suitable[: max(1, most // per_user)]):
        movies = np.sort(ratings.movie_ids[rows[starts[n] : ends[n]]])
        films = np.sort(ratings.movie_ids[rows[starts[n] : ends[n]][on_list[starts[n] : ends[n]]]])
        for pair in _some_pairs(films, per_user, np.random.default_rng([seed, int(users[n])])):
            asked.append(users[n])
            pairs.append(pair)
            wanted.append(np.setdiff1d(movies, pair).astype(np.int32))
    return Cases(np.array(asked, dtype=np.int32), np.array(pairs, dtype=np.int32).reshape(-1, 2), tuple(wanted))


def _some_pairs(films: NDArray[np.int32], wanted: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Distinct pairs of ascending films, drawn evenly; int32, shape (<= wanted, 2), sorted."""
    count = len(films)
    chosen = np.sort(rng.choice(count * (count - 1) // 2, min(wanted, count * (count - 1) // 2), replace=False))
    # Pair number p in the order (0,1), (0,2), (1,2), (0,3)...: the larger index b is the largest with b(b-1)/2 <= p.
    larger = ((1.0 + np.sqrt(1.0 + 8.0 * chosen)) / 2.0).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > chosen
    smaller = chosen - larger * (larger - 1) // 2
    pairs = np.column_stack((films[smaller], films[larger]))
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
