-- The most liked films: of all time, of the data's own last 90 days, of each genre and of each decade; 100 each, in order
-- of the likes counted, then of all likes, then of movie_id.
WITH recent AS (
    SELECT movie_id, count(*) AS counted
    FROM raw.ratings
    WHERE rating >= $threshold AND rated_at > (SELECT max(rated_at) FROM raw.ratings) - INTERVAL 90 DAY
    GROUP BY movie_id
),
films AS (
    SELECT movie_id, year, list_distinct(genres) AS genres, likes FROM raw.movies JOIN model.film_likes USING (movie_id)
),
listed AS (
    SELECT 'all' AS list, movie_id, likes AS counted, likes FROM films
    UNION ALL
    SELECT 'recent', movie_id, counted, likes FROM recent JOIN films USING (movie_id)
    UNION ALL
    SELECT 'genre:' || genre, movie_id, likes, likes FROM (SELECT movie_id, likes, unnest(genres) AS genre FROM films)
    UNION ALL
    SELECT 'decade:' || year // 10 * 10, movie_id, likes, likes FROM films WHERE year IS NOT NULL
)
SELECT list, row_number() OVER (PARTITION BY list ORDER BY counted DESC, likes DESC, movie_id) AS rank, movie_id,
    CAST(counted AS DOUBLE) AS score
FROM listed
WHERE counted > 0
QUALIFY rank <= 100
ORDER BY list, rank
