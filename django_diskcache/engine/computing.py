"""The methods of a cache that compute what is missing, once for all who miss it; see `once`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar

from . import claims
from .calls import hashable
from .errors import ENOVAL, UNKNOWN
from .impatient import on_loop
from .keyed import KeyedCache
from .memoize import is_coroutine_function, memoizer
from .once import WAIT, Found, Results, aobtain, missing, obtain
from .store import near_name

if TYPE_CHECKING:
    from .memoized import Memoizer


class CacheResults(Results):
    """Results in a cache, under keys as they stand in it.

    :param adds: what is there stays if it is not to be renewed, and callers get what is there
        afterwards; else what was computed is stored in any case, and is what they get
    """

    def __init__(
        self,
        cache: Any,
        expire: float | None,
        tag: Any,
        stale: float,
        early: float,
        wait: float | None,
        adds: bool = False,
    ) -> None:
        super().__init__(stale, early, wait, kept=expire is None or expire > 0)
        self._cache = cache
        self._life = None if expire is None else expire + self.stale
        self._tag = tag
        self._adds = adds
        self.scope = cache.directory

    def clock(self) -> float:
        return self._cache.engine.clock()  # type: ignore[no-any-return]

    def claim(self, key: Any) -> claims.Claim | None:
        return self._cache.claim(key)  # type: ignore[no-any-return]

    async def aclaim(self, key: Any) -> claims.Claim | None:
        if not self._cache.engine.coroutines:
            return self.claim(key)
        return await self._cache.aclaim(key)  # type: ignore[no-any-return]

    def get(self, key: Any) -> Any:
        return _get(self._cache, key)

    def until(self, key: Any) -> Found:
        return _until(self._cache, key)

    def has(self, key: Any) -> bool:
        return _has(self._cache, key)

    def keep(self, key: Any, value: Any, anew: bool) -> Any:
        return self._keep(self._cache, key, value, anew)

    def delete(self, key: Any) -> bool:
        return _delete(self._cache, key)

    async def aget(self, key: Any) -> Any:
        return await on_loop(self._cache, _get, key)

    async def auntil(self, key: Any) -> Found:
        return await on_loop(self._cache, _until, key)

    async def ahas(self, key: Any) -> bool:
        return await on_loop(self._cache, _has, key)

    async def akeep(self, key: Any, value: Any, anew: bool) -> Any:
        return await on_loop(self._cache, self._keep, key, value, anew)

    async def adelete(self, key: Any) -> bool:
        return await on_loop(self._cache, _delete, key)

    def _keep(self, cache: Any, key: Any, value: Any, anew: bool) -> Any:
        store = cache.add if self._adds and not anew else cache.set
        store(key, value, self._life, tag=self._tag, retry=True)
        return cache.get(key, default=value, retry=True) if self._adds else value


class AwaitedResults(CacheResults):
    """The same in a cache whose methods are all there as coroutines."""

    async def aget(self, key: Any) -> Any:
        return await self._cache.aget(key, ENOVAL)

    async def auntil(self, key: Any) -> Found:
        return await self._cache.auntil(key)  # type: ignore[no-any-return]

    async def ahas(self, key: Any) -> bool:
        return bool(await self._cache.ahas(key))

    async def akeep(self, key: Any, value: Any, anew: bool) -> Any:
        cache = self._cache
        store = cache.aadd if self._adds and not anew else cache.aset
        await store(key, value, self._life, tag=self._tag)
        return await cache.aget(key, value) if self._adds else value

    async def adelete(self, key: Any) -> bool:
        return bool(await self._cache.adelete(key))


def _get(cache: Any, key: Any) -> Any:
    return cache.get(key, default=ENOVAL, retry=True)


def _until(cache: Any, key: Any) -> Found:
    return cache.until(key, retry=True)  # type: ignore[no-any-return]


def _has(cache: Any, key: Any) -> bool:
    return bool(cache.has(key, retry=True))


def _delete(cache: Any, key: Any) -> bool:
    return bool(cache.delete(key, retry=True))


def computes(default: Any) -> Callable[[], Any]:
    """What a default of `get_or_set` is computed by, which may be a value itself.

    :raises TypeError: for a coroutine function
    """
    if not callable(default):
        return lambda: default
    if is_coroutine_function(default):
        raise TypeError(f"{default!r} is a coroutine function: await aget_or_set instead")
    return default  # type: ignore[no-any-return]


def acomputes(default: Any) -> Callable[[], Any]:
    """The same for `aget_or_set`, which takes coroutine functions too."""

    async def compute() -> Any:
        value = default() if callable(default) else default
        return await value if isawaitable(value) else value

    return compute


class Computing:
    """`get_or_set` and `memoize`, on a face that has `claim` and `until`; mixed into it."""

    get: Callable[..., Any]
    _results: ClassVar[type[CacheResults]] = CacheResults

    def get_or_set(
        self,
        key: Any,
        default: Any,
        expire: float | None = None,
        tag: Any = None,
        *,
        stale: float = 0,
        early: float = 0,
        wait: float | None = WAIT,
    ) -> Any:
        """The value of `key`; if it is missing `default`, which is stored.

        Of all that miss it at once, in all threads and processes, one calls `default`, and the
        others wait for what it returns. An exception in it reaches its caller, and those who
        have waited go on. It waits for locks of the database as long as it takes.

        :param default: a value, or a function without arguments that computes it
        :param expire: seconds until it expires; None is never
        :param tag: its tag
        :param stale: seconds beyond `expire` in which the value is still served, while one
            caller computes a new one
        :param early: seconds that this takes, about: it then begins before the end, at a
            random moment
        :param wait: seconds to wait for another before computing as well; None is as long as
            it takes
        :return: what is stored afterwards, or what was computed where that could not be stored
        :raises TypeError: for a coroutine function
        :raises ValueError: for `stale`, `early` or `wait` below 0
        """
        asked = not (stale or early) and wait is WAIT  # the common case, without a detour
        if asked and (value := self.get(key, ENOVAL, retry=True)) is not ENOVAL:
            return value
        results = CacheResults(self, expire, tag, stale, early, wait, adds=True)
        return (missing if asked else obtain)(results, key, computes(default))

    async def aget_or_set(
        self,
        key: Any,
        default: Any,
        expire: float | None = None,
        tag: Any = None,
        *,
        stale: float = 0,
        early: float = 0,
        wait: float | None = WAIT,
    ) -> Any:
        """`get_or_set` for event loops, which it never holds up.

        :param default: a value, a function, or a coroutine function
        """
        results = self._results(self, expire, tag, stale, early, wait, adds=True)
        return await aobtain(results, key, acomputes(default))

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        expire: float | None = None,
        tag: Any = None,
        ignore: Collection[int | str] = (),
        *,
        key: Callable[..., Any] | None = None,
        stale: float = 0,
        early: float = 0,
        wait: float | None = WAIT,
    ) -> Memoizer:
        """A decorator that keeps a function's results in the cache, by its arguments.

        However the arguments are given, by position, by name or by default, it is the same
        call. Of all callers that miss a result at once one computes it, as in `get_or_set`. A
        coroutine function stays one; what it returns when awaited is kept.

        The decorated function has ``__wrapped__``, the function itself, and these, which take
        its arguments: ``key_for`` (and ``__cache_key__``, the same) returns the key of their
        result, ``invalidate`` forgets the result and says whether there was one, ``refresh``
        calls the function, keeps what it returns and returns it. The latter two of a coroutine
        function are awaited. On a method of a class they are bound with it.

        :param name: stands for the function in keys; by default its module and qualified name
        :param typed: keep f(3) and f(3.0) apart
        :param expire: seconds that a result is kept; None is for ever, 0 is not at all
        :param tag: tag of the results
        :param ignore: positions and names of arguments that do not make a different call
        :param key: takes the arguments and returns what stands for them in the key
        :param stale: as in `get_or_set`, and so are `early` and `wait`
        :raises TypeError: when used without parentheses, on a generator function, or with a
            `name` that is no text or an `ignore` that is no collection
        :raises ValueError: for `stale`, `early` or `wait` below 0, and when `ignore` names what
            the function does not take
        """
        results = self._results(self, expire, tag, stale, early, wait)
        return memoizer(results, hashable, name, typed, ignore, key)


class ComputingMethods(Computing, KeyedCache):
    """The same on files, and what they are made of there."""

    def claim(self, key: Any) -> claims.Claim | None:
        """The right to compute `key`, which one of all threads and processes has at a time.

        It is freed by its `release`, by ``with``, and when its holder dies. Inside a
        transaction of this thread it keeps nobody away: its writers would wait for us.

        :return: None while another has it
        """
        if self._engine.transacting():
            return claims.Claim()
        _, place = self._engine.place(key)
        return claims.claim(self._engine.directory, claims.place_of(place[0]))

    def until(self, key: Any, retry: bool = False) -> Found:
        """The value of `key` and when it expires (seconds since the epoch, or None).

        It is what `get` with `expire_time` returns, but served from memory where that has it.

        :return: (ENOVAL, None) if it is missing
        """
        placed = None if type(key) is str else self._engine.place(key)
        known = self._engine.near.until(key if placed is None else near_name(key, placed[1]))
        if known is not UNKNOWN:
            found: Found = known
            return found
        store, place = placed or self._engine.place(key)
        looked: list[Any] = []
        value = self._safely(ENOVAL, store.load, key, place, self._wait(retry), looked)
        return (ENOVAL, None) if value is ENOVAL else (value, looked[0][0])
