"""Named locks between processes, which may die, and on an event loop that is cancelled."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache, Fault, leases
from django_diskcache.engine.faults import fault
from django_diskcache.engine.sqlite import sqlite3
from tests.engine.processes import PATIENCE, Companion, run_all
from tests.locking import locked

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
TIMES = 15


def _count(directory: Path, face: Any) -> list[int]:
    cache = face(directory / "cache")
    counter, fences = directory / "counter", []
    for _ in range(TIMES):
        with cache.lock("counter", timeout=PATIENCE, blocking_timeout=PATIENCE) as lock:
            number, last = map(int, counter.read_text().split())
            assert last < lock.fence
            counter.write_text(f"{number + 1} {lock.fence}")
            fences.append(lock.fence)
    return fences


@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_processes_keep_each_other_out(tmp_path: Path, face: Any) -> None:
    (tmp_path / "counter").write_text("0 0")
    fences = run_all("fork", _count, [(tmp_path, face)] * 4)
    assert (tmp_path / "counter").read_text().startswith(f"{4 * TIMES} ")
    assert len({fence for each in fences for fence in each}) == 4 * TIMES


def _make(directory: Path) -> Cache:
    return Cache(directory)


def _acquire(cache: Cache) -> bool:
    return cache.lock("name", timeout=0.2).acquire()


def test_what_a_killed_process_held_is_free_when_its_time_is_over(tmp_path: Path) -> None:
    with (
        Cache(tmp_path) as cache,
        pytest.raises(ZeroDivisionError),
        Companion(_make, tmp_path) as holder,
    ):
        assert holder.call(_acquire)
        assert holder._process.pid is not None
        os.kill(holder._process.pid, signal.SIGKILL)
        assert cache.lock("name").acquire(blocking_timeout=PATIENCE)
        raise ZeroDivisionError  # it has ended otherwise than it should


def test_a_task_that_is_cancelled_while_a_thread_takes_the_lock(cache: Cache) -> None:
    async def main() -> None:
        with locked(cache.engine) as release:
            task = asyncio.ensure_future(cache.alock("name").acquire())
            for _ in range(20):
                await asyncio.sleep(0)
            task.cancel()
            for _ in range(20):
                await asyncio.sleep(0)
            assert release()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert not cache.lock("name").locked()


def test_a_task_that_is_cancelled_twice(cache: Cache) -> None:
    """The second time would cancel what gives back what the thread has taken."""

    async def main() -> None:
        with locked(cache.engine) as release:
            task = asyncio.ensure_future(cache.alock("name").acquire())
            for _ in range(2):
                for _ in range(20):
                    await asyncio.sleep(0)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert release()

    asyncio.run(main())  # its end waits for the thread
    assert not cache.lock("name").locked()


class Interrupt(BaseException):
    """What a handler of signals raises."""


def test_an_interrupt_leaves_no_lock_held(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = cache.lock("name")
    take, give = leases.take, leases.give

    def taken(*args: Any) -> Any:
        take(*args)
        raise Interrupt

    def given(*args: Any) -> Any:
        monkeypatch.setattr(leases, "give", give)
        begun = cache.transact(retry=True)
        begun.__enter__()  # which ends only with this frame
        raise Interrupt

    with monkeypatch.context() as patch:
        patch.setattr(leases, "take", taken)
        with pytest.raises(Interrupt):
            lock.acquire()
    assert not lock.locked()
    assert lock.token is None

    lock.acquire()
    monkeypatch.setattr(leases, "give", given)
    with pytest.raises(Interrupt):
        lock.release()
    assert not lock.locked()
    assert lock.token is None


@pytest.mark.parametrize("face", ["cache", "fanout"])
def test_a_fault_raises_and_leaves_the_lock_held(
    face: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = request.getfixturevalue(face)
    lock = cache.lock("name")
    lock.acquire()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise fault(sqlite3.OperationalError("disk I/O error"), "path")

    with monkeypatch.context() as patch:
        for store in cache.engine.stores:
            patch.setattr(store.database, "transact", broken)
        with pytest.raises(Fault):
            lock.release()
        with pytest.raises(Fault):
            cache.lock("other").acquire()
        with pytest.raises(Fault):
            cache.allow("rate", 1, 1)
    assert lock.owned()
    lock.release()
    assert not lock.locked()
