"""Data checks: whether tables whose rows are all well-formed also make sense as a whole.

Belongs here: measurements of the working tables, each a function from a `Context` to a `CheckResult`. A failure does
not stop a run: the release is still staged, for whoever looks into it, but cannot be promoted. Does not belong here:
bounds of rows (`warehouse.schemas`), the index (`checks.tables.index`), the staged release
(`checks.release.suite`)."""

from dataclasses import dataclass
from statistics import median

from checks.results import judge
from checks.settings import CheckSettings
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.queries import one_row, utc_now
from warehouse.tables.check_results import CheckResult
from warehouse.tables.held_source import require_source
from warehouse.tables.ratings import accounted_ratings


@dataclass(frozen=True)
class Context:
    """What a check may look at."""

    warehouse: Warehouse
    parameters: ModelParameters
    settings: CheckSettings


def rejected_share(context: Context) -> CheckResult:
    """Few rows of any input are rejected; files of new ratings count with the source's ratings."""
    con = context.warehouse.con
    files = con.execute(
        "SELECT name, sum(rejected), sum(data_rows) FROM (SELECT name, rejected, data_rows FROM raw.source_files "
        "UNION ALL SELECT 'ratings.csv', rejected, data_rows FROM raw.rating_files) GROUP BY name ORDER BY name"
    ).fetchall()
    shares = {name: rejected / total if total else 0.0 for name, rejected, total in files}
    worst, rejected, total = max(files, key=lambda file: shares[file[0]], default=("", 0, 0))
    reasons = con.execute(
        "SELECT source, reason, count(*) FROM raw.rejected_rows WHERE line IS NOT NULL GROUP BY ALL "
        "ORDER BY 3 DESC, 1, 2 LIMIT 10"
    ).fetchall()
    common = f"; most often {reasons[0][0]}: {reasons[0][1]}" if reasons else ""
    found = f"{rejected:,} of {total:,} rows of {worst} were rejected" if rejected else "no row was rejected"
    return judge(
        "rejected_share",
        "raw/rejected_rows",
        shares.get(worst, 0.0),
        f"{found}{common}; see raw.rejected_rows",
        warn=context.settings.rejected_share_warn,
        error=context.settings.rejected_share_error,
        details={
            "shares": {name: round(share, 6) for name, share in shares.items()},
            "reasons": [f"{source}: {reason} ({count:,})" for source, reason, count in reasons],
        },
    )


def ratings_add_up(context: Context) -> CheckResult:
    """Every rating that came in is in use, replaced by another one, or rejected: none is lost, over all files."""
    con = context.warehouse.con
    accounted, held = accounted_ratings(con), one_row(con, "SELECT count(*) FROM raw.ratings")[0]
    return judge(
        "ratings_add_up",
        "raw/ratings",
        abs(accounted - held),
        f"{accounted:,} ratings of the files are in use, raw.ratings holds {held:,}",
        error=0,
        details={"accounted": accounted, "held": held},
    )


def likes_with_vector(context: Context) -> CheckResult:
    """Most likes are of films that have a vector; without one a like says nothing about taste."""
    likes, with_vector, liked, films = one_row(
        context.warehouse.con,
        "SELECT coalesce(sum(likes), 0), coalesce(sum(likes) FILTER (g.movie_id IS NOT NULL), 0), "
        "count(*) FILTER (likes > 0), count(g.movie_id) "
        "FROM model.film_likes f LEFT JOIN (SELECT movie_id FROM raw.genome) g USING (movie_id)",
    )
    share = with_vector / likes if likes else 0.0
    return judge(
        "likes_with_vector",
        "model/film_likes",
        share,
        f"{share:.1%} of the likes are of films that have a vector ({films:,} films have one, {liked:,} are liked). "
        "If that is little, the genome does not fit the ratings: genome-scores.csv may be cut short or of another data "
        "set; get it again, or set genome_source=tags to derive vectors from tags and genres",
        warn=context.settings.likes_with_vector_warn,
        error=context.settings.likes_with_vector_error,
        want="at least",
        details={"likes": likes, "likes_with_vector": with_vector},
    )


