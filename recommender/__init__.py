"""The maths on numpy arrays: vectors, neighbours, votes, metrics. Imports neither Dagster nor DuckDB.

What the other packages call, by module:

catalogue
    ``make_catalogue(movie_ids, like_counts, vector_movie_ids, vectors) -> Catalogue``;
    ``weighted_catalogue(catalogue, parameters) -> Catalogue``; ``weighted_vectors(vectors, weighting)``;
    ``signup_positions(catalogue, top_movies)``; ``positions_of(catalogue.movie_ids, wanted)``
likes
    ``likes_from_pairs(user_ids, movie_ids, catalogue) -> Likes``
users
    ``user_norms(likes, catalogue) -> UserNorms(norms, likes, likes_with_vector)`` with ``.eligible(min_likes)``;
    ``user_vectors(likes, catalogue)``; ``iter_user_vectors(likes, catalogue, block) -> (low, high, vectors)...``;
    ``encode_profile(catalogue, positions) -> (vector, norm)``
neighbourhood
    ``Neighbourhood(likes, catalogue, norms, eligible, parameters)`` with ``.signup_movies()``;
    ``make_neighbourhood(likes, catalogue, parameters)``
exact
    ``recommend_pairs(neighbourhood, first_movies=None, threads=None, memory_budget=...) -> PairRecommendations...``;
    ``joined(chunks) -> PairRecommendations``; both yield or hold movie_a, movie_b, rank, movie_id, votes (rows) and
    pair_a, pair_b, neighbours_used, films_found (pairs); ``recommend_some(neighbourhood, pairs, count) -> lists``
annoy_index
    ``build_index(path, neighbourhood) -> facts``; ``open_index(path) -> UserIndex`` with ``.bound_to(neighbourhood) ->
    BoundIndex``; ``unknown_users(user_ids, neighbourhood)``; ``measure_recall(bound, at, profiles, seed)``;
    ``recommend_pairs_by_index(bound, first_movies=None) -> PairRecommendations...``
live
    ``recommend_list(neighbourhood, movie_ids, count=None, index=None, threads=1) -> ListRecommendations``; raises
    ``ProfileError``; `index` is a `BoundIndex`, without it the answer is exact
splits, metrics, baselines, evaluation, sweep
    ``evaluate(ratings, catalogue, parameters) -> [Measurement, ...]``; ``sweep(ratings, catalogue, parameters,
    most=...) -> [Trial, ...]`` and ``best_trial(trials)``; catalogues with raw vectors
warm_up
    ``warm_up()``, ``warm_up_serving()`` (read-only memory maps)
"""
