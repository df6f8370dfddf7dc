"""Made-up data: exactly as much as asked for, the same for the same seed, and shaped like the real thing."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from benchmarks import synth
from benchmarks.synth import FILES, Synthesis, generate
from recommender.errors import UsageError
from warehouse.ingest.importer import import_source
from warehouse.schemas.row_rules import row_rules
from warehouse.sources.resolve import resolve_source

SMALL = {"users": 900, "movies": 700, "ratings": 40_000, "genome_movies": 300, "tags": 90}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return generate(tmp_path_factory.mktemp("synth"), **SMALL)


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def test_import_finds_nothing_to_reject(small: Synthesis, tmp_path: Path):
    local = resolve_source(str(small.directory), tmp_path)
    manifest = import_source(local, tmp_path, row_rules(), progress=False)
    assert manifest.counts["rejected_rows"] == 0
    assert manifest.counts["ratings"] == small.ratings == 40_000
    assert manifest.counts["movies"] == 700
    assert manifest.counts["genome"] == 300
    assert manifest.counts["tags"] == small.tags
    assert manifest.n_tags == 90
    ratings = pl.read_parquet(manifest.table("ratings"))
    assert ratings["user_id"].n_unique() == 900
    assert (ratings["rating"] >= 4).sum() == small.likes


def test_same_seed_same_files_whatever_the_threads(small: Synthesis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(synth, "THREADS", 1)
    generate(tmp_path / "again", **SMALL)
    assert digests(tmp_path / "again") == digests(small.directory)
    generate(tmp_path / "other", **SMALL, seed=1)
    assert digests(tmp_path / "other") != digests(small.directory)


def test_shape_of_the_ratings(small: Synthesis):
    ratings = pl.read_csv(small.directory / "ratings.csv")
    assert ratings.equals(ratings.sort("userId", "movieId"))
    assert set(ratings["rating"].unique()) <= {half / 2 for half in range(1, 11)}
    assert 0.3 < small.likes / small.ratings < 0.6
    per_user = ratings.group_by("userId").len()["len"]
    assert per_user.min() == 1
    assert per_user.max() > 5 * per_user.median()
    per_film = ratings.group_by("movieId").len()["len"].sort(descending=True)
    assert per_film[:35].sum() > 3 * per_film[-350:].sum() / 10
    years = pl.from_epoch(ratings["timestamp"]).dt.year()
    assert years.min() >= 1996
    assert years.max() <= 2018


def test_shape_of_the_films(small: Synthesis):
    text = (small.directory / "movies.csv").read_text()
    movies = pl.read_csv(small.directory / "movies.csv")
    assert ", The (" in text
    assert '""' in text
    assert movies["movieId"].is_sorted()
    assert movies["movieId"].max() > 2 * len(movies)
    assert "(no genres listed)" in movies["genres"].to_list()
    with_year = movies["title"].str.contains(r"\(\d{4}\)$")
    assert with_year.any()
    assert not with_year.all()


def test_people_like_films_that_resemble_each_other(small: Synthesis):
    scores = pl.read_csv(small.directory / "genome-scores.csv").pivot("tagId", index="movieId", values="relevance")
    vectors = scores.drop("movieId").to_numpy()
    vectors = vectors - vectors.mean(axis=0)
    vectors /= (vectors**2).sum(axis=1, keepdims=True) ** 0.5
    position = {film: i for i, film in enumerate(scores["movieId"])}
    likes = pl.read_csv(small.directory / "ratings.csv").filter(pl.col("rating") >= 4.5)
    within = []
    for films in likes.group_by("userId").agg("movieId")["movieId"].to_list():
        rows = vectors[[position[film] for film in films if film in position]]
        if 2 <= len(rows) <= 30:
            similar = rows @ rows.T
            within.append((similar.sum() - len(rows)) / (len(rows) * (len(rows) - 1)))
    everywhere = vectors @ vectors.T
    chance = (everywhere.sum() - len(vectors)) / (len(vectors) * (len(vectors) - 1))
    assert sum(within) / len(within) > chance + 0.05


@pytest.mark.parametrize(("users", "movies", "ratings"), [(7, 9, 63), (1, 1, 1), (50, 10, 50), (3, 400, 900)])
def test_crowded_and_tiny_worlds(tmp_path: Path, users: int, movies: int, ratings: int):
    written = generate(tmp_path, users=users, movies=movies, ratings=ratings, genome_movies=0)
    table = pl.read_csv(tmp_path / "ratings.csv")
    assert table.height == ratings == table.n_unique(["userId", "movieId"])
    assert table["userId"].n_unique() == users
    assert written.genome_tags == 0
    assert not (tmp_path / "genome-scores.csv").exists()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"users": 10, "movies": 10, "ratings": 101}, "101 ratings are more than 10 users x 10 movies = 100"),
        ({"users": 10, "movies": 10, "ratings": 9}, "too few for 10 users"),
        ({"users": 0, "movies": 10, "ratings": 9}, "must be at least 1"),
        ({"users": 10, "movies": 10, "ratings": 20, "genome_movies": 11}, "11 genome movies are more than 10"),
    ],
)
def test_sizes_that_cannot_be(tmp_path: Path, size: dict[str, int], message: str):
    with pytest.raises(UsageError, match=message):
        generate(tmp_path / "none", **({"genome_movies": 0} | size))
    assert not (tmp_path / "none").exists()


def test_data_in_the_way_is_not_overwritten(tmp_path: Path):
    (tmp_path / "ratings.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"holds ratings\.csv already"):
        generate(tmp_path, users=5, movies=5, ratings=10, genome_movies=0)
    assert (tmp_path / "ratings.csv").read_text() == "mine"
