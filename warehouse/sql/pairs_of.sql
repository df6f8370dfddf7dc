-- Recommendations of every pair that a film is part of, whichever side it is on: the other film, then as recommend_pair.
CREATE MACRO pairs_of(m) AS TABLE
SELECT o.movie_id AS other_id, o.title AS other_title, p.rank, r.movie_id, r.title, p.score, p.votes
FROM pair_recommendations AS p
JOIN movies AS o ON o.movie_id = CASE WHEN p.movie_a = m THEN p.movie_b ELSE p.movie_a END
JOIN movies AS r ON r.movie_id = p.movie_id
WHERE p.movie_a = m OR p.movie_b = m
ORDER BY other_id, p.rank
