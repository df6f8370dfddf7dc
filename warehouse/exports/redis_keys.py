"""Releases in Redis: keys under the release's name, and one key that names the live release.

Belongs here: keys, values and commands. Does not belong here: the order of the steps (`export`) or what is exported
(`release_file`).

::

    marquee:live                              the live release, text
    marquee:<release>:pair:<a>:<b>            [[movie_id, score, votes], ...]   a < b, best first
    marquee:<release>:user:<user_id>          [[movie_id, score], ...]
    marquee:<release>:similar:<movie_id>      [[movie_id, score], ...]
    marquee:<release>:popular:<list>          [[movie_id, score], ...]
    marquee:<release>:movie:<movie_id>        {"title": ..., "year": ..., "genres": [...], ...}: the columns
    marquee:<release>:signup                  [[movie_id, likes], ...]
    marquee:<release>:release                 the columns of `release`
    marquee:releases                          hash: by release, JSON of the tables that are complete
    marquee:lock                              who is exporting

All values are JSON. A release that is given up leaves `marquee:releases` first, and its keys expire some time later,
for readers who are in the middle of something.
"""

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import NamedTuple

import orjson

from warehouse.errors import MissingExtraError
from warehouse.exports.address import Address, ExportError, TargetError
from warehouse.exports.release_file import ReleaseFile
from warehouse.exports.target import Seen
from warehouse.faults import step

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    raise MissingExtraError("exports to Redis need the package redis: pip install 'marquee[redis]'") from None

LIVE = "marquee:live"
RELEASES = "marquee:releases"
LOCK = "marquee:lock"
PASSWORD_VARIABLES = ("REDIS_PASSWORD", "REDISCLI_AUTH")

EXPIRE_SECONDS = 3600
"""How long the keys of a release that was given up are still there."""
CHUNK_ROWS = 100_000
"""Rows of the release that are read, made into values and sent at a time."""
BATCH_KEYS = 2_000
"""Keys of one command or pipeline: some megabytes at most."""

DELETE_IF_EQUAL = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


class Lists(NamedTuple):
    """A table whose rows become one list per key: its first column, the key after the release, and what is listed."""

    lead: str
    key: str
    values: tuple[str, ...]


LISTS = {
    "signup_movies": Lists("1", "'signup'", ("movie_id", "likes")),
    "pair_recommendations": Lists("movie_a", "'pair:' || movie_a || ':' || movie_b", ("movie_id", "score", "votes")),
    "user_recommendations": Lists("user_id", "'user:' || user_id", ("movie_id", "score")),
    "similar_movies": Lists("movie_id", "'similar:' || movie_id", ("similar_id", "score")),
    "popular_movies": Lists("list", "'popular:' || list", ("movie_id", "score")),
}
ROWS = {"movies": "'movie:' || movie_id", "release": "'release'"}
"""Tables each row of which is a key: the key after the release. Its columns are in the key or in the value."""