def films_without_all_tags(context: Context) -> CheckResult:
    """The genome scores every one of its films for all tags."""
    found = require_source(context.warehouse.con)["manifest"]["incomplete_genome_films"]
    films = one_row(context.warehouse.con, "SELECT count(*) FROM raw.genome")[0]
    count = found["count"]
    examples = f", for instance {found['examples'][0]}" if found["examples"] else ""
    return judge(
        "films_without_all_tags",
        "raw/genome",
        count / (films + count) if count else 0.0,
        f"{count:,} films of the genome lack tags and have no vector{examples}",
        warn=context.settings.incomplete_films_warn,
        error=context.settings.incomplete_films_error,
        details={"films": films, "incomplete": count},
    )


def user_vector_norms(context: Context) -> CheckResult:
    """User vectors have length 1, or are zero because none of the user's films has a vector; NaN fails."""
    users, zero, worst, broken = one_row(
        context.warehouse.con,
        """
        SELECT count(*), count(*) FILTER (square = 0), coalesce(max(abs(sqrt(square) - 1)) FILTER (square > 0), 0),
            count(*) FILTER (NOT isfinite(square))
        FROM (SELECT array_inner_product(vector, vector) AS square FROM model.user_vectors)
        """,
    )
    return judge(
        "user_vector_norms",
        "model/user_vectors",
        float("inf") if broken else worst,
        f"of {users:,} user vectors {zero:,} are zero and {broken:,} not finite; "
        f"the others differ from length 1 by {worst:.2g} at most",
        error=context.settings.norm_tolerance,
        details={"users": users, "zero": zero, "not_finite": broken},
    )


def users_without_vector(context: Context) -> CheckResult:
    """Few users like nothing but films without a vector."""
    users, without = one_row(
        context.warehouse.con, "SELECT count(*), count(*) FILTER (likes_with_vector = 0) FROM model.user_vectors"
    )
    return judge(
        "users_without_vector",
        "model/user_vectors",
        without / users if users else 0.0,
        f"{without:,} of {users:,} users like only films without a vector and are nobody's neighbour",
        warn=context.settings.zero_vectors_warn,
    )


def ratings_per_month(context: Context) -> CheckResult:
    """The last whole month has about as many ratings as the year before it."""
    months = context.warehouse.con.execute("SELECT month, ratings FROM raw.rating_months ORDER BY month").fetchall()
    warn = context.settings.month_ratio_warn
    if len(months) < 4:
        return judge(
            "ratings_per_month",
            "raw/ratings",
            1.0,
            f"{len(months)} months of ratings are too few to compare",
            warn=warn,
        )
    (month, count), before = months[-2], [number for _, number in months[-14:-2]]
    usual = median(before)
    ratio = max(count / usual, usual / count)
    return judge(
        "ratings_per_month",
        "raw/ratings",
        ratio,
        f"{month:%B %Y} has {count:,} ratings, the {len(before)} months before it {usual:,.0f} in the median",
        warn=warn,
        details={"months": {str(day): number for day, number in months[-14:]}},
    )


def rating_distribution(context: Context) -> CheckResult:
    """No single rating makes up nearly all of them, as it would if the column were damaged."""
    rows = context.warehouse.con.execute("SELECT rating, count(*) FROM raw.ratings GROUP BY 1 ORDER BY 1").fetchall()
    total = sum(count for _, count in rows)
    rating, most = max(rows, key=lambda row: row[1], default=(0.0, 0))
    mean = sum(stars * count for stars, count in rows) / total if total else float("nan")
    return judge(
        "rating_distribution",
        "raw/ratings",
        most / total if total else float("nan"),
        f"the most frequent rating is {rating:g} ({most:,} of {total:,}); the mean is {mean:.2f}",
        warn=context.settings.one_rating_warn,
        error=context.settings.one_rating_error,
        details={"ratings": {f"{stars:g}": count for stars, count in rows}},
    )


def ratings_freshness(context: Context) -> CheckResult:
    """New ratings keep coming, once they have begun to."""
    con = context.warehouse.con
    newest, files = one_row(
        con, "SELECT (SELECT max(rated_at) FROM raw.ratings), (SELECT count(*) FROM raw.rating_files)"
    )
    now = utc_now()
    age = (now - newest).total_seconds() / 86_400 if newest else float("inf")
    feed = f"{files:,} files of new ratings came in" if files else "a data set without a feed: not judged"
    return judge(
        "ratings_freshness",
        "raw/ratings",
        age,
        f"the newest rating is {age:,.0f} days old; {feed}",
        warn=context.settings.ratings_age_days_warn if files else None,
    )
