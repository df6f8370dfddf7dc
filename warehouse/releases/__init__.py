"""Releases: staged, promoted, rolled back, retired, read and examined."""
