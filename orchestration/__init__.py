"""Wiring only: definitions, jobs, schedules, sensors, partitions, resources and the command line."""
