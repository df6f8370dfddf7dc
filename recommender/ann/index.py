"""An Annoy index of the users: who is probably near a profile, without comparing everybody.

Belongs here: building, opening and asking the index, what it does not know, and how good it is.
Does not belong here: exact scores and votes (`live`, `ranking`), where model files live.

The index holds the users' unit vectors around their mean, in their first principal components, and compares by
euclidean distance: between unit vectors that is the order of the cosine. Where liking a film of the list earns a bonus,
all who like one are considered besides, and the likeliest of all are proposed (`estimates`). What is proposed is
re-ranked by exact score: a neighbour can be missed, but is never ranked wrongly.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from annoy import AnnoyIndex
from numpy.typing import ArrayLike, NDArray

from recommender.ann.shortlist import coarse, likeliest
from recommender.data.encoder import encode_profile
from recommender.data.inverted_index import Fans, make_fans
from recommender.data.likes import some_users
from recommender.data.model_data import Neighbourhood
from recommender.data.projection import principal_components, project
from recommender.errors import MarqueeError
from recommender.kernels.jit import kernel, run_parallel
from recommender.lists import candidate_scores, film_bonuses, reranked
from recommender.neighbours.scores import FilmScores, film_scores
from recommender.pairs import PairRecommendations, as_rows, first_indices, signup_films
from recommender.voting.ranking import count_votes, first_places, nearest_users

COMPONENT_SAMPLE = 20_000
"""Users from which the principal components are found; more change nothing that can be measured."""

RECALL_AT = 10
"""Neighbours over which recall is measured."""

RECALL_PROFILES = 100
"""Pairs of sign-up films with which recall is measured."""


class IndexFileError(MarqueeError):
    """Files of an index are missing or do not belong together; the message names them."""


@dataclass(frozen=True)
class UserIndex:
    """An index as of its retrain.

    Attributes
    ----------
    annoy : AnnoyIndex
        Item n is the user ``user_ids[n]``.
    directions : float32 array, shape (tags, components)
    offset : float32 array, shape (components,)
        The projected mean user; a unit vector v has the coordinates ``v @ directions - offset``.
    user_ids : int32 array, shape (items,)
        Ascending.
    points : int16 array, shape (items, components rounded up)
        Coordinates of the items, rounded (`coarse`).
    """

    annoy: Any
    directions: NDArray[np.float32]
    offset: NDArray[np.float32]
    user_ids: NDArray[np.int32]
    points: NDArray[np.int16]

    def bound_to(self, neighbourhood: Neighbourhood) -> "BoundIndex":
        """Prepare the index for likes as they are now.

        Users who are gone or no longer eligible are skipped; eligible users the index does not know are always among
        the candidates, so that they are found by exact comparison.
        """
        if len(self.directions) != neighbourhood.catalogue.vectors.shape[1]:
            raise IndexFileError(
                f"the index was built for {len(self.directions)} tags, the film vectors have "
                f"{neighbourhood.catalogue.vectors.shape[1]}; retrain the model"
            )
        users = _users_of_items(self.user_ids, neighbourhood)
        items = np.full(len(neighbourhood.likes.user_ids), -1, dtype=np.int32)
        items[users[users >= 0]] = np.flatnonzero(users >= 0)
        fans = None
        if neighbourhood.parameters.liked_bonus > 0.0:
            films = len(neighbourhood.catalogue.movie_ids)
            fans = make_fans(neighbourhood.likes, films, np.flatnonzero(neighbourhood.eligible))
        return BoundIndex(self, neighbourhood, users, items, unknown_users(self.user_ids, neighbourhood), fans)


@dataclass(frozen=True)
class BoundIndex:
    """An index together with the likes it is asked about.

    Attributes
    ----------
    index : UserIndex
    neighbourhood : Neighbourhood
    users : int64 array, shape (items,)
        User index of each item, -1 for users who are gone or not eligible.
    items : int32 array, shape (users,)
        Item of each user, -1 for users who are unknown or not eligible.
    unknown : int64 array
        Eligible users the index does not know, ascending.
    fans : Fans or None
        Eligible users who like each film, if there is a bonus for that: it can bring users near who are far by cosine.
    """

    index: UserIndex
    neighbourhood: Neighbourhood
    users: NDArray[np.int64]
    items: NDArray[np.int32]
    unknown: NDArray[np.int64]
    fans: Fans | None

    def candidates(
        self, profile: NDArray[np.float32], wanted: int, films: NDArray[np.int32] | None = None
    ) -> NDArray[np.int64]:
        """Propose neighbours.

        Parameters
        ----------
        profile : float32 array, shape (tags,)
            Unit vector.
        wanted : int
        films : int32 array, optional
            Catalogue positions of the films the profile is made of: with a bonus, those who like one are considered.

        Returns
        -------
        int64 array, shape (about wanted + unknown users,)
            Eligible users, distinct, in no particular order.
        """
        return self.near(profile @ self.index.directions - self.index.offset, wanted, films)

    def products(self, films: NDArray[np.int32]) -> NDArray[np.float32]:
        """Multiply all film vectors with the sum of those of some films.

        Parameters
        ----------
        films : int32 array
            Catalogue positions.

        Returns
        -------
        float32 array, shape (films_with_vector,)
        """
        catalogue = self.neighbourhood.catalogue
        row_of_film, products = self._signup_products
        known = row_of_film[films] >= 0
        total: NDArray[np.float32] = products[row_of_film[films[known]]].sum(axis=0)
        others = catalogue.vector_rows[films[~known]]
        if (others >= 0).any():
            total += catalogue.vectors @ catalogue.vectors[others[others >= 0]].sum(axis=0)
        return total

    def prepare(self) -> "BoundIndex":
        """Make now what the first question would wait for; return the index itself."""
        self._signup_products  # noqa: B018
        return self

    @functools.cached_property
    def _signup_products(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Products of each sign-up film with all films, since most lists are made of those: 53 MB at full size."""
        signup, catalogue = signup_films(self.neighbourhood), self.neighbourhood.catalogue
        row_of_film = np.full(len(catalogue.movie_ids), -1, dtype=np.int32)
        row_of_film[signup] = np.arange(len(signup))
        return row_of_film, catalogue.vectors[catalogue.vector_rows[signup]] @ catalogue.vectors.T

    def near(
        self, coordinates: NDArray[np.floating], wanted: int, films: NDArray[np.int32] | None = None
    ) -> NDArray[np.int64]:
        """Propose neighbours of a point of the index's space; as `candidates`."""
        if len(self.users) == 0:
            return self.unknown
        parameters = self.neighbourhood.parameters
        # never less than Annoy's own default: fewer nodes than that may not even be one leaf per tree
        nodes = max(parameters.annoy_search_k, wanted * parameters.annoy_trees)
        items = self.index.annoy.get_nns_by_vector(coordinates, min(wanted, len(self.users)), nodes)
        users = self.users[np.array(items, dtype=np.int64)]
        users = users[users >= 0]
        if films is not None and self.fans is not None:
            users = likeliest(
                users,
                films,
                film_bonuses(self.neighbourhood, films),
                self.fans.indptr,
                self.fans.users,
                self.items,
                self.index.points,
                coarse(coordinates),
                encode_profile(self.neighbourhood.catalogue, films)[1],
                wanted,
            )
        return np.concatenate((users, self.unknown))


