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
from django_diskcache.engine.memoize import Decorator
from django_diskcache.opened import forget
from django_diskcache.server import ServerCache
from django_diskcache.server.envelope import HEAD
from tests.conftest import FakeClock
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


# What has no meaning on a server, or is not there yet, by the test that would need it.
NOT_ON_A_SERVER = {
    "test_expire_removes_what_has_expired": "the server removes it by itself",
    "test_volume_counts_rows_and_files": "there are no files",
    "test_cull": "the server evicts by its own limit",
    "test_a_row_without_its_file_is_a_miss": "there are no files",
    **dict.fromkeys(
        (
            "test_evict",
            "test_add_over_what_has_expired",
            "test_large_values_come_back_from_a_file",
            "test_an_unpicklable_value_raises_and_changes_nothing",
            "test_read_stores_bytes_and_binary_files",
            "test_overwriting_removes_the_file",
        ),
        "it counts value files; tests/server has the like",
    ),
}


class ServerFace(Face):
    """A cache on a server, where nothing is in files."""

    def value_files(self) -> list[Path]:
        return []


def _make_remote(server: Server) -> Face:
    clock = ServerClock(server)
    cache = ServerCache(server.url, timeout=10, clock=clock, secret="secret", statistics=1)
    return ServerFace(cache, clock)


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
