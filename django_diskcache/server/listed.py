"""`ServerDeque`: a `Deque` that is a list on the server.

What is a transaction on files is a script here, so it is one step for everybody. Ends, length
and indexes cost one round trip, whatever the length; an iteration reads a page at a time.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from math import inf
from typing import Any, TypeVar

from ..engine.deque import Deque
from ..engine.errors import ENOVAL, Foreign
from . import orderscripts as scripts
from .carrying import VALUE, ListCopies
from .collection import temporary

Self = TypeVar("Self", bound="ServerDeque")

PAGE = 200  # values that an iteration reads at a time
MOST_AT_ONCE = 500  # values that are added in one step
MOST_BYTES = 2**20  # and how large they are together, but for the last
MOST_STEPS = 2**53  # that Lua's numbers hold exactly
_BACKWARDS, _FORWARDS = b"1", b""


def _bound(maxlen: int | None) -> bytes:
    return b"" if maxlen is None else b"%d" % maxlen


class ListEntries(ListCopies):
    """The values of a deque: what `Deque` needs of a cache, and what its steps are."""

    kind = "deque"
    parts = (b"values", b"shift")
    size = b"LLEN"

    def encoded(self, value: Any) -> bytes:
        """What is kept of a value."""
        return self._codec.encode(value, False, VALUE, inf, b"")

    def decoded(self, data: bytes) -> Any:
        """The value, or ENOVAL for one that nobody of ours has stored; that is removed."""
        try:
            return self._codec.decode(data, VALUE)[0]
        except Foreign as why:
            self._foreign(why)
            self._run(scripts.REMOVE, data)
            return ENOVAL

    # At the ends

    def push(
        self,
        value: Any,
        side: str = "back",
        retry: bool = False,
        maxlen: int | None = None,
    ) -> None:
        """Add a value at one end; of a full deque, one at the other goes."""
        self._run(scripts.PUSH, side.encode(), _bound(maxlen), self.encoded(value))

    def push_all(self, values: Iterable[Any], side: str, maxlen: int | None) -> None:
        """Add values one after the other, many in one step; those before one that fails too."""
        some: list[bytes] = []
        size = 0
        try:
            for value in values:
                data = self.encoded(value)
                some.append(data)
                size += len(data)
                if len(some) == MOST_AT_ONCE or size >= MOST_BYTES:
                    step, some, size = some, [], 0
                    self._run(scripts.PUSH, side.encode(), _bound(maxlen), *step)
        finally:
            if some:
                self._run(scripts.PUSH, side.encode(), _bound(maxlen), *some)

    def pull(
        self,
        default: Any = (None, None),
        side: str = "front",
        retry: bool = False,
    ) -> Any:
        """Remove and return (None, value) at one end, or `default`."""
        while (data := self._run(scripts.TAKE, side.encode())) is not None:
            try:
                return None, self._codec.decode(data, VALUE)[0]
            except Foreign as why:  # it is gone; the next one, then
                self._foreign(why)
        return default

    def peek(
        self,
        default: Any = (None, None),
        side: str = "front",
        retry: bool = False,
    ) -> Any:
        """(None, value) at one end, or `default`."""
        value = self.at(-1 if side == "back" else 0)
        return default if value is ENOVAL else (None, value)

    # By position

    def at(self, index: int) -> Any:
        """The value with an index, or ENOVAL."""
        if not -(2**63) <= index < 2**63:
            return ENOVAL
        while (data := self._ask(b"LINDEX", self._names[0], b"%d" % index)) is not None:
            value = self.decoded(data)
            if value is not ENOVAL:
                return value
        return ENOVAL

    def put_at(self, index: int, value: Any) -> bool:
        """Put a value into the place of another; whether there is one."""
        return bool(self._run(scripts.PUT_AT, b"%d" % index, self.encoded(value)))

    def remove_at(self, index: int) -> bool:
        """Remove the value with an index; whether there is one."""
        return bool(self._run(scripts.REMOVE_AT, b"%d" % index))

    def insert(self, index: int, value: Any, maxlen: int | None) -> bool:
        """Insert a value before another; whether there was room."""
        arguments = (b"%d" % index, self.encoded(value), _bound(maxlen))
        return bool(self._run(scripts.INSERT, *arguments))

    # The whole

    def pages(self, reverse: bool) -> Iterator[list[bytes]]:
        """What is kept of all values, from the front or from the back."""
        place, way = b"", _BACKWARDS if reverse else _FORWARDS
        while True:
            place, found = self._look(scripts.SLICE, place, b"%d" % PAGE, way)
            if not found:
                return
            yield found[::-1] if reverse else found

    def remove(self, value: Any) -> bool:
        """Remove the first value that is equal; whether there was one."""
        while True:
            for data in (each for page in self.pages(False) for each in page):
                if self.decoded(data) == value:
                    if self._run(scripts.REMOVE, data):
                        return True
                    break  # another was faster: look again
            else:
                return False

    def trim(self, maxlen: int) -> None:
        """Drop values at the front until there are no more than this."""
        self._run(scripts.TRIM, b"%d" % maxlen)

    def rotate(self, steps: int) -> None:
        """Move values from the back to the front, or the other way."""
        if not -MOST_STEPS <= steps <= MOST_STEPS:
            steps %= len(self) or 1
        self._run(scripts.ROTATE, b"%d" % steps)

    def reverse(self) -> None:
        """Turn the order round."""
        self._run(scripts.REVERSE)

    def repeat(self, times: int, maxlen: int | None) -> None:
        """Have all values so many times."""
        self._run(scripts.REPEAT, b"%d" % times, _bound(maxlen))


class ServerDeque(Deque):
    """The `Deque` of a cache on a server; see `ServerCache.deque`."""

    _cache: ListEntries

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("a deque on a server is made by the deque(name) of its cache")

    def transact(self) -> AbstractContextManager[None]:
        """Not here: each method by itself is one step.

        :raises NotImplementedError: always
        """
        return self._cache.owner.transact()

    def __getstate__(self) -> Any:
        return self._cache, self._maxlen

    def __setstate__(self, state: Any) -> None:
        cache, maxlen = state
        self._begin(cache, (), maxlen)

    def _limit(self, maxlen: int) -> None:
        self._cache.trim(maxlen)

    # By position

    def __getitem__(self, index: Any) -> Any:
        value = self._cache.at(operator.index(index))
        if value is ENOVAL:
            raise IndexError("deque index out of range")
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self._cache.put_at(operator.index(index), value):
            raise IndexError("deque index out of range")

    def __delitem__(self, index: Any) -> None:
        if not self._cache.remove_at(operator.index(index)):
            raise IndexError("deque index out of range")

    def insert(self, index: int, value: Any) -> None:
        """Insert `value` before `index`.

        :raises IndexError: when it is full
        """
        if not self._cache.insert(operator.index(index), value, self._maxlen):
            raise IndexError("deque already at its maximum size")

    def _values(self, reverse: bool) -> Iterator[Any]:
        for page in self._cache.pages(reverse):
            for data in page:
                value = self._cache.decoded(data)
                if value is not ENOVAL:
                    yield value

    # At the ends

    def _push(self, value: Any, side: str, other: str) -> None:
        self._cache.push(value, side=side, maxlen=self._maxlen)

    def extend(self, iterable: Iterable[Any]) -> None:
        """Add the values of `iterable` at the back, one after the other."""
        values = list(iterable) if iterable is self else iterable
        self._cache.push_all(values, "back", self._maxlen)

    def extendleft(self, iterable: Iterable[Any]) -> None:
        """Add the values of `iterable` at the front one by one: they end up reversed."""
        values = list(iterable) if iterable is self else iterable
        self._cache.push_all(values, "front", self._maxlen)

    # The whole

    def remove(self, value: Any) -> None:
        """Remove the first value that is equal to `value`.

        :raises ValueError: when there is none
        """
        if not self._cache.remove(value):
            raise ValueError("deque.remove(value): value not in deque")

    def reverse(self) -> None:
        """Reverse the order in place."""
        self._cache.reverse()

    def _rotate(self, steps: int) -> None:
        self._cache.rotate(steps)

    def __imul__(self: Self, times: int) -> Self:
        self._cache.repeat(operator.index(times), self._maxlen)
        return self

    def _new(self, values: Iterable[Any], maxlen: int | None) -> Any:
        return temporary(self._cache, Deque.fromcache, values, maxlen)
