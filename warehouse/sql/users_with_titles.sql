-- user_recommendations with the titles of the films.
CREATE VIEW users_with_titles AS
SELECT r.user_id, r.rank, r.movie_id, m.title, r.score
FROM user_recommendations AS r JOIN movies AS m ON m.movie_id = r.movie_id
