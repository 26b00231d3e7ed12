"""Caches and collections against plain Python models, through sequences nobody thought of.

Values of eight bytes and more are in files, so that nearly every step makes or removes one.
Some steps run inside a transaction that an exception ends: the model then keeps what it had.
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
import tempfile
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from django_diskcache.engine import ENOVAL, Cache, Deque, FanoutCache, Index
from tests.conftest import FakeClock
from tests.engine.soundness import assert_sound

MIN_FILE_SIZE = 8
BOUNDS = settings(max_examples=25, stateful_step_count=40)

KEYS: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, True, 1.0, -0.0, 2.5, "a", "b", "ünï", b"a", None, (1, "a"), 2**70, "\ud800"]
)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([None, True, 1.5, 2**63 - 1, -(2**63), 2**70]),
    st.text("a\r\né", max_size=12),
    st.binary(max_size=12),
    st.lists(st.integers(0, 9), max_size=3),
)
EXPIRES = st.sampled_from([None, None, None, -1, 0, 1, 5, 50])
TAGS = st.sampled_from([None, None, "tag", "other", 7, ("tag", 7), ("other", "tag", b"x")])
DELTAS = st.sampled_from([1, -1, 7, 0.5, 2**62, 2**80])


class Abandoned(Exception):
    """Ends a transaction that is to be rolled back."""


class CacheModel:
    """A dictionary with expiry."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.entries: dict[Any, tuple[Any, float | None, Any]] = {}

    def live(self, key: Any) -> tuple[Any, float | None, Any] | None:
        entry = self.entries.get(key)
        if entry is None or (entry[1] is not None and entry[1] <= self.clock()):
            return None
        return entry

    def due(self, expire: float | None) -> float | None:
        return None if expire is None else self.clock() + expire

    def all_live(self) -> set[Any]:
        return {key for key in self.entries if self.live(key) is not None}


