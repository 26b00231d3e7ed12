"""The cache backend: Django's contract on the engine.

Django builds a backend object for each thread, and under ASGI for each request, and calls
`close` on it at the end of every request. So the object is light: the engine behind it, with
its connections, is one per process and directory and stays open. `close` only notices that
the directory was removed or replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    MEMCACHE_MAX_KEY_LENGTH,
    default_key_func,
)

from .asynchronous import AsyncMethods
from .configuration import wants_signals
from .engine import ENOVAL, UNKNOWN
from .engine.interface import AnyFace
from .engine.nearcache import NearCache
from .methods.base import portable
from .methods.commits import Commits
from .methods.keys import Keys
from .methods.limiting import Limiting
from .methods.memoizing import Memoizing
from .methods.tags import Tags
from .methods.times import Times, without_key
from .native import Native, natives
from .opened import Opened, opened, opened_unless_checked


class _Opening:
    """An attribute that opens the cache where that was left to the first use, see `opened`.

    It is none any more when the instance has its own. A `__getattr__` would do the same, and
    make each attribute of every call cost more.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, cache: Any, owner: type) -> Any:
        if cache is None:
            return self
        cache._use(opened(*cache._entry))
        return vars(cache)[self._name]


class DjangoCache(AsyncMethods, Times, Keys, Tags, Commits, Memoizing, Limiting):
    """A persistent cache in a directory, shared by all processes of a machine.

    ``read``, ``tag``, ``expire_time`` and ``retry`` are what it adds to the arguments that
    Django's backends have. A timeout is in seconds; None is for ever.

    :param directory: LOCATION, made if it is not there
    :param params: the rest of the entry in CACHES
    :raises ImproperlyConfigured: for an option that is not known or has a wrong value, and a
        directory that cannot be made
    """

    _cache: AnyFace = _Opening()  # type: ignore[assignment]
    _impatient: AnyFace = _Opening()  # type: ignore[assignment]
    _near: NearCache = _Opening()  # type: ignore[assignment]
    _natives: Mapping[str, Native] = _Opening()  # type: ignore[assignment]

    def __init__(self, directory: Any, params: dict[str, Any]) -> None:
        self._entry = directory, params
        entry = opened_unless_checked(directory, params)
        if wants_signals(params) if entry is None else entry.signals:
            from .observing import observing  # for the few that ask for it

            kind: Any = type(self)
            self.__class__ = observing(kind)
        self._use(entry)
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
            engine = entry.cache.engine
            self._near = engine.near
            kind: Any = type(self)
            self._natives = natives(kind, DjangoCache) if engine.coroutines else {}
            self._jitter = entry.jitter

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
        touch: Any = False,
    ) -> Any:
        """The value of `key`, or `default`.

        :param read: return an open binary file, where the value is bytes
        :param expire_time: return it with the time it expires (seconds since the epoch, or
            None), in a tuple
        :param tag: return it with its tag, or with a tuple of several, in a tuple
        :param retry: wait for a lock as long as it takes
        :param touch: let it live so many seconds from now, for ever if None, for the default
            timeout if True: a sliding expiry, which ends after 0.9 to 1 times as many seconds
            without a read. With 0 or less it ends with this read
        """
        if self.key_func is default_key_func:  # once more without a call: the hottest path
            made: Any = (
                f"{self.key_prefix}:{self.version if version is None else version}:{key}"
            )
        else:
            made = self.make_key(key, version)
        plain = not (read or expire_time or tag or touch is not False)
        if plain and type(made) is str:
            value = self._near.get(made)  # it knows no key that deserves a warning
            if value is not UNKNOWN:
                return default if value is ENOVAL else value
        if touch is not False:
            touch = self._sliding(touch)
        if type(made) is not str or not portable(made):
            self.validate_key(made)
            with self._near.bypassed():  # the next time is to warn as well
                return self._cache.get(made, default, read, expire_time, tag, retry, touch)
        if plain:
            return self._cache.look(made, default, retry)
        return self._cache.get(made, default, read, expire_time, tag, retry, touch)

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
        :param tag: str, bytes, int or float, or several in a tuple, list or set, to find the
            entry by
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

    def _made_many(self, keys: Sequence[Any], version: int | None) -> tuple[list[Any], bool]:
        """What `keys` are made into; whether all are sure to be taken without a warning."""
        if self.key_func is default_key_func:
            head = f"{self.key_prefix}:{self.version if version is None else version}:"
            names: list[Any] = [f"{head}{key}" for key in keys]
        else:
            names = [self.make_key(key, version) for key in keys]
        try:
            clean = portable("".join(names), MEMCACHE_MAX_KEY_LENGTH * len(names))
        except TypeError:  # KEY_FUNCTION makes something else than texts
            return names, False
        return names, clean and max(map(len, names), default=0) <= MEMCACHE_MAX_KEY_LENGTH

    def _valid_many(self, keys: Sequence[Any], version: int | None) -> list[Any]:
        """What `keys` are made into, after the warnings that some deserve."""
        names, clean = self._made_many(keys, version)
        if not clean:
            for name in names:
                self.validate_key(name)
        return names

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """The values of those `keys` that are there."""
        keys = list(keys)
        names, clean = self._made_many(keys, version)
        if clean:
            found = self._cache.get_many(names)
        else:
            for name in names:
                self.validate_key(name)
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
        given = list(data)
        made = dict(zip(self._valid_many(given, version), given, strict=True))
        items = {key: data[name] for key, name in made.items()}
        cache = self._cache  # now: it opens where that was left to the first use
        life, spread = self._spread_timeout(timeout)
        failed = cache.set_many(items, life, tag, retry=True, spread=spread)
        return [made[key] for key in failed]

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove `keys`."""
        self._cache.delete_many(self._valid_many(list(keys), version), retry=True)

    # The whole cache

    @property
    def directory(self) -> str:
        """Path of the directory."""
        return self._cache.directory

    @without_key
    def expire(self) -> int:
        """Remove what has expired; how many entries.

        :raises TypeError: with a key, see `expire_in`
        """
        return self._cache.expire()

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

    def figures(self, reset: bool = False) -> Any:
        """What the cache has done and holds, per shard and in all; it costs no scan.

        Of more than a few thousand entries in a shard their number is an estimate; `len`
        counts. The near cache is that of this process.

        :param reset: let all counters begin again at zero
        """
        return self._cache.figures(reset)

    def faults(self) -> dict[str, int]:
        """How many faults all processes have met, by their kind, since statistics were reset.

        The kinds are ``locked``, ``full``, ``corrupt``, ``denied``, ``lost`` and ``other``; on
        a server also ``slow``, ``loading``, ``readonly`` and ``down``, and it is this process
        that has met them. All of them are there; what cannot be is 0.
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

    def cache(self, name: str) -> Any:
        """The cache with this name in a subdirectory, or beside this one on a server."""
        return self._cache.cache(name)

    def deque(self, name: str, maxlen: int | None = None) -> Any:
        """The `Deque` with this name in a subdirectory, or beside the cache on a server."""
        return self._cache.deque(name, maxlen=maxlen)

    def index(self, name: str) -> Any:
        """The `Index` with this name in a subdirectory, or beside the cache on a server."""
        return self._cache.index(name)
