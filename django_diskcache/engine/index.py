"""`Index`: a persistent ordered dictionary, shared by threads and processes.

Its items are entries of a `Cache` that evicts nothing; their order is that in which the keys
were first stored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import (
    Collection,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from . import ordering
from .cache import Cache, part_of, refuse_remote
from .disk import Disk
from .errors import ENOVAL
from .guard import raising
from .signing import refuse_pickling

if TYPE_CHECKING:
    from .memoized import Memoizer

Self = TypeVar("Self", bound="Index")


class ReversibleKeys(KeysView[Any]):
    _mapping: Index

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._mapping)


class ReversibleValues(ValuesView[Any]):
    _mapping: Index

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._items(False))

    def __reversed__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._items(True))


class ReversibleItems(ItemsView[Any, Any]):
    _mapping: Index

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping._items(False)

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping._items(True)


class Index(MutableMapping[Any, Any]):
    """A mapping in order of insertion, kept in a directory.

    ``Index()`` makes a temporary directory, ``Index(directory)`` uses one; what follows, a
    mapping, pairs or keyword arguments, updates it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        directory = None
        if args and (args[0] is None or isinstance(args[0], (str, bytes)) or _is_path(args[0])):
            directory, *args = args  # type: ignore[assignment]
        self._begin(Cache(directory, eviction_policy="none"))
        self.update(*args, **kwargs)

    def _begin(self, cache: Any) -> None:
        self._given = cache
        self._cache = raising(cache)  # what it acknowledges must not be lost unnoticed

    @classmethod
    def fromcache(cls: type[Self], cache: Any, *args: Any, **kwargs: Any) -> Self:
        """An index of an existing cache, which should evict nothing; the rest updates it.

        :raises TypeError: for one on a server, which has indexes by name
        """
        refuse_remote(cache, "index")
        self = cls.__new__(cls)
        self._begin(cache)
        self.update(*args, **kwargs)
        return self

    @classmethod
    def fromkeys(cls: type[Self], keys: Iterable[Any], value: Any = None) -> Self:
        """A new index in a temporary directory, with one value for all keys."""
        return cls((key, value) for key in keys)

    @property
    def cache(self) -> Any:
        """The cache that holds the items."""
        return self._given

    @property
    def directory(self) -> str:
        """Path of the directory."""
        return str(self._cache.directory)

    def transact(self) -> AbstractContextManager[None]:
        """A context in which all changes happen together, or on an exception none."""
        context: AbstractContextManager[None] = self._cache.transact(retry=True)
        return context

    def __getstate__(self) -> str:
        refuse_pickling(self, self._cache.engine.secrets)
        return self.directory

    def __setstate__(self, state: str) -> None:
        self.__init__(state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory!r})"

    # By key

    def __getitem__(self, key: Any) -> Any:
        return self._cache[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._cache[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._cache[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._cache

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, which is `default` from now on if it was missing."""
        while True:
            value = self._cache.get(key, default=ENOVAL, retry=True)
            if value is not ENOVAL:
                return value
            if self._cache.add(key, default, retry=True):
                return default

    def pop(self, key: Any, default: Any = ENOVAL) -> Any:
        """Remove `key` and return its value, or `default` if it is missing.

        :raises KeyError: when it is missing and there is no default
        """
        value = self._cache.pop(key, default=default, retry=True)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    # By order

    def __iter__(self) -> Iterator[Any]:
        """Keys in order; others may change the index meanwhile."""
        return iter(self._cache)

    def __reversed__(self) -> Iterator[Any]:
        """Keys in the opposite order; others may change the index meanwhile."""
        keys: Iterator[Any] = reversed(self._cache)
        return keys

    def _items(self, reverse: bool) -> Iterator[tuple[Any, Any]]:
        for key in reversed(self) if reverse else self:
            value = self._cache.get(key, default=ENOVAL, retry=True)
            if value is not ENOVAL:  # else another has removed it since
                yield key, value

    def __len__(self) -> int:
        return len(self._cache)

    def peekitem(self, last: bool = True) -> tuple[Any, Any]:
        """The last (key, value), or the first.

        :raises KeyError: when the index is empty
        """
        item: tuple[Any, Any] = self._cache.peekitem(last, retry=True)
        return item

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        """Remove and return the last (key, value), or the first.

        :raises KeyError: when the index is empty
        """
        with self.transact():
            key, value = self.peekitem(last)
            del self._cache[key]
        return key, value

    def move_to_end(self, key: Any, last: bool = True) -> None:
        """Make `key` the last in order, or the first.

        :raises KeyError: when it is missing
        """
        store, place = self._cache.engine.place(key)
        if not ordering.move(store, place, last, None):
            raise KeyError(key)

    def push(self, value: Any, prefix: str | None = None, side: str = "back") -> Any:
        """Add `value` at one end of a queue of this name; its key."""
        return self._cache.push(value, prefix, side, retry=True)

    def pull(
        self, prefix: str | None = None, default: Any = (None, None), side: str = "front"
    ) -> Any:
        """Remove and return (key, value) at one end of a queue, or `default`."""
        return self._cache.pull(prefix, default, side, retry=True)

    # The whole

    def clear(self) -> None:
        """Remove all items."""
        self._cache.clear(retry=True)

    def keys(self) -> ReversibleKeys:
        """The keys, as a view."""
        return ReversibleKeys(self)

    def values(self) -> ReversibleValues:
        """The values, as a view."""
        return ReversibleValues(self)

    def items(self) -> ReversibleItems:
        """The (key, value) pairs, as a view."""
        return ReversibleItems(self)

    def copy(self: Self) -> Self:
        """A new index in a temporary directory, with the same items."""
        return self._new(self.items())

    def _new(self: Self, items: Any) -> Self:
        cache = part_of(self._cache, None, Disk, eviction_policy="none")
        return type(self).fromcache(cache, items)

    def __copy__(self: Self) -> Self:
        return type(self).fromcache(self._cache)

    def __or__(self: Self, other: Any) -> Self:
        """A new index in a temporary directory."""
        if not isinstance(other, Mapping):
            return NotImplemented
        result = self.copy()
        result.update(other)
        return result

    def __ror__(self: Self, other: Any) -> Self:
        if not isinstance(other, Mapping):
            return NotImplemented
        result = self._new(other)
        result.update(self)
        return result

    def __ior__(self: Self, other: Any) -> Self:
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        """Equal items; in equal order as well, if the other is an Index or an OrderedDict."""
        if not isinstance(other, Mapping):
            return NotImplemented
        if isinstance(other, (Index, OrderedDict)):
            return list(self.items()) == list(other.items())
        return len(self) == len(other) and all(
            key in other and other[key] == value for key, value in self.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        ignore: Collection[int | str] = (),
    ) -> Memoizer:
        """A decorator that keeps a function's results in the index; see `Cache.memoize`."""
        decorator: Memoizer = self._cache.memoize(name, typed, ignore=ignore)
        return decorator


def _is_path(value: Any) -> bool:
    return hasattr(value, "__fspath__")
