-- Recommendations for somebody who likes two sign-up films, named in either order: rank, movie_id, title, score, votes.
CREATE MACRO recommend_pair(a, b) AS TABLE
SELECT p.rank, p.movie_id, m.title, p.score, p.votes
FROM pair_recommendations AS p JOIN movies AS m ON m.movie_id = p.movie_id
WHERE p.movie_a = least(a, b) AND p.movie_b = greatest(a, b)
ORDER BY p.rank
