"""Pages about releases for people: the site of a home, made of release files and the registry's copy for readers."""
