"""Locks, semaphores and limits of the backend, shared by all processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ..engine.calls import full_name
from ..engine.locks import SLEEP, AsyncCacheLock, CacheLock
from ..engine.memoize import refuse_bare
from ..engine.rates import Allowance, F, checked, throttled
from .base import Methods, lasting

L = TypeVar("L", CacheLock, AsyncCacheLock)


def _named(lock: L, name: Any) -> L:
    """The lock, which its errors call as the caller wrote it, without prefix and version."""
    lock.name = name
    return lock


class Limiting(Methods):
    """Mixed into `DjangoCache`. A name is made into a key like any other, with its version."""

    def lock(
        self,
        name: Any,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
        version: int | None = None,
    ) -> CacheLock:
        """A lock that one thread of one process holds at a time; see `CacheLock`.

        It is never evicted, and where the store has a fault its methods raise that.

        :param timeout: seconds after which it is free again, should its holder have died;
            None is never
        :param blocking_timeout: seconds that `acquire` waits; None is as long as it takes
        :param sleep: seconds between two looks whether it is free
        :param blocking: whether `acquire` waits at all
        :raises TypeError: for seconds that are no number
        :raises ValueError: for a `timeout` or `sleep` that is not above 0, and a
            `blocking_timeout` below 0
        """
        made = self.make_and_validate_key(name, version)
        return _named(self._cache.lock(made, timeout, blocking_timeout, sleep, blocking), name)

    def semaphore(
        self,
        name: Any,
        value: int,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
        version: int | None = None,
    ) -> CacheLock:
        """A lock that up to `value` threads of all processes hold at a time; see `CacheLock`.

        The arguments are those of `lock`. Each holder has a `timeout` of his own: who dies
        gives back his place and no other.

        :raises ValueError: for a `value` below 1 as well
        """
        made = self.make_and_validate_key(name, version)
        return _named(
            self._cache.semaphore(made, value, timeout, blocking_timeout, sleep, blocking), name
        )

    def alock(
        self,
        name: Any,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
        version: int | None = None,
    ) -> AsyncCacheLock:
        """`lock` for event loops; it needs no ``await``, its methods do."""
        made = self.make_and_validate_key(name, version)
        return _named(self._cache.alock(made, timeout, blocking_timeout, sleep, blocking), name)

    def asemaphore(
        self,
        name: Any,
        value: int,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
        version: int | None = None,
    ) -> AsyncCacheLock:
        """`semaphore` for event loops; it needs no ``await``, its methods do."""
        made = self.make_and_validate_key(name, version)
        return _named(
            self._cache.asemaphore(made, value, timeout, blocking_timeout, sleep, blocking),
            name,
        )

    def allow(
        self, name: Any, count: int, seconds: float, version: int | None = None
    ) -> Allowance:
        """Whether `name` may happen now: `count` times in `seconds`, in all processes.

        A pause saves up what is allowed, `count` at the most (a token bucket). What is asked
        for and allowed counts. Its state is never evicted, and a fault of the store raises.

        :return: an `Allowance`, which is true or false, and says in how many seconds to try
            again
        :raises ValueError: for a `count` below 1, or `seconds` that are not above 0
        """
        return self._cache.allow(self.make_and_validate_key(name, version), count, seconds)

    async def aallow(
        self, name: Any, count: int, seconds: float, version: int | None = None
    ) -> Allowance:
        """`allow` for event loops."""
        made = self.make_and_validate_key(name, version)
        return await self._cache.aallow(made, count, seconds)

    def once_per(self, name: Any, seconds: float, version: int | None = None) -> bool:
        """Whether nobody has asked for `name` in the last `seconds`, in any process.

        So of all who ask one is told True, and for `seconds` from then on nobody else is. Its
        state is never evicted, and a fault of the store raises.

        :raises ValueError: for `seconds` that are not above 0
        """
        return self._cache.once_per(self.make_and_validate_key(name, version), seconds)

    async def aonce_per(self, name: Any, seconds: float, version: int | None = None) -> bool:
        """`once_per` for event loops."""
        made = self.make_and_validate_key(name, version)
        return await self._cache.aonce_per(made, seconds)

    def throttle(
        self,
        count: int,
        seconds: float,
        name: str | None = None,
        version: int | None = None,
    ) -> Callable[[F], F]:
        """A decorator that lets all processes call a function `count` times in `seconds`.

        A call beyond that sleeps until it is due; that of a coroutine function does so on its
        event loop. See `allow`.

        :param name: of the rate; by default the function's module and qualified name
        :raises TypeError: when used without parentheses
        :raises ValueError: for a `count` below 1, or `seconds` that are not above 0
        """
        refuse_bare(count, "count", "throttle(count, seconds)")
        checked(count, seconds)
        lasting.add(self)

        def decorator(function: F) -> F:
            rate = (full_name(function) if name is None else name, count, seconds, version)
            return throttled(function, partial(self.allow, *rate), partial(self.aallow, *rate))

        return decorator
