-- pair_recommendations with the titles of all three films.
CREATE VIEW pairs_with_titles AS
SELECT p.movie_a, a.title AS title_a, p.movie_b, b.title AS title_b, p.rank, p.movie_id, m.title, p.score, p.votes
FROM pair_recommendations AS p
JOIN movies AS a ON a.movie_id = p.movie_a
JOIN movies AS b ON b.movie_id = p.movie_b
JOIN movies AS m ON m.movie_id = p.movie_id
