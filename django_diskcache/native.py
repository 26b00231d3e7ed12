"""What asynchronous methods of the backend await where the engine's face has coroutines.

On a server, each call waits for an answer, and a thread for each wait costs three times what
the wait itself does. So here are the calls by key with `await`: each function is the method of
its name, with the same arguments, results, warnings and errors. Where a method calls its face
once, it is that method itself, on coroutines; the others are written once more. Everything
else goes to a thread, as on files. So does a method that a subclass has replaced: what it does
is not known here (`natives`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache, wraps
from typing import Any, TypeAlias

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from .engine import ENOVAL
from .methods.base import in_thread, portable

Native: TypeAlias = "Callable[..., Awaitable[Any]]"


async def get(
    cache: Any,
    key: Any,
    default: Any = None,
    version: Any = None,
    read: bool = False,
    expire_time: bool = False,
    tag: bool = False,
    retry: bool = False,
    touch: Any = False,
) -> Any:
    made = cache._made(key, version)
    # What Django warns of is not to be remembered, and `bypassed` goes by threads.
    if type(made) is not str or not portable(made):
        arguments = (key, default, version, read, expire_time, tag, retry, touch)
        return await in_thread(cache.get, *arguments)
    if touch is not False:
        touch = cache._sliding(touch)
    return await cache._cache.aget(made, default, read, expire_time, tag, retry, touch)


async def read(cache: Any, key: Any, version: Any = None) -> Any:
    return await cache._run("get", key, version=version, read=True)


async def until(cache: Any, key: Any, version: Any) -> Any:
    made = cache._made(key, version)
    if type(made) is not str or not portable(made):
        return await in_thread(cache._until, key, version)
    return await cache._cache.auntil(made, retry=True)


async def incr(
    cache: Any,
    key: Any,
    delta: Any = 1,
    version: Any = None,
    default: Any = None,
    retry: bool = True,
) -> Any:
    made = cache.make_and_validate_key(key, version=version)
    try:
        return await cache._cache.aincr(made, delta, default, retry)
    except KeyError:
        raise ValueError(f"Key {key!r} not found") from None


async def decr(
    cache: Any,
    key: Any,
    delta: Any = 1,
    version: Any = None,
    default: Any = None,
    retry: bool = True,
) -> Any:
    return await cache._run("incr", key, -delta, version, default, retry)


async def incr_version(cache: Any, key: Any, delta: int = 1, version: Any = None) -> int:
    if version is None:
        version = cache.version
    old = cache.make_and_validate_key(key, version=version)
    new = cache.make_and_validate_key(key, version=version + delta)
    face = cache._cache
    value, due, tag = await face.aget(old, ENOVAL, expire_time=True, tag=True, retry=True)
    if value is ENOVAL:
        raise ValueError(f"Key {key!r} not found")
    left = None if due is None else due - face.engine.clock()
    if not await face.aset(new, value, left, tag=tag, retry=True):
        return int(version)
    await face.adelete(old, retry=True)
    return int(version + delta)


async def decr_version(cache: Any, key: Any, delta: int = 1, version: Any = None) -> int:
    return int(await cache._run("incr_version", key, -delta, version))


async def get_many(cache: Any, keys: Iterable[Any], version: Any = None) -> dict[Any, Any]:
    keys = list(keys)
    names, clean = cache._made_many(keys, version)
    if not clean:
        found: dict[Any, Any] = await in_thread(cache.get_many, keys, version)  # as `get`
        return found
    values = await cache._cache.aget_many(names)
    return {key: values[name] for key, name in zip(keys, names, strict=True) if name in values}


async def set_many(
    cache: Any,
    data: Mapping[Any, Any],
    timeout: Any = DEFAULT_TIMEOUT,
    version: Any = None,
    tag: Any = None,
) -> list[Any]:
    given = list(data)
    made = dict(zip(cache._valid_many(given, version), given, strict=True))
    items = {key: data[name] for key, name in made.items()}
    life, spread = cache._spread_timeout(timeout)
    failed = await cache._cache.aset_many(items, life, tag, retry=True, spread=spread)
    return [made[key] for key in failed]


async def delete_many(cache: Any, keys: Iterable[Any], version: Any = None) -> None:
    await cache._cache.adelete_many(cache._valid_many(list(keys), version), retry=True)


# Methods that call their face once and do no more with what it returns.
SIMPLE = (
    *("has_key", "set", "add", "touch", "pop", "delete"),
    *("ttl", "pttl", "expire_at", "expire_in", "persist", "tags"),
)
WRITTEN: dict[str, Native] = {
    "get": get,
    "read": read,
    "_until": until,
    "incr": incr,
    "decr": decr,
    "incr_version": incr_version,
    "decr_version": decr_version,
    "get_many": get_many,
    "set_many": set_many,
    "delete_many": delete_many,
}


class Coroutines:
    """A face whose methods are the coroutines with their names."""

    __slots__ = ("_face",)

    def __init__(self, face: Any) -> None:
        self._face = face

    def __getattr__(self, name: str) -> Any:
        return getattr(self._face, f"a{name}")


def awaiting(method: Any) -> Native:
    """A simple method, run on coroutines: what it returns is to be awaited."""

    @wraps(method)
    async def call(cache: Any, *args: Any, **kwargs: Any) -> Any:
        return await method(cache._on(Coroutines(cache._cache)), *args, **kwargs)

    return call


@lru_cache(64)  # asked for with each backend object that is made
def natives(kind: Any, ours: Any) -> Mapping[str, Native]:
    """Those of a backend's class; what it has otherwise than ours is left out."""
    known = WRITTEN | {name: awaiting(getattr(ours, name)) for name in SIMPLE}
    return {n: native for n, native in known.items() if getattr(kind, n) is getattr(ours, n)}