def unknown_users(user_ids: NDArray[np.int32], neighbourhood: Neighbourhood) -> NDArray[np.int64]:
    """Find eligible users who are not among some ids: those an older index cannot propose.

    Parameters
    ----------
    user_ids : int32 array
        Ids the index knows.
    neighbourhood : Neighbourhood

    Returns
    -------
    int64 array
        User indices, ascending.
    """
    known = np.isin(neighbourhood.likes.user_ids, user_ids)
    return np.flatnonzero(neighbourhood.eligible & ~known)


def _users_of_items(user_ids: NDArray[np.int32], neighbourhood: Neighbourhood) -> NDArray[np.int64]:
    """User index of each id, -1 for those who are gone or not eligible."""
    now = neighbourhood.likes.user_ids
    if len(now) == 0:
        return np.full(len(user_ids), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(now, user_ids), len(now) - 1)
    return np.where((now[at] == user_ids) & neighbourhood.eligible[at], at, -1).astype(np.int64)


def build_index(path: Path, neighbourhood: Neighbourhood, threads: int | None = None) -> dict[str, Any]:
    """Index all eligible users, and measure what came of it: `plant`, then `save_index`."""
    return save_index(path, plant(neighbourhood, threads), neighbourhood, threads)


def plant(neighbourhood: Neighbourhood, threads: int | None = None) -> UserIndex:
    """Make an index of all eligible users, in memory.

    Annoy has no seeded way to build with several threads (its files then differ from run to run), so it gets one, and
    does not hold the interpreter's lock meanwhile.

    Parameters
    ----------
    neighbourhood : Neighbourhood
        Its `annoy_*` parameters count.
    threads : int, optional
        For everything but the trees. The index does not depend on it.

    Returns
    -------
    UserIndex
    """
    parameters, likes, catalogue = neighbourhood.parameters, neighbourhood.likes, neighbourhood.catalogue
    users = np.flatnonzero(neighbourhood.eligible)
    directions, mean = principal_components(
        likes, catalogue, users, parameters.annoy_components, COMPONENT_SAMPLE, centred=True
    )
    offset = mean @ directions
    kept = some_users(likes, users)
    features = project(
        kept.indptr,
        catalogue.vector_rows[kept.films],
        neighbourhood.norms[users],
        catalogue.vectors @ directions,
        threads,
    )
    annoy = AnnoyIndex(directions.shape[1], "euclidean")
    annoy.set_seed(parameters.annoy_seed)
    features -= offset
    for item, point in enumerate(features):
        annoy.add_item(item, point)
    if len(users):
        annoy.build(parameters.annoy_trees, n_jobs=1)
    return UserIndex(annoy, directions, offset, kept.user_ids, coarse(features))


