"""Exports to a real PostgreSQL server: contents, switch under readers, kills at every step, and what goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.command import marquee, start_marquee
from tests.database_servers import PASSWORD, PostgreSQLServer, postgresql_server
from tests.homes import copy_home
from tests.warehouse.exports.conftest import TABLES, Exporter, enlarge, releases_of, rows_of
from warehouse.faults import EXPORT_STEPS


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQLServer]:
    with postgresql_server() as running:
        yield running


@pytest.fixture
def database(server: PostgreSQLServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new database, and the password in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    name = f"d{abs(hash(request.node.nodeid)):x}"
    with server.connect("postgres") as con:
        con.execute(f"CREATE DATABASE {name}")
    return name


def schemas(con: psycopg.Connection[Any]) -> set[str]:
    found = con.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'marquee\\_%'").fetchall()
    return {name.removeprefix("marquee_") for (name,) in found}


def lower(*releases: str) -> set[str]:
    return {release.lower().replace("-", "_") for release in releases}


def live(con: psycopg.Connection[Any]) -> str:
    ((release,),) = con.execute("SELECT release FROM marquee.release").fetchall()
    return str(release)


def test_a_release_is_loaded_as_it_is_and_a_rollback_only_switches(
    home_of_two: Path, server: PostgreSQLServer, database: str, export: Exporter
) -> None:
    older, newer = releases_of(home_of_two)
    url = server.url(database)
    first = export(home_of_two, url)
    assert (first["release"], first["seen"], first["switched"]) == (newer, newer, True)
    assert first["loaded"] == list(TABLES)
    with server.connect(database) as con:
        for table, order in TABLES.items():
            order = order.replace("list", 'list COLLATE "C"')
            there = con.execute(f"SELECT * FROM marquee.{table} ORDER BY {order}").fetchall()
            wanted = rows_of(home_of_two, newer, f"FROM {table} ORDER BY {TABLES[table]}")
            assert first["rows"][table] == len(wanted)
            if table == "release":
                columns = [name for name, *_ in rows_of(home_of_two, newer, "DESCRIBE release")]
                columns = [f"{name}::text" if name in {"parameters", "row_counts"} else name for name in columns]
                there = con.execute(f"SELECT {', '.join(columns)} FROM marquee.release").fetchall()
            assert there == wanted, table
        described = con.execute("SELECT obj_description('marquee.movies'::regclass), count(*) FROM pg_indexes "
                                "WHERE schemaname LIKE 'marquee\\_%'").fetchall()  # fmt: skip
        assert described == [("One row per film.", 8)]  # a key per table, and a second one of signup_movies
        plan = con.execute("EXPLAIN SELECT * FROM marquee.pair_recommendations WHERE movie_a = 1 AND movie_b = 2")
        assert "pair_recommendations_pkey" in str(plan.fetchall())
        con.execute("CREATE ROLE product; GRANT USAGE ON SCHEMA marquee TO product; "
                    "GRANT SELECT ON marquee.movies TO product")  # fmt: skip

        marquee(home_of_two, "rollback", "--why", "a test")
        assert export(home_of_two, url)["loaded"] == list(TABLES)
        assert live(con) == older
        marquee(home_of_two, "promote", newer)
        back = export(home_of_two, url)
        assert (back["loaded"], back["switched"], back["seen"]) == ([], True, newer)
        assert export(home_of_two, url)["switched"] is False
        con.execute("SET ROLE product")
        assert con.execute("SELECT count(*) FROM marquee.movies").fetchall() == [(first["rows"]["movies"],)]
        con.execute("RESET ROLE")
        assert schemas(con) == lower(older, newer)
        assert export(home_of_two, url, "--keep", 1)["retired"] == [older]
        assert schemas(con) == lower(newer)
        con.execute("DROP OWNED BY product; DROP ROLE product")


class Reader(threading.Thread):
    """A product that reads two views in a transaction, again and again, and expects them to belong together."""

    def __init__(self, server: PostgreSQLServer, database: str, rows: dict[str, int]) -> None:
        super().__init__()
        self.stopped = threading.Event()
        self.seen: set[str] = set()
        self.problems: list[str] = []
        self._server, self._database, self._rows = server, database, rows

    def run(self) -> None:
        """Read until told to stop."""
        with self._server.connect(self._database) as con:
            while not self.stopped.is_set():
                try:
                    with con.transaction():
                        ((pairs,),) = con.execute("SELECT count(*) FROM marquee.pair_recommendations").fetchall()
                        release = live(con)
                except psycopg.Error as error:
                    self.problems.append(str(error))
                    return
                self.seen.add(release)
                if pairs != self._rows[release]:
                    self.problems.append(f"{release} has {pairs} rows of pairs")


def test_readers_never_see_a_release_half_loaded_or_two_at_once(
    home_of_two: Path, server: PostgreSQLServer, database: str, export: Exporter
) -> None:
    older, newer = releases_of(home_of_two)
    rows = {release: len(rows_of(home_of_two, release, "FROM pair_recommendations")) for release in (older, newer)}
    assert rows[older] != rows[newer]
    url = server.url(database)
    with server.connect(database) as early:  # its snapshot is older than the release
        early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        early.execute("SELECT count(*) FROM pg_class")
        export(home_of_two, url, "--release", older)
        found = early.execute("SELECT count(*) FROM marquee.pair_recommendations WHERE movie_a > 0").fetchall()
        assert found == [(rows[older],)]
    readers = [Reader(server, database, rows) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(12):
        done = export(home_of_two, url, "--release", (newer, older)[turn % 2], "--keep", 1 + turn // 4 % 2)
        assert done["switched"]
    for reader in readers:
        reader.stopped.set()
        reader.join(60)
        assert reader.problems == []
    assert readers[0].seen | readers[1].seen == {older, newer}


def test_an_export_killed_at_any_step_is_finished_by_the_next(
    two_releases: Path,
    server: PostgreSQLServer,
    database: str,
    export: Exporter,
    killed: Callable[[str, str, str], str],
) -> None:
    older, newer = releases_of(two_releases)
    url = server.url(database, PASSWORD)
    with server.connect(database) as con:
        for step in EXPORT_STEPS:
            export(two_releases, url, "--release", older, "--keep", 1)
            con.execute(f"DROP SCHEMA IF EXISTS marquee_{lower(newer).pop()} CASCADE")
            assert PASSWORD not in killed(url, newer, step)
            done_already = step in {"export_switched", "export_retired"}
            assert live(con) == (newer if done_already else older), step
            assert export(two_releases, url, "--release", newer, "--keep", 1)["seen"] == newer
            assert schemas(con) == lower(newer), step


def test_a_connection_lost_in_the_middle_of_a_copy_changes_nothing(
    home_of_two: Path, server: PostgreSQLServer, database: str, export: Exporter
) -> None:
    """Ended by an administrator, then with the whole server."""
    older, _ = releases_of(home_of_two)
    url = server.url(database)
    export(home_of_two, url, "--release", older)
    newer = enlarge(home_of_two, 20_000)
    for lost in ("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy", "stop"):
        process = start_marquee(home_of_two, "export", url)
        with server.connect(database) as con:
            deadline = time.monotonic() + 60
            while not con.execute("SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 100000").fetchall():
                assert process.poll() is None
                assert time.monotonic() < deadline
            if lost != "stop":
                con.execute(lost)
        if lost == "stop":
            server.stop()
        _, said = process.communicate(timeout=60)
        if lost == "stop":
            server.start()
        assert process.returncode == 1, said
        assert f"user_recommendations of {newer} could not be loaded, and nothing there has changed" in said
        assert "Traceback" not in said
        with server.connect(database) as con:
            assert live(con) == older
            assert schemas(con) == lower(older)
    done = export(home_of_two, url)
    assert (done["seen"], done["rows"]["user_recommendations"]) == (newer, 1_000_000 + 14_750)


def test_what_goes_wrong_is_told_in_one_line_without_the_password(
    home_of_two: Path, server: PostgreSQLServer, database: str, export: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = releases_of(home_of_two)

    def said(url: str, code: int) -> str:
        lines = marquee(home_of_two, "export", url, expect=code).stderr
        assert PASSWORD not in lines
        return lines.splitlines()[-1]

    url = server.url(database)
    with server.connect(database) as con:
        con.execute("SELECT pg_advisory_lock(hashtext('marquee export'))")
        assert "another export is running" in said(url, 1)
        con.execute("SELECT pg_advisory_unlock_all()")

        # Two films change places while the release is being loaded: as many rows as before.
        con.execute("""
            CREATE FUNCTION damage() RETURNS event_trigger LANGUAGE plpgsql AS $$
            DECLARE place text := (SELECT objid::regclass FROM pg_event_trigger_ddl_commands() LIMIT 1);
            BEGIN IF place LIKE '%.similar_movies' THEN
                EXECUTE format('UPDATE %s AS a SET similar_id = b.similar_id FROM %s AS b '
                    'WHERE a.movie_id = b.movie_id AND a.rank < 3 AND b.rank = 3 - a.rank', place, place);
            END IF; END $$;
            CREATE EVENT TRIGGER damage ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION damage()
        """)
        assert f"similar_movies of {newer} could not be verified, and nothing there has changed" in said(url, 1)
        assert schemas(con) == set()
        con.execute("DROP EVENT TRIGGER damage")
        export(home_of_two, url, "--release", older)

        con.execute(f"CREATE ROLE other LOGIN PASSWORD '{PASSWORD}'")
        assert "permission denied" in said(url.replace("marquee@", "other@"), 1)
        con.execute("DROP ROLE other")

        with server.connect(database) as reader:  # a transaction that is open for longer than the switch waits
            monkeypatch.setattr("warehouse.exports.postgresql.SWITCH_SECONDS", 0.5)
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM marquee.movies LIMIT 1")
            assert f"could not be switched to {newer}, and are as they were" in said(url, 1)
        assert live(con) == older

    assert "does not exist" in said(server.url("nothing"), 1)
    assert "failed to resolve host" in said("postgresql://marquee@no.such.host.invalid/films", 1)
    assert "Connection refused" in said("postgresql://marquee@127.0.0.1:1/films", 1)
    assert "invalid" in said(f"{url}?nonsense=1&password={PASSWORD}", 1)
    assert "the environment variable NO_SUCH_NAME is not set" in said("postgresql://marquee:${NO_SUCH_NAME}@db/x", 2)
    monkeypatch.delenv("PGPASSWORD")
    assert "no password supplied" in said(url, 1)
    assert "password authentication failed" in said(server.url(database, "wrong-" + PASSWORD), 1)
    monkeypatch.setenv("SECRET", PASSWORD)
    assert export(home_of_two, server.url(database, "${SECRET}"))["seen"] == newer


def test_tables_that_were_not_asked_for_are_not_there_and_can_be_added(
    two_releases: Path, server: PostgreSQLServer, database: str, export: Exporter, tmp_path: Path
) -> None:
    home = copy_home(two_releases, tmp_path)
    older, newer = releases_of(home)
    targets = home / "exports.toml"
    url = server.url(database)
    targets.write_text(f'[product]\nurl = "{url}"\ntables = ["similar_movies"]\nkeep = 3\n')
    assert export(home, "product")["loaded"] == ["release", "similar_movies"]
    assert set(export(home, url, "--release", older)["rows"]) == set(TABLES)
    # Back to a release that has fewer tables there: no view may go on showing the other release.
    assert set(export(home, "product")["rows"]) == {"release", "similar_movies"}
    assert export(home, url)["loaded"] == [table for table in TABLES if table not in {"release", "similar_movies"}]
    with server.connect(database) as con:
        assert live(con) == newer
