"""`Deque`: a persistent double-ended queue, shared by threads and processes.

Its values are entries of a `Cache` that evicts nothing, under integer keys that grow at the
back and shrink at the front. An index walks the keys from the nearer end.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

from .cache import Cache, part_of, refuse_remote
from .disk import Disk
from .errors import ENOVAL, Fault
from .guard import raising
from .signing import refuse_pickling

Self = TypeVar("Self", bound="Deque")
ATTEMPTS = 10  # to read the value at a position, before it is damaged and not just removed


class Deque(MutableSequence[Any]):
    """A sequence that is fast at both ends, kept in a directory.

    :param iterable: values to append
    :param directory: path; a new temporary directory if None
    :param maxlen: the most values it holds; adding at one end of a full one drops a value at
        the other. None is no limit.
    """

    def __init__(
        self, iterable: Iterable[Any] = (), directory: Any = None, maxlen: int | None = None
    ) -> None:
        self._begin(Cache(directory, eviction_policy="none"), iterable, maxlen)

    @classmethod
    def fromcache(
        cls: type[Self], cache: Any, iterable: Iterable[Any] = (), maxlen: int | None = None
    ) -> Self:
        """A deque of the queue in an existing cache, which should evict nothing.

        :raises TypeError: for one on a server, which has deques by name
        """
        refuse_remote(cache, "deque")
        self = cls.__new__(cls)
        self._begin(cache, iterable, maxlen)
        return self

    def _begin(self, cache: Any, iterable: Iterable[Any], maxlen: int | None) -> None:
        self._given = cache
        self._cache = raising(cache)  # what it acknowledges must not be lost unnoticed
        self._maxlen = _checked_maxlen(maxlen)
        self.extend(iterable)

    @property
    def cache(self) -> Any:
        """The cache that holds the values."""
        return self._given

    @property
    def directory(self) -> str:
        """Path of the directory."""
        return str(self._cache.directory)

    @property
    def maxlen(self) -> int | None:
        """The most values it holds; None is no limit. Lowering it drops values at the front."""
        return self._maxlen

    @maxlen.setter
    def maxlen(self, value: int | None) -> None:
        self._maxlen = _checked_maxlen(value)
        if self._maxlen is not None:
            self._limit(self._maxlen)

    def _limit(self, maxlen: int) -> None:
        with self.transact():
            for _ in range(len(self) - maxlen):
                self.popleft()

    def transact(self) -> AbstractContextManager[None]:
        """A context in which all changes happen together, or on an exception none."""
        context: AbstractContextManager[None] = self._cache.transact(retry=True)
        return context

    def __getstate__(self) -> tuple[str, int | None]:
        refuse_pickling(self, self._cache.engine.secrets)
        return self.directory, self.maxlen

    def __setstate__(self, state: tuple[str, int | None]) -> None:
        directory, maxlen = state
        self.__init__(directory=directory, maxlen=maxlen)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(directory={self.directory!r})"

    # By position

    def _key(self, position: int) -> Any:
        position = operator.index(position)
        if position >= 0:
            keys = islice(self._cache.iterkeys(), position, None)
        else:
            keys = islice(self._cache.iterkeys(reverse=True), -position - 1, None)
        for key in keys:
            return key
        raise IndexError("deque index out of range")

    def __getitem__(self, index: Any) -> Any:
        missed, times = None, 0
        while times < ATTEMPTS:
            key = self._key(index)
            value = self._cache.get(key, default=ENOVAL, retry=True)
            if value is not ENOVAL:  # else it was removed between the two looks
                return value
            missed, times = key, times + 1 if key == missed else 1
        what = f"the value at {index} is damaged and cannot be removed"
        raise Fault("corrupt", self.directory, what)

    def __setitem__(self, index: Any, value: Any) -> None:
        with self.transact():
            self._cache[self._key(index)] = value

    def __delitem__(self, index: Any) -> None:
        with self.transact():
            del self._cache[self._key(index)]

    def insert(self, index: int, value: Any) -> None:
        """Insert `value` before `index`.

        :raises IndexError: when it is full
        """
        with self.transact():
            length = len(self)
            if self._maxlen is not None and length >= self._maxlen:
                raise IndexError("deque already at its maximum size")
            index = max(index + length, 0) if index < 0 else min(index, length)
            if index > length // 2:
                back = length - index
                self.rotate(back)
                self.append(value)
                self.rotate(-back)
            else:
                self.rotate(-index)
                self.appendleft(value)
                self.rotate(index)

    def __len__(self) -> int:
        return len(self._cache)

    def _values(self, reverse: bool) -> Iterator[Any]:
        for key in self._cache.iterkeys(reverse=reverse):
            value = self._cache.get(key, default=ENOVAL, retry=True)
            if value is not ENOVAL:
                yield value

    def __iter__(self) -> Iterator[Any]:
        """Values from front to back; others may change the deque meanwhile."""
        return self._values(False)

    def __reversed__(self) -> Iterator[Any]:
        """Values from back to front; others may change the deque meanwhile."""
        return self._values(True)

    # At the ends

    def _push(self, value: Any, side: str, other: str) -> None:
        if self._maxlen is None:
            self._cache.push(value, side=side, retry=True)
            return
        with self.transact():
            self._cache.push(value, side=side, retry=True)
            if len(self) > self._maxlen:
                self._cache.pull(side=other, retry=True)

    def append(self, value: Any) -> None:
        """Add `value` at the back."""
        self._push(value, "back", "front")

    def appendleft(self, value: Any) -> None:
        """Add `value` at the front."""
        self._push(value, "front", "back")

    def extend(self, iterable: Iterable[Any]) -> None:
        """Add the values of `iterable` at the back, one after the other."""
        for value in list(iterable) if iterable is self else iterable:
            self.append(value)

    def extendleft(self, iterable: Iterable[Any]) -> None:
        """Add the values of `iterable` at the front one by one: they end up reversed."""
        for value in list(iterable) if iterable is self else iterable:
            self.appendleft(value)

    def _take(self, take: Callable[..., Any], side: str, what: str) -> Any:
        _, value = take(default=(None, ENOVAL), side=side, retry=True)
        if value is ENOVAL:
            raise IndexError(f"{what} an empty deque")
        return value

    def pop(self, index: int = -1) -> Any:
        """Remove and return the value at the back.

        :raises IndexError: when it is empty
        """
        if index != -1:
            raise IndexError("a deque pops at its ends: use pop() or popleft()")
        return self._take(self._cache.pull, "back", "pop from")

    def popleft(self) -> Any:
        """Remove and return the value at the front.

        :raises IndexError: when it is empty
        """
        return self._take(self._cache.pull, "front", "pop from")

    def peek(self) -> Any:
        """The value at the back.

        :raises IndexError: when it is empty
        """
        return self._take(self._cache.peek, "back", "peek from")

    def peekleft(self) -> Any:
        """The value at the front.

        :raises IndexError: when it is empty
        """
        return self._take(self._cache.peek, "front", "peek from")

    # The whole

    def clear(self) -> None:
        """Remove all values."""
        self._cache.clear(retry=True)

    def copy(self: Self) -> Self:
        """Another deque object of the same directory and maximum length: the same values."""
        return type(self).fromcache(self._cache, maxlen=self.maxlen)

    __copy__ = copy

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The position of the first value that is equal to `value`, from `start` to `stop`.

        :raises ValueError: when there is none
        """
        if start < 0 or (stop is not None and stop < 0):
            length = len(self)
            start = max(start + length, 0) if start < 0 else start
            stop = max(stop + length, 0) if stop is not None and stop < 0 else stop
        for position, each in enumerate(islice(self, stop)):
            if position >= start and (each is value or each == value):
                return position
        raise ValueError(f"{value!r} is not in deque")

    def count(self, value: Any) -> int:
        """How many values are equal to `value`."""
        return sum(1 for each in self if each == value)

    def remove(self, value: Any) -> None:
        """Remove the first value that is equal to `value`.

        :raises ValueError: when there is none
        """
        with self.transact():
            for key in self._cache.iterkeys():
                if self._cache.get(key, default=ENOVAL) == value:
                    del self._cache[key]
                    return
        raise ValueError("deque.remove(value): value not in deque")

    def reverse(self) -> None:
        """Reverse the order in place."""
        with self.transact():
            keys = zip(self._cache.iterkeys(), self._cache.iterkeys(reverse=True), strict=False)
            for front, back in islice(keys, len(self) // 2):
                cache = self._cache
                cache[front], cache[back] = cache[back], cache[front]

    def rotate(self, steps: int = 1) -> None:
        """Move `steps` values from the back to the front, or the other way if negative."""
        if not isinstance(steps, int):
            raise TypeError(f"integer argument expected, got {type(steps).__name__}")
        self._rotate(steps)

    def _rotate(self, steps: int) -> None:
        with self.transact():
            length = len(self)
            if not length:
                return
            steps %= length
            # Straight to the cache: a full deque must not drop what is on its way round.
            if steps <= length // 2:
                for _ in range(steps):
                    self._cache.push(self.pop(), side="front", retry=True)
            else:
                for _ in range(length - steps):
                    self._cache.push(self.popleft(), side="back", retry=True)

    def __iadd__(self: Self, values: Iterable[Any]) -> Self:  # type: ignore[misc]
        self.extend(values)
        return self

    def __add__(self: Self, other: Any) -> Self:
        """A new deque in a temporary directory."""
        if not isinstance(other, Sequence):
            return NotImplemented
        result = self._new(self, self.maxlen)
        result.extend(other)
        return result

    def _new(self: Self, values: Iterable[Any], maxlen: int | None) -> Self:
        cache = part_of(self._cache, None, Disk, eviction_policy="none")
        return type(self).fromcache(cache, values, maxlen)

    def __mul__(self: Self, times: int) -> Self:
        """A new deque in a temporary directory."""
        result = self._new((), self.maxlen)
        for _ in range(times):
            result.extend(self)
        return result

    __rmul__ = __mul__

    def __imul__(self: Self, times: int) -> Self:
        values = list(self)
        with self.transact():
            if times <= 0:
                self.clear()
            for _ in range(times - 1):
                self.extend(values)
        return self

    # Comparison, value by value, with any sequence

    def _compare(self, other: Any, compare: Callable[[Any, Any], bool]) -> Any:
        if not isinstance(other, Sequence):  # a text is one: Deque("ab") == "ab"
            return NotImplemented
        return compare(list(self), list(other))

    def __eq__(self, other: object) -> Any:
        return self._compare(other, operator.eq)

    def __ne__(self, other: object) -> Any:
        return self._compare(other, operator.ne)

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, operator.lt)

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, operator.gt)

    def __le__(self, other: Any) -> Any:
        return self._compare(other, operator.le)

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, operator.ge)

    __hash__ = None  # type: ignore[assignment]


def _checked_maxlen(maxlen: Any) -> int | None:
    if maxlen is None or maxlen == float("inf"):
        return None
    if not isinstance(maxlen, int):
        raise TypeError("an integer is required for maxlen")
    if maxlen < 0:
        raise ValueError("maxlen must be non-negative")
    return maxlen
