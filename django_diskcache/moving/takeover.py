"""Entries of another cache become entries of one of ours.

What is there already stays: an import never overwrites. So one that was interrupted is simply
begun again, and passes quickly over what it has done. A Deque or an Index is taken in one
transaction, only where there is none by that name that has anything in it, and not at all if
some of it may not be unpickled: else nobody could add that later. On a server, which has no
transactions, a Deque is taken likewise in one step, and an Index item by item.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pickle import PicklingError
from typing import Any, NamedTuple

from ..engine.clock import Clock
from ..engine.guard import raising
from ..engine.outgoing import Whole
from ..engine.selection import Step
from . import filebased, harmless
from .predecessor import Damaged, Lost, Place, Row, Source

# Why something was not taken, in the order of telling.
THERE = "there already"
EXPIRED = "expired"
NEEDS = "not trusted"
LOST = "without their file"
DAMAGED = "damaged"
REFUSED = "refused"
UNMATCHED = "without a key"
REASONS = (THERE, EXPIRED, NEEDS, LOST, DAMAGED, REFUSED, UNMATCHED)

OCCUPIED = "has values already, so nothing was added to it"

# What a key or a value raises that our cache cannot hold.
ODD = (
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    PicklingError,
)


@dataclass
class Tally:
    """What was taken, and what was not and why."""

    taken: int = 0
    bytes: int = 0
    unfound: int = 0  # of those taken, how many the target does not look for
    example: Any = None  # the key of one of them
    left: Counter[str] = field(default_factory=Counter)
    needs: Counter[str] = field(
        default_factory=Counter
    )  # what pickles named that is not trusted
    refusals: Counter[str] = field(default_factory=Counter)
    collections: list[str] = field(default_factory=list)  # those taken
    problems: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what another has counted."""
        self.taken += other.taken
        self.bytes += other.bytes
        self.unfound += other.unfound
        for own, its in (
            (self.left, other.left),
            (self.needs, other.needs),
            (self.refusals, other.refusals),
        ):
            own.update(its)
        self.collections += other.collections
        self.problems += other.problems


class Target(NamedTuple):
    """Where entries go.

    :param face: of one of our caches; None in a dry run into one that is not there yet
    :param make: what makes a key of the store from one of the source
    :param write: else it is a dry run
    :param finds: whether the readers of the target look for such a key
    """

    face: Any
    make: Callable[[Any], Any]
    write: bool
    finds: Callable[[Any], bool] = lambda key: True

    def has(self, key: Any) -> bool:
        """Whether there is a live entry."""
        return self.face is not None and key in self.face

    def add(self, key: Any, value: Any, left: float | None, read: bool, tag: Any) -> bool:
        """Store an entry unless there is one; whether it was, or would be."""
        if not self.write:
            return True
        return bool(self.face.add(key, value, expire=left, read=read, tag=tag, retry=True))


class Elements:
    """A deque or an index on a server, as a face to which entries are added.

    :param keys: those that are there; None where values have no keys
    :param store: takes entries, and says of each whether it was stored or why it cannot be
    """

    def __init__(
        self, keys: Container[Any] | None, store: Callable[[list[Whole]], list[Any]]
    ) -> None:
        self._keys = keys
        self._store = store

    def __contains__(self, key: Any) -> bool:
        return self._keys is not None and key in self._keys

    def add(
        self, key: Any, value: Any, expire: float | None, read: bool, tag: Any, **_: Any
    ) -> bool:
        """Store a value; whether it was stored.

        :raises Exception: one of ODD, when it cannot be
        """
        (outcome,) = self._store([Whole(key, value.read() if read else value, expire, tag, 0)])
        if isinstance(outcome, Exception):
            raise outcome
        return bool(outcome)


