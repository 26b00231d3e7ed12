"""Locks on a server: what differs from those on files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.leases import REMEMBERED
from django_diskcache.server import ServerCache
from django_diskcache.server.node import Node
from tests.conftest import FakeClock

from .servers import Server

Make = Callable[..., ServerCache]


def test_a_lock_is_held_on_all_machines(server: Server, make_cache: Make) -> None:
    one, two = (make_cache(server).lock("name", timeout=60) for _ in range(2))
    assert one.acquire()
    before = one.fence
    assert not two.acquire(blocking=False)
    assert two.locked()
    one.release()
    assert two.acquire(blocking=False)
    assert (two.fence or 0) > (before or 0) > 0


def test_the_fence_outlives_the_lock(server: Server, make_cache: Make) -> None:
    """A machine whose clock is behind does not begin with a smaller one."""
    ahead, behind = FakeClock(), FakeClock()
    ahead.advance(10)
    one = make_cache(server, clock=ahead).lock("name", timeout=5)
    two = make_cache(server, clock=behind).lock("name", timeout=5)
    assert one.acquire()
    with server.client() as client:
        (name,) = client.scan_iter(count=1000, _type="string")
        assert client.pttl(name) > REMEMBERED * 1000

    assert not two.acquire(blocking=False)
    behind.advance(15)
    assert two.acquire(blocking=False)
    assert (two.fence or 0) > (one.fence or 0) > 0


def test_what_may_have_been_taken_is_given_back(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the acquisition is lost."""
    lock, other = (make_cache(server).lock("name") for _ in range(2))
    run = Node.run

    def deaf(self: Node, *args: Any) -> Any:
        run(self, *args)
        monkeypatch.undo()
        raise Fault("lost", self.name, "the wire was cut")

    monkeypatch.setattr(Node, "run", deaf)
    with pytest.raises(Fault):
        lock.acquire()
    assert not lock.owned()
    assert other.acquire(blocking=False)


def test_a_server_that_is_away_raises() -> None:
    with ServerCache("valkey://127.0.0.1:1", timeout=0.2) as cache:
        for call in (
            cache.lock("name").acquire,
            cache.lock("name").locked,
            lambda: cache.allow("name", 1, 1),
            lambda: cache.once_per("name", 1),
            lambda: asyncio.run(cache.alock("name").acquire()),
            lambda: asyncio.run(cache.aonce_per("name", 1)),
        ):
            with pytest.raises(Fault):
                call()


def test_a_rate_is_that_of_all_machines(server: Server, make_cache: Make) -> None:
    one, two = make_cache(server), make_cache(server)
    assert one.once_per("name", 60)
    assert not two.once_per("name", 60)
    assert [bool(each.allow("rate", 2, 600)) for each in (one, two, one, two)] == [
        True,
        True,
        False,
        False,
    ]
