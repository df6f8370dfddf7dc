"""The split of existing users' likes by time, and what is measured on it, against plain loops."""

import math

import numpy as np

from recommender.data.catalogue import make_catalogue
from recommender.evaluation.long_profiles import evaluate_users, latest_likes_split, most_popular
from recommender.evaluation.splits import Ratings
from recommender.parameters import make_parameters


def random_ratings(seed: int, users: int = 60, films: int = 40) -> Ratings:
    rng = np.random.default_rng(seed)
    rows = sorted({(int(u) + 1, int(f) + 1) for u in range(users) for f in rng.integers(0, films, rng.integers(1, 30))})
    ids = np.array(rows, dtype=np.int32)
    stars = rng.integers(1, 11, len(rows)) / 2
    return Ratings(ids[:, 0], ids[:, 1], stars.astype(np.float32), rng.integers(0, 50, len(rows)).astype(np.int64))


def plain_split(ratings: Ratings) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Films that may be seen, and those held out, by user."""
    seen: dict[int, set[int]] = {}
    held: dict[int, set[int]] = {}
    rows = list(zip(*(column.tolist() for column in vars(ratings).values()), strict=True))
    for user in {row[0] for row in rows}:
        own = sorted((at, film, stars) for other, film, stars, at in rows if other == user)
        liked = [film for _, film, stars in own if stars >= 4]
        held[user] = set(liked[len(liked) - len(liked) // 5 :])
        seen[user] = set()
        for _, film, _ in own:
            if film in held[user]:
                break
            seen[user].add(film)
    return seen, held


def test_the_latest_fifth_of_the_likes_is_held_out_and_nothing_later_is_seen() -> None:
    ratings = random_ratings(2)
    split = latest_likes_split(ratings)
    seen, held = plain_split(ratings)
    for user in seen:
        own = ratings.user_ids == user
        assert set(ratings.movie_ids[own & split.seen].tolist()) == seen[user]
        assert set(ratings.movie_ids[own & split.asked].tolist()) == held[user]
    assert any(held.values())


def test_lists_are_measured_as_in_plain_loops() -> None:
    ratings = random_ratings(3)
    films = np.unique(ratings.movie_ids)
    catalogue = make_catalogue(films, np.zeros(len(films)), films, np.ones((len(films), 3)))
    parameters = make_parameters()
    found = [evaluate_users(ratings, catalogue, parameters, methods={"x": most_popular}, half=half) for half in (0, 1)]
    users = [rows[0].cases for rows in found]
    seen, held = plain_split(ratings)
    likes = dict.fromkeys(films.tolist(), 0)
    for user, film, stars in zip(ratings.user_ids.tolist(), ratings.movie_ids.tolist(), ratings.stars, strict=True):
        likes[film] += bool(film in seen[user] and stars >= 4)
    popular = sorted(likes, key=lambda film: (-likes[film], film))
    gains, recalls = [], []
    for user, wanted in held.items():
        if wanted:
            shown = [film for film in popular if film not in seen[user]][:20]
            gain = sum(1 / math.log2(n + 2) for n, film in enumerate(shown[:10]) if film in wanted)
            gains.append(gain / sum(1 / math.log2(n + 2) for n in range(min(10, len(wanted)))))
            recalls.append(sum(film in wanted for film in shown) / len(wanted))
    assert sum(users) == len(gains)
    assert min(users) > 0
    for metric, expected in (("ndcg@10", gains), ("recall@20", recalls)):
        values = [row.value for rows in found for row in rows if row.metric == metric]
        assert abs(np.average(values, weights=users) - math.fsum(expected) / len(expected)) < 1e-12