class CacheMachine(RuleBasedStateMachine):
    """Every keyed operation of a cache, against `CacheModel`."""

    def open(self, directory: str, clock: FakeClock) -> Any:
        return Cache(
            directory,
            clock=clock,
            disk_min_file_size=MIN_FILE_SIZE,
            statistics=1,
            sqlite_synchronous=0,  # no power fails
        )

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.clock = FakeClock()
        self.cache = self.open(self.directory, self.clock)
        self.model = CacheModel(self.clock)
        self.stack: list[tuple[contextlib.ExitStack, dict[Any, Any]]] = []

    def teardown(self) -> None:
        while self.stack:
            self.stack.pop()[0].close()
        try:
            self.every_key_agrees()
            assert_sound(self.cache)
            self.cache.expire()
            assert len(self.cache) == len(self.model.all_live())
            assert_sound(self.cache)
        finally:
            self.cache.close()
            shutil.rmtree(self.directory)

    def every_key_agrees(self) -> None:
        for key in self.model.entries:
            expected = self.model.live(key) or (ENOVAL, None, None)
            assert self.cache.get(key, ENOVAL, expire_time=True, tag=True) == expected
            assert self.cache.get(key, ENOVAL) == expected[0]
        live = self.model.all_live()
        assert live <= set(self.cache) <= set(self.model.entries)

    @rule(key=KEYS, value=VALUES, expire=EXPIRES, tag=TAGS)
    def set(self, key: Any, value: Any, expire: float | None, tag: Any) -> None:
        assert self.cache.set(key, value, expire, tag=tag) is True
        self.model.entries[key] = (value, self.model.due(expire), tag)

    @rule(key=KEYS, value=st.binary(max_size=20))
    def set_read(self, key: Any, value: bytes) -> None:
        self.cache.set(key, value, read=True)
        self.model.entries[key] = (value, None, None)

    @rule(key=KEYS, value=VALUES, expire=EXPIRES, tag=TAGS)
    def add(self, key: Any, value: Any, expire: float | None, tag: Any) -> None:
        missing = self.model.live(key) is None
        assert self.cache.add(key, value, expire, tag=tag) is missing
        if missing:
            self.model.entries[key] = (value, self.model.due(expire), tag)

    @rule(key=KEYS)
    def get(self, key: Any) -> None:
        entry = self.model.live(key)
        assert (key in self.cache) is (entry is not None)
        found = self.cache.get(key, default=ENOVAL)
        assert found == (ENOVAL if entry is None else entry[0])
        if entry is not None:
            assert type(found) is type(entry[0])
            assert self.cache[key] == entry[0]

    @rule(keys=st.lists(KEYS, max_size=4))
    def get_many(self, keys: list[Any]) -> None:
        found = self.cache.get_many(keys)
        entries = {key: self.model.live(key) for key in keys}
        assert found == {key: entry[0] for key, entry in entries.items() if entry}

    @rule(items=st.dictionaries(KEYS, VALUES, max_size=4), expire=EXPIRES)
    def set_many(self, items: dict[Any, Any], expire: float | None) -> None:
        assert self.cache.set_many(items, expire) == []
        for key, value in items.items():
            self.model.entries[key] = (value, self.model.due(expire), None)

    @rule(key=KEYS, expire=EXPIRES)
    def touch(self, key: Any, expire: float | None) -> None:
        entry = self.model.live(key)
        assert self.cache.touch(key, expire) is (entry is not None)
        if entry is not None:
            self.model.entries[key] = (entry[0], self.model.due(expire), entry[2])

    @rule(key=KEYS)
    def delete(self, key: Any) -> None:
        assert self.cache.delete(key) is (self.model.live(key) is not None)
        self.model.entries.pop(key, None)

    @rule(key=KEYS)
    def pop(self, key: Any) -> None:
        expected = self.model.live(key) or (ENOVAL, None, None)
        assert self.cache.pop(key, ENOVAL, expire_time=True, tag=True) == expected
        self.model.entries.pop(key, None)

    @rule(key=KEYS, delta=DELTAS, default=st.sampled_from([None, 0, 10]))
    def incr(self, key: Any, delta: Any, default: Any) -> None:
        old, due, tag = self.model.live(key) or (default, None, None)
        try:
            expected = old + delta
        except TypeError:
            missing = self.model.live(key) is None
            with pytest.raises(KeyError if missing else TypeError):
                self.cache.incr(key, delta, default)
            return
        found = self.cache.incr(key, delta, default)
        assert found == expected
        assert type(found) is type(expected)
        self.model.entries[key] = (expected, due, tag)

    @rule(tag=st.sampled_from(["tag", "other", 7, "nobody's"]))
    def evict(self, tag: Any) -> None:
        model = self.model
        tagged = [
            key
            for key, (_, _, tags) in model.entries.items()
            if tag in (tags if isinstance(tags, tuple) else (tags,))
        ]
        live = sum(model.live(key) is not None for key in tagged)
        assert live <= self.cache.evict(tag) <= len(tagged)
        for key in tagged:
            del model.entries[key]

    @rule()
    def expire(self) -> None:
        live = self.model.all_live()
        assert 0 <= self.cache.expire() <= len(self.model.entries) - len(live)
        self.model.entries = {k: v for k, v in self.model.entries.items() if k in live}
        assert len(self.cache) == len(live)
        assert self.cache.expire() == 0

    @rule(indexed=st.booleans())
    def index_tags(self, indexed: bool) -> None:
        if indexed:
            self.cache.create_tag_index()
        else:
            self.cache.drop_tag_index()

    @rule(chance=st.integers(0, 4))
    def clear(self, chance: int) -> None:
        if chance == 0:
            live = len(self.model.all_live())
            assert live <= self.cache.clear() <= len(self.model.entries)
            self.model.entries = {}

    @rule(seconds=st.sampled_from([0.5, 1, 4, 100]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: len(self.stack) < 2)
    @rule()
    def begin(self) -> None:
        context = contextlib.ExitStack()
        context.enter_context(self.cache.transact())
        self.stack.append((context, dict(self.model.entries)))

    @precondition(lambda self: self.stack)
    @rule()
    def commit(self) -> None:
        self.stack.pop()[0].close()

    @precondition(lambda self: self.stack)
    @rule()
    def roll_back(self) -> None:
        # An exception that leaves the inner block and the outer one undoes both.
        entries: dict[Any, Any] = {}
        error = Abandoned()
        while self.stack:
            context, entries = self.stack.pop()
            assert context.__exit__(Abandoned, error, None) is False
        self.model.entries = entries
        self.every_key_agrees()

    @precondition(lambda self: not self.stack)
    @rule()
    def reopen(self) -> None:
        self.cache.close()
        self.every_key_agrees()

    @invariant()
    def length(self) -> None:
        assert len(self.model.all_live()) <= len(self.cache) <= len(self.model.entries)


class FanoutMachine(CacheMachine):
    def open(self, directory: str, clock: FakeClock) -> Any:
        return FanoutCache(
            directory,
            shards=3,
            timeout=60,
            clock=clock,
            disk_min_file_size=MIN_FILE_SIZE,
            statistics=1,
            sqlite_synchronous=0,
        )


class Collection(RuleBasedStateMachine):
    """A collection in a directory of its own, and what is done to it under transaction."""

    collection: Any
    model: Any

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()

    def begin_with(self, collection: Any) -> None:
        collection.cache.reset("disk_min_file_size", MIN_FILE_SIZE)
        self.collection = collection

    def teardown(self) -> None:
        try:
            if hasattr(self, "collection"):
                assert_sound(self.collection.cache)
                self.collection.cache.close()
        finally:
            shutil.rmtree(self.directory)

    @contextlib.contextmanager
    def abandoned(self) -> Iterator[None]:
        with contextlib.suppress(Abandoned), self.collection.transact():
            yield
            raise Abandoned

    @rule()
    def reopen(self) -> None:
        self.collection.cache.close()
        self.collection = pickle.loads(pickle.dumps(self.collection))


class DequeMachine(Collection):
    """Every operation of a `Deque`, against `collections.deque`."""

    collection: Deque
    model: deque[Any]

    @initialize(
        maxlen=st.sampled_from([None, None, 0, 1, 4]), start=st.lists(VALUES, max_size=6)
    )
    def begin(self, maxlen: int | None, start: list[Any]) -> None:
        self.model = deque(start, maxlen)
        self.begin_with(self.make(start, maxlen))

    def make(self, start: list[Any], maxlen: int | None) -> Deque:
        return Deque(start, self.directory, maxlen)

    @rule(value=VALUES)
    def append(self, value: Any) -> None:
        self.collection.append(value)
        self.model.append(value)

    @rule(value=VALUES)
    def appendleft(self, value: Any) -> None:
        self.collection.appendleft(value)
        self.model.appendleft(value)

    @rule(values=st.lists(VALUES, max_size=5))
    def extend(self, values: list[Any]) -> None:
        self.collection += values
        self.model += values

    @rule(values=st.lists(VALUES, max_size=5))
    def extendleft(self, values: list[Any]) -> None:
        self.collection.extendleft(values)
        self.model.extendleft(values)

    @rule()
    def ends(self) -> None:
        if self.model:
            assert self.collection.peek() == self.model[-1]
            assert self.collection.peekleft() == self.model[0]
            assert self.collection.pop() == self.model.pop()
        else:
            for take in ("peek", "peekleft", "pop", "popleft"):
                with pytest.raises(IndexError):
                    getattr(self.collection, take)()

    @rule()
    def popleft(self) -> None:
        if self.model:
            assert self.collection.popleft() == self.model.popleft()

    @rule(position=st.integers(-9, 9), value=VALUES)
    def by_position(self, position: int, value: Any) -> None:
        try:
            expected = self.model[position]
        except IndexError:
            with pytest.raises(IndexError):
                self.collection[position]
            with pytest.raises(IndexError):
                self.collection[position] = value
            with pytest.raises(IndexError):
                del self.collection[position]
        else:
            assert self.collection[position] == expected
            self.collection[position] = self.model[position] = value

    @rule(position=st.integers(-9, 9))
    def remove_at(self, position: int) -> None:
        if -len(self.model) <= position < len(self.model):
            del self.collection[position]
            del self.model[position]

    @rule(position=st.integers(-9, 9), value=VALUES)
    def insert(self, position: int, value: Any) -> None:
        if self.model.maxlen is not None and len(self.model) >= self.model.maxlen:
            with pytest.raises(IndexError):
                self.collection.insert(position, value)
        else:
            self.collection.insert(position, value)
            self.model.insert(position, value)

    @rule(value=VALUES)
    def search(self, value: Any) -> None:
        assert self.collection.count(value) == self.model.count(value)
        assert (value in self.collection) is (value in self.model)
        if value in self.model:
            assert self.collection.index(value) == self.model.index(value)
            self.collection.remove(value)
            self.model.remove(value)
        else:
            with pytest.raises(ValueError):
                self.collection.remove(value)

    @rule(steps=st.integers(-12, 12))
    def rotate(self, steps: int) -> None:
        self.collection.rotate(steps)
        self.model.rotate(steps)

    @rule()
    def reverse(self) -> None:
        self.collection.reverse()
        self.model.reverse()

    @rule(times=st.integers(-1, 2))
    def multiply(self, times: int) -> None:
        if len(self.model) < 10:
            self.collection *= times
            self.model *= times

    @rule(maxlen=st.sampled_from([None, 0, 2, 5, 9]))
    def limit(self, maxlen: int | None) -> None:
        self.collection.maxlen = maxlen
        self.model = deque(self.model, maxlen)

    @rule(value=VALUES, steps=st.integers(1, 3))
    def change_nothing(self, value: Any, steps: int) -> None:
        with self.abandoned():
            self.collection.appendleft(value)
            self.collection.rotate(steps)
            self.collection.reverse()
            self.collection.pop() if self.collection else None
            self.collection.clear()
            self.collection.append(value)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "collection"):
            assert list(self.collection) == list(self.model)
            assert list(reversed(self.collection)) == list(reversed(self.model))
            assert len(self.collection) == len(self.model)
            assert self.collection.maxlen == self.model.maxlen
            assert self.collection == self.model


