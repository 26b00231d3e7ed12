"""Locks that are not evicted, and that tell when they were lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import (
    Averager,
    BoundedSemaphore,
    Cache,
    FanoutCache,
    Lock,
    LockLost,
    RLock,
    Timeout,
    barrier,
    integrity,
    throttle,
)
from django_diskcache.engine.disk import MODE_RAW, PINNED, Pinned
from django_diskcache.engine.guard import raising
from django_diskcache.engine.pinning import Pinning
from tests.conftest import FakeClock
from tests.engine.processes import PATIENCE, SharedClock, run_all

LOCKS = [Lock, RLock, BoundedSemaphore]
POLICIES = ["least-recently-stored", "least-recently-used", "least-frequently-used"]


@pytest.fixture(params=["Cache", "FanoutCache"])
def shared(
    request: pytest.FixtureRequest,
    make_cache: Callable[..., Cache],
    make_fanout: Callable[..., FanoutCache],
) -> Any:
    return make_cache() if request.param == "Cache" else make_fanout()


def modes(cache: Any) -> set[int]:
    """The modes of all rows."""
    rows = [store.database.run("SELECT mode FROM cache") for store in cache.engine.stores]
    return {mode & integrity.MODES for each in rows for (mode,) in each}


def pinned(cache: Any) -> bool:
    return all(mode & PINNED for mode in modes(cache))


# Eviction


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("make", LOCKS)
def test_what_is_held_is_never_evicted(
    make: Any, policy: str, make_fanout: Callable[..., FanoutCache]
) -> None:
    cache = make_fanout(eviction_policy=policy, size_limit=0, cull_limit=10)
    cache.reset("size_limit", 2**40)
    lock = make(cache, "lock")
    lock.acquire()
    for number in range(200):
        cache.set(number, "x" * 100)
    cache.reset("size_limit", 0)
    cache.cull()

    assert list(cache) == ["lock"]
    lock.release()
    cache.cull()
    assert list(cache) == []  # nothing stays pinned for good


@pytest.mark.parametrize("frequency", [0, 1, 3])
def test_nor_where_entries_are_counted(
    frequency: int, make_cache: Callable[..., Cache]
) -> None:
    cache = make_cache(max_entries=20, cull_frequency=frequency)
    lock = Lock(cache, "lock")
    lock.acquire()
    for number in range(200):
        cache.set(number, number)
    assert "lock" in cache
    assert len(cache) <= 21
    lock.release()


def test_a_sampled_shard_that_is_all_pinned(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache()
    for number in range(1500):  # more than are ranked all together
        cache.set(number, Pinned(number))
    cache.reset("size_limit", 0)
    assert cache.cull() == 0
    assert len(cache) == 1500


def test_it_expires_and_is_cleared(shared: Any, clock: FakeClock) -> None:
    state = Pinning(shared, "key", expire=10)
    state.set("value")
    assert pinned(shared)
    clock.advance(10)
    assert shared.get("key") is None
    assert shared.expire() == 1

    state.set("value")
    assert shared.clear() == 1
    state.set("value")
    assert shared.delete("key") is True


@pytest.mark.parametrize(
    "value", ["text", b"bytes", 5, 0.5, None, [1], "x" * 1000, b"x" * 1000, ["x" * 1000]]
)
@pytest.mark.parametrize("secret", [None, b"secret"])
def test_it_reads_like_any_other(
    secret: bytes | None, value: Any, make_cache: Callable[..., Cache]
) -> None:
    cache = make_cache(secret=secret, disk_min_file_size=500)
    Pinning(cache, "key").set(value)
    assert pinned(cache)
    for _ in range(3):
        assert cache.get("key") == cache["key"] == value
    assert cache.get("key", tag=True) == (value, None)
    assert cache.get_many(["key"]) == {"key": value}
    assert cache.touch("key", 10) is True
    assert pinned(cache)
    cache.engine.near.clear()
    assert cache.get("key") == value
    assert cache.pop("key") == value
    assert cache.check() == []


def test_an_ordinary_set_unpins(shared: Any) -> None:
    state = Pinning(shared, "key")
    writes: list[Callable[[], object]] = [
        lambda: shared.set("key", 5),
        lambda: shared.set_many({"key": 5}),
    ]
    for write in writes:
        state.set(1)
        assert modes(shared) == {MODE_RAW | PINNED}
        write()
        assert modes(shared) == {MODE_RAW}
        assert shared.get("key") == 5


def test_incr_leaves_it_pinned_or_not(shared: Any) -> None:
    state = Pinning(shared, "key")
    for pinned in (True, False):
        state.set(1, pinned)
        assert shared.incr("key") == 2
        assert shared.incr("key", 0.5) == 2.5
        assert modes(shared) == {MODE_RAW | PINNED if pinned else MODE_RAW}
        assert shared.get("key") == 2.5


def test_a_pinned_file_goes_with_its_entry(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(disk_min_file_size=10)
    Pinning(cache, "key").set("x" * 100)
    cache.set("key", "small")
    assert cache.check() == []
    assert list(Path(cache.directory).glob("*/*.val")) == []


class Dictionary:
    """A cache that is none of ours."""

    def __init__(self) -> None:
        self.entries: dict[Any, Any] = {}

    def add(self, key: Any, value: Any, expire: Any, tag: Any, retry: bool) -> bool:
        if key in self.entries:
            return False
        self.entries[key] = value
        return True

    def set(self, key: Any, value: Any, expire: Any, tag: Any, retry: bool) -> None:
        self.entries[key] = value

    def get(self, key: Any, default: Any, retry: bool) -> Any:
        return self.entries.get(key, default)

    def delete(self, key: Any, retry: bool) -> None:
        self.entries.pop(key, None)

    def __contains__(self, key: Any) -> bool:
        return key in self.entries

    def transact(self, retry: bool) -> Any:
        return threading.RLock()


@pytest.mark.parametrize("make", LOCKS)
def test_a_cache_that_is_none_of_ours(make: Any) -> None:
    cache = Dictionary()
    lock = make(cache, "key")
    with lock:
        assert "key" in cache
        assert not any(isinstance(value, Pinned) for value in cache.entries.values())
    lock.acquire()
    cache.entries.clear()
    with pytest.raises(LockLost):
        lock.release()


# Locks that were lost


@pytest.mark.parametrize("make", LOCKS)
@pytest.mark.parametrize("how", ["expired", "cleared", "deleted"])
def test_a_lost_lock_tells(make: Any, how: str, shared: Any, clock: FakeClock) -> None:
    lock = make(shared, "key", expire=10)
    lock.acquire()
    if how == "expired":
        clock.advance(10)
    elif how == "cleared":
        shared.clear()
    else:
        del shared["key"]

    with pytest.raises(LockLost, match="'key' was lost before its release") as raised:
        lock.release()
    assert isinstance(raised.value, AssertionError)
    with lock:  # and may be had again
        pass


@pytest.mark.parametrize("make", [Lock, RLock])
def test_one_that_another_has_by_now_stays_his(
    make: Any, shared: Any, clock: FakeClock
) -> None:
    lock, other = make(shared, "key", expire=10), make(shared, "key", expire=10)
    lock.acquire()
    clock.advance(10)
    in_thread(other.acquire)

    with pytest.raises(LockLost):
        lock.release()
    assert "key" in shared
    assert not shared.add("key", None)


def in_thread(work: Callable[[], object]) -> None:
    """Run it in a thread that ends; what it raises is raised here."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    for error in errors:
        raise error


