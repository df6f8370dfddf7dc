"""DuckDB and files: sources, the working database, releases and their publication. Imports no Dagster."""
