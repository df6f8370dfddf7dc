"""Generated data of any size in MovieLens' shape, for the scale benchmark and for trying the platform at size.

Belongs here: the generator. It writes what GroupLens publishes (movies.csv, ratings.csv, tags.csv, genome-tags.csv,
genome-scores.csv) with the features that make real data hard: popularity follows a power law, users have tastes that
the genome shows, most rate a few films and some rate thousands, ids have gaps, titles have commas and quotes. Does not
belong here: measuring anything with it.

A film belongs to two of `TASTES` tastes, and so does a user. Users draw films by popularity times taste, and rate
higher what they have a taste for; a film's genome scores show its tastes. The files depend on the arguments alone:
chunks have random streams of their own, whatever thread makes them.
"""

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from recommender.errors import UsageError

TASTES = 24
FILES = ("movies.csv", "ratings.csv", "tags.csv", "genome-tags.csv", "genome-scores.csv")
USERS_PER_CHUNK = 4096
FILMS_PER_CHUNK = 256
THREADS = 2
START, END = 824_835_410, 1_537_945_149
"""Epoch seconds of the first and the last rating, as in ml-latest of 2018."""
HALF_STARS_SINCE = 1_045_526_400
"""MovieLens had whole stars only until February 2003."""


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split("|")]


_GENRES = _words(
    "Action|Adventure|Animation|Children|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|IMAX|Musical|Mystery|"
    "Romance|Sci-Fi|Thriller|War|Western"
)
_ADJECTIVES = _words(
    "Silent|Last|Golden|Broken|Hidden|Long|Dark|Little|Lost|Crimson|Wild|Secret|Perfect|Distant|Burning|Strange|Quiet|"
    "Endless|Blue|Second|Midnight|Frozen|Brave|Hollow|Électrique|Great"
)
_NOUNS = _words(
    "River|Summer|Kingdom|Stranger|Garden|Road|Shadow|Dream|Letter|Station|Harbor|Promise|Mirror|Island|Train|Winter|"
    "Detective|Orchestra|Daughter|Machine|Empire|Café|Horizon|Game|Storm|Heart"
)
_PLACES = _words("Paris|Tokyo|the North|Nowhere|São Paulo|the Moon|Brooklyn|Winter|Love|the Valley|Time|Glass")


@dataclass(frozen=True)
class Synthesis:
    """What was written.

    Attributes
    ----------
    directory : Path
    users, movies, ratings : int
        As asked for.
    likes : int
        Ratings of 4 stars and more.
    genome_movies, genome_tags : int
        Films with a score for every tag, and tags.
    tags : int
        Rows of tags.csv.
    bytes : int
        Size of all files.
    """

    directory: Path
    users: int
    movies: int
    ratings: int
    likes: int
    genome_movies: int
    genome_tags: int
    tags: int
    bytes: int


@dataclass(frozen=True)
class _World:
    """Films, users and their tastes; films and users by position.

    Attributes
    ----------
    movie_ids : int32 array, shape (films,)
        Ascending, with gaps.
    popularity : float64 array, shape (films,)
        How often users meet a film; relative weights.
    quality : float32 array, shape (films,)
        In stars, around 0.
    affinity : float32 array, shape (TASTES, films)
        How much a film belongs to a taste, 0 to 1.
    accept, alias : float32 and int32 array, shape (TASTES, films)
        Alias tables (Walker 1977) to draw the films that a user of a taste meets.
    ratings_of : int64 array, shape (users,)
        How many films each user rates.
    tastes : int8 array, shape (users, 2)
        Main and second taste of each user.
    """

    movie_ids: np.ndarray
    popularity: np.ndarray
    quality: np.ndarray
    affinity: np.ndarray
    accept: np.ndarray
    alias: np.ndarray
    ratings_of: np.ndarray
    tastes: np.ndarray


# -- films and users ---------------------------------------------------------------------------------------------------


