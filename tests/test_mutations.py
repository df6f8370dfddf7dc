"""Mutations that hurt, each caught by a check that is named here.

Three kinds: of a staged file (as if publishing had a fault), of the steps that make the pairs (as if the engine had
one), and of the working tables. A mutation that nothing caught would go live; one that is caught by another check than
the one named means that the named one is blind.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from checks.release.suite import REQUIRED_CHECKS, audit_release
from checks.settings import CheckSettings
from checks.tables.content import Context
from checks.tables.suite import results_of
from recommender.data.companions import Companions, companion_shares
from recommender.data.likes import Likes
from recommender.data.model_data import Neighbourhood, make_neighbourhood
from recommender.data.weights import FACTOR_ONE, WEIGHT_ONE
from recommender.neighbours.exact import PairSearch
from recommender.parameters import ModelParameters, make_parameters
from tests.homes import copy_home
from warehouse.compute.units import SHARDS, pair_rows
from warehouse.compute.workers import LocalWorkers
from warehouse.database import Warehouse, open_warehouse
from warehouse.home import Home
from warehouse.recommending import Asked, recommend
from warehouse.releases.model_folder import latest_model
from warehouse.releases.promotion import refusals
from warehouse.releases.staging import stage_release
from warehouse.tables.check_results import CheckResult
from warehouse.tables.model_inputs import read_neighbourhood
from warehouse.tables.recommendations import pairs_version, signup_version, write_pairs
from warehouse.tables.versions import set_table_version

PARAMETERS = make_parameters(settings={"top_movies": 40})
PAIRS = "pair_recommendations"
USERS = "user_recommendations"

STAGED_MUTATIONS: dict[str, tuple[str, str]] = {
    "swap movie_a and movie_b": (
        f"UPDATE {PAIRS} SET movie_a = movie_b, movie_b = movie_a",
        "published_pair_recommendations_schema",
    ),
    "swap movie_id and votes": (f"UPDATE {PAIRS} SET movie_id = votes, votes = movie_id", "known_films_only"),
    "drop a shard": (
        f"DELETE FROM {PAIRS} WHERE movie_a % 16 = (SELECT min(movie_a) % 16 FROM {PAIRS})",
        "every_pair_present",
    ),
    "lose one pair": (
        f"DELETE FROM {PAIRS} WHERE (movie_a, movie_b) = (SELECT (min(movie_a), max(movie_b)) FROM {PAIRS})",
        "row_counts_as_recorded",
    ),
    "recommend an input": (f"UPDATE {PAIRS} SET movie_id = movie_a WHERE rank = 3", "inputs_never_recommended"),
    "recommend a film twice": (
        f"UPDATE {PAIRS} p SET movie_id = q.movie_id FROM {PAIRS} q WHERE p.movie_a = q.movie_a "
        "AND p.movie_b = q.movie_b AND p.rank = 2 AND q.rank = 1",
        "no_film_twice",
    ),
    "recommend an unknown film": (f"UPDATE {PAIRS} SET movie_id = 2000000000 WHERE rank = 10", "known_films_only"),
    "shuffle ranks": (f"UPDATE {PAIRS} SET rank = 11 - rank", "order_follows_votes"),
    "leave a gap in the ranks": (f"UPDATE {PAIRS} SET rank = rank + 1 WHERE rank > 5", "ranks_contiguous"),
    "give two films one rank": (f"UPDATE {PAIRS} SET rank = 1 WHERE rank = 2", "ranks_contiguous"),
    "make lists too long": (
        f"INSERT INTO {PAIRS} SELECT movie_a, movie_b, 11, movie_id, score, votes FROM {PAIRS} WHERE rank = 1",
        "lists_within_length",
    ),
    "double the scores": (f"UPDATE {PAIRS} SET score = 2 * score", "recomputed_pairs"),
    "swap score and votes": (f"UPDATE {PAIRS} SET score = votes + 1, votes = score", "order_follows_votes"),
    "cut lists short": (f"DELETE FROM {PAIRS} WHERE rank > 5", "full_lists"),
    "count each vote a hundred times": (f"UPDATE {PAIRS} SET votes = 100 * votes", "votes_within_neighbours"),
    "count each vote twice": (f"UPDATE {PAIRS} SET votes = 2 * votes", "recomputed_pairs"),
    "give everybody the same list": (
        f"UPDATE {PAIRS} p SET movie_id = q.movie_id FROM (SELECT * FROM {PAIRS} WHERE (movie_a, movie_b) = "
        f"(SELECT (min(movie_a), min(movie_b)) FROM {PAIRS} WHERE movie_a = (SELECT min(movie_a) FROM {PAIRS}))) q "
        "WHERE p.rank = q.rank",
        "recomputed_pairs",
    ),
    "recommend a user a film that the user has rated": (
        f"UPDATE {USERS} u SET movie_id = r.movie_id FROM (SELECT user_id, min(movie_id) AS movie_id FROM ratings "
        "GROUP BY 1) r WHERE u.user_id = r.user_id AND rank = 7",
        "rated_never_recommended",
    ),
    "lose a user": (
        f"DELETE FROM {USERS} WHERE user_id = (SELECT max(user_id) FROM {USERS})",
        "every_user_has_a_list",
    ),
    "cut the lists of users short": (f"DELETE FROM {USERS} WHERE rank = 50", "every_user_has_a_list"),
    "give a user without likes a list": (
        f"INSERT INTO {USERS} SELECT 2000000000, rank, movie_id, score FROM {USERS} "
        f"WHERE user_id = (SELECT max(user_id) FROM {USERS})",
        "every_user_has_a_list",
    ),
    "shuffle the ranks of users": (f"UPDATE {USERS} SET rank = 51 - rank", "user_lists_in_order"),
    "leave a gap in the ranks of users": (f"UPDATE {USERS} SET rank = rank + 1 WHERE rank > 9", "user_lists_in_order"),
    "turn the scores of users around": (f"UPDATE {USERS} SET score = rank", "user_lists_in_order"),
    "double the scores of users": (f"UPDATE {USERS} SET score = 2 * score", "recomputed_users"),
    "give users each other's lists": (
        f"UPDATE {USERS} u SET movie_id = v.movie_id FROM {USERS} v WHERE u.rank = v.rank "
        f"AND v.user_id = (SELECT min(user_id) FROM {USERS})",
        "recomputed_users",
    ),
    "recommend a user an unknown film": (f"UPDATE {USERS} SET movie_id = 2000000000", "known_films_in_lists"),
    "find a film similar to itself": (
        "UPDATE similar_movies SET similar_id = movie_id WHERE rank = 2",
        "similar_lists_in_order",
    ),
    "turn similar films around": ("UPDATE similar_movies SET rank = 21 - rank", "similar_lists_in_order"),
    "lose similar films": ("DELETE FROM similar_movies WHERE rank > 10", "similar_films_complete"),
    "double the scores of similar films": ("UPDATE similar_movies SET score = 2 * score", "recomputed_similar"),
    "count popular films by all ratings": (
        "UPDATE popular_movies SET score = score + 1 WHERE list = 'recent'",
        "popular_lists_as_counted",
    ),
    "lose a popular list": ("DELETE FROM popular_movies WHERE list = 'genre:Drama'", "popular_lists_as_counted"),
    "publish stale likes": ("UPDATE movies SET likes = likes - 1 WHERE likes > 0", "likes_follow_ratings"),
    "lose films": ("DELETE FROM movies WHERE movie_id = (SELECT max(movie_id) FROM movies)", "row_counts_as_recorded"),
    "mark the wrong films": ("UPDATE movies SET has_vector = NOT has_vector", "vectors_as_marked"),
    "swap users and films of ratings": (
        "UPDATE ratings SET user_id = movie_id, movie_id = user_id",
        "ratings_as_fingerprinted",
    ),
    "turn the stars around": ("UPDATE ratings SET rating = 5.5 - rating", "ratings_as_fingerprinted"),
    "lose ratings": ("DELETE FROM ratings WHERE user_id % 10 = 0", "ratings_as_fingerprinted"),
    "double the relevances": (
        "UPDATE genome SET relevance = list_transform(relevance::FLOAT[], lambda x: 2 * x)",
        "published_genome_schema",
    ),
    "empty a table": ("DELETE FROM signup_movies", "no_table_empty"),
    "swap two sign-up films": (
        "UPDATE signup_movies SET position = 3 - position WHERE position <= 2",
        "signup_movies_most_liked",
    ),
    "lose a sign-up film": ("DELETE FROM signup_movies WHERE position = 40", "signup_movies_most_liked"),
    "drop a column": (f"ALTER TABLE {PAIRS} DROP votes", "published_pair_recommendations_schema"),
    "rename a column": ("ALTER TABLE movies RENAME title TO name", "published_movies_schema"),
    "widen a type": ("ALTER TABLE ratings ALTER rating TYPE DOUBLE", "published_ratings_schema"),
    "name another model": ("UPDATE release SET model_version = 'latest'", "published_release_schema"),
}
"""SQL on a staged file, and the check that must catch it."""


def blocking(results: list[CheckResult]) -> set[str]:
    return {result.check_name for result in results if result.blocks}


def audited(home: Home, path: Path) -> list[CheckResult]:
    with duckdb.connect(str(path), read_only=True) as con:
        return audit_release(con, home, CheckSettings())


@pytest.fixture(scope="module")
def shared_home(small_live: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    copy = copy_home(small_live, tmp_path_factory.mktemp("mutations"))
    return Home(copy)


def staged_copy(home: Home, tmp_path: Path, mutation: str = "") -> Path:
    """The live release's file once more, to change."""
    path = tmp_path / "staged.duckdb"
    shutil.copyfile(home.current.resolve(), path)
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        for statement in mutation.split(";"):
            if statement.strip():
                con.execute(statement)
    return path


