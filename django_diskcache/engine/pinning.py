"""A face of a cache for what must not be evicted, and for callers who must not be put off.

A lock that is evicted has two holders; and where a cache answers a fault with "no" or "not
there", a lock would take that for the truth. So a recipe looks at its cache through this face:
what it stores is pinned, and what fails raises. A pinned entry is never evicted. It expires
and is cleared like any other, and an ordinary set over it makes it ordinary. On a server
nothing can be pinned, and its policy decides.

A cache that is none of ours is used as it is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from .disk import Pinned
from .errors import ENOVAL, UNKNOWN
from .guard import Guarded, raising
from .keyed import KeyedCache
from .updating import Change


def looked_at(value: Any) -> tuple[Any, Any, None]:
    """A change that changes nothing: its result is the value, or ENOVAL."""
    return value, UNKNOWN, None


class Pinning:
    """What recipes need of a cache, for the state under one key; all calls wait for locks.

    :param cache: one of ours, or anything with its methods
    """

    def __init__(
        self, cache: Any, key: Any, expire: float | None = None, tag: Any = None
    ) -> None:
        self.cache = raising(cache)
        self.key = key
        self.expire = expire
        self.tag = tag
        self._own = isinstance(cache, Guarded)

    def _pinned(self, value: Any) -> Any:
        return Pinned(value) if isinstance(self.cache, KeyedCache) else value

    def get(self, default: Any) -> Any:
        """What is stored, or `default`.

        One of ours counts no hit and no miss: who waits for a lock looks 200 times a second.
        """
        if not self._own:
            return self.cache.get(self.key, default=default, retry=True)
        found = self.cache.update(self.key, looked_at, looking=True)
        return default if found is ENOVAL else found

    def update(self, change: Change, looking: bool = False) -> Any:
        """Change what is stored as one step; see `KeyedCache.update`.

        :param change: a value in `Pinned` that it returns is pinned
        """
        if self._own:
            return self.cache.update(self.key, change, self.tag, looking)
        with self.cache.transact(retry=True):
            result, value, expire = change(self.cache.get(self.key, default=ENOVAL, retry=True))
            if value is ENOVAL:
                self.delete()
            elif value is not UNKNOWN:
                if type(value) is Pinned:
                    (value,) = value
                self.cache.set(self.key, value, expire=expire, tag=self.tag, retry=True)
        return result

    def add(self, value: Any) -> bool:
        """Store and pin `value` if nothing is stored; whether it was."""
        pinned = self._pinned(value)
        return bool(
            self.cache.add(self.key, pinned, expire=self.expire, tag=self.tag, retry=True)
        )

    def set(self, value: Any, pinned: bool = True) -> None:
        """Store `value`, pinned or not."""
        value = self._pinned(value) if pinned else value
        self.cache.set(self.key, value, expire=self.expire, tag=self.tag, retry=True)

    def delete(self) -> None:
        """Remove what is stored, whatever it is."""
        self.cache.delete(self.key, retry=True)

    def stored(self) -> bool:
        """Whether anything is."""
        return self.key in self.cache

    def transact(self) -> AbstractContextManager[Any]:
        """A transaction on the key; of several shards, the others go on writing."""
        if not isinstance(self.cache, KeyedCache):
            context: AbstractContextManager[Any] = self.cache.transact(retry=True)
            return context
        store, _ = self.cache.engine.place(self.key)
        guarded: AbstractContextManager[Any] = self.cache.guarding(
            store.transact(self.cache._wait(True))
        )
        return guarded
