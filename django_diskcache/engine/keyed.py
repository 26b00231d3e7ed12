"""What a cache is to its users, for any number of shards: every method by key, written once.

`Cache`, `FanoutCache` and the Django backend all stand on this class. They differ in how long
a call waits for a lock, and in which faults reach the caller (see `guard`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from . import batches, updating
from .connection import Wait
from .disk import Place
from .errors import ENOVAL, UNKNOWN, Timeout, TooLarge, Unavailable
from .guard import RAISE
from .overall import Overall
from .store import Store, near_name


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


class KeyedCache(Overall):
    """The operations of a cache on an engine; not used by itself."""

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