def test_the_release_itself_passes(shared_home: Home, tmp_path: Path) -> None:
    assert blocking(audited(shared_home, staged_copy(shared_home, tmp_path))) == set()


@pytest.mark.parametrize("mutation", STAGED_MUTATIONS)
def test_mutations_of_a_staged_file_are_caught(shared_home: Home, tmp_path: Path, mutation: str) -> None:
    statement, check = STAGED_MUTATIONS[mutation]
    assert check in blocking(audited(shared_home, staged_copy(shared_home, tmp_path, statement)))


def test_a_changed_byte_of_the_pack_is_caught(small_home: Path) -> None:
    home = Home(small_home)
    release = home.current.resolve().stem
    path = home.pack_folder(release) / "likes_films.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert "pack_as_manifest" in blocking(audited(home, home.current.resolve()))


# -- against the live release ------------------------------------------------------------------------------------------

NEXT = "20990101T000000Z-00000000"

DRIFTS: dict[str, tuple[str, str]] = {
    "other lists from the same data and parameters": (
        f"UPDATE {PAIRS} SET movie_id = 1000000 + movie_id",
        "overlap_jaccard",
    ),
    "the same lists upside down, and half of them others": (
        f"UPDATE {PAIRS} SET movie_id = 1000000 + movie_id WHERE rank < 10",
        "overlap_rbo",
    ),
    "other films for all users from the same data and parameters": (
        f"UPDATE {USERS} SET movie_id = 1000000 + movie_id",
        "users_overlap",
    ),
    "everybody gives five stars": ("UPDATE ratings SET rating = 5", "drift_ratings"),
    "everybody likes ten times less": (
        "UPDATE ratings SET rating = 1 WHERE hash(user_id, movie_id) % 10 > 0",
        "drift_likes_per_user",
    ),
    "the unpopular become popular": (
        "UPDATE movies m SET likes = (SELECT max(likes) FROM movies) - likes",
        "drift_film_popularity",
    ),
}
"""SQL on the file of the next release, and the comparison that must block it."""


