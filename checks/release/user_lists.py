"""Checks of a staged release's lists for users: complete, in order, without rated films, the same when made again.

Belongs here: what is said of user_recommendations. The table is large: whatever is asked of all rows is one pass
over them, and what needs more is asked of some users, always the same ones of a release. Does not belong here: lists of
films (`checks.release.film_lists`), lists of pairs (`checks.release.lists`).
"""

import random

import numpy as np

from checks.release.staged import LIVE, Staged
from recommender.data.weights import SCORE_ONE
from warehouse.compute.packs import PackError
from warehouse.queries import one_row
from warehouse.releases.pack import ReleaseLists, open_lists
from warehouse.tables.check_results import CheckResult

COMPARED_USERS = 20_000
"""Users at most whose lists are compared with the live release's."""

UNUSABLE = (PackError, ValueError, IndexError, OSError)
"""What a damaged pack raises when it is asked."""

USERS = "SELECT user_id FROM user_recommendations WHERE rank = 1 ORDER BY 1"

List = list[tuple[int, float]]
"""(movie_id, score) by rank."""


def rated_never_recommended(staged: Staged) -> CheckResult:
    """No user is recommended a film that the user has rated, liked or not."""
    found = one_row(
        staged.con, "SELECT count(*) FROM ratings SEMI JOIN user_recommendations USING (user_id, movie_id)"
    )[0]
    text = f"{found:,} recommended films are ones that the user has rated"
    return staged.judge("rated_never_recommended", found, text, error=0)


def every_user_has_a_list(staged: Staged) -> CheckResult:
    """Every user with min_likes likes has per_user films, or all that are left; nobody else has a list."""
    values = staged.parameters
    wrong, users, lists = one_row(
        staged.con,
        """
        WITH expected AS (
            SELECT user_id, least($per_user, (SELECT count(*) FROM movies) - count(*)) AS films FROM ratings
            GROUP BY user_id HAVING count(*) FILTER (rating >= $threshold) >= $min_likes
        ),
        found AS (SELECT user_id, count(*) AS films FROM user_recommendations GROUP BY user_id)
        SELECT count(*) FILTER (coalesce(e.films, 0) <> coalesce(f.films, 0)), count(e.films), count(f.films)
        FROM expected e FULL JOIN found f USING (user_id)
        """,
        {"per_user": values.per_user, "threshold": values.like_threshold, "min_likes": values.min_likes},
    )
    text = f"{users:,} users have {values.min_likes} likes, {lists:,} have a list; {wrong:,} of another length than due"
    return staged.judge("every_user_has_a_list", wrong, text, error=0)


def user_lists_in_order(staged: Staged) -> CheckResult:
    """Rows are sorted by user, ranks are 1, 2, ... without gap, and scores never rise with the rank."""
    found = one_row(
        staged.con,
        """
        SELECT count(*) FROM (
            SELECT user_id, rank, score, lag(user_id) OVER () AS user_before, lag(rank) OVER () AS rank_before,
                lag(score) OVER () AS score_before
            FROM user_recommendations
        )
        WHERE CASE WHEN user_id = user_before THEN rank <> rank_before + 1 OR score > score_before
            ELSE rank <> 1 OR user_id < user_before END
        """,
    )[0]
    text = f"{found:,} rows are out of order: by user, by rank or by score"
    return staged.judge("user_lists_in_order", found, text, error=0)


def recomputed_users(staged: Staged) -> CheckResult:
    """A random sample of users gets the same lists, in file and pack, when item weights are added up film by film."""
    users = [row[0] for row in staged.con.execute(USERS).fetchall()]
    asked = sorted(random.Random(staged.release).sample(users, min(staged.settings.recomputed_pairs, len(users))))
    try:
        lists = open_lists(staged.home.pack_folder(staged.release))
        if lists is None:
            raise PackError("it has no lists")
        different = [user for user in asked if not _same(staged, lists, user)]
    except UNUSABLE as error:
        return staged.judge("recomputed_users", float("nan"), f"the serving pack cannot answer: {error}", error=0)
    example = f", for instance user {different[0]}" if different else ""
    return staged.judge(
        "recomputed_users",
        len(different),
        f"{len(different)} of {len(asked)} random users get other films from the item model{example}",
        error=0,
    )


def _same(staged: Staged, lists: ReleaseLists, user: int) -> bool:
    """Whether a user's list in the file is the one that ratings and item model make, and the one in the pack."""
    published = staged.con.execute(
        "SELECT movie_id, score FROM user_recommendations WHERE user_id = ? ORDER BY rank", [user]
    ).fetchall()
    if published != _plain(staged, lists, user):
        return False
    row = int(np.searchsorted(staged.pack.likes.user_ids, user))
    films, scores = lists.user_films[row], lists.user_scores[row]
    filled = films >= 0
    in_pack = zip(staged.pack.catalogue.movie_ids[films[filled]].tolist(), scores[filled].tolist(), strict=True)
    return [(film, score / SCORE_ONE) for film, score in in_pack] == published


