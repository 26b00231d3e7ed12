"""The near cache: what it serves is never older than what a returned call has stored."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import ENOVAL, UNKNOWN, Cache, FanoutCache, Index
from django_diskcache.engine import segment as segment_module
from django_diskcache.engine.nearcache import MAX_AGE
from django_diskcache.engine.store import Store
from tests.engine.processes import PATIENCE


class FakeClock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def other_process(path: Path, **settings: Any) -> FanoutCache:
    """A cache object with an engine and a near cache of its own, as another process has."""
    return FanoutCache(path, clock=partial(time.time), **settings)


@contextmanager
def statements(cache: Any) -> Iterator[list[str]]:
    """The statements that the cache sends to SQLite meanwhile."""
    seen: list[str] = []
    originals = []
    for store in cache.engine.stores:
        original = store.database.run
        originals.append((store, original))

        def run(sql: str, *args: Any, original: Callable[..., Any] = original) -> Any:
            seen.append(sql)
            return original(sql, *args)

        store.database.run = run
    try:
        yield seen
    finally:
        for store, original in originals:
            store.database.run = original


@pytest.mark.parametrize("value", ["text", b"bytes", 7, 1.5, True, None, {"a": [1]}, (1, 2)])
def test_a_hot_read_does_not_go_to_sqlite(tmp_path: Path, value: Any) -> None:
    cache = Cache(tmp_path)
    cache["key"] = value
    assert cache.get("key", ENOVAL) == value
    with statements(cache) as seen:
        assert cache.get("key", ENOVAL) == value
        assert cache["key"] == value
        assert "key" in cache
    assert seen == []


def test_a_miss_is_remembered(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.get("key", 1) == 1
    with statements(cache) as seen:
        assert cache.get("key", 2) == 2
        assert "key" not in cache
    assert seen == []
    assert cache.add("key", 3)
    assert cache["key"] == 3


def test_keys_that_only_python_finds_equal_stay_apart(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache[(1,)] = "int"
    cache[(1.0,)] = "float"
    for _ in range(2):
        assert cache[(1,)] == "int"
        assert cache[(1.0,)] == "float"


def test_get_many_is_hot_and_keeps_keys_apart(tmp_path: Path) -> None:
    cache = FanoutCache(tmp_path, shards=2)
    items = {
        "a": 1,
        "b": [2],
        3: "int",
        (3, True): "tuple",
        b"a": "bytes",
        "big": "x" * 100_000,
    }
    assert cache.set_many(items) == []
    keys = [*items, "missing"]
    assert cache.get_many(keys) == items
    assert cache[3] == "int"
    assert cache[(3, True)] == "tuple"
    with statements(cache) as seen:
        assert cache.get_many(["a", "b", "missing"]) == {"a": 1, "b": [2]}
    assert seen == []
    cache.delete_many(["a", 3])
    assert cache.get_many(keys) == {key: items[key] for key in items if key not in ("a", 3)}


def test_callers_may_change_what_they_get(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache["key"] = {"list": []}
    for _ in range(3):
        value = cache["key"]
        assert value == {"list": []}
        value["list"].append(1)


WRITES: dict[str, Callable[[FanoutCache], object]] = {
    "set": lambda cache: cache.set("key", 2),
    "setitem": lambda cache: cache.__setitem__("key", 2),
    "set to a file": lambda cache: (
        cache.set("key", 2, read=False) and cache.set("key", "x" * 99)
    ),
    "incr": lambda cache: cache.incr("key"),
    "incr beyond 64 bits": lambda cache: cache.incr("key", 2**64),
    "delete": lambda cache: cache.delete("key"),
    "pop": lambda cache: cache.pop("key"),
    "touch": lambda cache: cache.touch("key", -1),
    "set_many": lambda cache: cache.set_many({"key": 2, "other": 3}),
    "delete_many": lambda cache: cache.delete_many(["key", "other"]),
    "evict": lambda cache: cache.evict("tag"),
    "expire": lambda cache: cache.expire(now=2e9),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("transacted", [False, True])
def test_every_write_is_seen_by_every_process(
    tmp_path: Path, write: str, transacted: bool
) -> None:
    writer = FanoutCache(tmp_path, shards=2, disk_min_file_size=50)
    reader = other_process(tmp_path)
    writer.set("key", 1, expire=1e8, tag="tag")
    assert reader["key"] == writer["key"] == 1
    if transacted:
        with writer.transact():
            WRITES[write](writer)
    else:
        WRITES[write](writer)
    fresh = other_process(tmp_path).get("key")
    assert fresh != 1
    assert reader.get("key") == fresh
    assert writer.get("key") == fresh


def test_eviction_is_seen_in_the_process_that_evicts(tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_entries=3)
    for number in range(3):
        cache[str(number)] = number
        assert cache[str(number)] == number
    cache["3"] = 3
    assert "0" not in cache
    assert cache.get("0") is None


def test_reads_in_a_transaction_see_what_it_wrote_and_others_do_not(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    reader = other_process(tmp_path / "other")  # an unrelated engine is not kept from its own
    reader["key"] = "near"
    assert reader["key"] == "near"
    cache["key"] = 1
    assert cache["key"] == 1
    with pytest.raises(ZeroDivisionError), cache.transact():
        cache["key"] = 2
        assert cache["key"] == 2
        with statements(reader) as seen:
            assert reader["key"] == "near"
        assert seen == []
        raise ZeroDivisionError
    assert cache["key"] == 1


def test_expiry_is_honoured_by_hits(tmp_path: Path) -> None:
    clock = FakeClock()
    cache = Cache(tmp_path, clock=clock)
    cache.set("key", 1, expire=2)
    assert cache.get("key") == 1
    clock.now += 1.9
    assert cache.get("key") == 1
    clock.now += 0.1
    assert cache.get("key") is None
    assert "key" not in cache


def test_an_entry_is_read_again_after_a_while(tmp_path: Path) -> None:
    clock = FakeClock()
    cache = Cache(tmp_path, clock=clock)
    cache["key"] = 1
    assert cache["key"] == 1
    clock.now += MAX_AGE
    with statements(cache) as seen:
        assert cache["key"] == 1
    assert len(seen) == 1


def test_the_budget_holds_and_what_is_read_gets_a_second_chance(tmp_path: Path) -> None:
    budget = 200_000
    cache = Cache(tmp_path, near_cache_size=budget)
    near = cache.engine.near
    for number in range(1000):
        cache[str(number)] = "x" * 500
        assert cache[str(number)]
        assert near.get("0") is not UNKNOWN  # read each time, it stays
        assert near.size <= budget
    assert 100 < len(near) < 400
    assert near.get("1") is UNKNOWN


def test_a_budget_of_nothing_remembers_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, near_cache_size=0)
    cache["key"] = 1
    assert cache["key"] == cache["key"] == 1
    assert len(cache.engine.near) == 0


def test_index_reads_are_hot(tmp_path: Path) -> None:
    index = Index(str(tmp_path))
    index["key"] = {"a": 1}
    assert index["key"] == {"a": 1}
    with statements(index.cache) as seen:
        assert index["key"] == index.get("key") == {"a": 1}
    assert seen == []


def test_hot_reads_are_counted_and_noted(tmp_path: Path) -> None:
    clock = FakeClock()
    cache = Cache(
        tmp_path,
        clock=clock,
        statistics=1,
        eviction_policy="least-recently-used",
        max_entries=2,
    )
    cache["a"] = cache["b"] = 1
    for _ in range(10):
        clock.now += 1
        assert cache.get("a") == 1
        assert cache.get("nothing") is None
    assert cache.stats() == (10, 10)
    cache["c"] = 1
    assert list(cache) == ["a", "c"]


def test_the_order_of_commit_and_stamp_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that comes between the two: with the order reversed, it goes on being wrong."""

    def stale(change: Callable[..., Any]) -> bool:
        path = tmp_path / change.__name__
        writer, reader = FanoutCache(path, shards=1), other_process(path)
        writer["key"] = "old"
        run = writer.engine.stores[0].database.run

        def run_slowly(sql: str, *args: Any) -> Any:
            if not sql.lstrip().startswith("INSERT"):
                return run(sql, *args)
            assert reader["key"] == "old"
            rows = run(sql, *args)
            assert reader["key"] in ("old", "new")
            return rows

        writer.engine.stores[0].database.run = run_slowly  # type: ignore[method-assign, assignment]
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_change", change)
            writer["key"] = "new"
        return bool(reader["key"] == "old")

    def reversed_order(
        self: Store, sql: str, row: Any, number: int, wait: Any, outcome: Any
    ) -> Any:
        self.segment.stamp(self.segment.slot(number))
        return self.database.run(sql, row, wait, outcome)

    assert stale(reversed_order)
    assert not stale(Store._change)


