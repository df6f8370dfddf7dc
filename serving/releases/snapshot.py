"""One release, loaded: everything an answer needs, immutable, so that no answer can mix two releases.

Belongs here: loading a release with its pack and index, holding them, asking the model. Does not belong here:
which release is live (`serving.releases.follower`), the content of answers (`serving.answers`), who counts as
nearer and who wins the vote (`recommender.voting.ranking`).

A request takes one snapshot and keeps it to its end. When a release is superseded, the last request that uses it drops
the last reference, and memory maps, index and arrays go with it: reference counting is the whole protocol. No database
connection outlives loading.
"""

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from recommender.ann.bound import BoundIndex, bind
from recommender.ann.index import IndexFileError, open_index
from recommender.data.model_data import Neighbourhood
from recommender.errors import MarqueeError
from recommender.items.similar import SimilarFilms
from recommender.lists import ListRecommendations, profile_scores, reranked, vote
from recommender.reasons import explain, list_parts
from recommender.voting.ranking import nearest_users
from serving.releases.films import Films, load_films
from serving.releases.filters import FilmFacts, film_facts
from serving.releases.lineage import check_rows, describe_model, describe_source, release_row
from serving.releases.pair_table import PairTable, load_pair_table
from serving.search.titles import TitleIndex, index_titles
from warehouse.compute.packs import read_manifest
from warehouse.home import Home
from warehouse.releases.model_folder import INDEX_FILE
from warehouse.releases.pack import ReleaseLists, open_lists, open_pack


class SnapshotError(MarqueeError):
    """A release cannot be loaded; the message names the file."""


