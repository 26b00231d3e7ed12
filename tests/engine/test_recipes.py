"""What is built on a cache: averages, locks, throttles, early recomputation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from django_diskcache.engine import (
    ENOVAL,
    Averager,
    BoundedSemaphore,
    Cache,
    Lock,
    RLock,
    barrier,
    memoize_stampede,
    throttle,
)
from django_diskcache.server import ServerCache
from tests.conformance.conftest import ServerClock
from tests.conftest import FakeClock


@pytest.fixture(params=["Cache", "FanoutCache", "ServerCache"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> FakeClock:
    """A clock that the server follows, where there is one."""
    if "kind" in request.fixturenames and request.getfixturevalue("kind") == "ServerCache":
        return ServerClock(request.getfixturevalue("server"))
    return FakeClock()


@pytest.fixture
def shared(request: pytest.FixtureRequest, kind: str, clock: FakeClock) -> Iterator[Any]:
    if kind == "ServerCache":
        url = request.getfixturevalue("server").url
        with ServerCache(url, timeout=10, clock=clock, secret="secret") as cache:
            yield cache
    else:
        make = "make_cache" if kind == "Cache" else "make_fanout"
        yield request.getfixturevalue(make)()


def test_averager(shared: Any, clock: FakeClock) -> None:
    averager = Averager(shared, "key", expire=10, tag="tag")
    assert averager.get() is None
    assert averager.pop() is None
    for value in (1, 2, 4.5):
        averager.add(value)

    assert averager.get() == Averager(shared, "key").get() == 2.5
    assert averager.pop() == 2.5
    assert averager.get() is None
    averager.add(1)
    assert shared.get("key", expire_time=True, tag=True)[1:] == (clock() + 10, "tag")
    clock.advance(10)
    assert averager.get() is None


def test_lock(shared: Any, clock: FakeClock) -> None:
    lock = Lock(shared, "key", expire=10, tag="tag")
    assert not lock.locked()
    with lock:
        assert lock.locked()
        assert not shared.add("key", None)
        assert shared.get("key", expire_time=True, tag=True)[1:] == (clock() + 10, "tag")
    assert not lock.locked()
    lock.acquire()
    clock.advance(10)
    lock.acquire()  # its holder died
    lock.release()
    with pytest.raises(RuntimeError), lock:
        raise RuntimeError
    assert not lock.locked()


def waits_until_released(lock: Any, other: Any) -> None:
    """`other` cannot be had while `lock` is held, and can afterwards."""
    had, released = threading.Event(), threading.Event()
    early = []

    def work() -> None:
        with other:
            early.append(not released.is_set())
            had.set()

    lock.acquire()
    thread = threading.Thread(target=work)
    thread.start()
    assert not had.wait(0.02)
    released.set()
    lock.release()
    assert had.wait(60)
    thread.join()
    assert early == [False]


@pytest.mark.parametrize("make", [Lock, RLock, BoundedSemaphore])
def test_others_wait(make: Any, shared: Any) -> None:
    waits_until_released(make(shared, "key"), make(shared, "key"))


def test_rlock(shared: Any, clock: FakeClock) -> None:
    lock = RLock(shared, "key", expire=10, tag="tag")
    with pytest.raises(AssertionError, match="un-acquired"):
        lock.release()
    with lock, lock:
        lock.acquire()
        lock.release()
        assert shared.get("key", expire_time=True, tag=True)[1:] == (clock() + 10, "tag")
    with pytest.raises(AssertionError, match="un-acquired"):
        lock.release()

    lock.acquire()
    errors: list[BaseException] = []

    def release() -> None:
        try:
            lock.release()
        except AssertionError as error:
            errors.append(error)

    thread = threading.Thread(target=release)
    thread.start()
    thread.join()
    assert len(errors) == 1
    lock.release()


def test_bounded_semaphore(shared: Any) -> None:
    semaphore = BoundedSemaphore(shared, "key", value=2)
    with pytest.raises(AssertionError, match="un-acquired"):
        semaphore.release()
    with semaphore:
        assert shared["key"] == 1
        waits_until_released(semaphore, BoundedSemaphore(shared, "key", value=2))
    assert shared["key"] == 2
    with pytest.raises(AssertionError, match="un-acquired"):
        semaphore.release()


def test_throttle(shared: Any) -> None:
    now = [0.0]
    calls = []

    def sleep(seconds: float) -> None:
        assert seconds > 0
        now[0] += seconds

    @throttle(shared, 2, 1, name="throttle", time_func=lambda: now[0], sleep_func=sleep)
    def work(value: int) -> int:
        """Works."""
        calls.append(now[0])
        return value

    assert [work(value) for value in range(6)] == list(range(6))
    assert calls == pytest.approx([0, 0, 0.5, 1, 1.5, 2])
    now[0] += 100  # a pause saves up two calls, not two hundred
    begin = now[0]
    for value in range(4):
        work(value)
    assert calls[6:] == pytest.approx([begin, begin, begin + 0.5, begin + 1])
    assert work.__name__ == "work"
    assert "throttle" in shared


def test_throttle_is_named_by_its_function(shared: Any) -> None:
    @throttle(shared, 10**9, 1)
    def work() -> None:
        pass

    work()
    assert list(shared) == [f"{__name__}.test_throttle_is_named_by_its_function.<locals>.work"]


@pytest.mark.parametrize("factory", [Lock, RLock, BoundedSemaphore])
def test_barrier(factory: Any, shared: Any) -> None:
    inside, most, total = [0], [0], []

    @barrier(shared, factory, name="barrier", expire=100, tag="tag")
    def work(number: int) -> int:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        total.append(number)
        inside[0] -= 1
        return number

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1]
    assert sorted(total) == list(range(8))
    assert work(7) == 7


@pytest.fixture
def stampede(shared: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that takes two seconds by the clock, memoized for ten; and its calls."""
    cache = shared
    monkeypatch.setattr("time.time", clock)
    calls: list[int] = []

    @memoize_stampede(cache, 10, name="work", tag="tag", beta=1)
    def work(x: int, y: int = 0) -> int:
        calls.append(x)
        clock.advance(2)
        return x + y

    return cache, work, calls


