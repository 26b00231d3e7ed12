"""`get_or_set` and `memoize` of the backend: what is missing is computed once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from ..engine import ENOVAL
from ..engine.claims import Claim
from ..engine.computing import acomputes, computes
from ..engine.disk import pickle_key
from ..engine.memoize import memoizer
from ..engine.once import WAIT, Found, Results, amissing, aobtain, missing, obtain
from .base import Exact, Methods, lasting, portable

if TYPE_CHECKING:
    from ..engine.memoized import Memoizer

LONGEST = (
    150  # characters of a name and of what a `key` returns that stand in a key as they are
)


class BackendResults(Results):
    """Results in a backend, whose own methods are called: a subclass may have others.

    :param adds: as in `CacheResults`
    """

    def __init__(
        self,
        backend: Any,
        timeout: Any,
        version: int | None,
        tag: Any,
        stale: float,
        early: float,
        wait: float | None,
        adds: bool = False,
    ) -> None:
        life = backend.get_backend_timeout(timeout)
        super().__init__(stale, early, wait, kept=life is None or life > 0)
        self._backend = backend
        self._version = version
        self._timeout = timeout
        self._tag = tag
        self._adds = adds

    def _life(self) -> Any:
        """The timeout of what is stored now: jitter shortens the time in which it is fresh."""
        if not self.stale:
            return self._timeout
        fresh = self._backend.get_backend_timeout(self._timeout)
        return None if fresh is None else Exact(fresh + self.stale)

    @property
    def scope(self) -> Any:
        return self._backend.directory, self._version

    @scope.setter
    def scope(self, value: Any) -> None:
        pass  # it is told when it is asked for: the backend may not have been opened yet

    def clock(self) -> float:
        return self._backend._cache.engine.clock()  # type: ignore[no-any-return]

    def claim(self, key: Any) -> Claim | None:
        backend = self._backend
        return backend._cache.claim(backend._made(key, self._version))  # type: ignore[no-any-return]

    async def aclaim(self, key: Any) -> Claim | None:
        backend = self._backend
        if not backend._cache.engine.coroutines:
            return self.claim(key)
        return await backend._cache.aclaim(backend._made(key, self._version))  # type: ignore[no-any-return]

    def get(self, key: Any) -> Any:
        return self._backend.get(key, ENOVAL, self._version, retry=True)

    def until(self, key: Any) -> Found:
        return self._backend._until(key, self._version)  # type: ignore[no-any-return]

    def has(self, key: Any) -> bool:
        return bool(self._backend.has_key(key, self._version))

    def keep(self, key: Any, value: Any, anew: bool) -> Any:
        backend, version = self._backend, self._version
        if not self._adds:
            backend.set(key, value, self._life(), version, tag=self._tag)
            return value
        store = backend.set if anew else backend.add
        store(key, value, self._life(), version, tag=self._tag)
        return backend.get(key, value, version, retry=True)

    def delete(self, key: Any) -> bool:
        return bool(self._backend.delete(key, self._version))

    async def aget(self, key: Any) -> Any:
        return await self._backend.aget(key, ENOVAL, self._version, retry=True)

    async def auntil(self, key: Any) -> Found:
        return await self._backend._run("_until", key, self._version)  # type: ignore[no-any-return]

    async def ahas(self, key: Any) -> bool:
        return bool(await self._backend.ahas_key(key, self._version))

    async def akeep(self, key: Any, value: Any, anew: bool) -> Any:
        backend, version = self._backend, self._version
        if not self._adds:
            await backend.aset(key, value, self._life(), version, tag=self._tag)
            return value
        store = backend.aset if anew else backend.aadd
        await store(key, value, self._life(), version, tag=self._tag)
        return await backend.aget(key, value, version, retry=True)

    async def adelete(self, key: Any) -> bool:
        return bool(await self._backend.adelete(key, self._version))


class Memoizing(Methods):
    """Mixed into `DjangoCache`."""

    def _until(self, key: Any, version: int | None) -> Found:
        """The value of `key` and when it expires; (ENOVAL, None) if it is missing."""
        made: Any = self._made(key, version)
        if type(made) is str and portable(made):
            return self._cache.until(made, retry=True)
        self.validate_key(made)
        with self._near.bypassed():  # the next time is to warn as well
            return self._cache.until(made, retry=True)

    def get_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tag: Any = None,
        stale: float = 0,
        early: float = 0,
        wait: float | None = WAIT,
    ) -> Any:
        """The value of `key`; if it is missing `default`, which is stored.

        Of all that miss it at once, in all threads and processes, one calls `default`, and the
        others wait for what it returns. An exception in it reaches its caller, and those who
        have waited go on.

        :param default: a value, or a function without arguments that computes it
        :param timeout: seconds; None is for ever
        :param tag: its tag
        :param stale: seconds beyond `timeout` in which the value is still served, while one
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
        if asked and (value := self.get(key, ENOVAL, version)) is not ENOVAL:
            return value
        results = BackendResults(self, timeout, version, tag, stale, early, wait, adds=True)
        return (missing if asked else obtain)(results, key, computes(default))

    async def aget_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tag: Any = None,
        stale: float = 0,
        early: float = 0,
        wait: float | None = WAIT,
    ) -> Any:
        """`get_or_set`, whose `default` may be a coroutine function as well."""
        asked = not (stale or early) and wait is WAIT
        if asked and (value := await self.aget(key, ENOVAL, version)) is not ENOVAL:
            return value
        results = BackendResults(self, timeout, version, tag, stale, early, wait, adds=True)
        return await (amissing if asked else aobtain)(results, key, acomputes(default))

    def memoize(
        self,
        name: str | None = None,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        typed: bool = False,
        tag: Any = None,
        ignore: Collection[int | str] = (),
        *,
        key: Callable[..., Any] | None = None,
        stale: float = 0,
        early: float = 0,
        wait: float | None = WAIT,
    ) -> Memoizer:
        """A decorator that keeps a function's results, by its arguments.

        However the arguments are given, by position, by name or by default, it is the same
        call. Of all callers that miss a result at once one computes it, as in `get_or_set`. A
        coroutine function stays one; what it returns when awaited is kept.

        The decorated function has ``__wrapped__``, the function itself, and these, which take
        its arguments: ``key_for`` (and ``__cache_key__``, the same) returns the key of their
        result, ``invalidate`` forgets the result and says whether there was one, ``refresh``
        calls the function, keeps what it returns and returns it. The latter two of a coroutine
        function are awaited. On a method of a class they are bound with it. There a saved
        model instance counts as its model, database and primary key.

        :param name: stands for the function in keys; by default its module and qualified name
        :param timeout: seconds that a result is kept; None is for ever, 0 is not at all
        :param typed: keep f(3) and f(3.0) apart
        :param tag: tag of the results
        :param ignore: positions and names of arguments that do not make a different call
        :param key: takes the arguments and returns what stands for them in the key
        :param stale: as in `get_or_set`, and so are `early` and `wait`
        :raises TypeError: when used without parentheses, on a generator function, or with a
            `name` that is no text or an `ignore` that is no collection
        :raises ValueError: for `stale`, `early` or `wait` below 0, and when `ignore` names what
            the function does not take
        """
        lasting.add(self)
        results = BackendResults(self, timeout, version, tag, stale, early, wait)
        return memoizer(
            results, _call_key, name, typed, ignore, key, _part_key, _identity, life="timeout"
        )


def _call_key(call: tuple[Any, ...]) -> str:
    """The name of a function and a digest of its arguments: short and portable."""
    return f"{call[0]}:{blake2b(pickle_key(call[1:], 5), digest_size=16).hexdigest()}"


def _part_key(call: tuple[Any, ...]) -> str:
    """The name of a function and what a `key` returned, as it is if that is a short text."""
    name, part = call
    if type(part) is str and portable(part) and len(name) + len(part) < LONGEST:
        return f"{name}:{part}"
    return _call_key(call)


def _identity(value: Any) -> Any:
    """What an object counts as whose method is memoized."""
    if not hasattr(type(value), "_meta"):
        return value
    from django.db import router  # loaded already, by whoever has an instance of a model
    from django.db.models import Model

    if isinstance(value, Model) and value.pk is not None and not value._state.adding:
        # Where it is written: what was read from a replica is the same.
        return value._meta.label, router.db_for_write(type(value), instance=value), value.pk
    return value
