"""Memoizing of function calls: one wrapper, whatever the cache behind it.

A coroutine function stays one. Its results are looked up and kept on the event loop, which
never waits there: where that would wait for a lock, it goes on in a thread.
"""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Awaitable, Callable, Collection
from functools import partial, wraps
from typing import Any, NamedTuple

from .errors import ENOVAL
from .impatient import on_loop

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


class Results(NamedTuple):
    """Where the results of calls are; `afetch` and `akeep` serve coroutine functions."""

    fetch: Callable[[Any], Any]  # by key; ENOVAL for a miss
    keep: Callable[[Any, Any], object]  # key and result
    afetch: Callable[[Any], Awaitable[Any]]
    akeep: Callable[[Any, Any], Awaitable[object]]
    kept: bool  # whether they are kept at all


def full_name(function: Function) -> str:
    """Module and qualified name."""
    return f"{function.__module__}.{function.__qualname__}"


def args_to_key(
    base: tuple[Any, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    typed: bool,
    ignore: Collection[int | str],
) -> tuple[Any, ...]:
    """The key of a call: `base`, the arguments and, if `typed`, their types.

    :param ignore: positions and names of arguments that do not matter
    """
    args = tuple(value for position, value in enumerate(args) if position not in ignore)
    named = sorted((name, value) for name, value in kwargs.items() if name not in ignore)
    key = (*base, *args, None)
    for pair in named:
        key += pair
    if typed:
        key += tuple(map(type, args))
        key += tuple(type(value) for _, value in named)
    return key


def hashable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """`key`, or where an argument is not hashable the name and the pickled arguments."""
    try:
        hash(key)
    except TypeError:
        return (key[0], pickle.dumps(key[1:]))
    return key


def wrapper_of(
    function: Function,
    name: str | None,
    typed: bool,
    ignore: Collection[int | str],
    to_key: Callable[[tuple[Any, ...]], Any],
    results: Results,
) -> Function:
    """`function`, called only for what `results` does not have.

    :raises TypeError: for a generator function
    """
    refuse_generators(function)
    base = (full_name(function) if name is None else name,)
    fetch, keep, afetch, akeep, kept = results

    def cache_key(*args: Any, **kwargs: Any) -> Any:
        return to_key(args_to_key(base, args, kwargs, typed, ignore))

    def calling(*args: Any, **kwargs: Any) -> Any:
        key = cache_key(*args, **kwargs)
        result = fetch(key)
        if result is ENOVAL:
            result = function(*args, **kwargs)
            if kept:
                keep(key, result)
        return result

    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        key = cache_key(*args, **kwargs)
        result = await afetch(key)
        if result is ENOVAL:
            result = await function(*args, **kwargs)
            if kept:
                await akeep(key, result)
        return result

    wrapper = wraps(function)(awaiting if is_coroutine_function(function) else calling)
    wrapper.__cache_key__ = cache_key  # type: ignore[attr-defined]
    return wrapper


def _either(test: Callable[[Any], bool], function: Function) -> bool:
    """What the test says of the function, or of an object's method that makes it callable."""
    return test(function) or test(type(function).__call__)


def is_coroutine_function(function: Function) -> bool:
    """Whether a call returns a coroutine, as far as the function says so."""
    if _either(inspect.iscoroutinefunction, function):
        return True
    if sys.version_info < (3, 12) and hasattr(function, "_is_coroutine"):
        import asyncio  # loaded already, by whoever marked it

        return asyncio.iscoroutinefunction(function)
    return False


def refuse_generators(function: Function) -> None:
    """:raises TypeError: for a function whose results are generators, sync or async"""
    for kind, test in (
        ("a generator function", inspect.isgeneratorfunction),
        ("an async generator function", inspect.isasyncgenfunction),
    ):
        if _either(test, function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"{name} is {kind}, and generators cannot be kept: memoize a function that "
                "returns a list"
            )


def refuse_bare(name: object) -> None:
    """:raises TypeError: when a decorator was put on without being called"""
    if callable(name):
        raise TypeError("name cannot be callable: write @cache.memoize() with parentheses")


def memoizer(
    cache: Any,
    name: str | None,
    typed: bool,
    expire: float | None,
    tag: Any,
    ignore: Collection[int | str],
) -> Decorator:
    """The decorator of `KeyedCache.memoize`, where its arguments are explained."""
    refuse_bare(name)

    def fetch(source: Any, key: Any) -> Any:
        return source.get(key, default=ENOVAL, retry=True)

    def keep(target: Any, key: Any, result: Any) -> None:
        target.set(key, result, expire, tag=tag, retry=True)

    results = Results(
        partial(fetch, cache),
        partial(keep, cache),
        partial(on_loop, cache, fetch),
        partial(on_loop, cache, keep),
        kept=expire is None or expire > 0,
    )

    def decorator(function: Function) -> Function:
        return wrapper_of(function, name, typed, ignore, hashable, results)

    return decorator
