"""Named steps at which a test may kill the process, to show that the next run repairs whatever it leaves.

Belongs here: the names and the one function. Without the variables a step does nothing.
"""

import os
import signal

KILL_VARIABLE = "MARQUEE_KILL_AT"
STOP_VARIABLE = "MARQUEE_STOP_AT"

STEPS = (
    "pack_written",
    "pack_appeared",
    "release_copied",
    "release_audited",
    "release_written",
    "release_appeared",
    "release_registering",
    "release_registered",
    "mirror_written",
    "link_prepared",
    "link_swapped",
    "promotion_recorded",
)
"""Steps of staging and promoting a release, in the order in which they are passed."""

MODEL_STEPS = (
    "likes_committing",
    "user_vectors_committing",
    "user_lists_committing",
    "index_built",
    "model_written",
    "model_appeared",
    "model_recorded",
)
"""Steps of training: likes, user vectors, the index and the folder it appears in."""

UNIT_STEPS = (
    "work_pack_appeared",
    "unit_written",
    "unit_finished",
    "units_finished",
    "pairs_committing",
    "units_committed",
)
"""Steps of computing apart from the database; after each unit the run can go on where it was."""

OTHER_STEPS = (
    "ratings_imported",
    "ratings_committing",
    "ratings_committed",
    "file_put_away",
    "retirement_recorded",
    "release_deleted",
    "pack_deleted",
)
"""Steps of ingest and retirement."""

REBUILD_STEPS = ("database_rebuilt", "database_put_aside", "database_replaced")
"""Steps of making the working database again; after each the command can be given again."""

EXPERIMENT_STEPS = ("experiment_recorded", "link_swapped", "exposure_ending")
"""Steps of starting and stopping an experiment, after its tables; the next writer brings the files in line."""

STORE_STEPS = (
    "store_file_sent",
    "store_files_sent",
    "store_manifest_sent",
    "store_pointer_replacing",
    "store_pointer_replaced",
    "store_retirement_begun",
)
"""Steps of publishing to a store, in the order in which they are passed."""

FETCH_STEPS = ("file_fetched", "files_fetched", "cache_swept")
"""Steps of fetching a release from a store; then the link is swapped."""

EVENT_STEPS = (
    "events_committing",
    "seal_begun",
    "segment_appeared",
    "ratings_landed",
    "segment_sealed",
    "segment_trimmed",
)
"""Steps of an event: to the journal, and from there to a segment and a file of ratings."""

SENT_EVENT_STEPS = ("segment_sent", "segment_part_taken_in")
"""Steps of events between machines: to the store, and from there to the journal of the home."""

EXPORT_STEPS = (
    "export_table_loaded",
    "export_loaded",
    "export_verified",
    "export_switching",
    "export_switched",
    "export_retired",
)
"""Steps of an export, the same for every kind of target."""


def step(name: str) -> None:
    """Say that a named step is reached: a test may have the process end there as by a power cut, or wait for it."""
    if os.environ.get(KILL_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get(STOP_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGSTOP)
