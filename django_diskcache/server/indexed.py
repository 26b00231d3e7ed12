"""`ServerIndex`: an `Index` that is a hash on the server, with its order beside it.

What is a transaction on files is a script here, so it is one step for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from math import inf
from typing import Any, TypeVar

from ..engine.computing import Computing
from ..engine.errors import ENOVAL, Fault, Foreign
from ..engine.index import Index
from ..engine.once import Found
from ..engine.queues import FIRST, LAST, bounds, following, is_back
from . import orderscripts as scripts
from .carrying import ItemCopies
from .claiming import Claim
from .collection import temporary
from .envelope import Key

Self = TypeVar("Self", bound="ServerIndex")

PAGE = 200  # items that an iteration reads at a time
MOST_AT_ONCE = 500  # items that are stored in one step
MOST_TRIES = 1000  # of a place in a queue that others take meanwhile
DIGITS = len(str(LAST))
_YES, _NO = b"1", b""


class IndexEntries(Computing, ItemCopies):
    """The items of an index: what `Index` and `memoize` need of a cache."""

    kind = "index"
    parts = (b"values", b"order", b"queues")
    size = b"HLEN"

    def _member(self, key: Any) -> tuple[bytes, Key]:
        """What stands for a key in the hash, and its database form."""
        engine = self.engine
        name, _, form = engine.place(key)
        return name[len(engine.heads[0]) :], form

    def _key_of(self, member: bytes) -> Any:
        """The key, or ENOVAL for one that nobody of ours has stored."""
        try:
            return self.engine.key_of(self.engine.heads[0] + member)
        except Foreign as why:
            self._foreign(why)
            return ENOVAL

    def _encoded(self, key: Any, value: Any) -> tuple[bytes, bytes, bytes]:
        member, form = self._member(key)
        data = self._codec.encode(value, False, form, inf, b"")
        return member, data, _YES if _is_place(form) else _NO

    def _decoded(self, key: Any, data: bytes | None) -> Any:
        """The value, or ENOVAL for none and for one that nobody of ours has stored."""
        if data is None:
            return ENOVAL
        try:
            return self._codec.decode(data, self._member(key)[1])[0]
        except Foreign as why:
            self._foreign(why)
            self._run(scripts.REFUSE_KEY, self._member(key)[0], data)
            return ENOVAL

    def __len__(self) -> int:
        return int(self._look(scripts.LENGTH))

    # By key; `retry` means nothing: there are no locks to wait for

    def get(self, key: Any, default: Any = None, retry: bool = False) -> Any:
        """The value of `key`, or `default`."""
        data = self._ask(b"HGET", self._names[0], self._member(key)[0])
        value = self._decoded(key, data)
        return default if value is ENOVAL else value

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key, ENOVAL)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def until(self, key: Any, retry: bool = False) -> Found:
        """The value of `key`, or ENOVAL; it never expires."""
        return self.get(key, ENOVAL), None

    def has(self, key: Any, retry: bool = False) -> bool:
        """Whether `key` is there."""
        return bool(self._ask(b"HEXISTS", self._names[0], self._member(key)[0]))

    def __contains__(self, key: Any) -> bool:
        return self.has(key)

    def set(
        self, key: Any, value: Any, expire: None = None, tag: None = None, **_: Any
    ) -> bool:
        """Store `value` under `key`."""
        return bool(self._run(scripts.STORE, b"", *self._encoded(key, value)))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.set(key, value)

    def set_all(self, items: Iterable[tuple[Any, Any]]) -> None:
        """Store items in their order, many in one step; those before one that fails too."""
        some: list[bytes] = []
        try:
            for key, value in items:
                some += self._encoded(key, value)
                if len(some) == 3 * MOST_AT_ONCE:
                    step, some = some, []
                    self._run(scripts.STORE, b"", *step)
        finally:
            if some:
                self._run(scripts.STORE, b"", *some)

    def add(
        self, key: Any, value: Any, expire: None = None, tag: None = None, **_: Any
    ) -> bool:
        """Store `value` unless `key` is there; whether it was stored."""
        return bool(self._run(scripts.STORE, b"NX", *self._encoded(key, value)))

    def pop(self, key: Any, default: Any = None, retry: bool = False) -> Any:
        """Remove `key` and return its value, or `default`."""
        data = self._run(scripts.REMOVE_KEY, self._member(key)[0])
        value = self._decoded(key, data)
        return default if value is ENOVAL else value

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove `key`; whether it was there."""
        return self._run(scripts.REMOVE_KEY, self._member(key)[0]) is not None

    def __delitem__(self, key: Any) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def claim(self, key: Any) -> Claim | None:
        """The right to compute `key`; see `ServerCache.claim`."""
        return self.owner.claim(self._claimed(key))

    async def aclaim(self, key: Any) -> Any:
        """`claim` for event loops."""
        return await self.owner.aclaim(self._claimed(key))

    def _claimed(self, key: Any) -> tuple[Any, ...]:
        """What is claimed of the cache instead of a key of the index."""
        return (self.name, *self._member(key)[1])

    # By order

    def pages(self, reverse: bool, values: bool) -> Iterator[list[tuple[Any, Any]]]:
        """(key, what is kept of its value if asked for) in order, as of the beginning."""
        first, last = b"-inf", b"+inf"
        way, wanted = _YES if reverse else _NO, _YES if values else _NO
        begun = False
        while True:
            arguments = (first, last, b"%d" % PAGE, way, wanted)
            least, most, numbers, members, kept = self._look(scripts.PAGE, *arguments)
            if not numbers:
                return
            if not begun:  # what is stored from now on is not for this loop
                first, last, begun = least, most, True
            if reverse:
                last = b"(" + numbers[-1]
            else:
                first = b"(" + numbers[-1]
            pairs = zip(map(self._key_of, members), kept or [None] * len(members), strict=True)
            yield [pair for pair in pairs if pair[0] is not ENOVAL]

    def items(self, reverse: bool) -> Iterator[tuple[Any, Any]]:
        """(key, value) in order."""
        for page in self.pages(reverse, True):
            for key, data in page:
                value = self._decoded(key, data)
                if value is not ENOVAL:
                    yield key, value

    def __iter__(self) -> Iterator[Any]:
        return (key for page in self.pages(False, False) for key, _ in page)

    def __reversed__(self) -> Iterator[Any]:
        return (key for page in self.pages(True, False) for key, _ in page)

    def _item(self, pair: Any) -> tuple[Any, Any]:
        """(key, value), or (ENOVAL, ENOVAL) for what nobody of ours has stored."""
        member, data = pair
        key = self._key_of(member)
        value = ENOVAL if key is ENOVAL else self._decoded(key, data)
        if value is ENOVAL:
            self._run(scripts.REFUSE_KEY, member, data or b"")
            return ENOVAL, ENOVAL
        return key, value

    def end(self, last: bool, take: bool) -> tuple[Any, Any]:
        """The last (key, value) or the first, removed or not.

        :raises KeyError: when there is none
        """
        arguments = (_YES if last else _NO, _YES if take else _NO)
        while (pair := self._run(scripts.END, *arguments)) is not None:
            key, value = self._item(pair)
            if value is not ENOVAL:
                return key, value
        raise KeyError("the index is empty")

    def peekitem(self, last: bool = True, retry: bool = False) -> tuple[Any, Any]:
        """The last (key, value), or the first.

        :raises KeyError: when there is none
        """
        return self.end(last, False)

    def move(self, key: Any, last: bool) -> bool:
        """Make `key` the last, or the first; whether it is there."""
        return bool(self._run(scripts.MOVE, self._member(key)[0], _YES if last else _NO))

    # Queues

    def _bounds(self, prefix: str | None) -> tuple[bytes, bytes]:
        first, last = (b"[" + self._member(key)[0] for key in bounds(prefix))
        return first, last

    def push(
        self, value: Any, prefix: str | None = None, side: str = "back", retry: bool = False
    ) -> Any:
        """Add `value` at one end of a queue; its key."""
        back = is_back(side)
        first, last = self._bounds(prefix)
        command: tuple[bytes, ...] = (b"ZRANGEBYLEX", self._names[2], first, last)
        if back:
            command = (b"ZREVRANGEBYLEX", self._names[2], last, first)
        for _ in range(MOST_TRIES):
            found = self._ask(*command, b"LIMIT", b"0", b"1")
            key = following(self._key_of(found[0]) if found else None, prefix, back)
            if self.add(key, value):
                return key
        raise Fault("slow", self.directory, "others add to the queue all the time")

    def pull(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        retry: bool = False,
    ) -> Any:
        """Remove and return (key, value) at one end of a queue, or `default`."""
        arguments = (*self._bounds(prefix), _YES if is_back(side) else _NO)
        while (pair := self._run(scripts.PULL, *arguments)) is not None:
            key, value = self._item(pair)
            if value is not ENOVAL:
                return key, value
        return default


