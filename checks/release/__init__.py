"""Checks of a staged release, before anybody may read it."""
