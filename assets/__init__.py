"""Thin Dagster assets: read, call, write, return metadata. No maths, no SQL longer than a screen."""
