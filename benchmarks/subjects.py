"""What is measured: cache backends of Django, one cache without Django, and bare SQLite.

A subject can be sent to another process, which opens the same cache. All use the same timeout
of a day, so that each stores when an entry ends and none ends during a run; apart from that,
and from room for all keys, each has its default options.
"""

from __future__ import annotations

import importlib
import pickle
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import django
from django.conf import settings

from django_diskcache.engine import schema
from django_diskcache.engine.disk import MODE_PICKLE, MODE_RAW
from django_diskcache.engine.options import DEFAULT_SETTINGS
from django_diskcache.engine.shard import MOST_LOG_PAGES, PAGE

from . import servers
from .contenders import DISKCACHE, FILEBASED, LOCMEM, OURS, Contender, running

TIMEOUT = 86_400  # seconds
CHUNK = 1000  # entries that are filled in at once

Items = Iterable[tuple[str, Any]]


@dataclass(frozen=True)
class Subject:
    """A cache by the name that the tables have for it."""

    name: str
    modules: tuple[str, ...] = ()  # that it needs
    program: str = ""  # that it needs
    get: str = ""  # how to get them
    shared: bool = True  # by processes
    scales: bool = True  # a write does not take longer the more entries there are
    share: float = 1.0  # of the time of a turn; less for who few targets name
    setup: str = ""  # how it is set up, for the documentation

    def missing(self) -> str:
        """What it needs and is not installed, or ''."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                return str(error)
        if self.program and not servers.installed(self.program):
            return f"there is no {self.program} on the PATH"
        return ""

    @contextmanager
    def opened(self, directory: Path, keys: int = 0) -> Iterator[Any]:
        """The cache in `directory`, with the methods of a Django cache as far as it has them.

        :param keys: the most entries that there will be
        """
        raise NotImplementedError
        yield

    def fill(self, cache: Any, items: Items, tag: Any = None) -> None:
        """Store `items` as fast as the cache can; nobody measures this."""
        for key, value in items:
            cache.set(key, value)


@dataclass(frozen=True)
class Backend(Subject):
    """A cache backend of Django."""

    contender: Contender = OURS
    options: tuple[tuple[str, Any], ...] = ()
    location: str = ""  # of a server

    def place(self, directory: Path) -> str:
        """LOCATION, if the backend is not in a directory."""
        return self.location

    @contextmanager
    def opened(self, directory: Path, keys: int = 0) -> Iterator[Any]:
        with running(
            self.contender,
            directory,
            keys=keys,
            timeout=TIMEOUT,
            options=dict(self.options),
            location=self.place(directory),
        ) as run:
            yield run.cache

    def fill(self, cache: Any, items: Items, tag: Any = None) -> None:
        more = {} if tag is None else {"tag": tag}
        for chunk in chunks(items):
            cache.set_many(dict(chunk), **more)


class Server(Backend):
    """A backend whose entries are in a server; the benchmark starts its own."""

    @contextmanager
    def opened(self, directory: Path, keys: int = 0) -> Iterator[Any]:
        with super().opened(directory, keys) as cache:
            yield cache

    @contextmanager
    def served(self, directory: Path) -> Iterator[Server]:
        """This backend with its server running."""
        start = {"redis-server": servers.redis, "memcached": servers.memcached}[self.program]
        with start(directory) as location:
            yield replace(self, location=location)


class DiskCache(Backend):
    """python-diskcache and its fork."""

    def fill(self, cache: Any, items: Items, tag: Any = None) -> None:
        for chunk in chunks(items):
            with cache._cache.transact(retry=True):
                for key, value in chunk:
                    cache.set(key, value, tag=tag)


class Files(Backend):
    """Django's file backend."""

    def fill(self, cache: Any, items: Items, tag: Any = None) -> None:
        cache._cull = lambda: None  # it lists the directory at every set
        for key, value in items:
            cache.set(key, value)
        del cache._cull


class Table(Backend):
    """Django's database backend, in SQLite with the settings that it is best with."""

    def place(self, directory: Path) -> str:
        return f"cache_{crc32(str(directory).encode())}"

    @contextmanager
    def opened(self, directory: Path, keys: int = 0) -> Iterator[Any]:
        # Imported here: they need settings.
        from django.core.management import call_command
        from django.db import connections

        call_command("createcachetable", self.place(directory), verbosity=0)
        with super().opened(directory, keys) as cache:
            try:
                yield cache
            finally:
                connections.close_all()

    def fill(self, cache: Any, items: Items, tag: Any = None) -> None:
        from django.db import transaction

        for chunk in chunks(items):
            with transaction.atomic():
                for key, value in chunk:
                    cache.set(key, value)