@pytest.mark.parametrize("mutation", DRIFTS)
def test_unasked_changes_against_the_live_release_are_caught(small_home: Path, tmp_path: Path, mutation: str) -> None:
    home = Home(small_home)
    home.pack_folder(NEXT).symlink_to(home.pack_folder(home.current.resolve().stem))
    statement, check = DRIFTS[mutation]
    renamed = f"UPDATE release SET release = '{NEXT}', ratings_fingerprint = 'abcdefabcdefabcd'; {statement}"
    path = staged_copy(home, tmp_path, renamed)
    assert check in blocking(audited(home, path))
    # With another source the same change was asked for: it is shown, and does not block.
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE release SET source_fingerprint = '0123456789abcdef'")
    results = {result.check_name: result for result in audited(home, path)}
    assert not results[check].passed
    assert results[check].severity == "warn"


# -- the steps that make the pairs -------------------------------------------------------------------------------------


def halve_the_neighbours(true: Neighbourhood) -> Neighbourhood:
    return replace(true, parameters=true.parameters.model_copy(update={"neighbours": true.neighbours // 2}))


def forget_the_bonus(true: Neighbourhood) -> Neighbourhood:
    bonus = 0.0 if true.parameters.liked_bonus else 0.5
    return replace(true, parameters=true.parameters.model_copy(update={"liked_bonus": bonus}))


def let_everybody_vote(true: Neighbourhood) -> Neighbourhood:
    """Users with too few likes as well, and those without a vector."""
    return replace(true, eligible=np.ones_like(true.eligible), norms=np.where(true.norms > 0, true.norms, 1.0))


def forget_the_norms(true: Neighbourhood) -> Neighbourhood:
    return replace(true, norms=np.ones_like(true.norms))


def forget_the_weights(true: Neighbourhood) -> Neighbourhood:
    """Every voter counts alike."""
    return replace(true, parameters=true.parameters.model_copy(update={"voter_exponent": 0.0}))


def turn_the_voter_exponent(true: Neighbourhood) -> Neighbourhood:
    """Who likes many films weighs more, not less."""
    false = replace(true)
    vars(false)["weights"] = WEIGHT_ONE // true.weights
    return false


def turn_the_popularity_exponent(true: Neighbourhood) -> Neighbourhood:
    """What everybody likes comes earlier, not later."""
    false = replace(true)
    vars(false)["factors"] = FACTOR_ONE**2 // true.factors
    return false


def forget_the_popularity(true: Neighbourhood) -> Neighbourhood:
    return replace(true, parameters=true.parameters.model_copy(update={"popularity_exponent": 0.0}))


def forget_the_companions(true: Neighbourhood) -> Neighbourhood:
    return replace(true, parameters=true.parameters.model_copy(update={"companion_weight": 0.0}))


def companions_the_wrong_way_round(true: Neighbourhood) -> Neighbourhood:
    """P(a | f), the share of f's fans who like a, in place of P(f | a)."""
    films = np.arange(len(true.catalogue.movie_ids), dtype=np.int32)
    of_all = companion_shares(true.likes, true.fans, true.weights, films)
    signup = true.companions.films
    return replace(true, kept=Companions(signup, np.ascontiguousarray(of_all[:, signup].T)))


def stale_likes(true: Neighbourhood) -> Neighbourhood:
    """As if the last third of the users had not come yet."""
    kept = 2 * len(true.likes.user_ids) // 3
    end = true.likes.indptr[kept]
    likes = Likes(true.likes.user_ids[:kept], true.likes.indptr[: kept + 1], true.likes.films[:end])
    return make_neighbourhood(likes, true.catalogue, true.parameters)


def vectors_one_row_off(true: Neighbourhood) -> Neighbourhood:
    return make_neighbourhood(
        true.likes, replace(true.catalogue, vectors=np.roll(true.catalogue.vectors, 1, axis=0)), true.parameters
    )


ENGINE_MUTATIONS: dict[Callable[[Neighbourhood], Neighbourhood], str] = {
    halve_the_neighbours: "recomputed_pairs",
    forget_the_bonus: "recomputed_pairs",
    let_everybody_vote: "recomputed_pairs",
    forget_the_norms: "recomputed_pairs",
    forget_the_weights: "recomputed_pairs",
    turn_the_voter_exponent: "recomputed_pairs",
    turn_the_popularity_exponent: "recomputed_pairs",
    forget_the_popularity: "recomputed_pairs",
    forget_the_companions: "recomputed_pairs",
    companions_the_wrong_way_round: "recomputed_pairs",
    stale_likes: "recomputed_pairs",
    vectors_one_row_off: "recomputed_pairs",
}
"""What the engine is made to compute from instead of the truth, and the check that must catch it."""


@pytest.mark.parametrize("mutation", ENGINE_MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutations_of_the_engine_are_caught(
    small_home: Path, mutation: Callable[[Neighbourhood], Neighbourhood]
) -> None:
    """Staged from tables that claim to be up to date; the release is there to look at, and is refused."""
    parameters = PARAMETERS.model_copy(update={"min_likes": 5})
    with open_warehouse(Home(small_home), "a mutation") as warehouse:
        false = mutation(read_neighbourhood(warehouse, parameters))
        _write(warehouse.con, parameters, false)
        _write_lists(warehouse, parameters)
        context = Context(warehouse, parameters, CheckSettings())

        def audit(con: duckdb.DuckDBPyConnection, against: str) -> list[CheckResult]:
            return audit_release(con, warehouse.home, context.settings, results_of(context), against=against)

        staged = stage_release(warehouse, parameters, audit, REQUIRED_CHECKS)
        assert ENGINE_MUTATIONS[mutation] in blocking(staged.results)
        assert refusals(warehouse.con, staged.release, REQUIRED_CHECKS)


def _write(con: duckdb.DuckDBPyConnection, parameters: ModelParameters, false: Neighbourhood) -> None:
    """Write what the engine makes of a false neighbourhood as if it were the true one's pairs."""
    films = con.execute("SELECT count(*) FROM recs.signup_movies").fetchall()[0][0]
    set_table_version(con, "recs.signup_movies", signup_version(con, parameters), films)
    version = pairs_version(con, parameters, latest_model(con)["model_version"])
    write_pairs(con, range(SHARDS), map(pair_rows, PairSearch(false).pairs()), version, parameters)


def _write_lists(warehouse: Warehouse, parameters: ModelParameters) -> None:
    """Bring the lists of users and films up to date with the parameters."""
    recommend(warehouse, parameters, Asked(users=range(SHARDS), similar=True), LocalWorkers(), print)


# -- the working tables ------------------------------------------------------------------------------------------------

TABLE_MUTATIONS: dict[str, tuple[str, str]] = {
    "swap users and films of likes": (
        "UPDATE model.likes SET user_id = movie_id, movie_id = 1000000 + user_id",
        "model_likes_orphans",
    ),
    "join likes twice": ("INSERT INTO model.likes FROM model.likes", "model_likes_schema"),
    "lose films": ("DELETE FROM raw.movies WHERE movie_id % 2 = 0", "raw_ratings_orphans"),
    "forget to scale user vectors": (
        "UPDATE model.user_vectors SET vector = list_transform(vector::FLOAT[], lambda x: 3 * x)",
        "user_vector_norms",
    ),
    "divide by zero": (
        "UPDATE model.user_vectors SET vector = list_transform(vector::FLOAT[], lambda x: 'nan'::FLOAT) "
        "WHERE user_id = (SELECT min(user_id) FROM model.user_vectors)",
        "user_vector_norms",
    ),
    "read a column as constant": ("UPDATE raw.ratings SET rating = 4", "rating_distribution"),
    "turn away everything": ("UPDATE raw.source_files SET rejected = data_rows, accepted = 0", "rejected_share"),
    "lose ratings that came in": (
        "DELETE FROM raw.ratings WHERE user_id = (SELECT min(user_id) FROM raw.ratings)",
        "ratings_add_up",
    ),
    "lose most vectors": (
        "DELETE FROM raw.genome WHERE movie_id NOT IN "
        "(SELECT movie_id FROM model.film_likes JOIN raw.genome USING (movie_id) ORDER BY likes LIMIT 20)",
        "likes_with_vector",
    ),
    "measure no recall": ("UPDATE model.annoy_indexes SET recall = 0.1", "index_recall"),
    "record another index": (f"UPDATE model.annoy_indexes SET sha256 = '{'0' * 64}'", "index_files"),
    "store vectors of another width": (
        "ALTER TABLE raw.genome ALTER relevance TYPE FLOAT[]",
        "raw_genome_schema",
    ),
}
"""SQL on the working database, and the check that must catch it."""


@pytest.mark.parametrize("mutation", TABLE_MUTATIONS)
def test_mutations_of_working_tables_are_caught(small_home: Path, mutation: str) -> None:
    statement, check = TABLE_MUTATIONS[mutation]
    with open_warehouse(Home(small_home), "a mutation") as warehouse:
        warehouse.con.execute("DELETE FROM ops.check_results WHERE contains(subject, '@')")
        warehouse.con.execute(statement)
        context = Context(warehouse, PARAMETERS, CheckSettings())
        assert check in blocking(results_of(context))


def test_there_is_no_check_for_show(shared_home: Home, tmp_path: Path) -> None:
    """Every check of a release that compares nothing with the live one is named by a mutation, or by a schema."""
    named = {check for _, check in [*STAGED_MUTATIONS.values(), *DRIFTS.values()]}
    named |= {*ENGINE_MUTATIONS.values(), "pack_as_manifest"}
    announced = {result.check_name for result in audited(shared_home, staged_copy(shared_home, tmp_path))}
    unnamed = {name for name in announced - named if not name.endswith("_schema")}
    # Measured, with thresholds of their own: tests/checks/test_measured.py. Parameters: test_home_parameters.py.
    assert unnamed == {
        "parameters_as_asked",
        "catalogue_coverage",
        "popular_share",
        "most_frequent_film",
        "frequent_films_share",
        "signup_films_unrecommended",
        "pairs_changed",
        "users_coverage",
        "users_popular_share",
        "users_most_frequent_film",
        "ahead_of_baselines",
        "no_fall_against_live",
    }
