-- Per month of raw.ratings: rows, and a fingerprint of their content that does not depend on their order.
SELECT
    CAST(date_trunc('month', rated_at) AS DATE) AS month,
    count(*) AS ratings,
    format('{:x}-{:x}', bit_xor(row_hash), CAST(sum(row_hash % 4294967291) AS UBIGINT)) AS fingerprint
FROM (
    SELECT rated_at, hash(user_id, movie_id, rating, rated_at) AS row_hash
    FROM raw.ratings
    WHERE rated_at >= $first AND rated_at < $after
)
GROUP BY 1