class RedisKeys:
    """A Redis database that releases are exported to."""

    default_keep = 2  # memory costs more than disk: the live one, and the one before to go back to

    def __init__(self, address: Address) -> None:
        self._address = address
        self._doing = ""
        self._redis: redis.Redis

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Connect under a name of one's own, and hold a lock that is void when no client has that name any more."""
        me = f"marquee-export-{uuid.uuid4().hex[:12]}"
        self._doing = "it cannot be reached"
        try:
            with self._connect(me) as self._redis:
                self._lock(me)
                try:
                    yield
                finally:
                    with suppress(redis.RedisError):
                        self._redis.eval(DELETE_IF_EQUAL, 1, LOCK, me)
        except redis.RedisError as error:
            said = self._address.without_secrets(error)
            raise ExportError(f"{self._address.shown}: {self._doing}: {said}; {_advice(error)}") from None

    def _connect(self, me: str) -> "redis.Redis":
        password = next((os.environ[name] for name in PASSWORD_VARIABLES if os.environ.get(name)), None)
        try:
            options = redis.connection.parse_url(self._address.resolved())
            pool = redis.ConnectionPool(
                **{"password": password, **options},
                client_name=me,
                retry=Retry(NoBackoff(), 0),  # after a lost connection the lock is not ours
                decode_responses=True,
                socket_connect_timeout=10,
                socket_timeout=60,
            )
            return redis.Redis(connection_pool=pool, single_connection_client=True)
        except (ValueError, TypeError) as error:  # what redis makes of a malformed address, or an unknown option in it
            raise TargetError(f"{self._address.shown}: {self._address.without_secrets(error)}") from None

    def _lock(self, me: str) -> None:
        self._doing = "the export could not begin"
        while not self._redis.set(LOCK, me, nx=True):
            holder = str(self._redis.get(LOCK))
            if holder in {str(client.get("name")) for client in self._redis.client_list()}:
                raise ExportError(f"{self._address.shown}: another export is running; try again when it has ended")
            self._redis.eval(DELETE_IF_EQUAL, 1, LOCK, holder)

    def held(self, release: str) -> set[str]:
        """Tables noted as complete in `marquee:releases`."""
        return set(self._noted(release))

    def load(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Write the keys of each table; the release is noted first, so that what a dead process left is retired."""
        release = source.release
        self._doing = f"{release} could not be loaded, and readers have the release from before"
        self._redis.hset(RELEASES, release, json.dumps(self._noted(release)))
        for table in tables:
            self._doing = f"{table} of {release} could not be loaded, and readers have the release from before"
            for batch in _batches(source, table):
                self._redis.mset(batch)
            step("export_table_loaded")

    def verify(self, source: ReleaseFile, tables: Sequence[str]) -> None:
        """Read every key back and compare it with the release; then note the tables as complete."""
        release = source.release
        counts = self._noted(release)
        for table in tables:
            self._doing = f"{table} of {release} could not be verified, and readers have the release from before"
            keys = 0
            for batch in _batches(source, table):
                for (name, wanted), there in zip(batch.items(), self._redis.mget(list(batch)), strict=True):
                    if there != wanted:
                        what = (
                            "is not there (does this Redis evict keys? see maxmemory-policy)"
                            if there is None
                            else "differs"
                        )
                        raise ExportError(f"{self._address.shown}: {self._doing}: {name} {what}")
                keys += len(batch)
            counts[table] = {"rows": source.rows(table), "keys": keys}
        self._redis.hset(RELEASES, release, json.dumps(counts))

    def switch(self, release: str) -> bool:
        """Set the key that names the live release."""
        self._doing = f"readers could not be switched to {release}, and have the release from before"
        if self._live() == release:
            return False
        step("export_switching")
        self._redis.set(LIVE, release)
        return True

    def retire(self, keep: int) -> list[str]:
        """Have the keys of old releases expire; a release that is being given up is not held any more."""
        self._doing = "old releases could not be given up"
        releases = sorted(map(str, self._redis.hkeys(RELEASES)), reverse=True)
        kept = [release for release in releases if self.held(release)][:keep]  # not what a dead process left
        retired = [release for release in releases if release not in {*kept, self._live()}]
        for release in retired:
            self._redis.hset(RELEASES, release, json.dumps({}))
            names = self._redis.scan_iter(f"marquee:{release}:*", count=BATCH_KEYS)
            while batch := list(islice(names, BATCH_KEYS)):
                with self._redis.pipeline(transaction=False) as pipeline:
                    for name in batch:
                        pipeline.expire(name, EXPIRE_SECONDS)
                    pipeline.execute()
            step("export_retired")
            self._redis.hdel(RELEASES, release)
        return retired

    def seen(self) -> Seen:
        """The release that the key of the live one leads to, and the rows noted of it."""
        self._doing = "it cannot be read"
        live = self._live()
        row = json.loads(self._redis.get(f"marquee:{live}:release") or "{}")
        return Seen(row.get("release"), {table: count["rows"] for table, count in self._noted(live or "").items()})

    def _live(self) -> str | None:
        live = self._redis.get(LIVE)
        return str(live) if live else None

    def _noted(self, release: str) -> dict[str, dict[str, int]]:
        return dict(json.loads(self._redis.hget(RELEASES, release) or "{}"))


def _batches(source: ReleaseFile, table: str) -> Iterator[dict[str, str]]:
    """Keys and values of a table in batches of bounded size, the same every time."""
    for keys, values in _lists(source, table) if table in LISTS else _rows(source, table):
        for start in range(0, len(keys), BATCH_KEYS):
            part = slice(start, start + BATCH_KEYS)
            yield dict(zip((f"marquee:{source.release}:{key}" for key in keys[part]), values[part], strict=True))


def _lists(source: ReleaseFile, table: str) -> Iterator[tuple[list[str], list[str]]]:
    """One list per key, best first; read by ranges of the first column, which the file is sorted by."""
    lists = LISTS[table]
    order = "position" if table == "signup_movies" else "rank"
    entry = " || ',' || ".join(f"coalesce(CAST({value} AS VARCHAR), 'null')" for value in lists.values)
    for where in source.ranges(table, lists.lead, CHUNK_ROWS):
        found = source.con.sql(
            f"SELECT {lists.key} AS key, "
            f"'[' || string_agg('[' || {entry} || ']', ',' ORDER BY {order}) || ']' AS value "
            f"FROM ({source.query(table)}) WHERE {where} GROUP BY {lists.key} ORDER BY min({lists.lead}), key"
        ).to_arrow_table()
        yield found["key"].to_pylist(), found["value"].to_pylist()


def _rows(source: ReleaseFile, table: str) -> Iterator[tuple[list[str], list[str]]]:
    """One object per row."""
    for batch in source.batches(table, columns=f"*, {ROWS[table]} AS key"):
        rows = batch.to_pylist()
        keys = [row.pop("key") for row in rows]
        yield keys, [orjson.dumps({name: row[name] for name in row if name != "movie_id"}).decode() for row in rows]


def _advice(error: Exception) -> str:
    """What to do about what Redis said."""
    if isinstance(error, redis.AuthenticationError):
        return "check REDIS_PASSWORD"
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "give it more memory (maxmemory), or keep fewer releases, then try again"
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return "check the address and the server, then try again"
    return "put that right, then try again"