def _alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's tables for drawing positions with probability proportional to `weights` in constant time."""
    scaled = (weights * (len(weights) / weights.sum())).tolist()
    alias = list(range(len(scaled)))
    small = [i for i, weight in enumerate(scaled) if weight < 1]
    large = [i for i, weight in enumerate(scaled) if weight >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        alias[low] = high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    return np.minimum(np.array(scaled), 1).astype(np.float32), np.array(alias, np.int32)


def _share_out(ratings: int, users: int, movies: int, rng: np.random.Generator) -> np.ndarray:
    """How many films each user rates: log-normal, at least 1, at most all, in total exactly `ratings`."""
    # ml-latest: median 30, mean 98. The spread decides how heavy the heavy users are.
    weights = np.exp(rng.normal(0, 1.5, users))
    # Nobody has seen everything, unless the numbers leave no other way.
    most = movies if ratings > 0.3 * users * movies else max(1, int(0.45 * movies))
    low, high = 0.0, float(ratings) * 2 / float(weights.min())
    for _ in range(200):  # bisection of the scale: rounding and bounds make the total a step function of it
        scale = (low + high) / 2
        total = int(np.clip(np.rint(weights * scale), 1, most).sum())
        low, high = (scale, high) if total < ratings else (low, scale)
    counts = np.clip(np.rint(weights * low), 1, most).astype(np.int64)
    missing = ratings - int(counts.sum())
    while missing > 0:
        room = rng.permutation(np.flatnonzero(counts < most))[:missing]
        counts[room] += 1
        missing -= len(room)
    return counts


def _world(users: int, movies: int, ratings: int, rng: np.random.Generator) -> _World:
    gaps = np.where(rng.random(movies) < 0.55, 1, rng.geometric(0.16, movies))
    rank = rng.permutation(movies)
    # The head is flatter than a pure power law: the most rated film of ml-latest has a third of all users.
    popularity = (rank + 250.0 * max(movies / 58_098, 0.02)) ** -2.0
    affinity = np.zeros((TASTES, movies), np.float32)
    films = np.arange(movies)
    first, second = rng.integers(0, TASTES, movies), rng.integers(0, TASTES, movies)
    strength = rng.beta(5, 2, movies).astype(np.float32)
    affinity[second, films] = (1 - strength) * 0.8
    affinity[first, films] = np.maximum(affinity[first, films], strength)
    tables = [_alias_table(popularity * (0.02 + affinity[taste])) for taste in range(TASTES)]
    fame = 1 - np.log1p(rank) / np.log(movies + 1)
    main = rng.choice(TASTES, users, p=_taste_sizes())
    return _World(
        movie_ids=np.cumsum(gaps).astype(np.int32),
        popularity=popularity,
        quality=(rng.normal(-0.25, 0.42, movies) + 0.9 * fame).astype(np.float32),
        affinity=affinity,
        accept=np.stack([accept for accept, _ in tables]),
        alias=np.stack([alias for _, alias in tables]),
        ratings_of=_share_out(ratings, users, movies, rng),
        tastes=np.stack([main, rng.integers(0, TASTES, users)], axis=1).astype(np.int8),
    )


def _taste_sizes() -> np.ndarray:
    sizes = 1 / np.arange(2, TASTES + 2)
    return sizes / sizes.sum()


# -- ratings -----------------------------------------------------------------------------------------------------------


def _draw(world: _World, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One film for each entry of `users`: mostly of their main taste, sometimes of the second, seldom of any."""
    dice = rng.random(len(users), np.float32)
    second = (dice > 0.65).view(np.int8)
    taste = world.tastes[users, second].astype(np.int64)
    any_taste = np.flatnonzero(dice > 0.9)
    taste[any_taste] = rng.integers(0, TASTES, len(any_taste))
    films = world.accept.shape[1]
    film = rng.integers(0, films, len(users))
    cell = taste * films + film
    keep = rng.random(len(users), np.float32) < world.accept.ravel()[cell]
    return np.where(keep, film, world.alias.ravel()[cell])


def _choose_films(world: _World, first: int, last: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Films of the users `first` to `last - 1`, as many as each is to rate, none twice.

    Returns
    -------
    users, films : int64 arrays
        Positions, ascending by user, then film.
    """
    films = len(world.movie_ids)
    want = world.ratings_of[first:last]
    done: list[np.ndarray] = []
    active, pending = np.arange(last - first), np.empty(0, np.int64)
    for _ in range(12):
        have = np.bincount(pending // films, minlength=last - first)
        short = np.repeat(active, (want - have)[active])
        pending = np.unique(np.concatenate([pending, short * films + _draw(world, short + first, rng)]))
        owner = pending // films
        complete = np.bincount(owner, minlength=last - first) == want
        done.append(pending[complete[owner]])
        pending = pending[~complete[owner]]
        active = active[~complete[active]]
        if not len(active):
            break
    done += [_fill_up(int(user), films, pending, int(want[user]), rng) for user in active]
    keys = np.sort(np.concatenate(done))
    return keys // films + first, keys % films


def _fill_up(user: int, films: int, pending: np.ndarray, want: int, rng: np.random.Generator) -> np.ndarray:
    """Complete a user who rates nearly every film, for whom random draws would take too long."""
    have = pending[np.searchsorted(pending, user * films) : np.searchsorted(pending, (user + 1) * films)]
    rest = np.setdiff1d(np.arange(films) + user * films, have, assume_unique=True)
    return np.concatenate([have, rng.choice(rest, want - len(have), replace=False)])


def _times(users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Epoch seconds of ratings: each user has a few sessions, and rates every few seconds in them."""
    _, owner, counts = np.unique(users, return_inverse=True, return_counts=True)
    sessions = 1 + counts // 60
    begin = np.concatenate(([0], np.cumsum(sessions)))
    joined = rng.integers(START, END - 86_400, len(counts))
    # The first session is the day of joining; the others follow over months.
    wait = rng.exponential(90 * 86_400, begin[-1])
    wait[begin[:-1]] = 0
    starts = np.minimum(np.repeat(joined, sessions) + wait, END - 7_200).astype(np.int64)
    session = begin[owner] + (rng.random(len(owner)) * sessions[owner]).astype(np.int64)
    return starts[session] + rng.integers(0, 7_200, len(owner))


def _stars(
    world: _World, users: np.ndarray, films: np.ndarray, times: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Stars in tenths, 5 to 50: the film's quality, the user's taste for it, the user's mildness, and chance."""
    main, second = world.tastes[users].T.astype(np.int64)
    liking = world.affinity[main, films] + 0.5 * world.affinity[second, films]
    _, owner = np.unique(users, return_inverse=True)
    mild = rng.normal(0, 0.4, owner[-1] + 1 if len(owner) else 0)[owner]
    score = 3.25 + world.quality[films] + 1.0 * liking + mild + rng.normal(0, 0.8, len(users))
    half = np.where(times < HALF_STARS_SINCE, np.rint(score) * 2, np.rint(score * 2))
    return (np.clip(half, 1, 10) * 5).astype(np.int32)


def _ratings_chunk(world: _World, first: int, last: int, rng: np.random.Generator) -> pl.DataFrame:
    users, films = _choose_films(world, first, last, rng)
    times = _times(users, rng)
    return pl.DataFrame(
        {
            "userId": (users + 1).astype(np.int32),
            "movieId": world.movie_ids[films],
            "rating": _stars(world, users, films, times, rng) / 10,
            "timestamp": times,
        }
    )


# -- films, tags, genome -----------------------------------------------------------------------------------------------


def _movies(world: _World, rng: np.random.Generator) -> pl.DataFrame:
    films = len(world.movie_ids)
    adjective, noun, place = (rng.integers(0, len(words), films) for words in (_ADJECTIVES, _NOUNS, _PLACES))
    form, years = rng.integers(0, 100, films), 2018 - np.minimum(rng.exponential(18, films), 110).astype(int)
    titles = [
        _title(*words) + ("" if shape == 99 else f" ({year})")
        for *words, shape, year in zip(adjective, noun, place, form, form, years, strict=True)
    ]
    best = np.argsort(-world.affinity, axis=0)[:2]
    genres = [
        "(no genres listed)" if shape < 4 else "|".join(sorted({_GENRES[a % len(_GENRES)], _GENRES[b % len(_GENRES)]}))
        for shape, a, b in zip(rng.integers(0, 100, films), best[0], best[1], strict=True)
    ]
    return pl.DataFrame({"movieId": world.movie_ids, "title": titles, "genres": genres})


def _title(adjective: int, noun: int, place: int, form: int) -> str:
    """A title; MovieLens puts articles last, and has foreign titles and nicknames, hence commas and quotes."""
    words = f"{_ADJECTIVES[adjective]} {_NOUNS[noun]}"
    if form < 25:
        return f"{words}, The"
    if form < 32:
        return f"{words}, A"
    if form < 55:
        return f"{words} of {_PLACES[place]}"
    if form < 58:
        return f'"{words}" in {_PLACES[place]}'
    if form < 70:
        return f"{_NOUNS[noun]}, {_ADJECTIVES[adjective]} and {_NOUNS[(noun + 7) % len(_NOUNS)]}"
    return words


def _tag_names(tags: int) -> list[str]:
    words = [f"{adjective} {noun}".lower() for noun in _NOUNS for adjective in _ADJECTIVES]
    return sorted((words + [f"{words[i % len(words)]} {i // len(words) + 1}" for i in range(len(words), tags)])[:tags])


def _taste_tags(tags: int, rng: np.random.Generator) -> np.ndarray:
    """How strongly each tag stands for a taste: float32 array, shape (TASTES, tags), mostly zeros."""
    profile = np.zeros((TASTES, tags), np.float32)
    for row in profile:
        chosen = rng.choice(tags, max(1, min(tags, tags // 16)), replace=False)
        row[chosen] = rng.beta(2.5, 1.5, len(chosen))
    return profile


def _genome_chunk(
    world: _World, films: np.ndarray, base: np.ndarray, profile: np.ndarray, rng: np.random.Generator
) -> pl.DataFrame:
    """Scores of some films for all tags: what any film has of a tag, what its tastes bring, and what is its own."""
    common = base * rng.gamma(2.0, 0.5, (len(films), len(base))).astype(np.float32)
    own = np.where(rng.random(common.shape, np.float32) < 0.008, rng.random(common.shape, np.float32), 0)
    tastes = world.affinity[:, films].T @ profile
    scores = 1 - (1 - np.minimum(common, 0.9)) * (1 - np.minimum(tastes, 0.95)) * (1 - own)
    # GroupLens' scores are multiples of 1/4000.
    steps = np.clip(np.rint(scores * 4000), 1, 4000)
    return pl.DataFrame(
        {
            "movieId": np.repeat(world.movie_ids[films], len(base)),
            "tagId": np.tile(np.arange(1, len(base) + 1, dtype=np.int32), len(films)),
            "relevance": steps.ravel().astype(np.float64) / 4000,
        }
    )


def _tags(world: _World, rows: int, names: list[str], profile: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """Tags that users give to films, by the films' tastes; MovieLens has one per 25 ratings, this has fewer."""
    users = np.sort(rng.integers(0, len(world.ratings_of), rows))
    films = _draw(world, users, rng)
    strongest = np.argsort(-profile, axis=1, kind="stable")[:, : min(12, len(names))]
    tags = strongest[np.argmax(world.affinity, axis=0)[films], rng.integers(0, strongest.shape[1], rows)]
    table = pl.DataFrame(
        {
            "userId": (users + 1).astype(np.int32),
            "movieId": world.movie_ids[films],
            "tag": np.array(names, dtype=object)[tags].astype(str),
            "timestamp": _times(users, rng),
        }
    )
    return table.unique(["userId", "movieId", "tag"], keep="first", maintain_order=True).sort(
        "userId", "movieId", "tag"
    )


# -- writing -----------------------------------------------------------------------------------------------------------


def _in_order(jobs: Iterator[Callable[[], pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    """Results of jobs in their order, made by a few threads, with few of them waiting in memory."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[pl.DataFrame]] = deque()
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _streams(rng: np.random.Generator, total: int, size: int) -> Iterator[tuple[int, int, np.random.Generator]]:
    """Bounds of chunks, each with a random stream of its own."""
    starts = range(0, total, size)
    for start, stream in zip(starts, rng.spawn(len(starts)), strict=True):
        yield start, min(start + size, total), stream


def _append(file: IO[bytes], rows: pl.DataFrame, decimals: int | None = None) -> None:
    rows.write_csv(file, include_header=file.tell() == 0, float_precision=decimals)


def _write_ratings(path: Path, world: _World, rng: np.random.Generator) -> int:
    def job(first: int, last: int, stream: np.random.Generator) -> Callable[[], pl.DataFrame]:
        return lambda: _ratings_chunk(world, first, last, stream)

    likes = 0
    with path.open("wb") as file:
        for rows in _in_order(job(*chunk) for chunk in _streams(rng, len(world.ratings_of), USERS_PER_CHUNK)):
            likes += int((rows["rating"] >= 4.0).sum())
            _append(file, rows, decimals=1)
    return likes


def _write_genome(path: Path, world: _World, films: np.ndarray, profile: np.ndarray, rng: np.random.Generator) -> None:
    base = rng.beta(0.9, 10, size=(profile.shape[1],)).astype(np.float32)

    def job(first: int, last: int, stream: np.random.Generator) -> Callable[[], pl.DataFrame]:
        return lambda: _genome_chunk(world, films[first:last], base, profile, stream)

    with path.open("wb") as file:
        for rows in _in_order(job(*chunk) for chunk in _streams(rng, len(films), FILMS_PER_CHUNK)):
            _append(file, rows)


def _check(users: int, movies: int, ratings: int, genome_movies: int, tags: int) -> None:
    if min(users, movies, ratings) < 1 or genome_movies < 0 or (genome_movies and tags < 1):
        raise UsageError("users, movies, ratings and tags must be at least 1, genome-movies at least 0")
    if ratings > users * movies:
        raise UsageError(
            f"{ratings:,} ratings are more than {users:,} users x {movies:,} movies = {users * movies:,}: "
            "a user rates a film once; ask for fewer ratings, or more users or movies"
        )
    if ratings < users:
        raise UsageError(f"{ratings:,} ratings are too few for {users:,} users: every user rates at least one film")
    if genome_movies > movies:
        raise UsageError(f"{genome_movies:,} genome movies are more than {movies:,} movies")


def generate(
    directory: Path,
    *,
    users: int = 283_228,
    movies: int = 58_098,
    ratings: int = 27_700_000,
    genome_movies: int = 13_176,
    tags: int = 1_128,
    seed: int = 20_180_926,
) -> Synthesis:
    """Write a generated MovieLens data set.

    Parameters
    ----------
    directory : Path
        Created if needed. Must not hold such files yet, so that no real data is overwritten.
    users, movies, ratings : int
        Exact numbers; the defaults are those of ml-latest of 2018. Every user has at least one rating.
    genome_movies, tags : int
        Films with genome scores, mostly popular ones, and tags of the genome. 0 films: no genome files.
    seed : int
        The same arguments give the same files, byte for byte.

    Raises
    ------
    UsageError
        If the numbers contradict each other, or the directory holds a data set.
    """
    _check(users, movies, ratings, genome_movies, tags)
    directory.mkdir(parents=True, exist_ok=True)
    if taken := [name for name in FILES if (directory / name).exists()]:
        raise UsageError(f"{directory} holds {', '.join(taken)} already; name another directory, or remove them")
    worlds, for_movies, for_ratings, for_genome, for_tags = np.random.default_rng(seed).spawn(5)
    world = _world(users, movies, ratings, worlds)
    profile, names = _taste_tags(max(tags, 1), for_genome), _tag_names(max(tags, 1))
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=directory) as scratch:
        folder = Path(scratch)
        _movies(world, for_movies).write_csv(folder / "movies.csv")
        likes = _write_ratings(folder / "ratings.csv", world, for_ratings)
        given = _tags(world, max(1, ratings // 250), names, profile, for_tags)
        given.write_csv(folder / "tags.csv")
        if genome_movies:
            # The popular films have scores, but for some: a user may like a film without a vector.
            known = np.argsort(-world.popularity * for_genome.choice([1, 1e-3], movies, p=[0.97, 0.03]), kind="stable")
            names_table = pl.DataFrame({"tagId": range(1, tags + 1), "tag": names})
            names_table.write_csv(folder / "genome-tags.csv")
            _write_genome(folder / "genome-scores.csv", world, np.sort(known[:genome_movies]), profile, for_genome)
        written = sorted(folder.iterdir())
        size = sum(path.stat().st_size for path in written)
        for path in written:
            shutil.move(path, directory / path.name)
    return Synthesis(
        directory, users, movies, ratings, likes, genome_movies, tags if genome_movies else 0, given.height, size
    )
