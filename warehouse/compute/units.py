"""Units of work: a part of a table, and the pure function from a pack and a unit to its rows.

Belongs here: which units there are, and their rows, computed from a memory-mapped pack and from nothing else: no
database, no Dagster, nothing kept between processes. Does not belong here: the maths (`recommender`), files of finished
units (`unit_files`), who computes a unit where (`workers`, `ray_nodes`).
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from recommender.ann.bound import bind
from recommender.ann.index import open_index
from recommender.ann.pairs import IndexPairSearch
from recommender.data.model_data import Neighbourhood
from recommender.data.rated import Rated
from recommender.data.weights import SCORE_ONE
from recommender.errors import UsageError
from recommender.items.model import ItemModel
from recommender.items.ranking import rank_users
from recommender.items.similar import SimilarFilms
from recommender.neighbours.exact import PairSearch
from recommender.pairs import PairRecommendations
from recommender.parameters import ModelParameters, recorded_parameters
from warehouse.compute import evaluation
from warehouse.compute.packs import INDEX_FILE, ITEM_WEIGHTS, map_arrays, neighbourhood_of, read_manifest

SHARDS = 16
"""Parts of each table: a pair is in shard ``movie_a % SHARDS``, a user in the bucket that `bucket_of` says, the films
similar to a film in ``movie_id % SHARDS``. As many of each: assets that one job makes have the same partitions."""

SHARDS_OF = {"evaluation": len(evaluation.SPLITS)}
"""Where there are not as many."""

INDEX_FOLDER = "index"
"""The files of the model, in packs for the engine that asks its index."""


class UnitError(UsageError):
    """There is no such unit; the message says how units are called."""


@dataclass(frozen=True, order=True)
class Unit:
    """A part of a table that is computed alone: some shards of it.

    Attributes
    ----------
    table : str
        A key of `ROWS_OF`.
    shards : tuple of int
        Ascending.
    """

    table: str
    shards: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its name in commands, messages and files: the table and the shards, as in ``pairs-0.4.8.12``."""
        return f"{self.table}-{'.'.join(map(str, self.shards))}"

    @classmethod
    def named(cls, name: str) -> "Unit":
        """Find the unit of a name.

        Raises
        ------
        UnitError
        """
        table, _, shards = name.partition("-")
        numbers = [int(shard) if shard.isdecimal() else SHARDS for shard in shards.split(".")]
        if table not in ROWS_OF or max(numbers) >= SHARDS_OF.get(table, SHARDS):
            raise UnitError(
                f"there is no unit {name!r}: a unit is one of {', '.join(ROWS_OF)}, a dash and shards from 0 to "
                f"{SHARDS_OF.get(table, SHARDS) - 1} with dots between them, as in pairs-0.4.8.12"
            )
        return cls(table, tuple(sorted(set(numbers))))


def units_of(table: str, shards: Iterable[int], parts: int) -> list[Unit]:
    """Cut some shards of a table into at most so many units of about the same work."""
    ordered = sorted(shards)
    parts = min(parts, len(ordered))
    return [Unit(table, tuple(ordered[part::parts])) for part in range(parts)]


