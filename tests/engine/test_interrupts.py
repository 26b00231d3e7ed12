"""An exception of a signal handler, at each point where one can fall into a call.

Python runs signal handlers when a function begins, and after each call of a C function; there
the profiler has its events. So raising in the profiler does what Ctrl-C would do there.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import django_diskcache
from django_diskcache import FanoutCache, Timeout
from django_diskcache.engine import UnknownFileWarning, claims, once
from django_diskcache.engine.locking import directory_lock
from django_diskcache.engine.sqlite import sqlite3
from tests.reliability.processes import in_child

ENGINE = os.path.dirname(django_diskcache.__file__) + os.sep
OURS = (ENGINE, contextlib.__file__)  # where it is raised
KEYS = ["key-0", "key-1", "key-2"]


class Interrupt(BaseException):
    pass


def transact(cache: Any, new: int) -> None:
    with cache.transact():
        cache.set(KEYS[0], new)
        cache.incr("number", default=0)
        cache.touch(KEYS[1], 100)
        cache.delete(KEYS[2])


def lose_segment(cache: Any, new: int) -> None:
    Path(cache._engine.segment.path).unlink(missing_ok=True)
    cache._engine.refresh()


def large(number: int) -> str:
    """One that is kept in a file."""
    return f"{number:_>100000}"


CALLS: dict[str, Callable[[Any, int], object]] = {
    "set": lambda cache, new: cache.set(KEYS[0], new),
    "set of a file": lambda cache, new: cache.set(KEYS[0], large(new)),
    "set of files": lambda cache, new: cache.set_many(dict.fromkeys(KEYS, large(new))),
    "add": lambda cache, new: cache.add("added", new),
    "incr": lambda cache, new: cache.incr("number", default=0),
    "delete": lambda cache, new: cache.delete(KEYS[0]),
    "pop": lambda cache, new: cache.pop(KEYS[0]),
    "set_many": lambda cache, new: cache.set_many(dict.fromkeys(KEYS, new)),
    "delete_many": lambda cache, new: cache.delete_many(KEYS),
    "transact": transact,
    "clear": lambda cache, new: cache.clear(),
    "evict": lambda cache, new: cache.evict("tag"),
    "set with tags": lambda cache, new: cache.set(KEYS[0], new, tag=("tag", "other")),
    "a lost segment": lose_segment,
}


class Points:
    """Raises at one of all points."""

    def __init__(self, at: int) -> None:
        self.numbers = count()
        self.at = at
        self.raised = False
        self.point = ""

    def event(self, frame: Any, event: str, arg: Any) -> None:
        if event not in ("call", "c_return") or not frame.f_code.co_filename.startswith(OURS):
            return
        if event == "call" and sys.version_info < (3, 11) and frame.f_lasti >= 0:
            return  # a generator goes on: raised by a profiler, it would pass its handlers by
        sys.setprofile(None)
        if next(self.numbers) == self.at:
            self.raised = True
            self.point = f"{frame.f_code.co_name}:{frame.f_lineno} {event} {arg}"
            raise Interrupt
        self.look()
        sys.setprofile(self.event)

    def look(self) -> None:
        """What is to be done at each point before."""


class Watcher(Points):
    """Looks at each point as well: what would a reader remember there?"""

    def __init__(self, store: Any, at: int) -> None:
        super().__init__(at)
        self.store = store
        self.raw = sqlite3.connect(store.database.path, timeout=0, isolation_level=None)
        self.remembered: dict[str, dict[int, Any]] = {key: {} for key in KEYS}

    def look(self) -> None:
        for key in KEYS:
            stamp = self.store.segment.stamps[self.slot(key)]  # before the read, as readers do
            self.remembered[key].setdefault(stamp, self.value(key))

    def slot(self, key: str) -> int:
        place = self.store.disk.put(key)
        slot: int = self.store.segment.slot(self.store.disk.hash(place[0]))
        return slot

    def value(self, key: str) -> Any:
        sql = "SELECT IFNULL(filename, value) FROM Cache WHERE key = ?"
        rows = self.raw.execute(sql, (key,)).fetchall()
        return rows[0][0] if rows else None

    def problems(self) -> list[str]:
        found = []
        if self.store.database.current() is not None:
            found.append("the thread is still in the transaction")
        try:
            self.raw.execute("BEGIN IMMEDIATE")
            self.raw.execute("ROLLBACK")
        except sqlite3.OperationalError:
            found.append("a lock was left behind")
        try:
            directory_lock(os.path.dirname(self.store.directory), 0).close()
        except Timeout:
            found.append("the directory is still locked")
        for key, seen in self.remembered.items():
            stamp, value = self.store.segment.stamps[self.slot(key)], self.value(key)
            if seen.get(stamp, value) != value:
                found.append(f"who read {key} in between would stay with {seen[stamp]!r:.20}")
        return found


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "old"),
    [
        *((kind, int) for kind in CALLS),
        *((kind, large) for kind in ("set of a file", "set of files", "pop", "evict")),
    ],
)
def test_at_each_point(tmp_path: Path, kind: str, old: Callable[[int], object]) -> None:
    # In a child: of a file or generator that the exception falls into, Python closes what is
    # left when it likes, and says so.
    points, found = in_child(interrupted, tmp_path, kind, old)
    assert points > 5
    assert found == []


def interrupted(
    directory: Path, kind: str, old: Callable[[int], object]
) -> tuple[int, list[str]]:
    """How many points there are, and what was wrong at them."""
    cache: Any = FanoutCache(
        str(directory),
        shards=1,
        size_limit=2**27,
        sqlite_synchronous=0,  # no power fails
    )
    (store,) = cache._engine.stores
    found = []
    for at in count():
        before = old(at * 1000)
        for key in KEYS:
            cache.set(key, before, tag="tag")
            assert cache.get(key) == before
        cache.delete("added")
        watcher = Watcher(store, at)
        try:
            sys.setprofile(watcher.event)
            CALLS[kind](cache, at * 1000 + 1)
        except Interrupt:
            pass
        finally:
            sys.setprofile(None)
        found += [f"{watcher.point}: {problem}" for problem in watcher.problems()]
        if kind.startswith("set"):
            new = at * 1000 + 1
            left = [cache.get(key) for key in KEYS]
            if not all(value in (before, new, large(new)) for value in left):
                found.append(f"{watcher.point}: neither the old value nor the new one")
        watcher.raw.close()
        if not watcher.raised:
            break
    # A file may be left that was to have a row; `check` names it when it is a minute old.
    left_over = [each for each in cache.check() if each.category is not UnknownFileWarning]
    return at, found + [str(each.message) for each in left_over]


COMPUTING: dict[str, Callable[[Any, str], object]] = {
    "claim": lambda cache, key: cache.claim(key).release(),
    "get_or_set": lambda cache, key: cache.get_or_set(key, lambda: 1),
    "a value in a file": lambda cache, key: cache.get_or_set(key, lambda: large(1)),
    "computed anew": lambda cache, key: cache.get_or_set("old", lambda: 1, 10, stale=50),
    "refresh": lambda cache, key: cache.memoize(name=key)(lambda: 1).refresh(),
}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", COMPUTING)
def test_a_claim_at_each_point(tmp_path: Path, kind: str) -> None:
    points, found = in_child(interrupted_claims, tmp_path, kind)
    assert points > 5
    assert found == []


def interrupted_claims(directory: Path, kind: str) -> tuple[int, list[str]]:
    """How many points there are, and at which of them something stayed claimed."""
    cache: Any = django_diskcache.Cache(str(directory), sqlite_synchronous=0)
    sys.unraisablehook = lambda _: None  # what a finalizer is interrupted by
    found = []
    for at in count():
        key = f"key-{at}"
        cache.set("old", 0, expire=40)  # it is stale
        points = Points(at)
        try:
            sys.setprofile(points.event)
            COMPUTING[kind](cache, key)
        except Interrupt:
            pass
        finally:
            sys.setprofile(None)
        mine = [cache.claim(each) for each in (key, "old", (key, None))]
        if None in mine:
            found.append(f"{points.point}: nobody has it, and nobody gets it")
        del mine
        if any(file.owners for file in claims._files.values()):
            found.append(f"{points.point}: a claim was left behind")
        if any(turn() is not None for turn in once._computing.get(())):
            found.append(f"{points.point}: it is still said to be computed here")
        if not points.raised:
            break
    return at, found
