-- The ratings of a range of months: the user's latest rating of a film over everything that came in, kept if it falls
-- in the range. Every file is already free of duplicates within itself, so only films rated in a later file need care.
WITH base AS (
    SELECT user_id, movie_id, rating, rated_at FROM read_parquet($base)
),
later_files AS (
    SELECT user_id, movie_id, rating, rated_at FROM read_parquet($files)
),
rated_again AS (
    SELECT DISTINCT user_id, movie_id FROM later_files
),
latest AS (
    SELECT user_id, movie_id, rating, rated_at
    FROM (
        SELECT * FROM base SEMI JOIN rated_again USING (user_id, movie_id)
        UNION ALL
        SELECT * FROM later_files
    )
    QUALIFY row_number() OVER (PARTITION BY user_id, movie_id ORDER BY rated_at DESC, rating DESC) = 1
)
SELECT user_id, movie_id, rating, rated_at
FROM (
    SELECT * FROM base ANTI JOIN rated_again USING (user_id, movie_id)
    UNION ALL
    SELECT * FROM latest
)
WHERE rated_at >= $first AND rated_at < $after
ORDER BY date_trunc('month', rated_at), user_id, movie_id
