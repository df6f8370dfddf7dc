"""The textbook's program, written anew as a baseline: Python loops, 100 Annoy trees over all tags, one query per pair.

The chapter on batch prediction that this system grew out of keeps the genome in a dict of lists, sums each user's
liked films in a loop, indexes the users with Annoy and asks the index for every pair. This program does the same on
the same CSV files and reports how long each step took; it shares no code with the platform.

Run as ``python -m benchmarks.book DIR --top-movies N [--queries N]``; prints one JSON object.
"""

import argparse
import csv
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from annoy import AnnoyIndex


def main() -> None:
    """Run the baseline on a folder of MovieLens CSV files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--top-movies", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=0, help="stop after this many pairs; 0: all")
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    genome = read_genome(options.directory)
    likes = read_likes(options.directory)
    seconds["loading"] = time.perf_counter() - started
    started = time.perf_counter()
    index = AnnoyIndex(len(next(iter(genome.values()))), "angular")
    users: list[int] = []
    for user, vector in user_vectors(likes, genome):
        index.add_item(len(users), vector)
        users.append(user)
    seconds["vectors"] = time.perf_counter() - started
    started = time.perf_counter()
    index.build(100)
    seconds["index"] = time.perf_counter() - started
    started = time.perf_counter()
    top = [film for film, _ in Counter(f for films in likes.values() for f in films if f in genome).most_common()]
    pairs, rows = recommend(index, users, likes, genome, top[: options.top_movies], options.queries)
    seconds["pairs"] = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "pairs": pairs, "rows": rows, "users": len(users)}))


def read_genome(directory: Path) -> dict[int, list[float]]:
    """Vectors of the films, as lists."""
    genome: dict[int, list[float]] = defaultdict(list)
    with (directory / "genome-scores.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            genome[int(row["movieId"])].append(float(row["relevance"]))
    return dict(genome)


def read_likes(directory: Path) -> dict[int, list[int]]:
    """Films each user rated four stars or more."""
    likes: dict[int, list[int]] = defaultdict(list)
    with (directory / "ratings.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if float(row["rating"]) >= 4.0:
                likes[int(row["userId"])].append(int(row["movieId"]))
    return dict(likes)


def user_vectors(likes: dict[int, list[int]], genome: dict[int, list[float]]) -> Iterator[tuple[int, list[float]]]:
    """Unit-length sums of the liked films' vectors, user by user and tag by tag."""
    for user, films in likes.items():
        total: list[float] | None = None
        for film in films:
            if film in genome:
                total = genome[film] if total is None else [x + y for x, y in zip(total, genome[film], strict=True)]
        if total is not None:
            length = math.sqrt(sum(x * x for x in total))
            yield user, [x / length for x in total]


def recommend(
    index: AnnoyIndex,
    users: list[int],
    likes: dict[int, list[int]],
    genome: dict[int, list[float]],
    top: list[int],
    most: int,
) -> tuple[int, int]:
    """Three films for each pair from ten neighbours, ten more while too few are found; return pairs and rows."""
    done = rows = 0
    for first, a in enumerate(top):
        for b in top[first + 1 :]:
            profile = [x + y for x, y in zip(genome[a], genome[b], strict=True)]
            best: list[int] = []
            for count in range(10, 100, 10):
                votes: Counter[int] = Counter()
                for neighbour in index.get_nns_by_vector(profile, count):
                    votes.update(film for film in likes[users[neighbour]] if film not in (a, b))
                best = [film for film, _ in votes.most_common(3)]
                if len(best) == 3:
                    break
            rows += len(best)
            done += 1
            if done == most:
                return done, rows
    return done, rows


if __name__ == "__main__":
    main()