def test_threads_of_one_lock_object(shared: Any, clock: FakeClock) -> None:
    lock = Lock(shared, "key", expire=10)
    lock.acquire()
    clock.advance(10)
    lost, had = threading.Event(), threading.Event()

    def other() -> None:
        lock.acquire()
        had.set()
        assert lost.wait(PATIENCE)
        lock.release()

    thread = threading.Thread(target=other)
    thread.start()
    assert had.wait(PATIENCE)
    with pytest.raises(LockLost):  # and does not free what the other thread has
        lock.release()
    assert lock.locked()
    lost.set()
    thread.join(PATIENCE)
    assert not lock.locked()


def test_a_lock_may_be_passed_on(shared: Any) -> None:
    lock = Lock(shared, "key")
    lock.acquire()
    in_thread(lock.release)
    assert not lock.locked()
    in_thread(lock.acquire)
    lock.release()
    assert not lock.locked()


def test_who_never_acquired_it_frees_it(shared: Any) -> None:
    lock = Lock(shared, "key")
    lock.acquire()
    Lock(shared, "key").release()
    assert not lock.locked()
    Lock(shared, "key").release()  # nothing to free
    with pytest.raises(LockLost):
        lock.release()
    lock.release()  # now it has not acquired it either


def test_a_block_that_lost_it_tells_after_what_it_raised(shared: Any) -> None:
    lock = Lock(shared, "key")
    with pytest.raises(LockLost) as raised, lock:
        shared.clear()
        raise RuntimeError("of the block")
    assert isinstance(raised.value.__context__, RuntimeError)


def test_a_barrier_tells(shared: Any) -> None:
    @barrier(shared, Lock, name="barrier")
    def work() -> None:
        shared.clear()

    with pytest.raises(LockLost):
        work()


