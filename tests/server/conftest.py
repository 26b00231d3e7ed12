"""Caches on the server that all tests share, and servers of a test's own, to do them harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.server import ServerCache, doubts
from django_diskcache.server.deadline import Timed

from .clusters import Cluster
from .servers import Server, required, until

_made = count(1)


def patience(seconds: float = 10.0) -> float:
    """Seconds that calls of a cache wait, which no other cache has as many of.

    So each has connections of its own, as one in another process has: caches that wait for
    another time share none. By default they are more than a machine takes that is busy.
    """
    return seconds + next(_made) * 1e-6


def waits(cache: ServerCache, seconds: float) -> None:
    """From now on, calls of a cache wait for so long, where they need a new connection.

    For what must fail in a short time, in a test where other calls must have theirs.
    """
    for node in cache.engine.link.nodes():

        def made(make: Callable[[], Any] = node.make) -> Any:
            connection = make()
            connection.socket_timeout = connection.socket_connect_timeout = seconds
            connection.timed = Timed(seconds)
            return connection

        node.make = made
        node.patience = seconds


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with the given options, that a test may kill."""
    required()
    made: list[Server] = []

    def start(*options: str) -> Server:
        made.append(Server(tmp_path / f"server-{len(made)}", *options))
        return made[-1]

    yield start
    for each in made:
        each.stop()


@pytest.fixture
def make_cache() -> Iterator[Callable[..., ServerCache]]:
    """Makes caches on a server, each with connections of its own, closed at the end."""
    made: list[ServerCache] = []

    def make(server: Server, timeout: float = 10.0, **arguments: Any) -> ServerCache:
        arguments = {"secret": "secret", "statistics": 1, **arguments}
        arguments["timeout"] = patience(timeout)
        made.append(ServerCache(server.url, **arguments))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def cache(server: Server, make_cache: Callable[..., ServerCache]) -> ServerCache:
    return make_cache(server)


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    for node in shared_cluster.nodes:
        with node.client() as client:
            client.flushall()
    return shared_cluster


def doubting(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, every eviction takes it that any hint may be gone."""
    monkeypatch.setattr(doubts, "keeping", lambda remote: False)
    monkeypatch.setattr(doubts, "doubted", lambda remote, told, noted, every: told)


def listening(cache: ServerCache) -> ServerCache:
    """The cache, once it is told of changes."""
    cache.get("a key that nobody stores")
    until(lambda: cache.engine.listening, "a listener")
    return cache
