"""MovieLens-shaped data of any size, and the scale benchmark that runs on it."""
