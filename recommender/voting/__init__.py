"""Which films win: the order of neighbours and of films, and counting votes."""
