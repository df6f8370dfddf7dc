"""Runs of the command line belong to the code location, like those of the daemon.

Belongs here: the origin that Dagster's daemon and UI look for in a run. Without it a run is on no job page, and no
sensor posts its failure. `execute_in_process` records none, and Dagster has no setting for it; the classes are its
private ones.
"""

from functools import partial

import dagster as dg
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

LOCATION = "marquee"
"""As in workspace.yaml."""

REPOSITORY = "__repository__"
"""Dagster's name for the repository of a code location that has one `Definitions`."""


def record_in_code_location(instance: dg.DagsterInstance, job: str) -> None:
    """Have this instance record the runs it creates as runs of that job of the code location."""
    target = LoadableTargetOrigin(module_name="orchestration.definitions")
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    origin = RemoteRepositoryOrigin(location, REPOSITORY).get_job_origin(job)
    create = partial(instance.create_run_for_job, remote_job_origin=origin)
    instance.create_run_for_job = create  # type: ignore[method-assign]