def _is_place(form: Key) -> bool:
    """Whether a key is one of those that queues have."""
    key, raw = form
    if not raw:
        return False
    if type(key) is int:
        return FIRST <= key <= LAST
    if type(key) is not str or key[-DIGITS - 1 : -DIGITS] != "-":
        return False
    return key.isascii() and key[-DIGITS:].isdigit()


class ServerIndex(Index):
    """The `Index` of a cache on a server; see `ServerCache.index`."""

    _cache: IndexEntries

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("an index on a server is made by the index(name) of its cache")

    def transact(self) -> AbstractContextManager[None]:
        """Not here: each method by itself is one step.

        :raises NotImplementedError: always
        """
        return self._cache.owner.transact()

    def __getstate__(self) -> Any:
        return self._cache

    def __setstate__(self, state: Any) -> None:
        self._begin(state)

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        """Remove and return the last (key, value), or the first.

        :raises KeyError: when the index is empty
        """
        return self._cache.end(last, True)

    def move_to_end(self, key: Any, last: bool = True) -> None:
        """Make `key` the last in order, or the first.

        :raises KeyError: when it is missing
        """
        if not self._cache.move(key, last):
            raise KeyError(key)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Store the items of a mapping or pairs, and keyword arguments, in their order."""
        if isinstance(other, Mapping):
            pairs: Any = other.items()
        elif hasattr(other, "keys"):
            pairs = ((key, other[key]) for key in other.keys())  # noqa: SIM118
        else:
            pairs = other
        self._cache.set_all(pairs)
        self._cache.set_all(more.items())

    def _items(self, reverse: bool) -> Iterator[tuple[Any, Any]]:
        return self._cache.items(reverse)

    def _new(self: Self, items: Any) -> Any:
        return temporary(self._cache, Index.fromcache, items)
