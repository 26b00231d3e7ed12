"""The pool is bounded whatever the number of threads, and a lock is waited for in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache, Fault, Timeout
from django_diskcache.engine.connection import POOL_LIMIT
from django_diskcache.engine.sqlite import sqlite3
from tests.engine.soundness import assert_sound

THREADS = 64


def in_threads(work: Callable[[int], object]) -> None:
    """`work(number)` in 64 threads at once; what one of them raises."""
    errors: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_64_threads_share_few_connections(face: Any, tmp_path: Path) -> None:
    with face(tmp_path, timeout=60) as cache:
        most = []

        def work(number: int) -> None:
            for step in range(5):
                cache.set((number, step), "x" * number)
                assert cache.get((number, step)) == "x" * number
                with cache.transact():
                    cache.incr("count")
                most.append(max(store.database.opened for store in cache.engine.stores))

        in_threads(work)

        assert cache["count"] == THREADS * 5
        assert max(most) <= POOL_LIMIT
        assert len(cache) == THREADS * 5 + 1


def test_what_follows_a_commit_needs_no_second_connection(
    make_cache: Callable[..., Cache],
) -> None:
    # A new key beyond max_entries counts and evicts after its commit. Threads that kept the
    # connection of their transaction for that long would all wait for one another.
    cache = make_cache(max_entries=20)

    def work(number: int) -> None:
        for step in range(10):
            with cache.transact():
                cache[number, step] = step

    in_threads(work)

    # Who finds the shard busy leaves the eviction to the next writer: here, to this one.
    cache["last"] = 1
    assert 1 <= len(cache) <= 20
    assert_sound(cache)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Callable[[Any], None]]:
    """Takes the write lock of every shard of a cache, from outside."""
    connections = []

    def lock(cache: Any) -> None:
        for store in cache.engine.stores:
            connections.append(sqlite3.connect(store.path, isolation_level=None))
            connections[-1].execute("BEGIN IMMEDIATE")

    yield lock
    for connection in connections:
        connection.close()


WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda cache: cache.set("key", "new"),
    "set file": lambda cache: cache.set("key", "new" * 20_000),
    "add": lambda cache: cache.add("new", 1),
    "touch": lambda cache: cache.touch("key"),
    "delete": lambda cache: cache.delete("key"),
    "pop": lambda cache: cache.pop("key", "default"),
    "incr": lambda cache: cache.incr("number"),
    "decr": lambda cache: cache.decr("missing"),
    "push": lambda cache: cache.push("value"),
    "pull": lambda cache: cache.pull(default="default"),
    "set_many": lambda cache: cache.set_many({"key": 2}),
    "delete_many": lambda cache: cache.delete_many(["key"]),
}
# What a FanoutCache says instead of raising Timeout.
ABSORBED = {
    "set": False,
    "set file": False,
    "add": False,
    "touch": False,
    "delete": False,
    "pop": "default",
    "incr": None,
    "decr": None,
    "push": None,
    "pull": "default",
    "set_many": ["key"],
    "delete_many": 0,
}


def fill(cache: Any) -> None:
    cache.set("key", "old", tag="tag")
    cache["number"] = 1
    cache.push("queued")


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("timeout", [0, 0.02])
def test_a_locked_cache_raises_timeout(
    name: str, timeout: float, locked: Callable[[Any], None], tmp_path: Path
) -> None:
    with Cache(tmp_path, timeout=timeout) as cache:
        fill(cache)
        locked(cache)

        with pytest.raises(Timeout):
            WRITES[name](cache)
        assert cache.get("key") == "old"
        assert cache["number"] == 1
        assert len(cache) == 3
        assert list(tmp_path.rglob("*.val")) == []


@pytest.mark.parametrize("name", WRITES)
def test_a_fanout_cache_absorbs_it(
    name: str, locked: Callable[[Any], None], tmp_path: Path
) -> None:
    with FanoutCache(tmp_path) as cache:
        fill(cache)
        locked(cache)

        assert WRITES[name](cache) == ABSORBED[name]
        assert cache.get("key") == "old"
        assert cache["number"] == 1
        assert list(tmp_path.rglob("*.val")) == []


@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_what_is_never_absorbed(
    face: Any, locked: Callable[[Any], None], tmp_path: Path
) -> None:
    with face(tmp_path, timeout=0) as cache:
        fill(cache)
        locked(cache)

        with pytest.raises(Timeout), cache.transact(retry=False):
            pytest.fail("the lock is another's")
        with pytest.raises(Timeout):
            cache.check()
        assert cache.get("key") == "old"


def test_removal_says_how_far_it_came(locked: Callable[[Any], None], tmp_path: Path) -> None:
    with Cache(tmp_path, timeout=0) as cache:
        fill(cache)
        locked(cache)

        for remove in ("clear", "expire", "cull"):
            with pytest.raises(Timeout) as caught:
                getattr(cache, remove)()
            assert caught.value.args == (0,)
            assert caught.value.removed == 0
        with pytest.raises(Timeout):
            cache.evict("tag")
    assert Timeout("a text").removed == 0
    assert Timeout(7).removed == 7


@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_retry_waits_as_long_as_it_takes(face: Any, tmp_path: Path) -> None:
    with face(tmp_path, timeout=0) as cache:
        fill(cache)
        holding, release = threading.Event(), threading.Event()

        def hold() -> None:
            with cache.transact(retry=True):
                cache["number"] = 10
                holding.set()
                release.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        assert holding.wait(60)
        threading.Timer(0.05, release.set).start()

        assert cache.incr("number", retry=True) == 11
        thread.join()
        assert cache.set("key", "new", retry=True) is True


def test_reads_do_not_wait_for_a_writer(locked: Callable[[Any], None], tmp_path: Path) -> None:
    with Cache(tmp_path, timeout=0) as cache:
        fill(cache)
        locked(cache)
        cache.close()

        assert cache.get("key", tag=True) == ("old", "tag")
        assert set(cache) >= {"key", "number"}
        assert cache.peek()[1] == "queued"
        assert cache.peekitem()[1] == "queued"
        assert cache.volume() > 0


def test_a_closed_pool_takes_back_what_was_borrowed(cache: Cache) -> None:
    database = cache.engine.stores[0].database
    with cache.transact():
        cache["key"] = 1
        cache.close()
        assert cache["key"] == 1
    assert database.opened == 0
    assert cache["key"] == 1
    assert database.opened == 1


def test_a_connection_that_had_to_be_closed_may_come_back(cache: Cache) -> None:
    pool = cache.engine.stores[0].database.pool
    connection = pool.borrow(0, lambda: False)
    connection.close()  # as when it could not be rolled back
    pool.give_back(connection)
    assert pool.opened == 0
    cache["key"] = 1
    assert cache["key"] == 1


def test_a_finalizer_may_use_the_cache_while_its_thread_looks_for_a_connection(
    tmp_path: Path,
) -> None:
    seen: list[object] = []

    class Last:
        def __init__(self, cache: FanoutCache) -> None:
            self.itself = self
            self.cache = cache

        def __del__(self) -> None:
            seen.append(self.cache.set("last", 1, retry=False))

    with FanoutCache(tmp_path, shards=1, timeout=0.05) as cache:
        pool = cache.engine.stores[0].database.pool
        held = [pool.borrow(None, lambda: False) for _ in range(pool.limit)]

        def look() -> None:
            Last(cache)  # garbage, found when all connections are in use
            seen.append(cache.get("key", "nothing"))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert seen == [False, "nothing"]
        for connection in held:
            pool.give_back(connection)
        assert cache.set("key", 1)


def test_a_new_generation_is_seen_when_the_old_connections_are_gone(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = cache.engine
    (store,) = engine.stores
    seen: list[bool] = []
    close = store.database.pool.close

    def watched() -> None:
        seen.append(store.database.renewed(None))  # to other threads
        close()

    monkeypatch.setattr(store.database.pool, "close", watched)
    engine.segment.counters[engine.segment.generation(0)] += 1
    assert cache.get("key") is None
    assert seen == [True]


def test_a_journal_that_does_not_work_is_said(cache: Cache) -> None:
    # SQLite's memory is a place where the log cannot be, as is a network file system.
    connection = sqlite3.connect(":memory:")
    try:
        with pytest.raises(Fault, match="take a local disk, or set sqlite_journal_mode to"):
            cache.engine.stores[0]._configure(connection)
    finally:
        connection.close()
