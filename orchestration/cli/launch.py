"""What `run`, `refresh` and `ingest` do: the jobs they launch, in order, and the report they make of them.

Belongs here: the sequence and the report's fields, which scripts rely on. Does not belong here: printing
(`orchestration.cli.run`) or how a job is launched (`orchestration.instance`).
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestration.instance import Outcome, execute
from warehouse.home import Home
from warehouse.releases.registry import live_release

AFTER_LIVE = {"published__stored_release"}
"""Steps that take a release elsewhere: it is live here whether they succeed or not."""

UNIT_FACTS = ("units_computed", "units_reused", "unit_seconds")
STAGE_FACTS = ("seconds", "cpu_seconds", "peak_memory_megabytes", "dagster/row_count", "unchanged", *UNIT_FACTS)


def full_run(
    home: Home, source: str | None, replace_source: bool, asked: Mapping[str, Any], workers: Mapping[str, Any]
) -> dict[str, Any]:
    """Load a source if need be, retrain, refresh, publish.

    Without `source` it is the source the home holds, or the bundled sample if it holds none. `asked` are the model
    parameters asked for; others are the home's. `workers` says who computes lists.

    Returns
    -------
    dict
        ``release``, ``model_version``, ``state`` (live, unchanged, rejected: by a check, failed: by an error),
        ``database``, ``report`` (path of its page), ``failed_checks``, ``warnings``, ``errors``, ``runs`` (ids),
        ``seconds`` (total and by stage), ``stages`` (time, memory, rows), ``checks_seconds`` (of all checks of the
        release and its tables, those recorded by earlier runs included).
    """
    started = time.perf_counter()
    outcomes = []
    if source is not None or not home.warehouse.exists() or replace_source:
        config = {"source": source or "", "replace_source": replace_source}
        outcomes.append(execute(home, "import_source", asked, ops={"source_tables": config}))
    if all(outcome.success for outcome in outcomes):
        outcomes.append(execute(home, "retrain_model", asked, workers=workers))
    return _report(home, outcomes, started)


def refresh(home: Home, asked: Mapping[str, Any], workers: Mapping[str, Any]) -> dict[str, Any]:
    """Recommend from the likes as they are now, check and publish; the report is that of `full_run`."""
    started = time.perf_counter()
    done = execute(home, "refresh_recommendations", asked, workers=workers)
    return _report(home, [done], started)


def ingest_files(home: Home, files: list[Path], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Ingest files of ratings.

    Returns
    -------
    dict
        ``files`` (name, fingerprint, known, accepted, rejected, reasons, and the file of the rejected rows),
        ``months``, ``errors`` (also of files of which nothing can be used), ``failed_checks``, ``warnings``, ``checks``
        (what each of these says, by name), ``runs``, ``seconds``.
    """
    started = time.perf_counter()
    config = {"files": [str(file) for file in files]}
    outcome = execute(home, "ingest_ratings", asked, ops={"raw__rating_files": config})
    made = outcome.metadata.get("raw/rating_files", {})
    taken = made.get("files", [])
    useless = [
        f"{file['file']}: none of its {file['rejected']:,} rows can be used; they are in {file['rejected_rows']}"
        for file in taken
        if file["rejected"] and not file["accepted"]
    ]
    return {
        "files": taken,
        "months": made.get("months", []),
        "errors": [*outcome.errors, *useless],
        "failed_checks": list(outcome.failed_checks),
        "warnings": list(outcome.warnings),
        "checks": {**outcome.failed_checks, **outcome.warnings},
        "runs": [outcome.run_id],
        "seconds": {"total": round(time.perf_counter() - started, 3)},
    }


def _distinct(names: Iterable[str]) -> list[str]:
    """Each once, in order: several jobs of one run show the checks of the same table."""
    return list(dict.fromkeys(names))


def _went_live(outcome: Outcome) -> bool:
    """Whether all went well up to the moment of going live."""
    return outcome.success or (bool(outcome.failed_steps) and outcome.failed_steps <= AFTER_LIVE)


def _facts_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a stage; those of units only where it has some."""
    return {name: metadata.get(name) for name in STAGE_FACTS if name in metadata or name not in UNIT_FACTS}


def _report(home: Home, outcomes: list[Outcome], started: float) -> dict[str, Any]:
    metadata = {asset: values for outcome in outcomes for asset, values in outcome.metadata.items()}
    release = metadata.get("published/staged_release", {}).get("release")
    success = all(map(_went_live, outcomes))
    failed_checks = _distinct(name for outcome in outcomes for name in outcome.failed_checks)
    unchanged = metadata.get("published/live_release", {}).get("unchanged")
    live = live_release(home)
    return {
        "release": release if not success else live,
        "model_version": metadata.get("model/annoy_indexes", {}).get("model_version"),
        "state": ("unchanged" if unchanged else "live") if success else "rejected" if failed_checks else "failed",
        "database": str(home.release_file(release)) if release else None,
        "report": metadata.get("published/staged_release", {}).get("report"),
        "checks_seconds": metadata.get("published/staged_release", {}).get("checks_seconds"),
        "failed_checks": failed_checks,
        "warnings": _distinct(name for outcome in outcomes for name in outcome.warnings),
        "errors": _distinct(error for outcome in outcomes for error in outcome.errors),
        "runs": [outcome.run_id for outcome in outcomes],
        "seconds": {
            "total": round(time.perf_counter() - started, 3),
            **{asset: values["seconds"] for asset, values in metadata.items() if "seconds" in values},
        },
        "stages": {asset: _facts_of(values) for asset, values in metadata.items()},
    }
