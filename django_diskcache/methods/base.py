"""What every group of methods of the backend stands on: keys, timeouts, calls on event loops.

`DjangoCache` is made of such groups. They turn the caller's keys and timeouts into those of the
store, call the engine's face (`_cache`) for everything else, and know nothing of SQLite: what
the engine does is a method of its face first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from random import random
from typing import Any, TypeVar, cast
from weakref import WeakSet

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    MEMCACHE_MAX_KEY_LENGTH,
    BaseCache,
    default_key_func,
)

from ..engine import Timeout
from ..engine.interface import AnyFace
from ..engine.nearcache import NearCache

T = TypeVar("T")
_SENTINEL = "\x00key\x00"
# What a KEY_FUNCTION may change, by a digest, quotes or small letters.
PROBES = ("Key with: %/?#ä", "x" * 1000)

# Backend objects that decorated functions hold, mostly for as long as the process lives: fresh
# caches in tests are for them too.
lasting: WeakSet[Methods] = WeakSet()


def portable(key: str, longest: int = MEMCACHE_MAX_KEY_LENGTH) -> bool:
    """Whether Django has nothing to warn of; its own check looks at each character in turn."""
    return len(key) <= longest and key.isascii() and key.isprintable() and " " not in key


class Exact(float):
    """A timeout in seconds that no jitter is taken off."""


async def in_thread(method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What the method returns, run in a thread of its own."""
    return await sync_to_async(method, thread_sensitive=False)(*args, **kwargs)


class Methods(BaseCache):
    """The base of each group of methods.

    :ivar _cache: the engine's face; its keys are those that `make_and_validate_key` returns
    """

    _cache: AnyFace
    _jitter = 0.0  # up to which fraction timeouts are shortened
    _impatient: AnyFace  # the same for event loops: calls raise Timeout instead of waiting
    _near: NearCache
    # What to await instead of a method with this name, where the face has coroutines.
    _natives: Mapping[str, Callable[..., Awaitable[Any]]]

    def make_and_validate_key(self, key: Any, version: int | None = None) -> Any:
        """The key in the store; warns of one that is not portable to memcached."""
        made: Any = self._made(key, version)
        if type(made) is not str or not portable(made):
            self.validate_key(made)
        return made

    def _made(self, key: Any, version: int | None) -> Any:
        if self.key_func is default_key_func:  # what make_key does, without two calls
            return f"{self.key_prefix}:{self.version if version is None else version}:{key}"
        return self.make_key(key, version)

    def _around_keys(self, version: int | None) -> tuple[str, str]:
        """What is before and behind a key, as the caller wrote it, in the store.

        :raises NotImplementedError: when KEY_FUNCTION does not keep the key in what it makes
        """
        made: Any = self.make_key(_SENTINEL, version)
        if not isinstance(made, str) or _SENTINEL not in made:
            raise NotImplementedError(
                "KEY_FUNCTION makes keys that the original is not part of"
            )
        head, _, tail = made.partition(_SENTINEL)
        for probe in PROBES:
            with suppress(ValueError):  # it may refuse such keys
                if self.make_key(probe, version) != f"{head}{probe}{tail}":
                    raise NotImplementedError(
                        "KEY_FUNCTION makes other keys of long ones, or of those with special "
                        "characters or capitals, so that not all can be found"
                    )
        return head, tail

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        """Seconds that an entry with this timeout lives, after any jitter; None is for ever."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if self._jitter and timeout is not None and timeout > 0 and type(timeout) is not Exact:
            return timeout * (1 - self._jitter * random())  # type: ignore[no-any-return]
        # Expired by a whole second, so that a clock set back a little does not revive it.
        return -1 if timeout == 0 else cast("float | None", timeout)

    def _spread_timeout(self, timeout: Any) -> tuple[float | None, float]:
        """`get_backend_timeout` without the jitter, and what fraction that takes off."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        spread = 0.0 if type(timeout) is Exact else self._jitter
        if spread and timeout is not None and timeout > 0:
            timeout = Exact(timeout)
        return self.get_backend_timeout(timeout), spread

    async def _run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the method with this name returns: awaited where the engine has coroutines.

        Else it is run here, or in a thread if it must wait. A method that somebody has put on
        this object, as debuggers do, knows of neither.
        """
        if name in self.__dict__:
            return await in_thread(getattr(self, name), *args, **kwargs)
        if self._natives and name in self._natives:  # on files there are none
            return await self._natives[name](self, *args, **kwargs)
        try:
            return getattr(self._on(self._impatient), name)(*args, **kwargs)
        except Timeout:
            return await in_thread(getattr(self, name), *args, **kwargs)

    def _on(self, face: Any) -> Methods:
        """This backend on another face of its engine."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _cache=face)
        return twin
