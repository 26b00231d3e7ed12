"""Memoizing of function calls: one wrapper, whatever the cache behind it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from .errors import ENOVAL

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


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
    fetch: Callable[[Any], Any],
    keep: Callable[[Any, Any], object],
) -> Function:
    """`function`, called only for what `fetch(key)` does not have, then given to `keep`.

    `fetch` returns ENOVAL for a miss.
    """
    base = (full_name(function) if name is None else name,)

    def cache_key(*args: Any, **kwargs: Any) -> Any:
        return to_key(args_to_key(base, args, kwargs, typed, ignore))

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = cache_key(*args, **kwargs)
        result = fetch(key)
        if result is ENOVAL:
            result = function(*args, **kwargs)
            keep(key, result)
        return result

    wrapper.__cache_key__ = cache_key  # type: ignore[attr-defined]
    return wrapper


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

    def fetch(key: Any) -> Any:
        return cache.get(key, default=ENOVAL, retry=True)

    def keep(key: Any, result: Any) -> None:
        if expire is None or expire > 0:
            cache.set(key, result, expire, tag=tag, retry=True)

    def decorator(function: Function) -> Function:
        return wrapper_of(function, name, typed, ignore, hashable, fetch, keep)

    return decorator
