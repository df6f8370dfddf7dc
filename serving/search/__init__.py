"""Search for films by title."""
