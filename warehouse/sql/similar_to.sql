-- Films similar to a film: rank, movie_id, title, score.
CREATE MACRO similar_to(m) AS TABLE
SELECT s.rank, s.similar_id AS movie_id, f.title, s.score
FROM similar_movies AS s JOIN movies AS f ON f.movie_id = s.similar_id
WHERE s.movie_id = m
ORDER BY s.rank