# Several processes and threads, keys that share slots, every kind of write.

KEYS = 12
STATES = 6


def _state(step: int) -> int | None:
    """What the owner's key holds after its write number `step`."""
    return None if step % STATES in (2, 5) else step


def _write_step(cache: FanoutCache, key: str, step: int) -> None:
    kind = step % STATES
    if kind == 0:
        cache.set(key, step, tag=key, retry=True)
    elif kind == 1:
        with cache.transact():
            cache.set(key, -1, retry=True)
            assert cache.get(key) == -1
            cache.set(key, step, tag=key, retry=True)
    elif kind == 2:
        assert cache.evict(key) == 1
    elif kind == 3:
        assert cache.add(key, step, retry=True)
    elif kind == 4:
        try:
            with cache.transact():
                cache.set(key, -2, retry=True)
                raise ZeroDivisionError
        except ZeroDivisionError:
            cache.set_many({key: step}, retry=True)
    else:
        assert cache.pop(key, retry=True) == step - 1


def _few_slots() -> None:
    segment_module.MIN_SLOTS = segment_module.MAX_SLOTS = 4  # type: ignore[misc]


def _work(path: str, owner: int, writers: int, shared: Any, ready: Any, out: Any) -> None:
    _few_slots()
    started, returned, sums, stop_at = shared
    cache = FanoutCache(path, shards=2)
    ready.wait(PATIENCE)
    stale = 0
    reads = 0
    failures: list[str] = []

    def write() -> None:
        step = dict.fromkeys(range(owner, KEYS, writers), 0)
        chooser = random.Random(owner)
        while time.monotonic() < stop_at.value:
            key = chooser.choice(list(step))
            step[key] += 1
            started[key] = step[key]
            _write_step(cache, f"key{key}", step[key])
            returned[key] = step[key]
            total = cache.incr("sum", retry=True)
            with sums.get_lock():
                sums.value = max(sums.value, total)

    def read(seed: int) -> None:
        nonlocal stale, reads
        chooser = random.Random(seed)
        while time.monotonic() < stop_at.value:
            key = chooser.randrange(KEYS)
            low, least = returned[key], sums.value
            if chooser.random() < 0.5:
                value = cache.get(f"key{key}", retry=True)
            else:
                value = cache.get_many([f"key{key}"], retry=True).get(f"key{key}")
            high = started[key]
            allowed = [_state(step) for step in range(low, high + 1)]
            if low == 0:
                allowed.append(None)
            total = cache.get("sum", 0, retry=True)
            reads += 1
            if value not in allowed or total < least:
                stale += 1

    def guarded(work: Callable[..., None], *args: Any) -> None:
        try:
            work(*args)
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=guarded, args=(read, seed)) for seed in range(2)]
    for thread in threads:
        thread.start()
    guarded(write)
    for thread in threads:
        thread.join()
    out.put((reads, stale, failures))


