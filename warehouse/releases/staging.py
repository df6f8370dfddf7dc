"""Staging: the release that the tables make now, written and checked, read by nobody yet.

Belongs here: which release that is, whether one like it exists, and the order of writing, checking and registering.
Does not belong here: what a release file contains (`release_file`), its serving pack (`pack`), making it live
(`promotion`).
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from recommender.data.model_data import Neighbourhood
from recommender.parameters import ModelParameters
from warehouse.code import code_version
from warehouse.compute.packs import ITEM_WEIGHTS, WrittenFile
from warehouse.compute.units import SHARDS
from warehouse.database import Warehouse, connect
from warehouse.files import remove_leftovers, write_json
from warehouse.releases.model_folder import items_hash, latest_model, model_files, open_item_model
from warehouse.releases.pack import ReleaseLists, write_pack
from warehouse.releases.promotion import refusals
from warehouse.releases.registry import STAGING_NOTE, live_release, mirror_registry, register
from warehouse.releases.release_file import Audit, write_release_file
from warehouse.releases.work_pack import arrays_there, content_version
from warehouse.tables.check_results import (
    CheckResult,
    Conditions,
    record_results,
    recorded_conditions,
    recorded_results,
)
from warehouse.tables.film_lists import (
    POPULAR,
    SIMILAR,
    popular_version,
    read_popular_movies,
    read_similar_movies,
    similar_base,
    similar_inputs,
    similar_is_stale,
)
from warehouse.tables.genome import genome_source_of
from warehouse.tables.held_source import require_source
from warehouse.tables.model_inputs import StaleTableError, inputs_version, read_neighbourhood, require
from warehouse.tables.ratings import input_files
from warehouse.tables.recommendations import changed_parameters, pairs_version, signup_version, stale_shards
from warehouse.tables.user_lists import (
    BUCKETS,
    read_rated,
    read_user_lists,
    stale_buckets,
    users_base,
    users_version,
)
from warehouse.tables.versions import digest, table_version, version_name


@dataclass(frozen=True)
class StagedRelease:
    """A release whose files are complete.

    Attributes
    ----------
    release : str
    reused : bool
        True if a release with the same content was there already and nothing was written.
    results : list of CheckResult
        All checks recorded for it.
    """

    release: str
    reused: bool
    results: list[CheckResult]

    @property
    def failed(self) -> list[CheckResult]:
        """Failed checks that block promotion."""
        return [result for result in self.results if result.blocks]


def describe_next(warehouse: Warehouse, parameters: ModelParameters) -> dict[str, Any]:
    """Lineage of the release the tables would make now, with its content hash.

    Raises
    ------
    StaleTableError
        If a table is not up to date.
    """
    con, home = warehouse.con, warehouse.home
    source = require_source(con)
    model = latest_model(con)
    require(con, "recs.signup_movies", signup_version(con, parameters), "materialize recs/signup_movies")
    pairs = pairs_version(con, parameters, model["model_version"])
    stale = stale_shards(con, pairs, range(SHARDS))
    if stale:
        changes = changed_parameters(con, stale, parameters)
        raise StaleTableError(
            f"recs.pair_recommendations is out of date in the shards {', '.join(map(str, stale))}"
            + (f": other parameters than it was made with ({', '.join(changes)})" if changes else "")
            + "; materialize recs/pair_recommendations, or ask for the same parameters"
        )
    items = items_hash(home.model_folder(model["model_version"]))
    users = _users_version(con, items, parameters)
    if similar_is_stale(con, similar_base(con, items, parameters)):
        raise StaleTableError("recs.similar_movies is not of this model; materialize recs/similar_movies")
    films = table_version(con, SIMILAR), popular_version(con, parameters)
    require(con, POPULAR, films[1], "materialize recs/popular_movies")
    lineage = {
        "model_version": model["model_version"],
        "source": source["origin"],
        "source_fingerprint": source["fingerprint"],
        "ratings_fingerprint": table_version(con, "raw.ratings"),
        "genome_source": genome_source_of(con),
        "parameters": parameters.model_dump(),
        "code_version": code_version(),
    }
    # The files too: one without a usable row changes no rating, but its rejected rows are to be found in a release.
    files = [(file["sha256"], file["rejected"], file["superseded"]) for file in input_files(con)]
    content = digest(
        "release",
        {**lineage, "model_version": model["content_hash"]},
        pairs,
        users,
        films,
        inputs_version(con, parameters),
        files,
    )
    return {**lineage, "content_hash": content}


def _users_version(con: duckdb.DuckDBPyConnection, items: str, parameters: ModelParameters) -> str:
    """Version of the users' lists, all of them up to date."""
    version = users_version(con, users_base(items, parameters))
    stale = stale_buckets(con, version, range(BUCKETS))
    if stale:
        raise StaleTableError(
            f"recs.user_recommendations is out of date in the buckets {', '.join(map(str, stale))}; "
            "materialize recs/user_recommendations"
        )
    return version


