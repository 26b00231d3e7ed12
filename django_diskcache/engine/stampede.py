"""Memoized functions that are computed anew before their results expire.

`memoize` has one caller compute what is missing, and the others wait. Here nobody waits: the
result is there until another is.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Collection, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any

from .calls import Function, args_to_key, check_ignored, check_names, full_name, hashable
from .errors import ENOVAL, Timeout
from .impatient import impatient, on_loop
from .memoize import Decorator, is_coroutine_function, refuse_bare, refuse_generators


def memoize_stampede(
    cache: Any,
    expire: float,
    name: str | None = None,
    typed: bool = False,
    tag: Any = None,
    beta: float = 1,
    ignore: Collection[int | str] = (),
) -> Decorator:
    """`memoize` that computes a result anew, in a thread, shortly before it expires.

    The nearer the expiry and the longer the computation took, the likelier a call starts
    one; so many processes do not all miss at once. The rule is that of Vattani, Chierichetti
    and Lowenstein, Optimal Probabilistic Cache Stampede Prevention, VLDB 2015.

    A coroutine function stays one, and is computed anew in a task of the event loop. Where
    the loop ends with the call, as `asyncio.run` does, that task ends with it.

    :param expire: seconds that a result is kept
    :param beta: above 1 starts earlier, below 1 later
    :raises TypeError: when used without parentheses, on a generator function, or with an
        `ignore` that is no collection
    :raises ValueError: when `ignore` names what the function does not take
    """
    refuse_bare(name)
    check_ignored(ignore)

    def look(source: Any, key: Any) -> Any:
        return source.get(key, default=ENOVAL, expire_time=True, retry=True)

    def keep(target: Any, key: Any, result: Any, took: float) -> None:
        target.set(key, [result, took], expire=expire, tag=tag, retry=True)

    def is_time(took: float, due: float) -> bool:
        return -took * beta * math.log(1.0 - random.random()) >= due - time.time()

    def claim(target: Any, key: Any, took: float) -> bool:
        """Of several that find it is time, whether this one is to compute."""
        return bool(target.add((*key, ENOVAL), None, expire=took, retry=True))

    def decorator(function: Function) -> Function:
        refuse_generators(function)
        check_names(function, ignore)
        base = (full_name(function) if name is None else name,)

        def cache_key(*args: Any, **kwargs: Any) -> Any:
            return hashable(args_to_key(base, args, kwargs, typed, ignore))

        def compute(key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            start = time.time()
            result = function(*args, **kwargs)
            keep(cache, key, result, time.time() - start)
            return result

        def calling(*args: Any, **kwargs: Any) -> Any:
            key = cache_key(*args, **kwargs)
            found, due = look(cache, key)
            if found is ENOVAL:
                return compute(key, args, kwargs)
            result, took = found
            if is_time(took, due) and claim(cache, key, took):
                threading.Thread(target=compute, args=(key, args, kwargs), daemon=True).start()
            return result

        async def acompute(key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            start = time.time()
            result = await function(*args, **kwargs)
            await on_loop(cache, keep, key, result, time.time() - start)
            return result

        # Over a network, a claim cannot be made without waiting.
        remote = not getattr(getattr(cache, "engine", None), "in_files", True)

        async def early(
            key: Any, took: float, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> None:
            if await on_loop(cache, claim, key, took):
                await acompute(key, args, kwargs)

        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            key = cache_key(*args, **kwargs)
            found, due = await on_loop(cache, look, key)
            if found is ENOVAL:
                return await acompute(key, args, kwargs)
            result, took = found
            if is_time(took, due):
                if remote:
                    _in_background(early(key, took, args, kwargs))
                    return result
                with suppress(Timeout):  # a later call may claim it: this one has its result
                    if claim(impatient(cache), key, took):
                        _in_background(acompute(key, args, kwargs))
            return result

        wrapper = wraps(function)(awaiting if is_coroutine_function(function) else calling)
        wrapper.__cache_key__ = cache_key  # type: ignore[attr-defined]
        return wrapper

    return decorator


_tasks: set[Any] = set()  # the loop itself holds them weakly


def _in_background(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run it in a task of this event loop."""
    import asyncio  # here it is loaded; at start-up it would cost 20 ms

    task = asyncio.create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
