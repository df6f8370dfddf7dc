"""The maths on numpy arrays: vectors, neighbours, votes, metrics. Imports neither Dagster nor DuckDB.

From the bottom up:

- ``parameters``: every number or choice that changes what is recommended.
- ``kernels``: how loops are compiled and spread over threads.
- ``data``: films (`Catalogue`), who likes what (`Likes`), users as vectors; in one bundle (`Neighbourhood`).
- ``voting``: the order of neighbours and of films.
- ``pairs``: which pairs there are, and the rows every engine answers with.
- ``neighbours``: the exact engine for all pairs (`PairSearch`).
- ``lists``: any list of 1 to 100 films, at once (`recommend_list`).
- ``items``: the item model, lists of existing users, similar films.
- ``ann``: the Annoy index, which proposes neighbours for lists, and the engine that uses it for pairs.
- ``evaluation``: who is held out, what is measured, what any model must beat.
- ``warm_up``: compiles everything once on a toy.
"""