@dataclass(frozen=True)
class Snapshot:
    """A loaded release.

    Attributes
    ----------
    release, model_version : str
    films : Films
    pairs : PairTable
    neighbourhood : Neighbourhood
        Over the memory-mapped pack, whose pages all worker processes share.
    positions : dict of int to int
        Catalogue position of each film by movie_id.
    index : BoundIndex or None
        None if the model's index cannot be used; `index_problem` then says why.
    index_problem : str
    lists : ReleaseLists or None
        For users and films; None for a release from before them.
    tags : list of str
        What the columns of the vectors are called.
    event_files : frozenset of str
        sha256 of the files of ratings in it that were made of events.
    cursor_key : bytes
        What cursors of this release are sealed with.
    lineage : dict
        What `/release` tells.
    """

    release: str
    model_version: str
    films: Films
    pairs: PairTable
    neighbourhood: Neighbourhood
    positions: dict[int, int]
    index: BoundIndex | None
    index_problem: str
    lists: ReleaseLists | None
    tags: list[str]
    event_files: frozenset[str]
    cursor_key: bytes
    lineage: dict[str, Any]
    _titles_lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def _title_index(self) -> TitleIndex:
        return index_titles(self.films.titles, self.films.years, self.films.likes)

    @property
    def titles(self) -> TitleIndex:
        """The title search; made on first use, because recommendations need not wait for it."""
        with self._titles_lock:
            return self._title_index

    def has_vector(self, movie_id: int) -> bool:
        """Whether a film can shape a profile."""
        position = self.positions.get(movie_id)
        return position is not None and bool(self.neighbourhood.catalogue.vector_rows[position] >= 0)

    @cached_property
    def facts(self) -> FilmFacts:
        """What films are filtered by."""
        return film_facts(self.films, self.positions)

    @cached_property
    def mean_vector(self) -> NDArray[np.float32]:
        """Mean of all film vectors: what is above it says something about a film."""
        vectors = self.neighbourhood.catalogue.vectors
        return vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], dtype=np.float32)

    @cached_property
    def similar_films(self) -> SimilarFilms:
        """Similar films of any film, computed now."""
        return SimilarFilms(self.neighbourhood)

    @cached_property
    def listed_users(self) -> NDArray[np.int32]:
        """user_ids of the users who have a list."""
        users = self.neighbourhood.likes.user_ids
        return users[:0] if self.lists is None else users[self.lists.user_films[:, 0] >= 0]

    @cached_property
    def _companion_rows(self) -> dict[int, int]:
        """Row of the kept companions by catalogue position."""
        return {position: row for row, position in enumerate(self.neighbourhood.companions.films.tolist())}

    def prepare(self) -> None:
        """Make what recommendations need not wait for: title search, filters, means."""
        _ = self.titles, self.facts, self.mean_vector
        if self.lists is not None:
            _ = self.similar_films

    def places(self, movie_ids: Sequence[int]) -> NDArray[np.int32]:
        """Catalogue positions of some films, in their order; films that are not in the catalogue are left out."""
        return np.array([self.positions[movie] for movie in movie_ids if movie in self.positions], dtype=np.int32)

    def companions_of(self, named: NDArray[np.int32], films: NDArray[np.int32]) -> NDArray[np.int32]:
        """P(f | a) of some films f for sign-up films a, as kept in the pack; int32, shape (films, named)."""
        shares = self.neighbourhood.companions.shares
        if shares.shape[1] == 0 or len(shares) == 0:
            return np.zeros((len(films), len(named)), dtype=np.int32)
        return np.array([shares[self._companion_rows[place]][films] for place in named.tolist()], dtype=np.int32).T

    def popular(self, name: str) -> tuple[NDArray[np.int32], NDArray[np.integer]] | None:
        """Films of a popular list with the likes counted, best first; None if the release has no such list.

        All but `recent` follow from the likes of the films, and go on after the hundred that are published. So releases
        from before these lists have them, too.
        """
        catalogue = self.neighbourhood.catalogue
        if self.lists is not None and name in self.lists.popular and name == "recent":
            films, likes = self.lists.popular[name]
            return films, likes
        kind, _, value = name.partition(":")
        if name == "all":
            mask = np.ones(len(catalogue.movie_ids), dtype=bool)
        elif kind == "genre" and value.lower() in self.facts.genres:
            mask = self.facts.genres[value.lower()][1]
        elif kind == "decade" and value.isdecimal() and len(value) == 4 and value.endswith("0"):
            mask = (self.facts.years >= int(value)) & (self.facts.years < int(value) + 10)
        else:
            return None
        films = np.flatnonzero(mask & (catalogue.like_counts > 0)).astype(np.int32)
        return (films, catalogue.like_counts[films]) if len(films) else None

    def vote(
        self,
        named: NDArray[np.int32],
        count: int,
        engine: str,
        allowed: NDArray[np.bool_] | None = None,
        keep_named: bool = False,
    ) -> ListRecommendations:
        """Recommend films to somebody who likes these: the same neighbours and votes as in the table.

        Who votes depends on the list alone, by the release's own `per_pair`, never on `count`: asking for more films
        continues the list, and two sign-up films get what the table holds for them.

        Parameters
        ----------
        named : int32 array
            Distinct catalogue positions, ascending, at least one of them with a vector.
        count : int
            Films to return at most.
        engine : {'exact', 'annoy'}
            annoy needs the snapshot to have an index.
        allowed : bool array, shape (films in the catalogue,), optional
            Films that may be returned; all others are left out before the cut.
        keep_named : bool
            Whether the films of the list may be returned too.
        """
        neighbourhood, parameters = self.neighbourhood, self.neighbourhood.parameters
        most = parameters.max_neighbours
        if engine == "exact":
            ranked = nearest_users(profile_scores(neighbourhood, named), neighbourhood.eligible, most)
        else:
            assert self.index is not None
            ranked = reranked(neighbourhood, named, self.index, most)
        count = min(count, len(self.positions))
        return vote(neighbourhood, named, ranked, count, parameters.per_pair, allowed=allowed, keep_named=keep_named)

    def rank_films(self, movie_ids: Sequence[int], num: int, engine: str) -> list[tuple[int, float, int]]:
        """Recommend films to somebody who likes these: (movie_id, score, votes), best first."""
        found = self.vote(np.sort(self.places(movie_ids)), num, engine)
        return list(zip(found.movie_ids.tolist(), found.scores.tolist(), found.votes.tolist(), strict=True))

    def warm_up(self) -> None:
        """Answer once with each engine, so that the first user does not wait for compilation or the disk."""
        film = next((movie for movie in self.films.signup_ids if self.has_vector(movie)), None)
        if film is None:
            return
        found = self.vote(self.places([film]), 1, "exact")
        films, named = self.places(found.movie_ids.tolist()), self.places([film])
        parts = list_parts(self.neighbourhood, named, films, found.scores, found.companions)
        explain(self.neighbourhood, self.mean_vector, named, films, parts)
        if self.index is not None:
            self.rank_films([film], 1, "annoy")


