"""A lock that another process seems to hold: how tests see whether an event loop would wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django_diskcache.engine.engine import Engine
from django_diskcache.engine.sqlite import sqlite3

T = TypeVar("T")

PATIENCE = 20  # seconds after which a watchdog frees a lock that a broken loop waits for


@contextmanager
def locked(engine: Engine) -> Iterator[Callable[[], bool]]:
    """The write lock of every shard is taken, as if by another process.

    Gives a function that lets go of them, and says whether it was in time. Should the event
    loop itself wait for a lock, nothing in it could free one: then the watchdog does.
    """
    connections = [
        sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
        for store in engine.stores
    ]
    once = threading.Lock()
    held = True

    def release() -> bool:
        nonlocal held
        with once:
            before, held = held, False
            if before:
                for connection in connections:
                    connection.execute("ROLLBACK")
        return before

    watchdog = threading.Timer(PATIENCE, release)
    try:
        for connection in connections:
            connection.execute("BEGIN IMMEDIATE")
        watchdog.start()
        yield release
        release()
    finally:
        watchdog.cancel()
        watchdog.join()
        for connection in connections:
            connection.close()


async def beside(call: Awaitable[T], release: Callable[[], bool]) -> T:
    """What the call returns, which cannot end before another task of the loop frees the lock.

    :raises AssertionError: when the loop stood still, or the call did not need the lock
    """
    task = asyncio.ensure_future(call)
    steps: list[bool] = []
    for _ in range(20):
        await asyncio.sleep(0)
        steps.append(task.done())
    in_time = release()
    result = await task
    assert in_time, "the loop stood still until the watchdog came"
    assert steps == [False] * 20, "the call did not wait for the lock"
    return result
