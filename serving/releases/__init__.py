"""A published release in memory: what is loaded, and which one is served now."""
