-- Dimensions of tag-derived vectors: every genre, then the tags that at least two films share, the most widely used
-- first up to $most; ids are dense from 1, genres before tags, each alphabetically.
WITH genres AS (
    SELECT DISTINCT 'genre: ' || genre AS tag FROM (SELECT unnest(genres) AS genre FROM raw.movies)
),
tags AS (
    SELECT tag, count(DISTINCT movie_id) AS films
    FROM given_tags
    WHERE tag <> ''
    GROUP BY 1
    HAVING films >= 2
    ORDER BY films DESC, tag
    LIMIT $most
),
both_kinds AS (
    SELECT 1 AS kind, tag FROM genres UNION ALL SELECT 2, tag FROM tags
)
SELECT CAST(row_number() OVER (ORDER BY kind, tag) AS INTEGER) AS tag_id, tag
FROM both_kinds
ORDER BY tag_id