def coherence(path: Path, processes: int, seconds: float) -> tuple[int, int, list[str]]:
    """(reads, stale reads, failures) of so many processes."""
    context = multiprocessing.get_context("spawn")
    stop_at = context.Value("d", math.inf)
    shared = (
        context.Array("q", KEYS, lock=False),
        context.Array("q", KEYS, lock=False),
        context.Value("q", 0),
        stop_at,
    )
    ready = context.Barrier(processes + 1)
    out: Any = context.Queue()
    workers = [
        context.Process(target=_work, args=(str(path), owner, processes, shared, ready, out))
        for owner in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait(PATIENCE)
    stop_at.value = time.monotonic() + seconds  # not before: a start may take as long
    results = [out.get(timeout=seconds + PATIENCE) for _ in workers]
    for worker in workers:
        worker.join()
    return (
        sum(result[0] for result in results),
        sum(result[1] for result in results),
        [failure for result in results for failure in result[2]],
    )


def test_no_read_is_ever_stale(tmp_path: Path) -> None:
    reads, stale, failures = coherence(tmp_path, 4, 4)
    assert failures == []
    assert reads > 0
    assert stale == 0


@pytest.mark.long
def test_no_read_is_ever_stale_for_longer(tmp_path: Path) -> None:
    reads, stale, failures = coherence(tmp_path, 4, 60)
    assert failures == []
    assert reads > 0
    assert stale == 0


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_fork_keeps_the_near_cache_and_its_coherence(tmp_path: Path) -> None:
    cache = FanoutCache(tmp_path, shards=1)
    cache["key"] = "before"
    assert cache["key"] == "before"
    here, there = os.pipe()
    child = os.fork()
    if not child:
        try:
            with statements(cache) as seen:
                good = cache["key"] == "before" and seen == []
            cache["key"] = "child"
            good = good and cache["key"] == "child"
            os.write(there, b"1" if good else b"0")
        finally:
            os._exit(0)
    assert os.read(here, 1) == b"1"
    os.waitpid(child, 0)
    os.close(here)
    os.close(there)
    assert cache["key"] == "child"


def test_what_was_read_by_a_larger_segment_is_not_remembered(cache: Cache) -> None:
    near, segment = cache.engine.near, cache.engine.segment
    near.put("key", segment.slots, 0, cache.engine.clock(), None, "value", None)
    assert near.get("key") is UNKNOWN
    assert cache.get("key") is None
