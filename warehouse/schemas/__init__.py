"""What every table looks like: one model per table, and what follows from it (SQL types, conditions, ingest rules)."""
