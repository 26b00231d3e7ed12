"""The faces of both engines behind one adapter, so that one suite holds them all.

They differ by design in three things only: what the time to live is called, whether keys keep
their type, and which exception says that a key is missing. `DjangoCache` is signed as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from django_diskcache import Cache, DjangoCache, FanoutCache
from django_diskcache.engine.compression import SHIFT, codec_of
from django_diskcache.engine.integrity import MODES
from django_diskcache.engine.memoize import Decorator
from django_diskcache.engine.options import read_settings
from django_diskcache.opened import forget
from django_diskcache.server import ServerCache
from django_diskcache.server.envelope import HEAD, Codec
from tests.conftest import FakeClock
from tests.server.conftest import listening, patience
from tests.server.servers import Server

SETTINGS: dict[str, Any] = {
    "disk_min_file_size": 1000,
    "statistics": 1,
    "sqlite_synchronous": 0,  # no power is lost here
}


class Face:
    """A cache under test; what is not adapted here is the cache's own."""

    expire_argument = "expire"
    missing: type[Exception] = KeyError
    ordered = True  # it knows when entries were stored

    def __init__(self, cache: Any, clock: FakeClock) -> None:
        self.cache = cache
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cache, name)

    def _timed(self, expire: float | None) -> dict[str, float | None]:
        return {self.expire_argument: expire}

    def set(self, key: Any, value: Any, expire: float | None = None, **more: Any) -> Any:
        return self.cache.set(key, value, **self._timed(expire), **more)

    def add(self, key: Any, value: Any, expire: float | None = None, **more: Any) -> Any:
        return self.cache.add(key, value, **self._timed(expire), **more)

    def touch(self, key: Any, expire: float | None = None) -> Any:
        return self.cache.touch(key, **self._timed(expire))

    def memoize(self, expire: float | None = None, **more: Any) -> Decorator:
        decorator: Decorator = self.cache.memoize(**self._timed(expire), **more)
        return decorator

    def get_or_set(
        self, key: Any, default: Any, expire: float | None = None, **more: Any
    ) -> Any:
        return self.cache.get_or_set(key, default, **self._timed(expire), **more)

    async def aget_or_set(
        self, key: Any, default: Any, expire: float | None = None, **more: Any
    ) -> Any:
        return await self.cache.aget_or_set(key, default, **self._timed(expire), **more)

    def __contains__(self, key: Any) -> bool:
        return key in self.cache

    def __len__(self) -> int:
        return len(self.cache)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.cache)

    @property
    def engine(self) -> Any:
        return self.cache.engine

    def value_files(self) -> list[Path]:
        return list(Path(self.cache.directory).rglob("*.val"))

    def holds_files(self, number: int) -> bool:
        """Whether there are as many value files, where values are put into files."""
        return len(self.value_files()) == number

    def remembers(self) -> None:
        """What is read from now on is remembered."""

    def configure(self, **settings: Any) -> None:
        self.engine.configure(read_settings(settings))

    def codecs(self) -> list[str | None]:
        """What all entries are compressed with, in the order of their keys."""
        sql = "SELECT key, mode FROM cache"
        rows = [row for store in self.engine.stores for row in store.database.run(sql)]
        return [codec_of(mode & MODES) for _, mode in sorted(rows)]

    def codec_in(self, index: Any) -> str | None:
        """What the only value of an index is compressed with."""
        ((mode,),) = index.cache.engine.stores[0].database.run("SELECT mode FROM cache")
        return codec_of(mode & MODES)

    def close(self) -> None:
        self.cache.close()


class DjangoFace(Face):
    expire_argument = "timeout"
    missing = ValueError

    def __init__(self, cache: Any, clock: FakeClock) -> None:
        super().__init__(cache, clock)
        engine = self.engine
        engine.clock = engine.limits._clock = engine.near._clock = clock
        for store in engine.stores:
            store.clock = clock

    @property
    def engine(self) -> Any:
        return self.cache._cache.engine

    def close(self) -> None:
        forget(self.engine)


