"""The model's rules once more, as plain Python loops: what every engine's answer is compared with.

Written from the rules alone and sharing no code with `recommender`. Nothing here is clever, so that it can be read and
believed. Only what is done for every film of every pair, the votes and rule 6, is whole numbers in numpy arrays: so the
bundled sample (499,500 pairs, 610 users, 6,298 liked films) takes minutes and not hours.

A score is a float sum rounded once (`math.fsum`), and wherever two scores are so close that rounding might decide, they
are compared exactly, as fractions. Only with a bonus, where a square root of a sum is added and no fraction exists,
closer than 1e-12 counts as equal.
"""

import functools
import itertools
import math
import multiprocessing
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction

import numpy as np

PARAMETERS = (
    "companion_weight",
    "like_threshold",
    "liked_bonus",
    "max_neighbours",
    "min_likes",
    "neighbour_step",
    "neighbours",
    "per_pair",
    "popularity_exponent",
    "top_movies",
    "voter_exponent",
    "weighting",
)
"""All that is read of the parameters."""

CLOSE = 1e-9
EQUAL = 1e-12

Rating = tuple[int, int, float, int]
"""user, movie, stars, timestamp"""

Ranked = list[tuple[int, int, float]]
"""(movie_id, votes, score), best first"""


def brute_force(
    ratings: Iterable[Rating],
    vectors: Mapping[int, Sequence[float] | Mapping[int, float]],
    parameters: Mapping[str, object],
    pairs: Iterable[tuple[int, int]] | None = None,
    processes: int = 1,
) -> dict[tuple[int, int], Ranked]:
    """Recommendations of all pairs of sign-up films (or of some pairs), keyed by (smaller, larger movie_id)."""
    model = BruteForce(ratings, vectors, parameters)
    wanted = model.all_pairs() if pairs is None else sorted((min(pair), max(pair)) for pair in pairs)
    for film in sorted({film for pair in wanted for film in pair}):
        model.film_scores(film)
    if processes == 1:
        return {pair: model.recommend(pair) for pair in wanted}
    # Not forked: the process of the tests has threads, of which a fork would copy the locks but not the threads.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_be_given, initargs=(model,)) as pool:
        return dict(zip(wanted, pool.map(_recommend, wanted, chunksize=2000), strict=True))


_model: "BruteForce"


def _be_given(model: "BruteForce") -> None:
    """Keep the model for all pairs that a process of the pool is asked for."""
    global _model
    _model = model


def _recommend(pair: tuple[int, int]) -> Ranked:
    return _model.recommend(pair)