def save_index(
    path: Path, index: UserIndex, neighbourhood: Neighbourhood, threads: int | None = None
) -> dict[str, Any]:
    """Write an index to files, and measure what they find.

    Parameters
    ----------
    path : Path
        File of the index; ``projection.npy``, ``offset.npy``, ``user_ids.npy``, ``points.npy`` are written beside it.
    index : UserIndex
        Just planted.
    neighbourhood : Neighbourhood
        That it was planted from.
    threads : int, optional
        For the measurement, which does not depend on it.

    Returns
    -------
    dict
        dimensions, trees, seed, items, recall (`measure_recall`).
    """
    if len(index.user_ids):
        index.annoy.save(str(path))
    else:
        path.touch()
    np.save(path.with_name("projection.npy"), index.directions)
    np.save(path.with_name("offset.npy"), index.offset)
    np.save(path.with_name("user_ids.npy"), index.user_ids)
    np.save(path.with_name("points.npy"), index.points)
    return {
        "dimensions": index.directions.shape[1],
        "trees": neighbourhood.parameters.annoy_trees,
        "seed": neighbourhood.parameters.annoy_seed,
        "items": len(index.user_ids),
        "recall": measure_recall(open_index(path).bound_to(neighbourhood), threads=threads),
    }


def open_index(path: Path) -> UserIndex:
    """Open an index; Annoy maps the file into memory.

    Parameters
    ----------
    path : Path
        As given to `build_index`.

    Returns
    -------
    UserIndex

    Raises
    ------
    IndexFileError
        If a file is missing or cannot be read, or they do not belong together.
    """
    try:
        directions = np.load(path.with_name("projection.npy"), allow_pickle=False)
        offset = np.load(path.with_name("offset.npy"), allow_pickle=False)
        user_ids = np.load(path.with_name("user_ids.npy"), allow_pickle=False)
        points = np.load(path.with_name("points.npy"), mmap_mode="r", allow_pickle=False)
        annoy = AnnoyIndex(directions.shape[1], "euclidean")
        if len(user_ids):
            annoy.load(str(path))
    except (OSError, ValueError) as error:
        raise IndexFileError(f"the index {path} cannot be opened ({error}); retrain the model") from None
    if not annoy.get_n_items() == len(user_ids) == len(points):
        raise IndexFileError(
            f"{path} holds {annoy.get_n_items()} users, user_ids.npy beside it {len(user_ids)}, points.npy "
            f"{len(points)}; retrain the model"
        )
    return UserIndex(annoy, directions, offset, user_ids, np.asarray(points))


