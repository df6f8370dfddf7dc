"""What follows from the raw tables: models from their folders, likes and vectors anew, and what only a retrain makes.

Belongs here: the tables that a refresh needs and does not make. Lists of pairs and users, sign-up and popular films
stay out of date: the next refresh makes them, and they are the same, because they follow from what is restored. Not so
the similar films, which are carried over from one retrain to the next, and the evaluation: these come from the newest
release that has them. Does not belong here: what a table follows from (`warehouse.tables`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from recommender.parameters import ModelParameters, recorded_parameters
from warehouse.code import code_version
from warehouse.compute.packs import PackError, read_manifest
from warehouse.database import Warehouse
from warehouse.home import Home
from warehouse.home_parameters import home_parameters
from warehouse.releases.model_folder import is_whole, items_hash, read_model_manifest, record_model
from warehouse.releases.reader import read_from_release
from warehouse.schemas.definitions import columns_of
from warehouse.tables.evaluation import TABLE as EVALUATION
from warehouse.tables.evaluation import evaluation_of, write_evaluation
from warehouse.tables.film_lists import SIMILAR, similar_base, similar_version, write_similar_movies
from warehouse.tables.model_inputs import inputs_of, make_film_likes, make_likes
from warehouse.tables.user_vectors import make_user_vectors
from warehouse.tables.versions import digest

Entry = Mapping[str, Any]


def whole_models(home: Home, lost: list[str]) -> list[dict[str, Any]]:
    """Manifests of the models that are as they were written, the oldest first."""
    found = []
    for folder in sorted(home.models.glob("*Z-*")):
        if is_whole(folder):
            found.append(read_model_manifest(folder))
        else:
            lost.append(f"the model {folder.name}: its files are not those of its manifest")
    if not found:
        lost.append("the model: none is there that is whole; marquee run makes one")
    return found


def parameters_of(home: Home, models: Sequence[Entry], releases: Sequence[Entry]) -> ModelParameters:
    """Parameters that the tables were made with: of the newest model, else of the newest release, else the home's."""
    known = [entry["parameters"] for entry in [*models[-1:], *releases[-1:]] if entry.get("parameters")]
    return recorded_parameters(known[0]) if known else home_parameters(home)


def restore_derived(
    warehouse: Warehouse,
    parameters: ModelParameters,
    models: Sequence[Entry],
    releases: Sequence[Entry],
    lost: list[str],
) -> None:
    """Enter the models, make likes and vectors of the ratings as they are, and restore what the last retrain made."""
    with warehouse.transaction() as con:
        for manifest in models:
            record_model(con, warehouse.home, manifest)
        make_likes(con, parameters)
        make_film_likes(con, parameters)
    if not models:
        return
    make_user_vectors(warehouse, parameters)
    model = models[-1]
    same = [entry for entry in releases[::-1] if entry["model_version"] == model["model_version"]]
    ratings = {entry["ratings_fingerprint"]: None for entry in [model, *same]}
    if not any(_restore_similar(warehouse, entry, list(ratings)) for entry in same):
        lost.append("similar films as of the last retrain: the next refresh makes them of the likes as they are")
    if not any(_restore_evaluation(warehouse, entry, model) for entry in same):
        lost.append("the evaluation: the next retrain measures again")


def _rows(home: Home, release: str, table: str, columns: Iterable[str]) -> pa.Table | None:
    """Rows of a table of a release; None if its file is gone or cannot be read."""
    query = f"SELECT {', '.join(columns)} FROM {table}"
    return read_from_release(home, release, lambda con: con.sql(query).to_arrow_table())


def _restore_similar(warehouse: Warehouse, entry: Entry, ratings: Sequence[str]) -> bool:
    """Take the similar films of a release, if they are found to be of this genome, model and code.

    Its pack has the version of the lists, a hash of all that they follow from. They were made from the likes of one of
    the fingerprints: whichever gives that version.
    """
    con, home = warehouse.con, warehouse.home
    parameters = recorded_parameters(entry["parameters"] or {})
    base = similar_base(con, items_hash(home.model_folder(entry["model_version"])), parameters)
    likes = [inputs_of(con, fingerprint, parameters) for fingerprint in ratings]
    try:
        version = read_manifest(home.pack_folder(entry["release"])).get("similar_version")
    except PackError:
        return False
    made_from = [inputs for inputs in likes if similar_version(base, inputs) == version]
    rows = _rows(home, entry["release"], "similar_movies", columns_of(SIMILAR)) if made_from else None
    if rows is None:
        return False
    with warehouse.transaction():
        write_similar_movies(con, [rows], base, made_from[0])
    return True


def _restore_evaluation(warehouse: Warehouse, entry: Entry, model: Entry) -> bool:
    """Take the evaluation of a release that has one; of other code, it is measured again by the next retrain."""
    rows = _rows(warehouse.home, entry["release"], "evaluation", columns_of(EVALUATION))
    if rows is None or not len(rows):
        return False
    parameters = recorded_parameters(entry["parameters"] or {})
    with warehouse.transaction() as con:
        version = evaluation_of(con, model["ratings_fingerprint"], parameters)
        if entry["code_version"] != code_version():
            version = digest("evaluation of", entry["release"])
        write_evaluation(con, [rows], parameters, version)
    return True