def test_an_rlock_is_lost_as_a_whole(shared: Any, clock: FakeClock) -> None:
    lock = RLock(shared, "key", expire=10)
    lock.acquire()
    lock.acquire()
    clock.advance(10)
    for _ in range(2):
        with pytest.raises(LockLost):
            lock.release()
    with pytest.raises(AssertionError, match="un-acquired") as raised:
        lock.release()
    assert not isinstance(raised.value, LockLost)


def test_an_rlock_belongs_to_the_thread_and_not_to_its_number(shared: Any) -> None:
    lock = RLock(shared, "key")
    in_thread(lock.acquire)  # it ended; the next one may have its number

    def release() -> None:
        with pytest.raises(AssertionError, match="un-acquired"):
            lock.release()

    in_thread(release)


# Faults


@pytest.mark.parametrize("make", LOCKS)
def test_a_fault_is_no_answer(
    make: Any, make_fanout: Callable[..., FanoutCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_fanout()
    lock = make(cache, "key")
    lock.acquire()

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise Timeout("locked")

    store, _ = cache.engine.place("key")
    with monkeypatch.context() as patch:
        patch.setattr(store.database, "run", fails)
        assert cache.add("key", 5, retry=True) is False  # what the cache itself answers
        with pytest.raises(Timeout):
            lock.acquire()
        with pytest.raises(Timeout):
            lock.release()
        with pytest.raises(Timeout):
            Averager(cache, "key").add(1)
        with pytest.raises(Timeout):
            throttle(cache, 1, 1, name="key")(len)
    lock.release()  # it is as it was
    if make is Lock:
        assert not lock.locked()


def test_strict_is_the_same_cache(shared: Any) -> None:
    twin = raising(shared)
    twin["key"] = 5
    assert shared["key"] == 5
    assert twin.engine is shared.engine
    assert raising(5) == 5


# Holders that die


def hold(directory: str, name: str, expire: float | None, clock: Any, pipe: Any) -> None:
    cache = FanoutCache(directory, shards=2, timeout=60, clock=clock)
    lock = {"Lock": Lock, "RLock": RLock, "BoundedSemaphore": BoundedSemaphore}[name]
    lock(cache, "lock", expire=expire).acquire()
    pipe.send("acquired")
    signal.pause()


@pytest.mark.parametrize("make", LOCKS)
@pytest.mark.parametrize("expire", [None, 10])
def test_the_lock_of_a_holder_that_died(
    expire: float | None, make: Any, tmp_path: Path
) -> None:
    clock = SharedClock(tmp_path / "clock")
    directory = str(tmp_path / "cache")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    args = (directory, make.__name__, expire, clock, theirs)
    holder = context.Process(target=hold, args=args)
    holder.start()
    assert ours.poll(PATIENCE)
    assert ours.recv() == "acquired"
    os.kill(holder.pid, signal.SIGKILL)  # type: ignore[arg-type]
    holder.join(PATIENCE)

    with FanoutCache(directory, shards=2, timeout=60, clock=clock, size_limit=0) as cache:
        for number in range(200):
            cache.set(number, "x" * 100)
        cache.cull()
        assert list(cache) == ["lock"]  # what was acquired is not lost
        had = threading.Event()
        lock = make(cache, "lock", expire=expire)

        def acquire() -> None:
            lock.acquire()
            had.set()

        thread = threading.Thread(target=acquire)
        thread.start()
        assert not had.wait(0.02)
        if expire is None:
            del cache["lock"]
        else:
            clock.advance(expire)
        assert had.wait(PATIENCE)
        thread.join()


def count_under_lock(directory: str, name: str, path: str, rounds: int) -> int:
    options: dict[str, Any] = {"size_limit": 2**20, "sqlite_synchronous": 0}
    cache = FanoutCache(directory, shards=2, timeout=60, **options)
    lock = {"Lock": Lock, "RLock": RLock, "BoundedSemaphore": BoundedSemaphore}[name]
    mine = lock(cache, "lock")
    for number in range(rounds):
        with mine:
            total = int(Path(path).read_text())
            cache.set(f"{os.getpid()} {number}", "x" * 10_000)  # more than there is room for
            Path(path).write_text(str(total + 1))
    return rounds


@pytest.mark.parametrize("make", LOCKS)
def test_one_holder_at_a_time_in_a_full_cache(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    call = (str(tmp_path / "cache"), make.__name__, str(path), 60)
    assert sum(run_all("spawn", count_under_lock, [call] * 3)) == 180
    assert path.read_text() == "180"