def measure_recall(
    bound: BoundIndex,
    at: int = RECALL_AT,
    profiles: int = RECALL_PROFILES,
    seed: int = 0,
    threads: int | None = None,
) -> float:
    """Measure recall@k: the share of the true k nearest users that the index, re-ranked, finds.

    Parameters
    ----------
    bound : BoundIndex
    at : int
        k.
    profiles : int
        Random pairs of sign-up films to ask.
    seed : int
        Decides which; the same pairs for the same sign-up films.
    threads : int, optional
        The result does not depend on it.

    Returns
    -------
    float
        1.0 if there is nothing to find.
    """
    neighbourhood = bound.neighbourhood
    signup = signup_films(neighbourhood)
    if len(signup) < 2 or not neighbourhood.eligible.any():
        return 1.0
    generator = np.random.default_rng(seed)
    pairs = [np.sort(generator.choice(signup, 2, replace=False)) for _ in range(profiles)]
    truth = _true_neighbours(bound, pairs, at, threads)

    def found(number: int) -> float:
        return float(np.isin(truth[number], reranked(neighbourhood, pairs[number], bound, at)).mean())

    return float(np.mean(run_parallel(found, range(profiles), threads)))


def _true_neighbours(
    bound: BoundIndex, profiles: list[NDArray[np.int32]], wanted: int, threads: int | None
) -> list[NDArray[np.int64]]:
    """First users of many profiles at once: scored in single precision, the best of them re-ranked exactly."""
    neighbourhood = bound.neighbourhood
    likes, catalogue = neighbourhood.likes, neighbourhood.catalogue
    rows = catalogue.vector_rows[likes.films]
    truth: list[NDArray[np.int64]] = []
    for low in range(0, len(profiles), 32):
        some = profiles[low : low + 32]
        encoded = [encode_profile(catalogue, films) for films in some]
        vectors = np.stack([vector * np.float32(norm) for vector, norm in encoded])
        scores = project(likes.indptr, rows, neighbourhood.norms, catalogue.vectors @ vectors.T, threads)

        def first(number: int, some=some, scores=scores) -> NDArray[np.int64]:  # type: ignore[no-untyped-def]
            films, own = some[number], np.ascontiguousarray(scores[:, number])
            if bound.fans is not None:
                for film, bonus in zip(films, film_bonuses(neighbourhood, films), strict=True):
                    own[bound.fans.of(film)] += bonus
            chosen = nearest_users(own, neighbourhood.eligible, 5 * wanted)
            return chosen[first_places(candidate_scores(neighbourhood, films, chosen), chosen, wanted)]

        truth += run_parallel(first, range(len(some)), threads)
    return truth