class BruteForce:
    """Ratings, raw film vectors (dense or {tag: value}) and parameters by name; rules 1 to 3 on construction."""

    def __init__(
        self,
        ratings: Iterable[Rating],
        vectors: Mapping[int, Sequence[float] | Mapping[int, float]],
        parameters: Mapping[str, object],
    ) -> None:
        self.parameters = {name: parameters[name] for name in PARAMETERS}
        latest: dict[tuple[int, int], tuple[int, float]] = {}
        for user, movie, stars, timestamp in ratings:
            if (user, movie) not in latest or timestamp >= latest[user, movie][0]:
                latest[user, movie] = (timestamp, stars)
        self.liked: dict[int, set[int]] = {}
        for (user, movie), (_, stars) in latest.items():
            if stars >= self.parameters["like_threshold"]:
                self.liked.setdefault(user, set()).add(movie)
        self.total_likes = Counter(movie for films in self.liked.values() for movie in films)
        self.vectors = weighted(vectors, str(self.parameters["weighting"]))
        self.sums = {user: self._exact_sum(films) for user, films in self.liked.items()}
        self.float_sums = {user: {tag: float(x) for tag, x in total.items()} for user, total in self.sums.items()}
        self.norms = {user: math.sqrt(math.fsum(x * x for x in s.values())) for user, s in self.float_sums.items()}
        self.users = sorted(
            user
            for user, films in self.liked.items()
            if self.norms[user] > 0 and len(films) >= self.parameters["min_likes"]
        )
        self.weights = {
            user: integer_power(len(films), parameters["voter_exponent"], 2**20) for user, films in self.liked.items()
        }
        self.factors = {
            film: integer_power(Fraction(likes, len(self.liked)), parameters["popularity_exponent"], 10**6)
            for film, likes in self.total_likes.items()
        }
        self.thousandths = round(float(str(parameters["companion_weight"])) * 1000)
        self.columns = {film: column for column, film in enumerate(sorted(self.total_likes))}
        self.places = {user: np.array([self.columns[film] for film in films]) for user, films in self.liked.items()}
        self.column_factors = np.array([self.factors[film] for film in self.columns], dtype=np.int64)
        self.shares: dict[int, np.ndarray] = {}
        self.scores: dict[int, list[float]] = {}
        self.squares: dict[int, Fraction] = {}

    def _exact_sum(self, films: Iterable[int]) -> dict[int, Fraction]:
        total: dict[int, Fraction] = {}
        for film in films:
            for tag, value in self.vectors.get(film, {}).items():
                total[tag] = total.get(tag, Fraction(0)) + Fraction(value)
        return total

    def signup_films(self) -> list[int]:
        """Rule 3, most liked first."""
        with_vector = [film for film in self.total_likes if film in self.vectors]
        with_vector.sort(key=lambda film: (-self.total_likes[film], film))
        return with_vector[: self.parameters["top_movies"]]

    def all_pairs(self) -> list[tuple[int, int]]:
        """Every pair of sign-up films, the smaller movie_id first."""
        films = sorted(self.signup_films())
        return [(a, b) for n, a in enumerate(films) for b in films[n + 1 :]]

    def film_scores(self, film: int) -> list[float]:
        """Share of one film in the score of every eligible user: |v| (cos(u, v) + bonus if u likes the film)."""
        if film not in self.scores:
            vector = self.vectors.get(film, {})
            length = math.sqrt(math.fsum(x * x for x in vector.values()))
            bonus = self.parameters["liked_bonus"] * length
            scores = []
            for user in self.users:
                total = self.float_sums[user]
                dot = math.fsum(x * total[tag] for tag, x in vector.items() if tag in total)
                scores.append(dot / self.norms[user] + (bonus if film in self.liked[user] else 0.0))
            self.scores[film] = scores
        return self.scores[film]

    def nearest(self, profile: Sequence[int], wanted: int) -> list[int]:
        """Rule 5 without the growing: the first `wanted` users by score, ties by smaller user_id."""
        columns = [self.film_scores(film) for film in profile]
        if len(columns) == 2:
            scores = [x + y for x, y in zip(*columns, strict=True)]
        else:
            scores = [math.fsum(row) for row in zip(*columns, strict=True)]
        if wanted < len(scores):
            cut = sorted(scores)[-wanted] * (1 - 1e-6)
            candidates = [(-score, user) for score, user in zip(scores, self.users, strict=True) if score >= cut]
        else:
            candidates = [(-score, user) for score, user in zip(scores, self.users, strict=True)]
        candidates.sort()
        if any(y[0] - x[0] <= CLOSE * -x[0] for x, y in itertools.pairwise(candidates)):
            candidates.sort(key=functools.cmp_to_key(functools.partial(self._compare, tuple(profile))))
        return [user for _, user in candidates[:wanted]]

    def _compare(self, profile: tuple[int, ...], left: tuple[float, int], right: tuple[float, int]) -> float:
        """Negative if `left`, a (-score, user), ranks before `right`."""
        difference, size = left[0] - right[0], max(-left[0], -right[0])
        if abs(difference) > CLOSE * size:
            return difference
        if self.parameters["liked_bonus"]:
            return difference if abs(difference) > EQUAL * size else left[1] - right[1]
        exact = self._exact_square(profile, right[1]) - self._exact_square(profile, left[1])
        return exact or left[1] - right[1]

    def _exact_square(self, profile: tuple[int, ...], user: int) -> Fraction:
        """(u . q)^2 / |u|^2: grows with the cosine, and has no root in it."""
        total = self.sums[user]
        if user not in self.squares:
            self.squares[user] = sum((x * x for x in total.values()), Fraction(0))
        wanted = self._exact_sum(profile)
        dot = sum((x * total[tag] for tag, x in wanted.items() if tag in total), Fraction(0))
        return dot * dot / self.squares[user]

    def recommend(self, profile: Sequence[int]) -> Ranked:
        """Rules 5 and 6 for any list of films."""
        return self.recommend_with_count(profile)[0]

    def recommend_with_count(self, profile: Sequence[int]) -> tuple[Ranked, int]:
        """The recommendations, and how many neighbours voted."""
        most = min(int(self.parameters["max_neighbours"]), len(self.users))
        root = (1 + math.isqrt(9 * len(self.users))) // 2  # one and a half times the square root, rounded
        wanted = min(int(self.parameters["neighbours"]) or max(10, root), most)
        named = [self.columns[film] for film in profile if film in self.columns]
        while True:
            neighbours = self.nearest(profile, wanted)
            votes = self._add_up(neighbours, dict.fromkeys(neighbours, 1))
            votes[named] = 0
            if np.count_nonzero(votes) >= self.parameters["per_pair"] or wanted >= most:
                break
            wanted = min(wanted + int(self.parameters["neighbour_step"]), most)
        scores = self._film_scores(profile, neighbours)
        scores[named] = 0
        films = list(self.columns)
        least = max([1, *np.sort(scores)[-self.parameters["per_pair"] :][:1].tolist()])  # of all that may be listed
        order = sorted(
            np.flatnonzero(scores >= least).tolist(),
            key=lambda column: (-scores[column], -self.total_likes[films[column]], films[column]),
        )
        best = order[: self.parameters["per_pair"]]
        return [(films[column], int(votes[column]), int(scores[column]) / 10**6) for column in best], wanted

    def _add_up(self, users: Iterable[int], weights: Mapping[int, int]) -> np.ndarray:
        """Sum of the weights of the users who like each film; int64, by column."""
        total = np.zeros(len(self.columns), dtype=np.int64)
        for user in users:
            total[self.places[user]] += weights[user]
        return total

    def companions(self, film: int) -> dict[int, int]:
        """P(f | film) in units of 10^-8, rounded down, of every f where it is not 0."""
        return {other: share for other, share in zip(self.columns, self._shares(film).tolist(), strict=True) if share}

    def _shares(self, film: int) -> np.ndarray:
        """P(f | film) of every f by column; int64."""
        if film not in self.shares:
            fans = [user for user, films in self.liked.items() if film in films]
            total = sum(self.weights[user] for user in fans)
            self.shares[film] = self._add_up(fans, self.weights) * 10**8 // max(total, 1)
        return self.shares[film]

    def _film_scores(self, profile: Sequence[int], neighbours: Sequence[int]) -> np.ndarray:
        """Rule 6 in integers: the score of every film in millionths; int64, by column.

        All fits: weights are at most 2^20, so products with 10^8 stay below 2^63 for 87,000 voters.
        """
        total = sum(self.weights[user] for user in neighbours)
        v = self._add_up(neighbours, self.weights) * 10**8 // max(total, 1)
        share = np.zeros(len(self.columns), dtype=np.int64)
        if self.thousandths:
            share = sum((self._shares(film) for film in profile), share) // len(profile)
        scores: np.ndarray = (v + self.thousandths * share // 1000) * self.column_factors // 10**8
        return scores


@functools.cache
def integer_power(number: int | Fraction, exponent: object, one: int) -> int:
    """Round one x number^-exponent to an integer of at least 1, deciding by comparing whole numbers only.

    With exponent p / q, n is the nearest integer if (n - 1/2)^q <= one^q number^-p <= (n + 1/2)^q.
    """
    power = Fraction(str(exponent))
    target = Fraction(one) ** power.denominator / Fraction(number) ** power.numerator
    low, high = 0, 2 * one * max(1, math.ceil(1 / Fraction(number)))
    while high - low > 1:  # the largest n with (n - 1/2)^q <= target
        middle = (low + high) // 2
        if (middle - Fraction(1, 2)) ** power.denominator <= target:
            low = middle
        else:
            high = middle
    return max(low, 1)


def weighted(
    vectors: Mapping[int, Sequence[float] | Mapping[int, float]], weighting: str
) -> dict[int, dict[int, float]]:
    """Film vectors as {tag: value} without zeros, in single precision, weighted."""
    sparse = {
        film: {tag: single(x) for tag, x in (v.items() if isinstance(v, Mapping) else enumerate(v)) if x}
        for film, v in vectors.items()
    }
    if weighting == "none":
        return sparse
    columns: dict[int, list[float]] = {}
    for vector in sparse.values():
        for tag, x in vector.items():
            columns.setdefault(tag, []).append(x)
    films = len(sparse)
    weights = {tag: math.log((1 + films) / (1 + min(math.fsum(xs), films))) + 1 for tag, xs in columns.items()}
    heavy = {film: {tag: x * weights[tag] for tag, x in vector.items()} for film, vector in sparse.items()}
    if weighting == "tfidf":
        lengths = {film: math.sqrt(math.fsum(x * x for x in vector.values())) for film, vector in heavy.items()}
        heavy = {film: {tag: x / lengths[film] for tag, x in vector.items()} for film, vector in heavy.items()}
    return {film: {tag: single(x) for tag, x in vector.items()} for film, vector in heavy.items()}


def single(x: float) -> float:
    """Round to float32."""
    return float(struct.unpack("f", struct.pack("f", x))[0])
