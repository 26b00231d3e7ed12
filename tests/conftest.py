"""What all tests share: a clock that only a test moves, and caches that use it.

Every cache lives under the test's own directory and is closed at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from django_diskcache.engine import Cache, FanoutCache
from django_diskcache.server import gauges, listener
from tests.server.clusters import Cluster, clustered
from tests.server.servers import PATIENCE, Server, required, serving

# Every run looks at the same examples, and takes as long as the machine does.
settings.register_profile(
    "reproducible",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "reproducible"))


# Nor is a server in trouble because the machine is busy.
listener.ANSWER = gauges.PATIENCE = PATIENCE


class FakeClock:
    """Seconds since the epoch, as far as the cache under test knows."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


# What is written need not wait for the disk: that takes half of the time of these tests.
NO_POWER_IS_LOST = {"sqlite_synchronous": 0}


@pytest.fixture
def make_cache(tmp_path: Path, clock: FakeClock) -> Iterator[Callable[..., Cache]]:
    """Makes a `Cache` with the given settings on the fake clock; one directory per name."""
    made = []

    def make(name: str = "cache", **settings: Any) -> Cache:
        new = {} if (tmp_path / name).exists() else NO_POWER_IS_LOST  # a directory keeps it
        settings = {"clock": clock, **new, **settings}
        made.append(Cache(str(tmp_path / name), **settings))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache: Callable[..., Cache]) -> Cache:
    return make_cache()


@pytest.fixture
def make_fanout(tmp_path: Path, clock: FakeClock) -> Iterator[Callable[..., FanoutCache]]:
    """Makes a `FanoutCache` of four shards; otherwise like `make_cache`."""
    made = []

    def make(name: str = "fanout", **settings: Any) -> FanoutCache:
        settings = {"shards": 4, "timeout": 60, "clock": clock, **NO_POWER_IS_LOST, **settings}
        made.append(FanoutCache(str(tmp_path / name), **settings))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def fanout(make_fanout: Callable[..., FanoutCache]) -> FanoutCache:
    return make_fanout()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    required()
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    required()
    with clustered(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def server(shared_server: Server) -> Server:
    """A Valkey or Redis server that all tests share, empty."""
    with shared_server.client() as client:
        client.flushall()
    return shared_server