def chance(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr("random.random", lambda: value)


def test_memoize_stampede(
    stampede: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, work, calls = stampede
    chance(monkeypatch, 0.0)  # the logarithm of one: never early

    assert [work(1), work(1), work(2, y=3)] == [1, 1, 5]
    assert calls == [1, 2]
    key = work.__cache_key__(1)
    assert cache.get(key, tag=True) == ([1, 2.0], "tag")
    assert work.__wrapped__(7) == 7
    clock.advance(10)
    assert work(1) == 1
    assert calls == [1, 2, 7, 1]


def test_memoize_stampede_computes_early_in_one_thread(
    stampede: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, work, calls = stampede
    started: list[threading.Thread] = []

    class Recorded(threading.Thread):
        def start(self) -> None:
            started.append(self)  # it runs when the test says so

    work(1)
    monkeypatch.setattr(threading, "Thread", Recorded)
    clock.advance(7)  # three of the ten seconds are left
    chance(monkeypatch, 1 - 2.718281828**-1)  # early = two seconds: it took that long
    assert work(1) == 1
    assert started == []
    chance(monkeypatch, 1 - 2.718281828**-2)  # early = four seconds
    assert [work(1), work(1)] == [1, 1]
    assert len(started) == 1
    assert calls == [1]

    started[0].run()
    assert calls == [1, 1]
    clock.advance(7)
    chance(monkeypatch, 0.0)
    assert work(1) == 1
    assert calls == [1, 1]
    assert (*work.__cache_key__(1), ENOVAL) not in cache


def test_memoize_stampede_wants_parentheses(cache: Cache) -> None:
    with pytest.raises(TypeError, match="parentheses"):
        memoize_stampede(cache, 10, len)  # type: ignore[arg-type]


def test_memoize_stampede_ignores_only_what_is_there(cache: Cache) -> None:
    with pytest.raises(TypeError, match="ignore='x': expected a tuple, list or set"):
        memoize_stampede(cache, 10, ignore="x")
    with pytest.raises(ValueError, match="has no argument 'y', but x"):
        memoize_stampede(cache, 10, ignore={"y"})(lambda x: x)


@pytest.mark.parametrize("recipe", ["throttle", "barrier"])
def test_coroutine_functions_are_refused(cache: Cache, recipe: str) -> None:
    decorator = throttle(cache, 1, 1) if recipe == "throttle" else barrier(cache, Lock)

    async def work() -> None: ...

    with pytest.raises(TypeError, match=f"work is a coroutine function: put {recipe} on"):
        decorator(work)
    assert list(cache) == []
