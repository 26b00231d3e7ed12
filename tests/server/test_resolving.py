"""Addresses of hosts: within a deadline, whatever the system's resolver does."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import TimeoutError

from django_diskcache.server import ServerCache, resolving
from django_diskcache.server.resolving import addresses
from tests.conftest import FakeClock

from .conftest import waits
from .servers import HOST, PATIENCE, Server, until

NAME = "cache.internal"
SOON = 0.05  # seconds that are too short for an answer that does not come


class Resolver:
    """What stands for the system's, which answers when a test lets it."""

    def __init__(self) -> None:
        self.found: Any = [HOST]
        self.open = threading.Event()
        self.open.set()
        self.asked: list[str] = []

    def __call__(self, host: str, family: int) -> list[str]:
        self.asked.append(host)
        self.open.wait(PATIENCE)
        if isinstance(self.found, Exception):
            raise self.found
        return list(self.found)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    monkeypatch.setattr(resolving, "_looking", {})
    monkeypatch.setattr(resolving, "_found", {})
    made = Resolver()
    monkeypatch.setattr(resolving, "asked", made)
    yield made
    made.open.set()
    until(lambda: not resolving._looking, "the end of all lookups")


@pytest.mark.parametrize("number", ["127.0.0.1", "::1", "10.1"])
def test_numbers_ask_nobody(number: str, resolver: Resolver) -> None:
    assert addresses(number, 0, PATIENCE) == [number]
    assert resolver.asked == []


def test_the_system_is_asked() -> None:
    assert addresses("localhost", socket.AF_INET, PATIENCE) == [HOST]


@pytest.mark.parametrize("name", ["x" * 64 + ".example", "a..b"])
def test_names_that_no_host_has(name: str) -> None:
    with pytest.raises(OSError):
        addresses(name, 0, PATIENCE)


def test_no_answer_in_time(resolver: Resolver) -> None:
    resolver.open.clear()
    with pytest.raises(TimeoutError, match=r"'cache\.internal' was not resolved in time"):
        addresses(NAME, 0, SOON)


def test_one_lookup_is_on_its_way_for_all(resolver: Resolver) -> None:
    resolver.open.clear()
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(addresses(NAME, 0, PATIENCE)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    until(lambda: (NAME, 0) in resolving._looking, "a lookup")
    until(lambda: len(resolving._looking[NAME, 0]._waiting) == 20, "all to wait")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            addresses(NAME, 0, SOON)
    assert resolver.asked == [NAME]
    resolver.open.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [[HOST]] * 20

    assert addresses(NAME, 0, PATIENCE) == [HOST]
    assert resolver.asked == [NAME] * 2  # it may have moved since


def test_what_was_found_last_is_used_while_there_is_no_answer(resolver: Resolver) -> None:
    assert addresses(NAME, 0, PATIENCE) == [HOST]
    resolver.open.clear()
    resolver.found = ["127.0.0.2"]
    assert addresses(NAME, 0, SOON) == [HOST]
    assert addresses(NAME, 0, SOON) == [HOST]
    resolver.open.set()
    until(lambda: addresses(NAME, 0, PATIENCE) == ["127.0.0.2"], "the answer")

    resolver.found = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert addresses(NAME, 0, PATIENCE) == ["127.0.0.2"]
    until(lambda: not resolving._looking, "the end of that lookup")
    resolver.found = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(socket.gaierror, match="not known"):
        addresses(NAME, 0, PATIENCE)


def test_a_child_asks_for_itself(resolver: Resolver) -> None:
    """Its parent's thread is not there, and its lookup will never be over."""
    resolver.open.clear()
    with pytest.raises(TimeoutError):
        addresses(NAME, 0, SOON)
    child = os.fork()
    if not child:
        status = 1
        try:
            resolver.open = threading.Event()
            resolver.open.set()
            status = 0 if addresses(NAME, 0, PATIENCE) == [HOST] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert resolver.asked == [NAME]


def test_a_lookup_that_was_never_begun(
    resolver: Resolver, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception fell between two steps of whoever was to begin it."""
    monkeypatch.setattr(resolving, "monotonic", clock)
    resolving._looking[NAME, 0] = resolving.Lookup((NAME, 0))
    with pytest.raises(TimeoutError):
        addresses(NAME, 0, SOON)
    clock.advance(2 * resolving.UNBEGUN)
    assert addresses(NAME, 0, PATIENCE) == [HOST]


def test_no_thread_can_be_started(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(resolving.Lookup, "start", none_left)
    assert addresses(NAME, 0, PATIENCE) == [HOST]
    assert not resolving._looking


def test_a_cache_whose_name_server_is_away(
    server: Server, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = f"valkey://{NAME}:{server.port}"
    with ServerCache(location, 0.3, near_cache_size=0, statistics=0) as cache:
        resolver.open.clear()  # and nothing can succeed
        began = time.monotonic()
        assert cache.get("key", "default") == "default"
        assert time.monotonic() - began < PATIENCE / 2
        for _ in range(100):
            assert cache.set("key", 1) is False
        assert cache.faults()["slow"] == 101
        assert resolver.asked == [NAME]

        waits(cache, PATIENCE)
        resolver.open.set()
        until(lambda: cache.set("key", 1), "recovery")
        monkeypatch.setattr(resolving, "SHARE", 0.001)
        cache.close()
        resolver.open.clear()
        assert cache.get("key") == 1  # at the address that was found last


def test_addresses_are_tried_one_by_one(server: Server, resolver: Resolver) -> None:
    """The second one is the server's, and the name stays what it was."""
    resolver.found = ["127.0.0.9", HOST]
    location = f"valkey://{NAME}:{server.port}"
    with ServerCache(location, PATIENCE, near_cache_size=0, statistics=0) as cache:
        assert cache.set("key", 1)
        (line,) = cache.engine.link.table[0]._idle
        assert line.connection.host == NAME
        assert line.connection.socket_connect_timeout == PATIENCE
    resolver.found = ["127.0.0.9", "127.0.0.8"]
    with ServerCache(location, PATIENCE + 1, near_cache_size=0, statistics=0) as cache:
        assert cache.set("key", 1) is False
        assert cache.faults()["lost"] == 1


def test_an_event_loop_whose_name_server_is_away(
    server: Server, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The few threads of the loop are left alone: calls wait for the one lookup."""
    asked_by_client: list[str] = []
    ask = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **more: Any) -> Any:
        if host != NAME or more.get("flags"):
            return ask(host, *arguments, **more)
        asked_by_client.append(host)
        return ask(HOST, *arguments, **more)

    async def main(cache: ServerCache) -> None:
        for _ in range(2):  # those go to a thread
            assert await cache.aset("key", 1)
        waits(cache, 0.3)
        resolver.open.clear()  # and nothing can succeed
        for _ in range(20):
            assert await cache.aset("key", 1) is False
        assert asked_by_client == []
        assert len(resolver.asked) == 2
        waits(cache, PATIENCE)
        resolver.open.set()
        deadline = time.monotonic() + PATIENCE
        while not await cache.aset("key", 2):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert asked_by_client == [NAME]

        resolver.found = socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
        await cache.engine.link.loops[asyncio.get_running_loop()].close()
        assert await cache.aset("key", 1) is False
        assert asked_by_client == [NAME]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    location = f"valkey://{NAME}:{server.port}"
    with ServerCache(location, PATIENCE, near_cache_size=0, statistics=0) as cache:
        asyncio.run(main(cache))