class ServerClock(FakeClock):
    """A clock that the server follows: what has ended by it is removed there.

    What is left is given time by the server's own clock, of which a slow test may take much.
    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        with self.server.client() as client:
            for key in client.scan_iter(count=1000, _type="string"):
                due = HEAD.unpack_from(client.get(key))[3]
                if due <= self.now:
                    client.delete(key)
                elif due != inf:
                    client.pexpire(key, 600_000)


# What has no meaning on a server, by the test that would need it.
NOT_ON_A_SERVER = {
    "test_expire_removes_what_has_expired": "the server removes it by itself",
    "test_volume_counts_rows_and_files": "there are no files",
    "test_cull": "the server evicts by its own limit",
    "test_a_row_without_its_file_is_a_miss": "there are no files",
    "test_only_after_many_the_disk_gets_space_back": "there are no files",
    "test_many_are_removed_in_batches": "it counts rows of a transaction",
    "test_a_transaction_takes_removals_back": "there are no transactions",
    "test_inside_a_transaction_nobody_can_wait": "there are no transactions",
    "test_what_is_held_is_not_evicted": "its policy decides",
    "test_keys_by_age": "the server does not know when entries were stored",
    "test_a_tag_that_looks_like_several": "it is about how tags lie in a row",
    "test_ttl_looks_into_the_store_only_for_what_is_not_known": "it changes rows",
    "test_a_damaged_time_is_no_time": "it changes rows",
    "test_what_is_stored_meanwhile_keeps_its_expiry": "renewal looks and writes in one step",
}


class ServerFace(Face):
    """A cache on a server, where nothing is in files."""

    ordered = False

    def __init__(self, cache: Any, clock: FakeClock, server: Server) -> None:
        super().__init__(cache, clock)
        self.server = server

    def value_files(self) -> list[Path]:
        return []

    def holds_files(self, number: int) -> bool:
        return True

    def remembers(self) -> None:
        listening(self.cache)

    def configure(self, **settings: Any) -> None:
        """What is made with other settings, on the same server."""
        engine = self.cache.engine
        engine.settings.update(read_settings(settings))
        engine.disk = engine._make_disk()
        engine.codec = Codec(engine.disk, engine.secrets, engine.name)

    def codecs(self) -> list[str | None]:
        with self.server.client() as client:
            names = sorted(client.scan_iter(count=1000, _type="string"), key=_key)
            kinds = [client.getrange(name, 1, 1)[0] for name in names]
        return [codec_of(kind >> 4 << SHIFT) for kind in kinds]

    def codec_in(self, index: Any) -> str | None:
        with self.server.client() as client:
            (name,) = client.scan_iter(count=1000, _type="hash")
            (value,) = client.hvals(name)
        return codec_of(value[1] >> 4 << SHIFT)


def _key(name: bytes) -> bytes:
    return name.partition(b"}")[2]


def _make_remote(server: Server) -> Face:
    clock = ServerClock(server)
    cache = ServerCache(server.url, patience(), clock=clock, secret="secret", statistics=1)
    return ServerFace(cache, clock, server)


def _make(kind: str, path: Path, clock: FakeClock, request: pytest.FixtureRequest) -> Face:
    directory = str(path / "c")
    if kind == "ServerCache":
        if reason := NOT_ON_A_SERVER.get(request.node.originalname):
            pytest.skip(reason)
        return _make_remote(request.getfixturevalue("server"))
    if kind == "Cache":
        return Face(Cache(directory, clock=clock, **SETTINGS), clock)
    if kind == "signed Cache":
        return Face(Cache(directory, clock=clock, secret="secret", **SETTINGS), clock)
    if kind == "FanoutCache":
        return Face(FanoutCache(directory, 4, timeout=60, clock=clock, **SETTINGS), clock)
    params = {"OPTIONS": {**SETTINGS, "shards": 4, "database_timeout": 60}}
    return DjangoFace(DjangoCache(directory, params), clock)


@pytest.fixture(params=["Cache", "signed Cache", "FanoutCache", "DjangoCache", "ServerCache"])
def face(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Face]:
    made = _make(request.param, tmp_path, clock, request)
    yield made
    made.close()


@pytest.fixture(params=["Cache", "signed Cache", "FanoutCache", "ServerCache"])
def typed_face(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> Iterator[Face]:
    """A face whose keys are of any type; Django's are texts."""
    made = _make(request.param, tmp_path, clock, request)
    yield made
    made.close()
