"""The asynchronous twins of the backend's methods.

A thread hop costs ten times what a read or an undisturbed write does. So each call runs where
it is, on the event loop, and never waits there: where it finds a lock taken it goes to a
thread and waits in it. What is long by nature, such as `clear`, goes to a thread at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from .engine import ENOVAL, UNKNOWN
from .methods.base import Methods, in_thread
from .methods.times import without_key

LARGE = 2**16  # characters or bytes that are compressed in a thread: 1 ms and more


class AsyncMethods(Methods):
    """Mixed into `DjangoCache`; every method takes and returns what the sync one does."""

    async def aget(
        self: Any, key: Any, default: Any = None, version: Any = None, **kwargs: Any
    ) -> Any:
        # The common case, without a twin; nor is `get` one that a debugger has put here.
        plain = not kwargs or kwargs.keys() == {"retry"}
        if plain and "get" not in self.__dict__:
            made = self._made(key, version)
            value = self._near.get(made) if type(made) is str else UNKNOWN
            if value is not UNKNOWN:
                return default if value is ENOVAL else value
        return await self._run("get", key, default, version, **kwargs)

    async def aread(self, key: Any, version: Any = None) -> Any:
        return await self._run("read", key, version)

    async def ahas_key(self, key: Any, version: Any = None) -> bool:
        return bool(await self._run("has_key", key, version))

    async def aget_many(self, keys: Iterable[Any], version: Any = None) -> dict[Any, Any]:
        found: dict[Any, Any] = await self._run("get_many", list(keys), version)
        return found

    async def aset(  # type: ignore[override]
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Any = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = True,
    ) -> bool:
        return await self._store("set", key, value, timeout, version, read, tag, retry)

    async def aadd(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Any = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = True,
    ) -> bool:
        return await self._store("add", key, value, timeout, version, read, tag, retry)

    async def _store(self: Any, name: str, *args: Any) -> bool:
        value = args[1]
        kind = type(value)
        large = (kind is str or kind is bytes) and len(value) >= LARGE
        # To copy a file and to compress much take their time.
        if args[4] or (large and self._cache.compression):
            return bool(await in_thread(getattr(self, name), *args))
        return bool(await self._run(name, *args))

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: Any = None,
        **kwargs: Any,
    ) -> list[Any]:
        failed: list[Any] = await self._run("set_many", data, timeout, version, **kwargs)
        return failed

    async def atouch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, **kwargs: Any
    ) -> bool:
        return bool(await self._run("touch", key, timeout, version, **kwargs))

    async def apop(
        self, key: Any, default: Any = None, version: Any = None, **kwargs: Any
    ) -> Any:
        return await self._run("pop", key, default, version, **kwargs)

    async def adelete(self, key: Any, version: Any = None, **kwargs: Any) -> bool:
        return bool(await self._run("delete", key, version, **kwargs))

    async def adelete_many(self, keys: Iterable[Any], version: Any = None) -> None:
        await self._run("delete_many", list(keys), version)

    async def aincr(self, key: Any, delta: Any = 1, version: Any = None, **kwargs: Any) -> Any:
        return await self._run("incr", key, delta, version, **kwargs)

    async def adecr(self, key: Any, delta: Any = 1, version: Any = None, **kwargs: Any) -> Any:
        return await self._run("decr", key, delta, version, **kwargs)

    async def aincr_version(self, key: Any, delta: int = 1, version: Any = None) -> int:
        return int(await self._run("incr_version", key, delta, version))

    async def adecr_version(self, key: Any, delta: int = 1, version: Any = None) -> int:
        return int(await self._run("decr_version", key, delta, version))

    # Long by nature

    @without_key
    async def aexpire(self: Any) -> int:
        return int(await in_thread(self.expire))

    async def acull(self: Any) -> int:
        return int(await in_thread(self.cull))

    async def aclose(self: Any, **kwargs: Any) -> None:
        self.close(**kwargs)
