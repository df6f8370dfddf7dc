"""Data generator and measurements: MovieLens-shaped data of any size, the scale benchmark, load on the service.

Belongs here: what measures the platform from outside, through its commands and over HTTP. Does not belong here: what
tests it (`tests.campaigns`), or anything a run needs.
"""
