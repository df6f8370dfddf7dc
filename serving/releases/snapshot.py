"""One release, loaded: everything an answer needs, immutable, so that no answer can mix two releases.

Belongs here: loading a release with its pack and index, holding them, asking the model. Does not belong here:
which release is live (`serving.releases.follower`), the content of answers (`serving.answers`), who counts as
nearer and who wins the vote (`recommender.voting.ranking`).

A request takes one snapshot and keeps it to its end. When a release is superseded, the last request that uses it drops
the last reference, and memory maps, index and arrays go with it: reference counting is the whole protocol. No database
connection outlives loading.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from recommender.ann.bound import BoundIndex, bind
from recommender.ann.index import IndexFileError, open_index
from recommender.data.model_data import Neighbourhood
from recommender.errors import MarqueeError
from recommender.lists import profile_scores, reranked, vote
from recommender.voting.ranking import nearest_users
from serving.releases.films import Films, load_films
from serving.releases.lineage import check_rows, describe_model, describe_source, release_row
from serving.releases.pair_table import PairTable, load_pair_table
from serving.search.titles import TitleIndex, index_titles
from warehouse.home import Home
from warehouse.releases.model_folder import INDEX_FILE
from warehouse.releases.pack import open_pack, read_manifest


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

    def rank_films(self, movie_ids: Sequence[int], num: int, engine: str) -> list[tuple[int, float, int]]:
        """Recommend films to somebody who likes these: the same neighbours and votes as in the table.

        Who votes depends on the list alone, by the release's own `per_pair`, never on `num`: asking for more films
        continues the list, and two sign-up films get what the table holds for them.

        Parameters
        ----------
        movie_ids : sequence of int
            Distinct films of the release, at least one of them with a vector.
        num : int
            Films to return at most.
        engine : {'exact', 'annoy'}
            annoy needs the snapshot to have an index.

        Returns
        -------
        list of (movie_id, score, votes)
            Best first.
        """
        neighbourhood, parameters = self.neighbourhood, self.neighbourhood.parameters
        known = [self.positions[movie] for movie in movie_ids if movie in self.positions]
        films = np.array(sorted(known), dtype=np.int32)
        most = parameters.max_neighbours
        if engine == "exact":
            ranked = nearest_users(profile_scores(neighbourhood, films), neighbourhood.eligible, most)
        else:
            assert self.index is not None
            ranked = reranked(neighbourhood, films, self.index, most)
        found = vote(neighbourhood, films, ranked, num, parameters.per_pair)
        return list(zip(found.movie_ids.tolist(), found.scores.tolist(), found.votes.tolist(), strict=True))

    def warm_up(self) -> None:
        """Answer once with each engine, so that the first user does not wait for compilation or the disk."""
        film = next((movie for movie in self.films.signup_ids if self.has_vector(movie)), None)
        if film is None:
            return
        self.rank_films([film], 1, "exact")
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
            neighbourhood = open_pack(pack)
            with ThreadPoolExecutor(1) as beside:  # kernels and matrix products do not hold the interpreter's lock
                opening = beside.submit(_open_index, home, row["model_version"], neighbourhood)
                films, pairs = load_films(con), load_pair_table(con)
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
        lineage,
    )


def _require_same(row: dict[str, Any], manifest: dict[str, Any], release: str, path: Path) -> None:
    """Refuse a database and a pack that do not belong together."""
    if row["release"] != release:
        raise SnapshotError(f"{path.name} says it is {row['release']}")
    for name in ("release", "model_version"):
        if manifest[name] != row[name]:
            raise SnapshotError(f"its pack is of {name} {manifest[name]}, its database of {row[name]}")


def _open_index(home: Home, model_version: str, neighbourhood: Neighbourhood) -> tuple[BoundIndex | None, str]:
    """Open the model's index; without one the exact engine still answers, so that is no reason not to serve."""
    try:
        return bind(open_index(home.model_folder(model_version) / INDEX_FILE), neighbourhood), ""
    except IndexFileError as error:
        return None, str(error)
