"""The arrays everything works on: films, likes, vectors, and the bundle of them the engines search."""
