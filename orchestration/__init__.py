"""Wiring only: definitions, jobs, schedules, sensors, partitions, resources and the command line."""

import warnings

# Single-run backfills are marked beta in Dagster 1.13; the tests cover what is used of them. (Its category is not named
# here: importing Dagster takes a second, which most commands do without.)
warnings.filterwarnings("ignore", message=".*backfill_policy.*")
