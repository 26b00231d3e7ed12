"""Locks, semaphores and rates, whatever the face, as users of redis-py know them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_diskcache import LockError, LockLost
from tests.conformance.conftest import Face

# Signatures make no difference to any of this.
pytestmark = pytest.mark.parametrize(
    "face", ["Cache", "FanoutCache", "DjangoCache", "ServerCache"], indirect=True
)


def test_a_lock_has_one_holder(face: Face) -> None:
    lock, other = face.lock("name"), face.lock("name", blocking=False)
    assert (lock.locked(), lock.owned(), lock.token, lock.fence) == (False, False, None, None)
    assert lock.acquire() is True
    assert (lock.locked(), lock.owned(), other.locked(), other.owned()) == (
        True, True, True, False
    )  # fmt: skip
    assert other.acquire() is False
    assert other.acquire(blocking=True, blocking_timeout=0.01) is False
    assert face.lock("other").acquire() is True
    lock.release()
    assert (lock.locked(), lock.owned(), lock.token) == (False, False, None)
    assert other.acquire() is True


def test_with(face: Face) -> None:
    with face.lock("name", timeout=5) as lock:
        assert lock.owned()
        with pytest.raises(LockError, match="'name' was not free in time"):
            face.lock("name", blocking_timeout=0.01).__enter__()
    assert not lock.locked()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert not lock.locked()


def test_a_lock_is_not_what_is_stored_under_its_name(face: Face) -> None:
    face.set("name", "value")
    with face.lock("name"):
        assert face.get("name") == "value"
        face.set("name", "other")
        assert not face.lock("name", blocking=False).acquire()


def test_who_waits_gets_it_when_it_is_free(face: Face) -> None:
    lock = face.lock("name")
    lock.acquire()
    waits = threading.Event()

    def wait() -> bool:
        other = face.lock("name")
        waits.set()
        got: bool = other.acquire(blocking_timeout=20)
        return got and other.owned()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        assert waits.wait(20)
        lock.release()
        assert waiting.result() is True


def test_a_lock_belongs_to_the_thread(face: Face) -> None:
    lock = face.lock("name")
    lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lock.owned).result() is False
        assert pool.submit(lock.acquire, False).result() is False
        with pytest.raises(LockError, match="has not acquired"):
            pool.submit(lock.release).result()
    assert lock.owned()


def test_inside_a_transaction_nobody_can_wait(face: Face) -> None:
    cache = face.cache._cache if hasattr(face.cache, "_cache") else face.cache
    with face.lock("name"), cache.transact():
        assert not face.lock("name").acquire(blocking=False)
        with pytest.raises(LockError, match="acquire the lock first"):
            face.lock("name").acquire()
        with face.lock("other"):
            pass


def test_a_lock_that_is_not_held(face: Face) -> None:
    lock = face.lock("name", timeout=5)
    for call in (lock.release, lambda: lock.extend(5), lock.reacquire):
        with pytest.raises(LockError, match=r"cannot .* 'name'"):
            call()


def test_a_lock_whose_time_is_over_is_lost(face: Face) -> None:
    lock = face.lock("name", timeout=5)
    lock.acquire()
    face.clock.advance(5)
    assert not lock.owned()
    other = face.lock("name")
    assert other.acquire(blocking=False)
    for call in (lambda: lock.extend(5), lock.reacquire, lock.release):
        with pytest.raises(LockLost):
            call()
    assert other.owned()
    with pytest.raises(LockError, match="not acquired"):
        lock.release()  # it is told once


def test_a_lock_that_was_lost_is_acquired_anew(face: Face) -> None:
    lock = face.lock("name", timeout=5)
    lock.acquire()
    face.clock.advance(5)
    lock.acquire()
    lock.release()
    assert lock.token is None


def test_a_lock_that_was_cleared_is_lost(face: Face) -> None:
    lock = face.lock("name")
    lock.acquire()
    face.clear()
    with pytest.raises(LockLost):
        lock.release()


def test_a_lock_is_held_for_longer(face: Face) -> None:
    lock = face.lock("name", timeout=5)
    lock.acquire()
    assert lock.extend(10) is True
    face.clock.advance(14)
    assert lock.owned()
    assert lock.extend(3, replace_ttl=True) is True
    face.clock.advance(2.5)
    assert lock.owned()
    assert lock.reacquire() is True
    face.clock.advance(4.5)
    assert lock.owned()
    face.clock.advance(0.5)
    assert not lock.owned()


def test_a_lock_without_end_has_nothing_to_extend(face: Face) -> None:
    lock = face.lock("name")
    lock.acquire()
    face.clock.advance(10**6)
    assert lock.owned()
    for call in (lambda: lock.extend(5), lock.reacquire):
        with pytest.raises(LockError, match="no timeout"):
            call()
    assert lock.owned()


def test_a_fence_rises_with_each_acquisition(face: Face) -> None:
    fences = []

    def acquire() -> Any:
        lock = face.lock("name", timeout=5)
        assert lock.acquire(blocking=False)
        fences.append(lock.fence)
        return lock

    acquire().release()
    acquire().release()
    face.clock.advance(-3000)  # the clock is set back
    acquire()
    face.clock.advance(3005)  # the time of that one is over
    acquire()
    face.clock.advance(1)
    face.clear()
    acquire().release()
    assert fences == sorted(set(fences))


def test_what_is_held_is_not_evicted(face: Face) -> None:
    lock = face.lock("name")
    lock.acquire()
    semaphore = face.semaphore("places", 2)
    semaphore.acquire()
    assert face.once_per("day", 86400)
    while face.allow("calls", 3, 60):
        pass
    engine = face.engine
    engine.reset("max_entries", 20)
    for number in range(300):
        face.set(number, number)
    assert lock.owned()
    assert semaphore.owned()
    assert not face.once_per("day", 86400)
    assert not face.allow("calls", 3, 60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"sleep": 0}, "sleep=0"),
        ({"blocking_timeout": -1}, "blocking_timeout=-1"),
    ],
)
def test_seconds_that_are_none(face: Face, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}: expected a .*(seconds|finite)"):
        face.lock("name", **arguments)
    with pytest.raises(ValueError, match="additional_time=0"):
        face.lock("name", timeout=5).__enter__().extend(0)


def test_seconds_that_are_no_number(face: Face) -> None:
    lock = face.lock("name", timeout=5).__enter__()
    calls: dict[str, Any] = {
        "timeout": lambda: face.lock("other", timeout="5"),
        "sleep": lambda: face.semaphore("other", 2, sleep="5"),
        "blocking_timeout": lambda: face.cache.alock("other", blocking_timeout="5"),
        "additional_time": lambda: lock.extend("5"),
        "seconds": lambda: face.allow("rate", 5, "5"),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=f"^{name}='5': expected a number of seconds"):
            call()
    with pytest.raises(TypeError, match=r"^blocking_timeout='5'"):  # though it is free
        face.lock("other").acquire(blocking_timeout="5")
    with pytest.raises(ValueError, match=r"^blocking_timeout=-5"):
        face.lock("other").acquire(blocking_timeout=-5)
    for wrong in (face.once_per, lambda name, seconds: face.cache.throttle(5, seconds)):
        with pytest.raises(TypeError, match=r"^seconds='60'"):
            wrong("name", "60")
    with pytest.raises(ValueError, match=r"^seconds=inf"):
        face.allow("rate", 5, float("inf"))
    assert not face.lock("other").locked()


def test_errors_name_the_lock_as_the_caller_did(face: Face) -> None:
    with pytest.raises(LockError, match=r"^'name' has no timeout"), face.lock("name") as lock:
        lock.extend(5)
    with pytest.raises(LockError, match=r"^'name' has no timeout"), face.lock("name") as lock:
        lock.reacquire()
    for change in ("extend", "release"):
        lock = face.lock("name", timeout=5)
        lock.acquire()
        face.clock.advance(5)
        with pytest.raises(LockLost, match=r"^'name' is not held any more"):
            lock.extend(5) if change == "extend" else lock.release()

    async def main() -> None:
        lock = face.cache.alock("name", timeout=5)
        await lock.acquire()
        face.clock.advance(5)
        with pytest.raises(LockLost, match=r"^'name' is not held any more"):
            await lock.reacquire()
        with pytest.raises(LockLost, match=r"^'name' is not held any more"):
            await lock.release()

    asyncio.run(main())


# Semaphores


def test_a_semaphore_has_so_many_holders(face: Face) -> None:
    places = [face.semaphore("name", 2, blocking=False) for _ in range(3)]
    assert [each.acquire() for each in places] == [True, True, False]
    assert [each.owned() for each in places] == [True, True, False]
    assert places[2].locked()
    places[0].release()
    assert not places[2].locked()
    assert places[2].acquire()
    assert places[2].fence > places[1].fence > 0
    with pytest.raises(ValueError, match="value=0"):
        face.semaphore("name", 0)


def test_a_dead_holder_gives_back_its_own_place(face: Face) -> None:
    dead = face.semaphore("name", 2, timeout=5)
    dead.acquire()
    face.clock.advance(3)
    alive = face.semaphore("name", 2, timeout=5)
    alive.acquire()
    third = face.semaphore("name", 2, blocking=False)
    assert not third.acquire()
    face.clock.advance(2)
    assert third.acquire()
    assert alive.owned()
    with pytest.raises(LockLost):
        dead.release()
    alive.release()
    third.release()
    assert not third.locked()


def test_a_semaphore_may_be_nested(face: Face) -> None:
    semaphore = face.semaphore("name", 3)
    with semaphore:
        outer = (semaphore.token, semaphore.fence)
        with semaphore:
            assert semaphore.fence > outer[1]
            semaphore.acquire()
            assert semaphore.locked()
            semaphore.release()
        assert (semaphore.token, semaphore.fence) == outer
        assert semaphore.owned()
    assert not semaphore.owned()
    with pytest.raises(LockError, match="not acquired"):
        semaphore.release()
    assert all(face.semaphore("name", 3, blocking=False).acquire() for _ in range(3))
    many = face.semaphore("many", 9)
    tokens = []
    for _ in range(6):
        many.acquire()
        tokens.append(many.token)
    for token in reversed(tokens):
        assert many.token == token
        many.release()


# On an event loop


def test_locks_on_an_event_loop(face: Face) -> None:
    async def main() -> None:
        async with face.cache.alock("name", timeout=5) as lock:
            assert await lock.owned()
            assert await lock.locked()
            assert not await face.cache.alock("name").acquire(blocking_timeout=0.01)
            assert not face.lock("name", blocking=False).acquire()
            assert lock.fence > 0
            assert await lock.extend(5)
            face.clock.advance(9)
            assert await lock.reacquire()
            face.clock.advance(4)
            assert await lock.owned()
        assert not await lock.locked()
        with pytest.raises(LockError, match="not acquired"):
            await lock.release()
        with face.lock("name"), pytest.raises(LockError, match="not free"):
            await face.cache.alock("name", blocking_timeout=0.01).__aenter__()
        places = [face.cache.asemaphore("places", 2, blocking=False) for _ in range(3)]
        assert [await each.acquire() for each in places] == [True, True, False]
        await places[0].release()
        assert await places[2].acquire()

    asyncio.run(main())


def test_tasks_that_share_a_semaphore(face: Face) -> None:
    async def work(semaphore: Any, first: asyncio.Event, second: asyncio.Event) -> None:
        async with semaphore:
            mine = (semaphore.token, semaphore.fence)
            first.set()
            await second.wait()
            assert (semaphore.token, semaphore.fence) == mine
            assert await semaphore.owned()

    async def main() -> None:
        semaphore = face.cache.asemaphore("name", 2)
        one, other = asyncio.Event(), asyncio.Event()
        await asyncio.gather(work(semaphore, one, other), work(semaphore, other, one))
        await asyncio.wait_for(semaphore.acquire(), 60)  # maybe in a task of its own
        await semaphore.release()
        others = [face.cache.asemaphore("name", 2, blocking=False) for _ in range(2)]
        assert [await each.acquire() for each in others] == [True, True]

    asyncio.run(main())


def test_tasks_wait_for_a_lock(face: Face) -> None:
    inside: list[int] = []

    async def work() -> None:
        async with face.cache.alock("name", sleep=0.001):
            inside.append(1)
            assert len(inside) == 1
            await asyncio.sleep(0)
            inside.pop()

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(5)))

    asyncio.run(main())


# Rates


def test_so_many_in_so_many_seconds(face: Face) -> None:
    answers = [face.allow("name", 3, 60) for _ in range(4)]
    assert [bool(each) for each in answers] == [True, True, True, False]
    assert [each.remaining for each in answers] == [2, 1, 0, 0]
    assert [each.retry_after for each in answers] == [0, 0, 0, pytest.approx(20)]
    assert face.allow("other", 3, 60)
    face.clock.advance(19)
    assert face.allow("name", 3, 60).retry_after == pytest.approx(1)
    face.clock.advance(1)
    assert face.allow("name", 3, 60)
    assert not face.allow("name", 3, 60)
    face.clock.advance(600)
    assert [bool(face.allow("name", 3, 60)) for _ in range(4)] == [True] * 3 + [False]


def test_a_rate_with_a_clock_that_is_set_back(face: Face) -> None:
    assert face.allow("name", 1, 10)
    face.clock.advance(-100)
    assert face.allow("name", 1, 10).retry_after == pytest.approx(10)
    face.clock.advance(10)
    assert face.allow("name", 1, 10)


def test_once_in_each_period(face: Face) -> None:
    assert [face.once_per("name", 60) for _ in range(3)] == [True, False, False]
    assert face.once_per("other", 60)
    face.clock.advance(60)
    assert [face.once_per("name", 60) for _ in range(2)] == [True, False]


def test_rates_on_an_event_loop(face: Face) -> None:
    async def main() -> None:
        assert [bool(await face.cache.aallow("name", 2, 60)) for _ in range(3)] == [
            True, True, False
        ]  # fmt: skip
        assert [await face.cache.aonce_per("name", 60) for _ in range(2)] == [True, False]

    asyncio.run(main())


def test_throttle(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", face.clock.advance)
    begin = face.clock.now
    calls = []

    @face.throttle(2, 10)  # type: ignore[untyped-decorator]
    def work(x: int) -> int:
        calls.append(face.clock.now - begin)
        return x

    assert [work(x) for x in range(4)] == [0, 1, 2, 3]
    assert calls == [0, 0, pytest.approx(5), pytest.approx(10)]
    assert work.__name__ == "work"


def test_throttle_of_a_coroutine_function(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        face.clock.advance(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    @face.throttle(1, 10, name="shared")  # type: ignore[untyped-decorator]
    async def work(x: int) -> int:
        return x

    async def main() -> None:
        before = face.clock.now
        assert [await work(1), await work(2)] == [1, 2]
        assert face.clock.now - before == pytest.approx(10)

    assert inspect.iscoroutinefunction(work)
    asyncio.run(main())
    assert not face.allow("shared", 1, 10)  # the same rate


def test_rates_that_are_none(face: Face) -> None:
    for make in (face.allow, lambda name, *rate: face.throttle(*rate)):
        with pytest.raises(ValueError, match="count=0"):
            make("name", 0, 1)
        with pytest.raises(ValueError, match=r"count=0\.5"):
            make("name", 0.5, 1)
        with pytest.raises(ValueError, match="seconds=0"):
            make("name", 1, 0)
    with pytest.raises(ValueError, match="seconds=-1"):
        face.once_per("name", -1)
    with pytest.raises(TypeError, match=r"count .* @cache\.throttle\(count, seconds\)"):
        face.throttle(len, 1)


def test_nothing_is_counted_as_a_hit_or_a_miss(face: Face) -> None:
    async def on_a_loop() -> None:
        async with face.alock("name"):
            assert not await face.alock("name").acquire(blocking_timeout=0.02)
        assert not await face.aonce_per("once", 10)
        assert not await face.aallow("rate", 1, 10)

    assert face.get("key") is None
    before = face.stats()
    for lock in (face.lock("name"), face.semaphore("places", 1)):
        with lock:
            assert not lock.acquire(blocking_timeout=0.02)
            assert lock.owned()
            assert lock.locked()
    assert (face.once_per("once", 10), face.once_per("once", 10)) == (True, False)
    assert (bool(face.allow("rate", 1, 10)), bool(face.allow("rate", 1, 10))) == (True, False)
    asyncio.run(on_a_loop())
    assert face.stats() == before == (0, 1)