def bucket_of(user_ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Bucket of each user, by a multiplicative hash of the user_id (Knuth); int64, of the same shape."""
    hashed = user_ids.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)
    return (hashed * np.uint64(SHARDS) >> np.uint64(32)).astype(np.int64)


class _Search(Protocol):
    """What finds the lists of pairs: `PairSearch` or `IndexPairSearch`."""

    def pairs(self, first_movies: ArrayLike | None = None) -> Iterator[PairRecommendations]:
        """Recommend films for the pairs whose smaller movie_id is among these."""


class WorkPack:
    """A pack opened to compute units from: what several units of it share is prepared once. For one thread at a time.

    Parameters
    ----------
    folder : Path
    threads : int, optional
        For the work inside a unit; default: one per core. No row depends on it.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.folder, self.threads = folder, threads
        self.manifest: Mapping[str, Any] = read_manifest(folder)
        self.arrays = map_arrays(folder, self.manifest, "c")

    @functools.cached_property
    def neighbourhood(self) -> Neighbourhood:
        """What lists are made from."""
        return neighbourhood_of(self.arrays, self.manifest)

    @property
    def parameters(self) -> ModelParameters:
        """The model's parameters, as they were when the pack was written."""
        return recorded_parameters(self.manifest["parameters"])

    @functools.cached_property
    def search(self) -> _Search:
        """The search of pairs, by the engine of the parameters."""
        if self.neighbourhood.parameters.engine == "exact":
            return PairSearch(self.neighbourhood, threads=self.threads)
        return IndexPairSearch(
            bind(open_index(self.folder / INDEX_FOLDER / INDEX_FILE), self.neighbourhood), threads=self.threads
        )

    @functools.cached_property
    def similar(self) -> SimilarFilms:
        """What ranks similar films."""
        return SimilarFilms(self.neighbourhood)

    @property
    def rated(self) -> Rated:
        """Which films every user has rated."""
        return Rated(*(self.arrays[f"rated_{part}"] for part in ("users", "indptr", "films")))

    @property
    def items(self) -> ItemModel:
        """The item model of the last retrain."""
        return ItemModel(self.arrays["item_films"], self.arrays[ITEM_WEIGHTS])

    @property
    def users_to_list(self) -> NDArray[np.int64]:
        """User indices of those who need a list, ascending."""
        found: NDArray[np.int64] = self.arrays["users_to_list"]
        return found


def rows_of_unit(pack: WorkPack, unit: Unit) -> tuple[pa.Table, dict[str, int]]:
    """Compute a unit.

    Returns
    -------
    pyarrow.Table, and dict of str to int
        Its rows with the columns of the table, sorted within the unit; and what the step's metadata adds up of them.
    """
    return ROWS_OF[unit.table](pack, unit.shards)


def _pairs(pack: WorkPack, shards: Sequence[int]) -> tuple[pa.Table, dict[str, int]]:
    """The lists of all pairs whose smaller movie_id is in these shards."""
    movie_ids = np.sort(pack.neighbourhood.signup_movies())
    chunks = list(pack.search.pairs(movie_ids[np.isin(movie_ids % SHARDS, shards)]))
    per_pair = pack.neighbourhood.parameters.per_pair
    facts = {
        "pairs": sum(len(chunk.pair_a) for chunk in chunks),
        "short_lists": sum(int((chunk.films_found < per_pair).sum()) for chunk in chunks),
        "most_neighbours": max((int(chunk.neighbours_used.max(initial=0)) for chunk in chunks), default=0),
    }
    tables = [pair_rows(chunk) for chunk in chunks]
    return pa.concat_tables(tables) if tables else PAIR_SCHEMA.empty_table(), facts


def pair_rows(chunk: PairRecommendations) -> pa.Table:
    """Lists of pairs as rows of recs.pair_recommendations."""
    return pa.table({name: getattr(chunk, name) for name in PAIR_SCHEMA.names}, schema=PAIR_SCHEMA)


def _users(pack: WorkPack, buckets: Sequence[int]) -> tuple[pa.Table, dict[str, int]]:
    """The lists of the users of these buckets who need one."""
    data, likes = pack.neighbourhood, pack.neighbourhood.likes
    users = pack.users_to_list
    users = users[np.isin(bucket_of(likes.user_ids[users]), buckets)]
    films, scores = rank_users(pack.items, likes, pack.rated, users, data.parameters.per_user, pack.threads)
    owners = np.repeat(likes.user_ids[users], (films >= 0).sum(axis=1))
    rows = {"user_id": owners} | rows_of_lists(data.catalogue.movie_ids, films, scores, "movie_id")
    return pa.table(rows, schema=USER_SCHEMA), {"users_computed": len(users)}


def _similar(pack: WorkPack, shards: Sequence[int]) -> tuple[pa.Table, dict[str, int]]:
    """The lists of similar films of all films of these shards that have one."""
    data, ids = pack.neighbourhood, pack.neighbourhood.catalogue.movie_ids
    films = pack.similar.with_list()
    films = films[np.isin(ids[films] % SHARDS, shards)]
    films = films[np.argsort(ids[films])]
    found, scores = pack.similar.lists(films, data.parameters.per_movie, pack.threads)
    return similar_rows(ids, films, found, scores), {"films": len(films)}


def _evaluation(pack: WorkPack, places: Sequence[int]) -> tuple[pa.Table, dict[str, int]]:
    """The measurements of some ways of holding out users."""
    tables = [evaluation.measurements(pack.arrays, pack.parameters, evaluation.SPLITS[place]) for place in places]
    return pa.concat_tables(tables), {}


def similar_rows(
    movie_ids: NDArray[np.int32], films: NDArray[np.int32], found: NDArray[np.int32], scores: NDArray[np.int32]
) -> pa.Table:
    """Lists of similar films, by `SimilarFilms.lists`, as rows of recs.similar_movies."""
    owners = np.repeat(movie_ids[films], (found >= 0).sum(axis=1))
    rows = {"movie_id": owners} | rows_of_lists(movie_ids, found, scores, "similar_id")
    return pa.table(rows, schema=SIMILAR_SCHEMA)


def rows_of_lists(
    movie_ids: NDArray[np.int32], films: NDArray[np.int32], scores: NDArray[np.int32], name: str
) -> dict[str, NDArray]:
    """Ranks, movie_ids (under that name) and scores of lists, row after row, without empty places.

    Parameters
    ----------
    films, scores : int32 arrays, shape (lists, places)
        Catalogue positions, -1 where there is none; scores in units of 1 / `SCORE_ONE`.
    """
    filled = films >= 0
    ranks = np.broadcast_to(np.arange(1, films.shape[1] + 1, dtype=np.int16), films.shape)
    return {"rank": ranks[filled], name: movie_ids[films[filled]], "score": scores[filled] / SCORE_ONE}


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


PAIR_SCHEMA = _schema(
    movie_a=pa.int32(), movie_b=pa.int32(), rank=pa.int16(), movie_id=pa.int32(), score=pa.float64(), votes=pa.int32()
)
USER_SCHEMA = _schema(user_id=pa.int32(), rank=pa.int16(), movie_id=pa.int32(), score=pa.float64())
SIMILAR_SCHEMA = _schema(movie_id=pa.int32(), rank=pa.int16(), similar_id=pa.int32(), score=pa.float64())

SCHEMAS = {"pairs": PAIR_SCHEMA, "users": USER_SCHEMA, "similar": SIMILAR_SCHEMA, "evaluation": evaluation.SCHEMA}
"""Columns of the rows of each table's units, as the models of the tables have them; reading those would load DuckDB."""

ROWS_OF: Mapping[str, Callable[[WorkPack, Sequence[int]], tuple[pa.Table, dict[str, int]]]] = {
    "pairs": _pairs,
    "users": _users,
    "similar": _similar,
    "evaluation": _evaluation,
}
"""What computes the rows of each table, for some shards of it."""


def shards_of_rows(table: str, rows: pa.Table) -> NDArray[np.int64]:
    """Shard of each row of a table, by its first column."""
    if table == "evaluation":
        return np.array([evaluation.SPLITS.index(split) for split in rows.column(0).to_pylist()], dtype=np.int64)
    owners = rows.column(0).to_numpy()
    return bucket_of(owners) if table == "users" else np.asarray(owners % SHARDS, dtype=np.int64)
