"""Calls that never wait: what an event loop may do with a cache.

A hop to a thread costs more than a read or an undisturbed write. So such a call runs where it
is, on a twin of the cache that raises Timeout at once where it would wait, and goes on in a
thread only then.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from .errors import Fault, Timeout
from .updating import Change

T = TypeVar("T")


def impatient(cache: T) -> T:
    """The cache, with calls that raise Timeout at once where they would wait."""
    twin: Any = object.__new__(type(cache))
    absorbs = tuple(each for each in getattr(cache, "absorbs", ()) if each is not Timeout)
    twin.__dict__.update(cache.__dict__, absorbs=absorbs, cares=(Fault,), _wait=lambda retry: 0)
    return twin  # type: ignore[no-any-return]


async def on_loop(cache: Any, operation: Callable[..., T], *args: Any) -> T:
    """What `operation(cache, *args)` returns; it waits for locks in a thread.

    When this is cancelled meanwhile, the thread completes what it has begun.
    """
    with suppress(Timeout):
        return operation(impatient(cache), *args)
    import asyncio  # here it is loaded; at start-up it would cost 20 ms

    return await asyncio.to_thread(operation, cache, *args)


async def aupdate(cache: Any, key: Any, change: Change, looking: bool = False) -> Any:
    """`cache.update` for event loops: awaited where the cache has coroutines."""
    if cache.engine.coroutines:
        return await cache.aupdate(key, change, looking=looking)
    return await on_loop(cache, _update, key, change, looking)


def _update(cache: Any, key: Any, change: Change, looking: bool) -> Any:
    return cache.update(key, change, looking=looking)
