"""The cache backend: Django's contract on the engine.

Django builds a backend object for each thread, and under ASGI for each request, and calls
`close` on it at the end of every request. So the object is light: the engine behind it, with
its connections, is one per process and directory and stays open. `close` only notices that
the directory was removed or replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    MEMCACHE_MAX_KEY_LENGTH,
    default_key_func,
)

from .asynchronous import AsyncMethods
from .configuration import wants_signals
from .engine import ENOVAL, UNKNOWN, Cache, Deque, Index
from .engine.disk import pickle_key
from .engine.memoize import Decorator, Function, Results, refuse_bare, wrapper_of
from .engine.statistics import Statistics
from .methods.base import lasting, portable
from .opened import Opened, opened, opened_unless_checked

_SENTINEL = "\x00key\x00"


class DjangoCache(AsyncMethods):
    """A persistent cache in a directory, shared by all processes of a machine.

    ``read``, ``tag``, ``expire_time`` and ``retry`` are what it adds to the arguments that
    Django's backends have. A timeout is in seconds; None is for ever.

    :param directory: LOCATION, made if it is not there
    :param params: the rest of the entry in CACHES
    :raises ImproperlyConfigured: for an option that is not known or has a wrong value, and a
        directory that cannot be made
    """

    def __init__(self, directory: Any, params: dict[str, Any]) -> None:
        self._entry = directory, params
        entry = opened_unless_checked(directory, params)
        self._use(entry)
        if wants_signals(params) if entry is None else entry.signals:
            from .observing import observing  # for the few that ask for it

            kind: Any = type(self)
            self.__class__ = observing(kind)
        options = params.get("OPTIONS")
        if not isinstance(options, Mapping):  # a mistake that waits for the first use
            options = {}
        try:
            super().__init__({**params, "OPTIONS": options})
        except ImportError:  # another one
            if entry is not None:
                raise
            super().__init__({**params, "OPTIONS": options, "KEY_FUNCTION": None})

    def _use(self, entry: Opened | None) -> None:
        if entry is not None:
            self._cache, self._impatient = entry.cache, entry.impatient
            self._near = entry.cache.engine.near

    def __getattr__(self, name: str) -> Any:
        # What is not there was not opened when this object was made, see `opened`.
        if name in ("_cache", "_impatient", "_near"):
            self._use(opened(*self._entry))
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # One key

    def add(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = True,
    ) -> bool:
        """Store `value` unless `key` is there; whether it was stored.

        The arguments are those of `set`.
        """
        key = self.make_and_validate_key(key, version=version)
        return self._cache.add(key, value, self.get_backend_timeout(timeout), read, tag, retry)

    def get(
        self,
        key: Any,
        default: Any = None,
        version: int | None = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """The value of `key`, or `default`.

        :param read: return an open binary file, where the value is bytes
        :param expire_time: return it with the time it expires (seconds since the epoch, or
            None), in a tuple
        :param tag: return it with its tag, in a tuple
        :param retry: wait for a lock as long as it takes
        """
        if self.key_func is default_key_func:  # once more without a call: the hottest path
            made: Any = (
                f"{self.key_prefix}:{self.version if version is None else version}:{key}"
            )
        else:
            made = self.make_key(key, version)
        plain = not (read or expire_time or tag)
        if plain and type(made) is str:
            value = self._near.get(made)  # it knows no key that deserves a warning
            if value is not UNKNOWN:
                return default if value is ENOVAL else value
        if type(made) is not str or not portable(made):
            self.validate_key(made)
            with self._near.bypassed():  # the next time is to warn as well
                return self._cache.get(made, default, read, expire_time, tag, retry)
        if plain:
            return self._cache.look(made, default, retry)
        return self._cache.get(made, default, read, expire_time, tag, retry)

    def read(self, key: Any, version: int | None = None) -> Any:
        """An open binary file of the value of `key`, or None if it is missing."""
        return self.get(key, version=version, read=True)

    def set(  # type: ignore[override]
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = True,
    ) -> bool:
        """Store `value` under `key`; whether it was stored.

        :param timeout: seconds; None is for ever, 0 or less is at once
        :param read: `value` is a binary file to copy, or bytes, and is kept in a file
        :param tag: str, bytes, int, float or None, to find the entry by
        :param retry: wait for a lock as long as it takes
        """
        key = self.make_and_validate_key(key, version=version)
        return self._cache.set(key, value, self.get_backend_timeout(timeout), read, tag, retry)

    def touch(
        self,
        key: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        retry: bool = True,
    ) -> bool:
        """Let `key` expire `timeout` seconds from now; whether it is there."""
        key = self.make_and_validate_key(key, version=version)
        return self._cache.touch(key, self.get_backend_timeout(timeout), retry)

    def pop(
        self,
        key: Any,
        default: Any = None,
        version: int | None = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = True,
    ) -> Any:
        """Remove `key` and return its value, or `default`; otherwise like `get`."""
        key = self.make_and_validate_key(key, version=version)
        return self._cache.pop(key, default, expire_time, tag, retry)

    def delete(self, key: Any, version: int | None = None, retry: bool = True) -> bool:
        """Remove `key`; whether it was there."""
        key = self.make_and_validate_key(key, version=version)
        return self._cache.delete(key, retry)

    def incr(
        self,
        key: Any,
        delta: Any = 1,
        version: int | None = None,
        default: Any = None,
        retry: bool = True,
    ) -> Any:
        """Add `delta` to the number under `key`, as one step; the new value.

        :param default: what a missing key counts as
        :raises ValueError: when the key is missing and there is no default
        :raises TypeError: when the value takes no `delta`
        """
        made = self.make_and_validate_key(key, version=version)
        try:
            return self._cache.incr(made, delta, default, retry)
        except KeyError:
            raise ValueError(f"Key {key!r} not found") from None

    def decr(
        self,
        key: Any,
        delta: Any = 1,
        version: int | None = None,
        default: Any = None,
        retry: bool = True,
    ) -> Any:
        """Subtract `delta` from the number under `key`; otherwise like `incr`."""
        return self.incr(key, -delta, version, default, retry)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether `key` is there; nothing is counted as a hit or a miss."""
        return self._cache.has(self.make_and_validate_key(key, version))

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move `key` to another version, with its expiry and tag; the version it has now.

        That is the one it had, where the cache cannot store it anew.

        :raises ValueError: when the key is missing
        """
        if version is None:
            version = self.version
        old = self.make_and_validate_key(key, version=version)
        new = self.make_and_validate_key(key, version=version + delta)
        value, due, tag = self._cache.get(old, ENOVAL, expire_time=True, tag=True, retry=True)
        if value is ENOVAL:
            raise ValueError(f"Key {key!r} not found")
        left = None if due is None else due - self._cache.engine.clock()
        if not self._cache.set(new, value, left, tag=tag, retry=True):
            return version
        self._cache.delete(old, retry=True)
        return version + delta

    # Many keys: one look or one transaction for each shard

    def _made_many(self, keys: Iterable[Any], version: int | None) -> dict[str, Any]:
        return {self.make_and_validate_key(key, version=version): key for key in keys}

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """The values of those `keys` that are there."""
        keys = list(keys)
        if self.key_func is default_key_func:
            head = f"{self.key_prefix}:{self.version if version is None else version}:"
            names: list[Any] = [f"{head}{key}" for key in keys]
        else:
            names = [self.make_key(key, version) for key in keys]
        try:
            clean = portable("".join(names), MEMCACHE_MAX_KEY_LENGTH * len(names))
        except TypeError:  # KEY_FUNCTION makes something else than texts
            clean = False
        if clean and max(map(len, names), default=0) <= MEMCACHE_MAX_KEY_LENGTH:
            found = self._cache.get_many(names)
        else:
            for key in keys:
                self.make_and_validate_key(key, version)
            with self._near.bypassed():  # as in `get`
                found = self._cache.get_many(names)
        # Two keys may be made into one, such as 1 and "1": each has its value.
        return {
            key: found[name] for key, name in zip(keys, names, strict=True) if name in found
        }

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tag: Any = None,
    ) -> list[Any]:
        """Store all of `data`; the keys that could not be stored."""
        made = self._made_many(data, version)
        items = {key: data[name] for key, name in made.items()}
        failed = self._cache.set_many(items, self.get_backend_timeout(timeout), tag, retry=True)
        return [made[key] for key in failed]

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove `keys`."""
        self._cache.delete_many(self._made_many(keys, version), retry=True)

    # The whole cache

    @property
    def directory(self) -> str:
        """Path of the directory."""
        return self._cache.directory

    def clear(self) -> None:
        """Remove all entries, those of other versions and prefixes in the directory too."""
        self._cache.clear()

    def expire(self) -> int:
        """Remove what has expired; how many entries."""
        return self._cache.expire()

    def evict(self, tag: Any) -> int:
        """Remove the entries with this tag; how many."""
        return self._cache.evict(tag)

    def cull(self) -> int:
        """Remove what has expired, then evict until the size limit holds; how many."""
        return self._cache.cull()

    def check(self, fix: bool = False) -> list[Any]:
        """What is wrong with databases and files, as a list of warnings; `fix` mends it.

        It reads everything and keeps writers waiting: a tool for maintenance.
        """
        return self._cache.check(fix, retry=True)

    def create_tag_index(self) -> None:
        """Create the index on tags, which makes `evict` fast."""
        self._cache.create_tag_index()

    def drop_tag_index(self) -> None:
        """Drop the index on tags."""
        self._cache.drop_tag_index()

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """(hits, misses) of all processes.

        A process reports what it has answered from its own memory at the end of a request, at
        exit, and with a look into the database a second later.

        :param enable: count from now on
        :param reset: begin again at zero
        """
        return self._cache.stats(enable, reset)

    def figures(self, reset: bool = False) -> Statistics:
        """What the cache has done and holds, per shard and in all; it costs no scan.

        Of more than a few thousand entries in a shard their number is an estimate; `len`
        counts. The near cache is that of this process.

        :param reset: let all counters begin again at zero
        """
        return self._cache.figures(reset)

    def faults(self) -> dict[str, int]:
        """How many faults all processes have met, by their kind, since statistics were reset.

        The kinds are ``locked``, ``full``, ``corrupt``, ``denied``, ``lost`` and ``other``.
        """
        return self._cache.faults()

    def evictions(self) -> dict[str, int]:
        """What has been evicted by all processes, by reason; see `FanoutCache.evictions`."""
        return self._cache.evictions()

    def volume(self) -> int:
        """Bytes that the cache takes on disk, as ``du`` shows them; without collections."""
        return self._cache.volume()

    def __len__(self) -> int:
        """Number of entries in the directory: all versions and prefixes, expired included."""
        return len(self._cache)

    def __bool__(self) -> bool:
        return True  # an empty cache is a cache: `given or caches["default"]` relies on it

    def __iter__(self) -> Iterator[str]:
        """The keys of this cache's prefix and version, as the caller wrote them.

        :raises NotImplementedError: when KEY_FUNCTION does not keep the key in what it makes
        """
        head, found, tail = self.make_key(_SENTINEL).partition(_SENTINEL)
        if not found:
            raise NotImplementedError(
                "KEY_FUNCTION makes keys that the original is not part of"
            )
        for key in self._cache.live_text_keys(head):
            if key.endswith(tail):
                yield key[len(head) : len(key) - len(tail)]

    def close(self, **kwargs: Any) -> None:
        """The end of a request: notice that the directory was removed or replaced.

        Connections stay open for the next request; `shutdown` closes them.
        """
        if "_cache" in self.__dict__:  # else it has not been used
            self._cache.engine.tidy()

    def shutdown(self) -> None:
        """Close the connections of this process; the next call opens new ones."""
        self._cache.close()

    # Sub-collections

    def cache(self, name: str) -> Cache:
        """The `Cache` with this name in a subdirectory."""
        return self._cache.cache(name)

    def deque(self, name: str, maxlen: int | None = None) -> Deque:
        """The `Deque` with this name in a subdirectory."""
        return self._cache.deque(name, maxlen=maxlen)

    def index(self, name: str) -> Index:
        """The `Index` with this name in a subdirectory."""
        return self._cache.index(name)

    # Memoizing

    def memoize(
        self,
        name: str | None = None,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        typed: bool = False,
        tag: Any = None,
        ignore: Collection[int | str] = (),
    ) -> Decorator:
        """A decorator that keeps a function's results, by its arguments.

        A coroutine function stays one; what it returns when awaited is kept. The decorated
        function has ``__wrapped__``, the function itself, and ``__cache_key__``, which takes
        the function's arguments and returns the key of their result.

        :param name: stands for the function in keys; by default its module and qualified name
        :param timeout: seconds that a result is kept; None is for ever, 0 is not at all
        :param typed: keep f(3) and f(3.0) apart
        :param tag: tag of the results
        :param ignore: positions and names of arguments that do not make a different call
        :raises TypeError: when used without parentheses, or on a generator function
        """
        refuse_bare(name)
        lasting.add(self)
        kept = self.get_backend_timeout(timeout)

        results = Results(
            lambda key: self.get(key, ENOVAL, version, retry=True),
            lambda key, result: self.set(key, result, timeout, version, tag=tag),
            lambda key: self.aget(key, ENOVAL, version, retry=True),
            lambda key, result: self.aset(key, result, timeout, version, tag=tag),
            kept=kept is None or kept > 0,
        )

        def decorator(function: Function) -> Function:
            return wrapper_of(function, name, typed, ignore, _call_key, results)

        return decorator


def _call_key(call: tuple[Any, ...]) -> str:
    """The name of a function and a digest of its arguments: short and portable."""
    return f"{call[0]}:{blake2b(pickle_key(call[1:], 5), digest_size=16).hexdigest()}"