def recommend_pairs_by_index(
    bound: BoundIndex, first_movies: ArrayLike | None = None, *, threads: int | None = None
) -> Iterator[PairRecommendations]:
    """Recommend films for all pairs of sign-up films from the neighbours the index finds (engine ``annoy``).

    Parameters
    ----------
    bound : BoundIndex
    first_movies : array of int, optional
        movie_ids of sign-up films: only pairs whose smaller movie_id is among them (a shard). Default: all pairs.
    threads : int, optional
        The result does not depend on it.

    Yields
    ------
    PairRecommendations
        As `exact.recommend_pairs`, one chunk per first film. A pair for which the index finds fewer users than asked
        for is answered from those.

    Raises
    ------
    ValueError
        If a film of `first_movies` is not a sign-up film.
    """
    neighbourhood = bound.neighbourhood
    signup = signup_films(neighbourhood)
    scores = film_scores(neighbourhood, signup)
    rows = neighbourhood.catalogue.vector_rows[signup]
    points = neighbourhood.catalogue.vectors[rows].astype(np.float64) @ bound.index.directions
    for first in first_indices(neighbourhood, signup, first_movies):
        seconds = np.arange(first + 1, len(signup))
        if len(seconds) == 0:
            continue
        both = scores.similarities[[first]][:, rows]
        squares = both[0, first] + 2 * both[0, seconds] + scores.similarities[seconds, rows[seconds]]
        lengths = np.sqrt(np.maximum(squares, np.finfo(float).tiny))[:, None]
        profiles = (points[first] + points[seconds]) / lengths - bound.index.offset
        yield _one_first_film(bound, signup, scores, int(first), seconds, profiles, threads)


def _one_first_film(
    bound: BoundIndex,
    signup: NDArray[np.int32],
    scores: FilmScores,
    first: int,
    seconds: NDArray[np.int64],
    profiles: NDArray[np.float64],
    threads: int | None,
) -> PairRecommendations:
    """All pairs of one first film with the films after it."""
    neighbourhood, parameters = bound.neighbourhood, bound.neighbourhood.parameters
    asked = max(parameters.max_neighbours, parameters.annoy_candidates)
    films = np.zeros((len(seconds), parameters.per_pair), dtype=np.int32)
    votes, summary = np.zeros_like(films), np.zeros((len(seconds), 2), dtype=np.int32)

    def answer(task: int) -> None:
        counters = np.zeros(len(neighbourhood.catalogue.movie_ids), dtype=np.int32)
        reached = np.zeros(parameters.max_neighbours + 2, dtype=np.int64)
        for n in range(task, len(seconds), 8):
            summary[n] = _rank_and_vote(
                bound.near(profiles[n], asked, signup[[first, seconds[n]]]),
                first,
                seconds[n],
                signup,
                neighbourhood.likes.indptr,
                neighbourhood.likes.films,
                neighbourhood.catalogue.vector_rows,
                neighbourhood.norms,
                scores.similarities,
                scores.bonuses,
                (neighbourhood.neighbours, parameters.neighbour_step, parameters.max_neighbours),
                counters,
                reached,
                films[n],
                votes[n],
            )

    run_parallel(answer, range(8), threads)
    return as_rows(
        neighbourhood, np.full(len(seconds), signup[first], dtype=np.int32), signup[seconds], films, votes, summary
    )


@kernel
def _rank_and_vote(  # type: ignore[no-untyped-def]
    users,
    first,
    second,
    signup,
    indptr,
    films,
    vector_rows,
    norms,
    similarities,
    bonuses,
    rules,
    counters,
    reached,
    out_films,
    out_votes,
):
    """Score candidates exactly, order them, let them vote."""
    start, step, most = rules
    scores = np.empty(len(users))
    for n in range(len(users)):
        total, extra = 0.0, 0.0
        for k in range(indptr[users[n]], indptr[users[n] + 1]):
            row = vector_rows[films[k]]
            if row >= 0:
                total += similarities[first, row] + similarities[second, row]
            if films[k] == signup[first]:
                extra += bonuses[first]
            elif films[k] == signup[second]:
                extra += bonuses[second]
        scores[n] = total / norms[users[n]] + extra
    ranked = users[first_places(scores, users, most)]
    left_out = np.array([signup[first], signup[second]], dtype=np.int32)
    return count_votes(ranked, start, step, most, indptr, films, left_out, counters, reached, out_films, out_votes)
