"""The maths on numpy arrays: vectors, neighbours, votes, metrics. Imports neither Dagster nor DuckDB."""
