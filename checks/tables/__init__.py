"""Checks of the tables of the working database."""
