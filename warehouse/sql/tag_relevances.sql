-- Relevance of a tag to a film, on [0, 1], where no genome scores exist: 1 for the film's own genres, n / (n + 1) for a
-- tag that n users gave it (one user alone: 0.5; many: towards 1).
WITH given AS (
    SELECT movie_id, tag, count(DISTINCT user_id) AS users
    FROM given_tags
    GROUP BY ALL
)
SELECT movie_id, tag_id, CAST(users / (users + 1) AS FLOAT) AS relevance
FROM given JOIN raw.genome_tags USING (tag) JOIN raw.movies USING (movie_id)
UNION ALL
SELECT movie_id, tag_id, CAST(1 AS FLOAT) AS relevance
FROM (SELECT movie_id, 'genre: ' || unnest(genres) AS tag FROM raw.movies) JOIN raw.genome_tags USING (tag)
