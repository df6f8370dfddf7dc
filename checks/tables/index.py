"""Index checks: whether the index people's live questions go to is whole and finds whom it should.

Belongs here: checks of the newest model's files and of its answers. Does not belong here: building or measuring it
(`recommender.ann.index`).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from checks.results import judge
from checks.tables.content import Context
from recommender.ann.bound import bind
from recommender.ann.index import IndexFileError, open_index
from recommender.data.encoder import encode_profile
from recommender.lists import profile_positions
from warehouse.files import file_sha256
from warehouse.queries import one_row
from warehouse.releases.model_folder import INDEX_FILE, latest_model, read_model_manifest
from warehouse.tables.check_results import CheckResult
from warehouse.tables.model_inputs import read_neighbourhood

ASSET = "model/annoy_indexes"
QUESTIONS = 20
ASKED = 10


def index_recall(context: Context) -> CheckResult:
    """The newest index finds nearly all of the true nearest users."""
    model = latest_model(context.warehouse.con)
    return judge(
        "index_recall",
        ASSET,
        model["recall"],
        f"the index of {model['model_version']} finds {model['recall']:.1%} of the true nearest 10 users of a pair",
        warn=context.settings.index_recall_warn,
        error=context.settings.index_recall_error,
        want="at least",
    )


def index_files(context: Context) -> CheckResult:
    """The model's files are those its manifest and the registry name, byte for byte."""
    version = latest_model(context.warehouse.con)["model_version"]
    folder = context.warehouse.home.model_folder(version)
    wrong = _wrong_files(folder)
    (recorded,) = one_row(
        context.warehouse.con, "SELECT sha256 FROM model.annoy_indexes WHERE model_version = ?", [version]
    )
    path = folder / INDEX_FILE
    if path.exists() and file_sha256(path) != recorded:
        wrong.append(f"{INDEX_FILE} is not the file that was registered")
    found = "; ".join(wrong) or "they are"
    return judge(
        "index_files",
        ASSET,
        len(wrong),
        f"files of {version} are as when they were made: {found}{'; retrain the model' if wrong else ''}",
        error=0,
    )


def _wrong_files(folder: Path) -> list[str]:
    try:
        files: dict[str, Any] = read_model_manifest(folder)["files"]
    except (OSError, json.JSONDecodeError, KeyError) as error:
        return [f"manifest.json cannot be read ({error})"]
    wrong = []
    for name, facts in files.items():
        if not (folder / name).exists():
            wrong.append(f"{name} is missing")
        elif file_sha256(folder / name) != facts["sha256"]:
            wrong.append(f"{name} has changed")
    return wrong


def index_answers(context: Context) -> CheckResult:
    """Asked for k users, the index names k different ones who can be neighbours, and nothing in it is NaN."""
    version = latest_model(context.warehouse.con)["model_version"]
    neighbourhood = read_neighbourhood(context.warehouse, context.parameters)
    try:
        index = open_index(context.warehouse.home.model_folder(version) / INDEX_FILE)
        bound = bind(index, neighbourhood)
    except IndexFileError as error:
        return judge("index_answers", ASSET, QUESTIONS, f"the index cannot be asked: {error}", error=0)
    numbers = np.isfinite(index.directions).all() and np.isfinite(index.offset).all()
    wanted = min(ASKED, int(neighbourhood.eligible.sum()))
    films = neighbourhood.signup_movies()[:QUESTIONS]
    bad = 0 if numbers else QUESTIONS
    for movie in films:
        profile = encode_profile(neighbourhood.catalogue, profile_positions(neighbourhood.catalogue, [movie]))[0]
        users = bound.candidates(profile, max(ASKED, context.parameters.annoy_candidates))
        distinct = len(np.unique(users)) == len(users)
        bad += not (len(users) >= wanted and distinct and neighbourhood.eligible[users].all())
    return judge(
        "index_answers",
        ASSET,
        bad,
        f"{len(films)} questions for {ASKED} users each, {bad} without {wanted} different eligible ones; "
        f"the projection is {'finite' if numbers else 'not finite'}",
        error=0,
    )
