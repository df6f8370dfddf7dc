-- Recommendations for a user: rank, movie_id, title, score. None of the films is one that the user has rated.
CREATE MACRO recommend_user(u) AS TABLE
SELECT r.rank, r.movie_id, m.title, r.score
FROM user_recommendations AS r JOIN movies AS m ON m.movie_id = r.movie_id
WHERE r.user_id = u
ORDER BY r.rank
