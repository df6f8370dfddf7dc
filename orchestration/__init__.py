"""Wiring only: definitions, jobs, schedules, sensors, partitions, resources and the command line."""

import warnings

from dagster import BetaWarning

# Single-run backfills are marked beta in Dagster 1.13; the tests cover what is used of them.
warnings.filterwarnings("ignore", category=BetaWarning, message=".*backfill_policy.*")