def read_lists(warehouse: Warehouse, neighbourhood: Neighbourhood, model: str) -> ReleaseLists:
    """Read what a release's pack holds of lists for users and films."""
    con, catalogue, parameters = warehouse.con, neighbourhood.catalogue, neighbourhood.parameters
    return ReleaseLists(
        *read_user_lists(con, neighbourhood.likes, catalogue, parameters.per_user),
        read_rated(warehouse, catalogue),
        open_item_model(warehouse.home.model_folder(model), catalogue.movie_ids),
        *read_similar_movies(con, catalogue, parameters.per_movie),
        read_popular_movies(con, catalogue),
    )


def same_content(warehouse: Warehouse, content_hash: str, required: Collection[str] = ()) -> str | None:
    """The newest release with this content whose files are there and that may go live or, forced, is live; or None.

    Without `required` any release will do whose files are there.
    """
    rows = warehouse.con.execute(
        "SELECT release FROM ops.releases WHERE content_hash = ? ORDER BY release DESC", [content_hash]
    ).fetchall()
    for (release,) in rows:
        complete = warehouse.home.release_file(release).exists() and warehouse.home.pack_folder(release).exists()
        wanted = not required or release == live_release(warehouse.home)
        if complete and (wanted or not refusals(warehouse.con, release, required)):
            return str(release)
    return None


def stage_release(
    warehouse: Warehouse,
    parameters: ModelParameters,
    audit: Audit,
    required: Collection[str],
    conditions: Conditions = Conditions(),  # noqa: B008  (immutable)
) -> StagedRelease:
    """Write the release that the tables make now, check it and record both; nobody reads it yet.

    A release with the same content is taken instead of a new one. It is checked again if the conditions are others now.

    Parameters
    ----------
    warehouse : Warehouse
    parameters : ModelParameters
    audit : callable
        The checks; gets a read-only connection to the new file.
    required : collection of str
        Names of the checks a release with the same content must have passed to be taken instead of a new one.
    conditions : Conditions
        What the audit depends on; the release to compare with is the live one.

    Returns
    -------
    StagedRelease
        Also if checks failed: the file is kept for whoever looks into it, and promotion refuses it.

    Raises
    ------
    StaleTableError
        If a table is not up to date.
    """
    con, home = warehouse.con, warehouse.home
    remove_leftovers(home.published)
    described = describe_next(warehouse, parameters)
    known = same_content(warehouse, described["content_hash"], required)
    conditions = conditions._replace(against=live_release(home) or "")
    if known is not None:
        _check_again(warehouse, known, audit, conditions)
        return StagedRelease(known, True, recorded_results(con, known))
    now = datetime.now(UTC)
    release = version_name(described["content_hash"], now)
    lineage = {**described, "release": release, "created_at": now.replace(tzinfo=None)}
    pack = home.pack_folder(release)
    write_json(home.published / STAGING_NOTE, {"release": release})
    shutil.rmtree(pack, ignore_errors=True)
    neighbourhood, model = read_neighbourhood(warehouse, parameters), described["model_version"]
    lists = read_lists(warehouse, neighbourhood, model)
    current = similar_inputs(con) == inputs_version(con, parameters)
    facts = {**lineage, "similar_version": table_version(con, SIMILAR), "similar_current": current}
    write_pack(pack, neighbourhood, facts, lists, _written(warehouse, parameters, model))
    written = write_release_file(warehouse, lineage, audit, conditions.against)
    register(warehouse, lineage, written.row_counts, written.results, conditions)
    (home.published / STAGING_NOTE).unlink()
    shutil.rmtree(home.work, ignore_errors=True)
    return StagedRelease(release, False, written.results)


def _written(warehouse: Warehouse, parameters: ModelParameters, model: str) -> dict[str, WrittenFile]:
    """Arrays of the pack that are in files already: those that lists were computed from, and the model's."""
    folder = warehouse.home.model_folder(model)
    base = users_base(items_hash(folder), parameters)
    there = arrays_there(warehouse.home, content_version(warehouse.con, parameters, base))
    return {ITEM_WEIGHTS: model_files(folder)[ITEM_WEIGHTS], **there}


def _check_again(warehouse: Warehouse, release: str, audit: Audit, conditions: Conditions) -> None:
    """Check a release again and record it, if the conditions are others than the last time.

    The live release went live as it was asked for, compared with the one before: only the thresholds can be others.
    """
    recorded = recorded_conditions(warehouse.con, release)
    if release == conditions.against:
        conditions = recorded._replace(thresholds=conditions.thresholds)
    if conditions == recorded:
        return
    with connect(warehouse.home.release_file(release), warehouse.home, read_only=True) as con:
        results = audit(con, conditions.against)
    with warehouse.transaction():
        record_results(warehouse.con, release, results, conditions)
    mirror_registry(warehouse)
