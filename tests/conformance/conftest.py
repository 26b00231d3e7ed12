"""The three faces of the engine behind one adapter, so that one suite holds them all.

They differ by design in three things only: what the time to live is called, whether keys keep
their type, and which exception says that a key is missing. `DjangoCache` is signed as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_diskcache import Cache, DjangoCache, FanoutCache
from django_diskcache.engine.memoize import Decorator
from django_diskcache.opened import forget
from tests.conftest import FakeClock

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


def _make(kind: str, path: Path, clock: FakeClock) -> Face:
    directory = str(path / "c")
    if kind == "Cache":
        return Face(Cache(directory, clock=clock, **SETTINGS), clock)
    if kind == "signed Cache":
        return Face(Cache(directory, clock=clock, secret="secret", **SETTINGS), clock)
    if kind == "FanoutCache":
        return Face(FanoutCache(directory, 4, timeout=60, clock=clock, **SETTINGS), clock)
    params = {"OPTIONS": {**SETTINGS, "shards": 4, "database_timeout": 60}}
    return DjangoFace(DjangoCache(directory, params), clock)


@pytest.fixture(params=["Cache", "signed Cache", "FanoutCache", "DjangoCache"])
def face(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Face]:
    made = _make(request.param, tmp_path, clock)
    yield made
    made.close()


@pytest.fixture(params=["Cache", "signed Cache", "FanoutCache"])
def typed_face(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> Iterator[Face]:
    """A face whose keys are of any type; Django's are texts."""
    made = _make(request.param, tmp_path, clock)
    yield made
    made.close()