def load_snapshot(home: Home, path: Path) -> Snapshot:
    """Load a release from its own file, not from a link to it.

    Raises
    ------
    SnapshotError
        If a file is missing, damaged, or belongs to another release.
    """
    release = path.stem
    try:
        con = duckdb.connect(str(path), read_only=True)
        try:
            row, checks = release_row(con), check_rows(con)
            pack = home.pack_folder(release)
            manifest = read_manifest(pack)
            _require_same(row, manifest, release, path)
            neighbourhood, lists = open_pack(pack), open_lists(pack)
            with ThreadPoolExecutor(1) as beside:  # kernels and matrix products do not hold the interpreter's lock
                opening = beside.submit(_open_index, home, row["model_version"], neighbourhood)
                films, pairs = load_films(con), load_pair_table(con)
                tags = [tag for (tag,) in con.execute("SELECT tag FROM genome_tags ORDER BY tag_id").fetchall()]
                event_files = _event_files(con)
                index, index_problem = opening.result()
        finally:
            con.close()
        model = describe_model(home.model_folder(row["model_version"]))
    except (MarqueeError, OSError, ValueError, KeyError, duckdb.Error) as error:
        raise SnapshotError(f"release {release} cannot be served: {error}") from error
    lineage = {
        **row,
        "model": model,
        "source": {"name": row["source"], **describe_source(home, row["source_fingerprint"])},
        "rating_files": manifest.get("rating_files", []),
        "files": {"database": path.name, "pack": manifest["files"]},
        "checks": checks,
    }
    movie_ids = neighbourhood.catalogue.movie_ids.tolist()
    return Snapshot(
        release,
        row["model_version"],
        films,
        pairs,
        neighbourhood,
        {movie: position for position, movie in enumerate(movie_ids)},
        index,
        index_problem,
        lists,
        tags,
        event_files,
        cursor_key(home, release),
        lineage,
    )


def cursor_key(home: Home, release: str) -> bytes:
    """What cursors of a release are sealed with: known to those who have its pack, or an answer from it."""
    return hashlib.sha256((home.pack_folder(release) / "manifest.json").read_bytes()).digest()


def _require_same(row: dict[str, Any], manifest: dict[str, Any], release: str, path: Path) -> None:
    """Refuse a database and a pack that do not belong together."""
    if row["release"] != release:
        raise SnapshotError(f"{path.name} says it is {row['release']}")
    for name in ("release", "model_version"):
        if manifest[name] != row[name]:
            raise SnapshotError(f"its pack is of {name} {manifest[name]}, its database of {row[name]}")


def _event_files(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """The sha256 of the files that were made of events; none in a release from before there were lists of files."""
    if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'source_files'").fetchall():
        return frozenset()
    found = con.execute("SELECT sha256 FROM source_files WHERE name LIKE 'events-%'").fetchall()
    return frozenset(sha256 for (sha256,) in found)


def _open_index(home: Home, model_version: str, neighbourhood: Neighbourhood) -> tuple[BoundIndex | None, str]:
    """Open the model's index; without one the exact engine still answers, so that is no reason not to serve."""
    try:
        return bind(open_index(home.model_folder(model_version) / INDEX_FILE), neighbourhood), ""
    except IndexFileError as error:
        return None, str(error)
