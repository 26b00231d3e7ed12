"""What a cache is to its users, for any number of shards: every method by key, written once.

`Cache`, `FanoutCache` and the Django backend all stand on this class. They differ in how long
a call waits for a lock, and in which faults reach the caller (see `guard`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import attributes, batches, maintenance, ordering, schema, statistics, updating
from .clock import Clock, wall_clock
from .connection import Wait
from .disk import Disk, Place
from .engine import Engine, open_engine
from .errors import ENOVAL, UNKNOWN, Timeout, TooLarge, Unavailable
from .faults import of_every_kind
from .guard import RAISE, ErrorHandler
from .lifetime import LifetimeMethods, check_now
from .signing import NO_SECRETS, Secrets
from .store import Store, near_name

Self = TypeVar("Self", bound="KeyedCache")
PAGE = 100  # keys read at a time by an iteration


def shaped(found: tuple[Any, float | None, Any], expire_time: bool, tag: bool) -> Any:
    """The value alone, or with its expire time or tag in a tuple."""
    value, due, label = found
    if expire_time and tag:
        return value, due, label
    if expire_time:
        return value, due
    if tag:
        return value, label
    return value


def _store_all_that_fit(*args: Any) -> bool | None:
    """`batches.store_all`, or None when a value cannot fit into the cache."""
    try:
        return batches.store_all(*args)
    except TooLarge:
        return None


class KeyedCache(LifetimeMethods):
    """The operations of a cache on an engine; not used by itself."""

    def __init__(
        self,
        directory: str | None,
        shards: int,
        sharded: bool,
        timeout: float,
        disk: type[Disk],
        settings: Mapping[str, Any],
        clock: Clock = wall_clock,
        stored: bool = True,
        secrets: Secrets = NO_SECRETS,
        error_handler: ErrorHandler | None = None,
        strict: bool = False,
    ) -> None:
        if not (isinstance(disk, type) and issubclass(disk, Disk)):
            raise ValueError(f"disk={disk!r}: expected Disk or a subclass of it")
        self._timeout = timeout
        self.error_handler = error_handler
        if strict:
            self.absorbs = ()
        self._engine = open_engine(
            directory, shards, sharded, disk, settings, clock, stored, secrets
        )
        attributes.show(self._engine.settings, KeyedCache)

    # What it is

    @property
    def engine(self) -> Engine:
        """The engine that all caches of this process on the directory share."""
        return self._engine

    @property
    def directory(self) -> str:
        """Path of the directory."""
        return self._engine.directory

    @property
    def timeout(self) -> float:
        """Seconds that a call without `retry` waits for a lock."""
        return self._timeout

    @property
    def disk(self) -> Disk:
        """How keys and values are serialised: that of the first shard."""
        return self._engine.disks[0]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A setting, see `attributes`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(directory={self.directory!r})"

    def __copy__(self: Self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the directory; the next call opens new ones."""
        self._engine.close()

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """Change a setting, or without a value load what another process has stored.

        :param update: store it for others and for later
        :return: the value in force
        :raises KeyError: when there is no such setting
        :raises ValueError: when it does not take the value
        """
        return self._engine.reset(key, value, update)

    def _wait(self, retry: bool) -> Wait:
        return None if retry else self._timeout

    def _removal_wait(self, retry: bool) -> Wait:
        return self._wait(retry)

    # One key

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store `value` under `key`.

        :param expire: seconds until it expires; None is never
        :param read: `value` is a binary file to copy, or bytes, and is kept in a file
        :param tag: str, bytes, int or float, or several in a tuple, list or set, to find the
            entry by
        :param retry: wait for a lock as long as it takes
        :return: whether it was stored; a value that cannot fit into the cache is not
        """
        store, place = self._engine.place(key)
        return self._safely(
            False, store.set, place, key, value, expire, read, tag, self._wait(retry)
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        store, place = self._engine.place(key)
        self._safely(RAISE, store.set, place, key, value, None, False, None, None)

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
        touch: float | bool | None = False,
    ) -> Any:
        """The value of `key`, or `default`.

        :param read: return an open binary file, where the value is bytes
        :param expire_time: return it with the time it expires (seconds since the epoch, or
            None), in a tuple
        :param tag: return it with its tag, or with a tuple of several, in a tuple
        :param retry: wait for a lock as long as it takes
        :param touch: let it live so many seconds from now, or for ever if None: a sliding
            expiry, which ends after 0.9 to 1 times as many seconds without a read. With 0
            or less it ends with this read
        """
        if touch is not False and not self._slide(key, touch, retry):
            found = self.get(key, default, read, expire_time, tag, retry)
            self.touch(key, touch, retry)
            return found
        if not (read or expire_time or tag):
            value = self._engine.near.get(key) if type(key) is str else UNKNOWN
            if value is UNKNOWN:
                return self.look(key, default, retry)
            return default if value is ENOVAL else value
        store, place = self._engine.place(key)
        missing = (default, None, None)
        found = self._safely(missing, store.get, place, default, read, self._wait(retry))
        return shaped(found, expire_time, tag)

    def look(self, key: Any, default: Any = None, retry: bool = False) -> Any:
        """`get` for a key, if it is a text, that the near cache has just been asked for."""
        value = self._safely(ENOVAL, self._look, key, self._wait(retry))
        return default if value is ENOVAL else value

    def _look(self, key: Any, wait: Wait) -> Any:
        store, place = self._engine.place(key)
        if type(key) is not str:  # it has another name in the near cache
            value = self._engine.near.get(near_name(key, place))
            if value is not UNKNOWN:
                return value
        return store.load(key, place, wait)

    def __getitem__(self, key: Any) -> Any:
        value = self._engine.near.get(key) if type(key) is str else UNKNOWN
        if value is UNKNOWN:
            value = self._safely(RAISE, self._look, key, None)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def read(self, key: Any, retry: bool = False) -> Any:
        """An open binary file of the value of `key`.

        :raises KeyError: when there is none
        """
        value = self.get(key, default=ENOVAL, read=True, retry=retry)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def has(self, key: Any, retry: bool = False) -> bool:
        """Whether `key` is there; nothing is counted as a hit or a miss."""
        return self._safely(False, self._has, key, self._wait(retry))

    def __contains__(self, key: Any) -> bool:
        return self._safely(RAISE, self._has, key, None)

    def _has(self, key: Any, wait: Wait) -> bool:
        near = self._engine.near
        if type(key) is str and (known := near.knows(key)) is not None:
            return known
        store, place = self._engine.place(key)
        if type(key) is not str and (known := near.knows(near_name(key, place))) is not None:
            return known
        return store.contains(place, wait)

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store `value` unless `key` is there; of several at once, one succeeds.

        The arguments are those of `set`.

        :return: whether it was stored
        """
        if type(key) is str and self._engine.near.knows(key):
            return False
        store, place = self._engine.place(key)
        return self._safely(
            False, self._add, store, place, key, value, expire, read, tag, self._wait(retry)
        )

    def _add(self, store: Store, *args: Any) -> bool:
        try:
            return store.add(*args)
        except Unavailable:
            # It is a miss to all who ask, and would be for ever. A collection loses nothing.
            if not self.absorbs:
                raise
            return store.set(*args)

    def incr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Add `delta` to the number under `key`, as one step; expiry and tag stay.

        :param default: what a missing key counts as; None makes it an error
        :return: the new value, or None where a Timeout is absorbed
        :raises KeyError: when the key is missing and `default` is None
        :raises TypeError: when the value takes no `delta`
        :raises Fault: when the store cannot do it: a count that is lost must not look kept
        """
        store, place = self._engine.place(key)
        try:
            wait = self._wait(retry)
            return self._safely(RAISE, store.incr, place, key, delta, default, wait)
        except Timeout:
            if Timeout in self.absorbs:
                return None
            raise

    def decr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Subtract `delta` from the number under `key`; otherwise like `incr`."""
        return self.incr(key, -delta, default, retry)

    def update(
        self, key: Any, change: updating.Change, tag: Any = None, looking: bool = False
    ) -> Any:
        """Change what is under `key`, as one step; it waits for a lock as long as it takes.

        No hit and no miss is counted.

        :param change: takes the value, or ENOVAL if there is none, and returns a result, the
            new value and the seconds until it expires, or None for never. ENOVAL instead of a
            value removes the entry, UNKNOWN leaves it as it is. It may be called more than
            once, so it must do nothing else
        :param tag: the tags of a new value
        :param looking: look first, without a lock: for a change that mostly is to leave the
            entry as it is
        :return: the result
        :raises Fault: when the store cannot do it
        """
        store, place = self._engine.place(key)
        wait = self._wait(True)
        return self._safely(
            RAISE, updating.update, store, place, key, change, tag, looking, wait
        )

    def pop(
        self,
        key: Any,
        default: Any = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove `key` and return its value, or `default`; otherwise like `get`."""
        store, place = self._engine.place(key)
        missing = (default, None, None)
        removing, wait = self._engine.removing, self._wait(retry)
        found = self._safely(missing, removing, store, store.pop, place, default, wait)
        return shaped(found, expire_time, tag)

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove `key`; whether it was there."""
        store, place = self._engine.place(key)
        removing, wait = self._engine.removing, self._wait(retry)
        return bool(self._safely(False, removing, store, store.delete, place, wait))

    def __delitem__(self, key: Any) -> None:
        store, place = self._engine.place(key)
        if not self._safely(RAISE, self._engine.removing, store, store.delete, place, None):
            raise KeyError(key)

    # Many keys

    def _by_store(self, keys: Iterable[Any]) -> dict[Store, list[tuple[Any, Place]]]:
        groups: dict[Store, list[tuple[Any, Place]]] = {}
        for key in keys:
            store, place = self._engine.place(key)
            groups.setdefault(store, []).append((key, place))
        return groups

    def get_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]:
        """The values of those `keys` that are there."""
        texts: list[Any] = []  # only a text is its own name in the near cache
        others: list[Any] = []
        for key in keys:
            (texts if type(key) is str else others).append(key)
        found, unknown = self._engine.near.get_many(texts)
        for store, places in self._by_store(unknown + others).items():
            found.update(self._safely({}, batches.load, store, places, self._wait(retry)))
        return found

    def set_many(
        self,
        items: Mapping[Any, Any],
        expire: float | None = None,
        tag: Any = None,
        retry: bool = False,
        spread: float = 0,
    ) -> list[Any]:
        """Store all `items`, with one transaction per shard; the keys that were not stored.

        :param spread: up to which fraction `expire` is shortened, for each key at random, so
            that they do not all end at once
        """
        failed: list[Any] = []
        for store, places in self._by_store(items).items():
            entries = ((place, key, items[key]) for key, place in places)
            arguments = (store, entries, expire, tag, self._wait(retry), spread)
            stored = self._safely(False, _store_all_that_fit, *arguments)
            if stored is None:  # one is too large: each for itself, then
                for key, _ in places:
                    life = batches.shortened(expire, spread)
                    if not self.set(key, items[key], life, tag=tag, retry=retry):
                        failed.append(key)
            elif not stored:
                failed += [key for key, _ in places]
        return failed

    def delete_many(self, keys: Iterable[Any], retry: bool = False) -> int:
        """Remove `keys`, with one transaction per shard; how many were there."""
        removed = 0
        for store, places in self._by_store(keys).items():
            wanted = [place for _, place in places]
            removing, wait = self._engine.removing, self._wait(retry)
            removed += self._safely(0, removing, store, batches.delete, store, wanted, wait)
        return removed

    def transact(self, retry: bool = False) -> AbstractContextManager[None]:
        """A context in which all changes happen together, or on an exception none.

        It may be nested; it belongs to the thread. Other writers wait meanwhile, so keep it
        short.

        :raises Timeout: when the write lock is not free in time
        """
        return self.guarding(self._engine.transact(self._wait(retry)))

    # The whole cache

    def clear(self, retry: bool = False) -> int:
        """Remove all entries; how many there were.

        :raises Timeout: with the number removed so far
        """
        wait = self._removal_wait(retry)
        return self._removed_from_each(lambda store: maintenance.clear(store, wait))

    def _expire(self, now: float | None, wait: Wait) -> int:
        check_now(now)  # a text is more than any time is to SQLite
        due = self._engine.clock() if now is None else now
        return self._removed_from_each(
            lambda store: maintenance.remove(store, schema.REMOVE_EXPIRED, due, wait)
        )

    def cull(self, retry: bool = False) -> int:
        """Remove what has expired, then evict until the size limit holds; how many.

        :raises Timeout: with the number removed so far
        """
        removing, cull = self._engine.removing, self._engine.limits.cull
        store, wait = self._engine.stores[0], self._removal_wait(retry)
        return int(self._safely(0, removing, store, cull, wait))

    def check(self, fix: bool = False, retry: bool = False) -> list[Any]:
        """What is wrong with the database and the files, as a list of warnings.

        It reads everything and keeps writers waiting: a tool for maintenance.

        :param fix: mend it
        :raises Timeout: when the write lock is not free in time
        """
        return maintenance.check_all(self._engine.stores, fix, self._wait(retry))

    def create_tag_index(self) -> None:
        """Create the index on tags, which makes `evict` fast, now and for later openings."""
        self.reset("tag_index", 1)

    def drop_tag_index(self) -> None:
        """Drop the index on tags."""
        self.reset("tag_index", 0)

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """(hits, misses) of all processes.

        A process reports what it has answered from its own memory at the end of a request, at
        exit, and with a look into the database a second later.

        :param enable: count from now on
        :param reset: begin again at zero
        """
        return self._safely((0, 0), self._engine.stats, enable, reset)

    def faults(self) -> dict[str, int]:
        """How many faults all processes have met, by their kind, since statistics were reset.

        The kinds are ``locked``, ``full``, ``corrupt``, ``denied``, ``lost`` and ``other``, and
        those that only servers have, which are 0.
        """
        return of_every_kind(self._engine.triage.counts())

    def figures(self, reset: bool = False) -> statistics.Statistics:
        """What the cache has done and holds, per shard and in all; it costs no scan.

        `statistics` is a setting, hence the name. Of more than a few thousand entries in a
        shard their number is an estimate; `len` counts.

        :param reset: let all counters begin again at zero
        """
        result = statistics.statistics(self._engine, self._safely)
        if reset:
            statistics.reset(self._engine)
        return result

    def evictions(self) -> dict[str, int]:
        """What has been evicted, by all processes since the segment was made.

        :return: entries that are gone, by the reason: 'size', 'entries', 'expired'; values
            that were 'refused'; the bytes 'freed' by all that; 'ghost_hits', which are
            entries that were stored again soon after they were evicted
        """
        shards = self._engine.evictions()
        return {name: sum(shard[name] for shard in shards) for name in shards[0]}

    def volume(self) -> int:
        """Bytes that the cache takes on disk, as ``du`` shows them; without collections."""
        return self._engine.limits.volume()

    def __len__(self) -> int:
        """Number of entries, those that have expired and are not yet removed included."""
        return self._safely(0, self._engine.count)

    # Iteration: a page of keys at a time, so that others may write meanwhile

    def __iter__(self) -> Iterator[Any]:
        """Keys in the order in which they were stored first, shard by shard."""
        return self._from_each(lambda store: ordering.keys(store, PAGE), False)

    def __reversed__(self) -> Iterator[Any]:
        """Keys in the opposite order of iteration."""
        return self._from_each(lambda store: ordering.keys(store, PAGE, reverse=True), True)