class Takeover:
    """An import that is going on.

    :param loads: what loads pickles
    :param clock: that of the target
    """

    def __init__(self, loads: Callable[[bytes], Any], clock: Clock) -> None:
        self.tally = Tally()
        self.loads = loads
        self.clock = clock

    # Of python-diskcache

    def directories(self, directories: Iterable[str], target: Target) -> Iterator[Step]:
        """Take the entries of databases."""
        listed = list(directories)
        for number, directory in enumerate(listed):
            for done in self._database(directory, lambda source: self._entries(source, target)):
                yield Step(0, 0, (number + done) / len(listed))

    def collection(self, place: Place, collection: Any, write: bool) -> Iterator[Step]:
        """Take a collection, if ours of that name is empty.

        :param collection: ours, a `Cache`, `Deque` or `Index`; None for none
        """
        name = f"{place.kind} {place.name!r}"
        cache = collection
        if place.kind != "cache" and cache is not None:
            cache = collection.cache
        target = Target(None if cache is None else raising(cache), _same, write)
        remote = cache is not None and not cache.engine.in_files
        if remote and place.kind == "index":  # later runs add what is missing, by its key
            store = functools.partial(cache.store_whole, overwrite=False)
            target = target._replace(face=Elements(cache, store))
        if place.kind == "cache" or (remote and place.kind == "index"):
            # It may lose entries, or gets others later: so it is as good to have some of them.
            yield from self.directories([place.directory], target)
            self.tally.collections.append(name)
            return
        if cache is not None and len(cache):
            self.tally.problems.append(f"{name} {OCCUPIED}")
            return
        queue = place.kind == "deque"
        if remote:
            target = target._replace(face=None)  # values of a deque have no keys there
        outer, self.tally = self.tally, Tally()  # which counts only if it is committed
        try:
            context: AbstractContextManager[Target] = nullcontext(target)
            if write:
                context = _refilled(cache, target) if remote else _together(target)
            with context as target:
                for done in self._database(
                    place.directory, lambda source: self._entries(source, target, queue)
                ):
                    yield Step(0, 0, done)
                if self.tally.left[NEEDS]:
                    raise _Withheld
            outer.add(self.tally)
            outer.collections.append(name)
        except _Withheld:
            number = self.tally.left[NEEDS]
            outer.left[NEEDS] += number
            outer.needs.update(self.tally.needs)
            outer.problems.append(f"{name} was left out whole: {number} in it not trusted")
        except _Occupied:  # by others, since it was looked at
            outer.problems.append(f"{name} {OCCUPIED}")
        finally:
            self.tally = outer

    def _database(
        self, directory: str, take: Callable[[Source], Iterator[float]]
    ) -> Iterator[float]:
        try:
            source = Source(directory, self.loads)
        except Damaged as why:
            self.tally.problems.append(f"not opened: {why}")
            return
        with closing(source):
            yield from take(source)
            if source.damaged:
                places = "a place" if source.damaged == 1 else f"{source.damaged} places"
                self.tally.problems.append(f"{directory} is damaged at {places}")
            if source.changed():
                self.tally.problems.append(f"{directory} has been written to: run it once more")

    def _entries(self, source: Source, target: Target, queue: bool = False) -> Iterator[float]:
        for number, row in enumerate(source.queue() if queue else source.entries()):
            self._row(source, row, target)
            yield min(1.0, (number if queue else row.id) / max(source.last, 1))

    def _row(self, source: Source, row: Row, target: Target) -> None:
        now = self.clock()
        try:
            if row.expire is not None and row.expire + 0.0 <= now:
                self.tally.left[EXPIRED] += 1
                return
            key = target.make(source.key(row))
            if target.has(key):
                self.tally.left[THERE] += 1
                return
            value, is_file = source.value(row)
            left = None if row.expire is None else row.expire - now
            with value if is_file else nullcontext():
                self._add(target, key, value, left, is_file, row.tag, row.bytes)
        except harmless.NotTrusted as why:
            self._needed(why)
        except Lost:
            self.tally.left[LOST] += 1
        except Damaged:
            self.tally.left[DAMAGED] += 1
        except ODD as error:
            self._refused(error)

    # Of Django

    def files(
        self,
        directory: str,
        keys: Iterable[str],
        candidates: Callable[[str], Iterable[str]],
        target: Target,
    ) -> Iterator[Step]:
        """Take the files of known keys.

        :param candidates: the keys that a line may mean, as they are in the store
        """
        listed = list(dict.fromkeys(keys))
        names = filebased.names(directory)
        known = set()
        for number, line in enumerate(listed):
            for key in dict.fromkeys(candidates(line)):
                name = filebased.name_of(key)
                if name in names and name not in known:
                    known.add(name)
                    self._file(directory, name, key, target)
            yield Step(0, 0, number / len(listed))
        self.tally.left[UNMATCHED] += len(names - known)

    def _file(self, directory: str, name: str, key: str, target: Target) -> None:
        if target.has(key):
            self.tally.left[THERE] += 1
            return
        now = self.clock()
        try:
            found = filebased.read(directory, name, self.loads, now)
            if found.expire is not None and found.expire <= now:
                self.tally.left[EXPIRED] += 1
                return
            left = None if found.expire is None else found.expire - now
        except harmless.NotTrusted as why:
            self._needed(why)
        except FileNotFoundError:
            self.tally.left[LOST] += 1
        except ValueError:
            self.tally.left[DAMAGED] += 1
        else:
            try:
                self._add(target, key, found.value, left, False, None, found.bytes)
            except ODD as error:
                self._refused(error)

    # Both

    def _add(
        self,
        target: Target,
        key: Any,
        value: Any,
        left: float | None,
        read: bool,
        tag: Any,
        size: int,
    ) -> None:
        if target.add(key, value, left, read, tag):
            self.tally.taken += 1
            self.tally.bytes += size
            if not target.finds(key):
                self.tally.unfound += 1
                self.tally.example = key
        else:
            self.tally.left[THERE] += 1  # somebody has stored it meanwhile

    def _needed(self, why: harmless.NotTrusted) -> None:
        self.tally.left[NEEDS] += 1
        self.tally.needs[why.name] += 1

    def _refused(self, error: Exception) -> None:
        self.tally.left[REFUSED] += 1
        self.tally.refusals[f"{type(error).__name__}: {error}"[:200]] += 1


@contextmanager
def _together(target: Target) -> Iterator[Target]:
    """What is added is there at the end, or on an exception nothing of it."""
    with target.face.transact(retry=True):
        yield target


@contextmanager
def _refilled(entries: Any, target: Target) -> Iterator[Target]:
    """The same for a deque on a server, whose values it gets if it has none then."""
    with entries.refilling(overwrite=False) as filling:
        yield target._replace(face=Elements(None, filling.add))
        if not filling.keep() and filling.there:
            raise _Occupied


class _Occupied(Exception):
    """A deque has got values meanwhile, and keeps them."""


class _Withheld(Exception):
    """A part of a collection is not to be taken, so nothing of it is."""


def _same(key: Any) -> Any:
    return key