def _plain(staged: Staged, lists: ReleaseLists, user: int) -> List:
    """A user's list by its definition: rows of weights added up, the model's order among equal scores."""
    stars = dict(staged.con.execute("SELECT movie_id, rating FROM ratings WHERE user_id = ?", [user]).fetchall())
    in_order = staged.pack.catalogue.movie_ids[lists.items.films].tolist()
    size = len(lists.items.weights)
    liked = [n for n, film in enumerate(in_order[:size]) if stars.get(film, 0.0) >= staged.parameters.like_threshold]
    scores = [*lists.items.weights[liked].sum(axis=0, dtype=np.int64).tolist(), *[0] * (len(in_order) - size)]
    ranked = sorted((-max(score, 0), n) for n, score in enumerate(scores) if in_order[n] not in stars)
    return [(in_order[n], -score / SCORE_ONE) for score, n in ranked[: staged.parameters.per_user]]


def users_overlap(staged: Staged) -> CheckResult:
    """Lists of users overlap with those of the live release, on the mean over some of them."""
    name = "users_overlap"
    if staged.live is None or not _live_has_lists(staged):
        return staged.judge(name, 1.0, "nothing is live to compare with", want="at least")
    total = max(one_row(staged.con, "SELECT count(*) FROM user_recommendations WHERE rank = 1")[0], 1)
    users, overlap, changed = one_row(
        staged.con,
        f"""
        WITH ours AS (SELECT user_id, movie_id FROM user_recommendations WHERE {{some}}),
        theirs AS (SELECT user_id, movie_id FROM {LIVE}.user_recommendations WHERE {{some}}),
        counted AS (
            SELECT user_id, count(o.movie_id) AS ours, count(t.movie_id) AS theirs,
                count(*) FILTER (o.movie_id = t.movie_id) AS shared
            FROM ours o FULL JOIN theirs t USING (user_id, movie_id) GROUP BY user_id HAVING ours > 0 AND theirs > 0
        )
        SELECT count(*), avg(shared / (ours + theirs - shared)), avg((shared < ours OR shared < theirs)::INT)
        FROM counted
        """.replace("{some}", "user_id::BIGINT * 2654435761 % 4294967296 < $share * 4294967296"),
        {"share": min(1.0, COMPARED_USERS / total)},
    )
    settings, asked = staged.settings, "" if staged.same_recipe else " (source or parameters are others)"
    return staged.judge(
        name,
        overlap if users else 0.0,
        f"overlap (Jaccard) with {staged.live['release']}, {users:,} users: mean {overlap or 0:.3f}, "
        f"{changed or 0:.1%} have other films{asked}",
        warn=settings.overlap_warn,
        error=settings.overlap_error,
        want="at least",
        blocks=staged.same_recipe,
        details={"users": users, "changed": changed},
    )


def _live_has_lists(staged: Staged) -> bool:
    return bool(
        one_row(
            staged.con,
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND table_name = 'user_recommendations'",
            [LIVE],
        )[0]
    )


def users_variety(staged: Staged) -> list[CheckResult]:
    """Coverage, share of the most liked films, and the most frequent film of users' lists; they only warn."""
    settings, most = staged.settings, staged.parameters.per_user
    recommended, liked, places, popular, lists, title = one_row(
        staged.con,
        """
        WITH counted AS (SELECT movie_id, count(*) AS places FROM user_recommendations GROUP BY movie_id),
        films AS (
            SELECT movie_id, title, likes, coalesce(places, 0) AS places,
                row_number() OVER (ORDER BY likes DESC, movie_id) AS place
            FROM movies LEFT JOIN counted USING (movie_id)
        )
        SELECT count(*) FILTER (places > 0), count(*) FILTER (likes > 0), coalesce(sum(places), 0),
            coalesce(sum(places) FILTER (place <= $most), 0), coalesce(max(places), 0), arg_max(title, places)
        FROM films
        """,
        {"most": most},
    )
    users = max(one_row(staged.con, "SELECT count(*) FROM user_recommendations WHERE rank = 1")[0], 1)
    return [
        staged.judge(
            "users_coverage",
            recommended / max(liked, 1),
            f"{recommended:,} of {liked:,} liked films are recommended to some user",
            warn=settings.coverage_warn,
            want="at least",
        ),
        staged.judge(
            "users_popular_share",
            float(popular) / max(float(places), 1.0),
            f"{popular:,} of {places:,} places in the lists of users go to the {most} most liked films",
            warn=settings.popular_share_warn,
        ),
        staged.judge(
            "users_most_frequent_film",
            lists / users,
            f"{title} is in {lists:,} of {users:,} lists of users",
            warn=settings.most_frequent_film_warn,
        ),
    ]


USER_CHECKS = (
    rated_never_recommended,
    every_user_has_a_list,
    user_lists_in_order,
    recomputed_users,
    users_overlap,
)
"""In the order they run."""
