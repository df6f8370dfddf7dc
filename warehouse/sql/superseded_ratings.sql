-- Ratings that a rating in another file replaces. Every file is free of duplicates within itself; of a user's ratings of
-- a film over all files the latest is kept, then the highest, then the one whose file came first. $base is the source's
-- file (place 0), $files are those of new ratings in the order of their ingest (places 1, 2, ...).
WITH later_files AS (
    SELECT user_id, movie_id, rating, rated_at, list_position($files, filename) AS place
    FROM read_parquet($files, filename = true)
),
rated_again AS (
    SELECT DISTINCT user_id, movie_id FROM later_files
),
candidates AS (
    SELECT user_id, movie_id, rating, rated_at, 0 AS place
    FROM read_parquet($base) SEMI JOIN rated_again USING (user_id, movie_id)
    UNION ALL
    FROM later_files
),
ranked AS (
    SELECT *, row_number() OVER best AS n, first_value(rated_at) OVER best AS kept_at,
        first_value(rating) OVER best AS kept
    FROM candidates
    WINDOW best AS (PARTITION BY user_id, movie_id ORDER BY rated_at DESC, rating DESC, place)
)
SELECT place, concat_ws(',', user_id, movie_id, rating, epoch(rated_at)::BIGINT) AS raw,
    CASE
        WHEN rated_at < kept_at THEN 'superseded by a later rating of the same film by the same user in another file'
        WHEN rating < kept
        THEN 'superseded by a higher rating of the same film by the same user at the same time in another file'
        ELSE 'duplicate of a row of another file'
    END AS reason
FROM ranked
WHERE n > 1