@dataclass(frozen=True)
class Sciqlop(Subject):
    """pysciqlop-cache by its own methods; it has no backend for Django."""

    @contextmanager
    def opened(self, directory: Path, keys: int = 0) -> Iterator[Any]:
        directory.mkdir(parents=True, exist_ok=True)
        cache = importlib.import_module("pysciqlop_cache").Cache(str(directory))
        try:
            yield _Expiring(cache)
        finally:
            cache.close()

    def fill(self, cache: Any, items: Items, tag: Any = None) -> None:
        for chunk in chunks(items):
            with cache.cache.transact():
                for key, value in chunk:
                    cache.cache.set(key, value, TIMEOUT, tag=tag)


class _Expiring:
    """Its methods as they are, with the timeout where Django's have a default."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.get = cache.get
        self.incr = cache.incr
        self.delete = cache.delete
        self.clear = cache.clear
        self.evict = cache.evict_tag

    def set(self, key: str, value: Any) -> None:
        self.cache.set(key, value, TIMEOUT)

    def add(self, key: str, value: Any) -> bool:
        return bool(self.cache.add(key, value, TIMEOUT))

    def touch(self, key: str) -> bool:
        return bool(self.cache.touch(key, TIMEOUT))


@dataclass(frozen=True)
class Floor(Subject):
    """What SQLite itself takes."""

    @contextmanager
    def opened(self, directory: Path, keys: int = 0) -> Iterator[Any]:
        directory.mkdir(parents=True, exist_ok=True)
        cache = Bare(directory / "floor.sqlite3")
        try:
            yield cache
        finally:
            cache.connection.close()

    def fill(self, cache: Any, items: Items, tag: Any = None) -> None:
        for chunk in chunks(items):
            cache.set_many(dict(chunk))


class Bare:
    """The statements of a cache on one connection, with the table and pragmas of our engine.

    No shards, no retries, no expiry at a read, no statistics: what a cache on SQLite could
    cost at the least.
    """

    _UPSERT = """
        INSERT INTO cache (key, raw, expire, store_time, mode, value) VALUES (?, 1, ?, ?, ?, ?)
        ON CONFLICT (key, raw) DO UPDATE SET
            expire = excluded.expire, store_time = excluded.store_time,
            mode = excluded.mode, value = excluded.value
    """
    _ADD = _UPSERT.partition("DO UPDATE")[0] + "DO NOTHING"
    _WHERE = "WHERE key = ? AND raw = 1"

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        self._run = self.connection.execute
        self._run(f"PRAGMA page_size={PAGE}")  # before the first table
        self._run(f"PRAGMA wal_autocheckpoint={MOST_LOG_PAGES}")
        for name in ("auto_vacuum", "journal_mode", "synchronous", "cache_size", "mmap_size"):
            self._run(f"PRAGMA {name}={DEFAULT_SETTINGS[f'sqlite_{name}']}")
        for statement in schema.CREATE:
            self._run(statement)

    def get(self, key: str) -> Any:
        row = self._run(f"SELECT mode, value FROM cache {self._WHERE}", (key,)).fetchone()
        if row is None:
            return None
        mode, value = row
        return pickle.loads(value) if mode == MODE_PICKLE else value

    def _row(self, key: str, value: Any) -> tuple[Any, ...]:
        now = time.time()
        if type(value) is dict:
            return key, now + TIMEOUT, now, MODE_PICKLE, pickle.dumps(value, 5)
        return key, now + TIMEOUT, now, MODE_RAW, value

    def set(self, key: str, value: Any) -> None:
        self._run(self._UPSERT, self._row(key, value))

    def add(self, key: str, value: Any) -> bool:
        return self._run(self._ADD, self._row(key, value)).rowcount == 1

    def incr(self, key: str) -> int:
        sql = f"UPDATE cache SET value = value + 1 {self._WHERE} RETURNING value"
        return int(self._run(sql, (key,)).fetchone()[0])

    def touch(self, key: str) -> bool:
        sql = f"UPDATE cache SET expire = ? {self._WHERE}"
        return self._run(sql, (time.time() + TIMEOUT, key)).rowcount == 1

    def delete(self, key: str) -> bool:
        return self._run(f"DELETE FROM cache {self._WHERE}", (key,)).rowcount == 1

    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        marks = ", ".join("?" * len(keys))
        sql = f"SELECT key, mode, value FROM cache WHERE raw = 1 AND key IN ({marks})"
        return {
            key: pickle.loads(value) if mode == MODE_PICKLE else value
            for key, mode, value in self._run(sql, keys).fetchall()
        }

    def set_many(self, items: Mapping[str, Any]) -> None:
        self._run("BEGIN IMMEDIATE")
        rows = [self._row(*item) for item in items.items()]
        self.connection.executemany(self._UPSERT, rows)
        self._run("COMMIT")

    def delete_many(self, keys: Sequence[str]) -> None:
        self._run("BEGIN IMMEDIATE")
        sql = f"DELETE FROM cache {self._WHERE}"
        self.connection.executemany(sql, [(key,) for key in keys])
        self._run("COMMIT")

    def clear(self) -> None:
        self._run("DELETE FROM cache")


def chunks(items: Items) -> Iterator[list[tuple[str, Any]]]:
    """`items` in parts of CHUNK."""
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


_BACKENDS = "django.core.cache.backends"
COMMUNITY_BACKEND = Contender("diskcache-community", "diskcache_community.DjangoCache")
DATABASE_BACKEND = Contender("database", f"{_BACKENDS}.db.DatabaseCache")
REDIS_BACKEND = Contender(
    "redis", f"{_BACKENDS}.redis.RedisCache", in_memory=True, takes_capacity=False
)
MEMCACHED_BACKEND = Contender(
    "memcached", f"{_BACKENDS}.memcached.PyMemcacheCache", in_memory=True, takes_capacity=False
)

_EXTRA = "pip install 'django-diskcache[benchmark]'"

OUR_BACKEND = Backend("django_diskcache", setup="Its default options.")
OURS_LRU = Backend(
    "ours, statistics, LRU",
    options=(("statistics", 1), ("eviction_policy", "least-recently-used")),
    setup="As its name says, otherwise its default options.",
)
OURS_BLIND = Backend(
    "ours, no statistics",
    options=(("statistics", 0),),
    setup="As its name says, otherwise its default options.",
)
PEER = DiskCache(
    "diskcache",
    ("diskcache",),
    get=_EXTRA,
    contender=DISKCACHE,
    setup="Its backend for Django with default options: 8 shards, WAL, `synchronous` NORMAL.",
)
PEER_LRU = DiskCache(
    "diskcache, statistics, LRU",
    ("diskcache",),
    get=_EXTRA,
    contender=DISKCACHE,
    options=(("statistics", 1), ("eviction_policy", "least-recently-used")),
    setup="As its name says, otherwise its default options.",
)
COMMUNITY = DiskCache(
    "diskcache-community",
    ("diskcache_community",),
    get=_EXTRA,
    contender=COMMUNITY_BACKEND,
    share=0.5,
    setup="As diskcache, whose fork it is.",
)
SCIQLOP = Sciqlop(
    "pysciqlop-cache",
    ("pysciqlop_cache",),
    get=_EXTRA,
    share=0.5,
    setup="Its own methods with default options: it has no backend for Django, and so spends"
    " nothing on key prefixes and versions.",
)
LOCAL = Backend(
    "locmem",
    contender=LOCMEM,
    shared=False,
    setup="Django's, in the memory of one process. `MAX_ENTRIES` has room for all keys.",
)
FILES = Files(
    "filebased",
    contender=FILEBASED,
    scales=False,
    share=0.4,
    setup="Django's. `MAX_ENTRIES` has room for all keys.",
)
DATABASE = Table(
    "database",
    contender=DATABASE_BACKEND,
    scales=False,
    share=0.4,
    setup="Django's, in SQLite: WAL, `synchronous` NORMAL, IMMEDIATE transactions,"
    " a connection that stays open. `MAX_ENTRIES` has room for all keys.",
)
REDIS = Server(
    "redis",
    ("redis",),
    "redis-server",
    f"apt install redis-server; {_EXTRA}",
    contender=REDIS_BACKEND,
    share=0.4,
    setup="Django's backend, over loopback, with `hiredis` if the versions have it. The server"
    " keeps all in memory and writes nothing to the disk.",
)
MEMCACHED = Server(
    "memcached",
    ("pymemcache",),
    "memcached",
    f"apt install memcached; {_EXTRA}",
    contender=MEMCACHED_BACKEND,
    share=0.4,
    setup="Django's `PyMemcacheCache`, over loopback. The server has 1 GB, and takes values of"
    " 16 MB; by default it refuses those above 1 MB.",
)
FLOOR = Floor(
    "bare sqlite3",
    setup="No cache: the statements alone, each committed by itself, and `pickle`. Table, index"
    " and pragmas are those of django_diskcache (WAL, `synchronous` NORMAL, pages of"
    f" {PAGE:,} bytes, a checkpoint every {MOST_LOG_PAGES:,} pages). It has one file, one log"
    " and one connection where the caches have 8 files. Its keys lack Django's prefix of 3"
    " bytes, and it does not look whether an entry has expired.",
)

SUBJECTS: tuple[Subject, ...] = (
    OUR_BACKEND,
    PEER,
    COMMUNITY,
    SCIQLOP,
    LOCAL,
    FILES,
    DATABASE,
    REDIS,
    MEMCACHED,
    FLOOR,
)
# And what is measured beside them, with other options.
ALL: tuple[Subject, ...] = (*SUBJECTS, OURS_BLIND, OURS_LRU, PEER_LRU)


def configure(database: Path) -> None:
    """Settings of Django in this process, unless it has some.

    :param database: the file that the database backend uses
    """
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="benchmark",
        USE_TZ=True,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(database),
                "OPTIONS": {
                    "timeout": 60,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=wal; PRAGMA synchronous=normal",
                },
            }
        },
    )
    django.setup()