class IndexMachine(Collection):
    """Every operation of an `Index`, against `OrderedDict`."""

    collection: Index
    model: OrderedDict[Any, Any]

    @initialize(start=st.dictionaries(KEYS, VALUES, max_size=4))
    def begin(self, start: dict[Any, Any]) -> None:
        self.model = OrderedDict(start)
        self.begin_with(self.make(start))

    def make(self, start: dict[Any, Any]) -> Index:
        return Index(self.directory, start)

    @rule(key=KEYS, value=VALUES)
    def set(self, key: Any, value: Any) -> None:
        self.collection[key] = value
        self.model[key] = value

    @rule(key=KEYS, default=VALUES)
    def setdefault(self, key: Any, default: Any) -> None:
        assert self.collection.setdefault(key, default) == self.model.setdefault(key, default)

    @rule(key=KEYS)
    def look(self, key: Any) -> None:
        assert (key in self.collection) is (key in self.model)
        assert self.collection.get(key, ENOVAL) == self.model.get(key, ENOVAL)
        if key not in self.model:
            for fails in (
                lambda: self.collection[key],
                lambda: self.collection.pop(key),
                lambda: self.collection.move_to_end(key),
                lambda: self.collection.__delitem__(key),
            ):
                with pytest.raises(KeyError):
                    fails()

    @rule(key=KEYS)
    def delete(self, key: Any) -> None:
        if key in self.model:
            del self.collection[key]
            del self.model[key]

    @rule(key=KEYS)
    def pop(self, key: Any) -> None:
        assert self.collection.pop(key, "default") == self.model.pop(key, "default")

    @rule(last=st.booleans())
    def popitem(self, last: bool) -> None:
        if self.model:
            end = next(reversed(self.model) if last else iter(self.model))
            assert self.collection.peekitem(last) == (end, self.model[end])
            assert self.collection.popitem(last) == self.model.popitem(last)
        else:
            for empty in (self.collection.peekitem, self.collection.popitem):
                with pytest.raises(KeyError):
                    empty(last)

    @rule(key=KEYS, last=st.booleans())
    def move_to_end(self, key: Any, last: bool) -> None:
        if key in self.model:
            self.collection.move_to_end(key, last)
            self.model.move_to_end(key, last)

    @rule(items=st.dictionaries(KEYS, VALUES, max_size=3))
    def update(self, items: dict[Any, Any]) -> None:
        self.collection |= items
        self.model |= items

    @rule(chance=st.integers(0, 4))
    def clear(self, chance: int) -> None:
        if chance == 0:
            self.collection.clear()
            self.model.clear()

    @rule(key=KEYS, value=VALUES)
    def change_nothing(self, key: Any, value: Any) -> None:
        with self.abandoned():
            self.collection[key] = value
            self.collection.move_to_end(key, last=False)
            self.collection.popitem()
            self.collection.clear()
            self.collection[key] = value

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "collection"):
            assert list(self.collection.items()) == list(self.model.items())
            assert list(reversed(self.collection)) == list(reversed(self.model))
            assert list(self.collection.values()) == list(self.model.values())
            assert len(self.collection) == len(self.model)
            assert self.collection == self.model


TestCache = CacheMachine.TestCase
TestCache.settings = BOUNDS
TestFanoutCache = FanoutMachine.TestCase
TestFanoutCache.settings = BOUNDS
TestDeque = DequeMachine.TestCase
TestDeque.settings = BOUNDS
TestIndex = IndexMachine.TestCase
TestIndex.settings = BOUNDS
