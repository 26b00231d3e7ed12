"""Locks on a server: what differs from those on files."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.leases import REMEMBERED
from django_diskcache.server import ServerCache
from django_diskcache.server.awaitedlink import NATIVE_FROM
from django_diskcache.server.awaitednode import AwaitedNode
from django_diskcache.server.node import Node
from tests.conftest import FakeClock

from .servers import PATIENCE, Server, until

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
    one = make_cache(server, clock=ahead).lock("name", timeout=50)
    two = make_cache(server, clock=behind).lock("name", timeout=50)
    assert one.acquire()
    with server.client() as client:
        (name,) = client.scan_iter(count=1000, _type="string")
        assert client.pttl(name) > REMEMBERED * 1000

    assert not two.acquire(blocking=False)
    behind.advance(60)
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


async def on_connections_of_the_loop(cache: ServerCache) -> None:
    """From here on no call needs a thread."""
    for _ in range(NATIVE_FROM):
        await cache.aget("missing")
        cache.engine.near.clear()


def test_event_loops_need_no_thread(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(server)

    def no_thread(*args: Any) -> None:
        raise AssertionError("a thread was asked")

    async def use() -> None:
        await on_connections_of_the_loop(cache)
        lock, other = (cache.alock("name", timeout=60) for _ in range(2))
        assert await lock.acquire()
        monkeypatch.setattr(asyncio, "to_thread", no_thread)
        assert await lock.owned()
        assert await other.locked()
        assert await lock.extend(5)
        assert await lock.reacquire()
        assert await cache.aallow("rate", 1, 600)
        assert not await cache.aallow("rate", 1, 600)
        assert await cache.aonce_per("once", 60)
        assert not await cache.aonce_per("once", 60)
        assert await cache.aget_or_set("computed", lambda: 5) == 5

    asyncio.run(use())


def test_a_loop_that_ends_leaves_no_lock_behind(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cancels its tasks, and the server has done what the lock was for."""
    cache, other = make_cache(server), make_cache(server)
    run = Node.run
    done, ended = threading.Event(), threading.Event()

    def late(self: Node, *args: Any) -> Any:
        reply = run(self, *args)
        if threading.current_thread() is not threading.main_thread():
            done.set()
            assert ended.wait(60)
        return reply

    async def begin(step: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        task = asyncio.ensure_future(step())
        deadline = time.monotonic() + PATIENCE
        while not done.is_set():
            assert time.monotonic() < deadline, "no thread was asked"
            await asyncio.sleep(0.001)
        assert not task.done()
        asyncio.get_running_loop().call_soon(ended.set)

    async def acquire(native: bool) -> None:
        if native:
            await on_connections_of_the_loop(cache)
        monkeypatch.setattr(Node, "run", late)
        await begin(cache.alock("name").acquire)

    async def release() -> None:
        lock = cache.alock("name")
        await lock.acquire()
        monkeypatch.setattr(Node, "run", late)
        await begin(lock.release)

    for main in (acquire(False), acquire(True), release()):
        done.clear()
        ended.clear()
        asyncio.run(main)
        monkeypatch.undo()
        until(lambda: not other.lock("name").locked(), "the lock to be given back")


def test_what_a_cancelled_task_may_have_claimed_is_given_back(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(server)
    once = AwaitedNode.once

    async def use() -> None:
        await on_connections_of_the_loop(cache)
        claiming = asyncio.ensure_future(cache.aclaim("key"))

        async def cancelled(self: AwaitedNode, *args: Any) -> Any:
            monkeypatch.undo()
            await once(self, *args)
            claiming.cancel()
            await asyncio.sleep(0)

        monkeypatch.setattr(AwaitedNode, "once", cancelled)
        with pytest.raises(asyncio.CancelledError):
            await claiming

    asyncio.run(use())
    with server.client() as client:
        until(lambda: not list(client.scan_iter("*~*")), "the claim to be given back")
