"""Checks of a staged release's lists of films: similar and popular films.

Belongs here: what is said of similar_movies and popular_movies. Does not belong here: lists of users
(`checks.release.user_lists`).
"""

import random
from dataclasses import replace

from checks.release.staged import LIVE, Staged
from checks.release.user_lists import UNUSABLE
from recommender.data.weights import SCORE_ONE
from recommender.items.similar import LEAST_LIKES, SimilarFilms
from warehouse.queries import one_row
from warehouse.tables.check_results import CheckResult


def known_films_in_lists(staged: Staged) -> CheckResult:
    """Every film in a list of users or of films is in movies."""
    found = one_row(
        staged.con,
        """
        SELECT count(*) FROM (
            SELECT DISTINCT movie_id FROM user_recommendations UNION SELECT movie_id FROM similar_movies
            UNION SELECT similar_id FROM similar_movies UNION SELECT movie_id FROM popular_movies
        ) ANTI JOIN movies USING (movie_id)
        """,
    )[0]
    return staged.judge("known_films_in_lists", found, f"{found:,} films in lists are not in movies", error=0)


def similar_lists_in_order(staged: Staged) -> CheckResult:
    """Ranks are contiguous, scores never rise (ties by likes, then movie_id), no list has its own film or one twice.

    In lists carried over from a release before, ties are by the likes of then.
    """
    found = one_row(
        staged.con,
        """
        SELECT count(*) FROM (
            SELECT s.*, likes, row_number() OVER list AS expected, lag(score) OVER list AS score_before,
                lag(likes) OVER list AS likes_before, lag(similar_id) OVER list AS similar_before,
                count(*) OVER (PARTITION BY s.movie_id, similar_id) AS times
            FROM similar_movies s JOIN movies m ON m.movie_id = similar_id
            WINDOW list AS (PARTITION BY s.movie_id ORDER BY rank)
        )
        WHERE rank <> expected OR times > 1 OR movie_id = similar_id OR score > score_before OR
            $current AND score = score_before AND
            (likes > likes_before OR likes = likes_before AND similar_id < similar_before)
        """,
        {"current": staged.similar_current},
    )[0]
    return staged.judge("similar_lists_in_order", found, f"{found:,} rows of similar films are out of order", error=0)


def similar_films_complete(staged: Staged) -> CheckResult:
    """Films with a vector or five likes have a list of per_movie films, or of all that anybody likes; no other has.

    Where lists are carried over, which films had five likes is that of then.
    """
    wrong, films = one_row(
        staged.con,
        """
        WITH liked AS (SELECT count(*) AS films FROM movies WHERE likes > 0),
        expected AS (
            SELECT movie_id, least($per_movie, liked.films - (likes > 0)::INT) AS films FROM movies, liked
            WHERE has_vector OR likes >= $least AND $current
        ),
        found AS (SELECT movie_id, count(*) AS films FROM similar_movies GROUP BY movie_id)
        SELECT count(*) FILTER (
            CASE WHEN $current THEN coalesce(e.films, 0) <> coalesce(f.films, 0)
            ELSE e.films IS NOT NULL AND f.films IS NULL OR f.films > $per_movie END
        ), count(f.films)
        FROM expected e FULL JOIN found f USING (movie_id)
        """,
        {"per_movie": staged.parameters.per_movie, "least": LEAST_LIKES, "current": staged.similar_current},
    )
    text = f"{films:,} films have a list of similar films; {wrong:,} not as long as it should be"
    return staged.judge("similar_films_complete", wrong, text, error=0)


def recomputed_similar(staged: Staged) -> CheckResult:
    """A random sample of films has the same similar films when they are made one by one from the likes in the pack.

    Lists carried over are those of the live release, all of them, if that has the same version of them.
    """
    if not staged.similar_current:
        return _carried_over(staged)
    films = [row[0] for row in staged.con.execute("SELECT DISTINCT movie_id FROM similar_movies ORDER BY 1").fetchall()]
    asked = sorted(random.Random(staged.release).sample(films, min(staged.settings.recomputed_pairs, len(films))))
    try:
        similar = SimilarFilms(replace(staged.pack, kept=None))
        ids = staged.pack.catalogue.movie_ids
        places = {int(movie): n for n, movie in enumerate(ids)}
        different = []
        for movie in asked:
            again = similar.rank(places[movie], staged.parameters.per_movie)
            expected = list(zip(ids[again.films].tolist(), (again.scores / SCORE_ONE).tolist(), strict=True))
            query = "SELECT similar_id, score FROM similar_movies WHERE movie_id = ? ORDER BY rank"
            if staged.con.execute(query, [movie]).fetchall() != expected:
                different.append(movie)
    except (*UNUSABLE, KeyError) as error:
        return staged.judge("recomputed_similar", float("nan"), f"the serving pack cannot answer: {error}", error=0)
    example = f", for instance {different[0]}" if different else ""
    text = f"{len(different)} of {len(asked)} random films have other similar films when made again{example}"
    return staged.judge("recomputed_similar", len(different), text, error=0)


def _carried_over(staged: Staged) -> CheckResult:
    """Compare lists that were not made from this release's likes with those of the live release."""
    if staged.live is None or not staged.similar_as_live:
        text = "similar films are as of the last retrain; the live release has others, which says nothing of these"
        return staged.judge("recomputed_similar", 0.0, text, error=0)
    ours, theirs = "similar_movies", f"{LIVE}.similar_movies"
    found = one_row(
        staged.con,
        f"SELECT (SELECT count(*) FROM (FROM {ours} EXCEPT ALL FROM {theirs})) + "
        f"(SELECT count(*) FROM (FROM {theirs} EXCEPT ALL FROM {ours}))",
    )[0]
    text = f"{found:,} rows of similar films, as of the last retrain, are others than in {staged.live['release']}"
    return staged.judge("recomputed_similar", found, text, error=0)


def popular_lists_as_counted(staged: Staged) -> CheckResult:
    """The popular lists are the 100 most liked films by their rules, counted again from the release's ratings."""
    found = one_row(
        staged.con,
        """
        WITH newest AS (SELECT max(rated_at) - INTERVAL 90 DAY AS since FROM ratings),
        memberships AS (
            SELECT unnest(list_distinct(['all', 'decade:' || (year - year % 10)] || ['genre:' || g FOR g IN genres]))
                AS list, movie_id, likes AS counted, likes FROM movies
            UNION ALL
            SELECT 'recent', m.movie_id, count(*), any_value(likes) FROM ratings r, newest, movies m
            WHERE r.movie_id = m.movie_id AND rating >= $threshold AND rated_at > since GROUP BY m.movie_id
        ),
        expected AS (
            SELECT list, movie_id, counted, rank() OVER (PARTITION BY list ORDER BY counted DESC, likes DESC, movie_id)
                AS rank FROM memberships WHERE counted > 0 AND list IS NOT NULL QUALIFY rank <= 100
        )
        SELECT count(*) FROM expected e FULL JOIN popular_movies p USING (list, rank)
        WHERE e.movie_id IS DISTINCT FROM p.movie_id OR e.counted IS DISTINCT FROM p.score
        """,
        {"threshold": staged.parameters.like_threshold},
    )[0]
    text = f"{found:,} places of the popular lists are not as counted again"
    return staged.judge("popular_lists_as_counted", found, text, error=0)


FILM_CHECKS = (
    known_films_in_lists,
    similar_lists_in_order,
    similar_films_complete,
    recomputed_similar,
    popular_lists_as_counted,
)
"""In the order they run."""
