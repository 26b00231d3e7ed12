"""Computed once by all processes, which may die, fail or fork meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import ENOVAL, Cache, FanoutCache
from tests.engine.processes import PATIENCE, Companion, run_all

# Python warns of every fork beside threads, which is what some of these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

PROCESSES, THREADS = 8, 3


def wait_for(path: Path) -> None:
    """Until the file is there."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} does not come"
        time.sleep(0.002)


def note(directory: Path) -> int:
    """One call more, of whatever process; how many there are."""
    number = 1
    while True:
        try:
            (directory / f"call{number}").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return number


def _compete(directory: Path, face: Any) -> list[int]:
    cache = face(directory / "cache")
    (directory / f"ready{os.getpid()}").touch()

    def compute() -> int:
        wait_for(directory / "go")  # until all others have begun
        return note(directory)

    def call(_: int) -> int:
        value: int = cache.get_or_set("key", compute, wait=PATIENCE)
        return value

    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(call, range(THREADS))
        if len(list(directory.glob("ready*"))) == PROCESSES:
            (directory / "go").touch()
        return list(found)


@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_of_many_processes_one_computes(tmp_path: Path, face: Any) -> None:
    found = run_all("fork", _compete, [(tmp_path, face)] * PROCESSES)
    assert found == [[1] * THREADS] * PROCESSES
    assert not (tmp_path / "call2").exists()


def _hang(cache: Cache, begun: Path) -> None:
    def for_ever() -> None:
        begun.touch()
        time.sleep(PATIENCE)

    cache.get_or_set("key", for_ever)


def _make(directory: Path) -> Cache:
    return Cache(directory)


def test_a_holder_that_is_killed_lets_those_who_wait_compute(tmp_path: Path) -> None:
    with (
        Cache(tmp_path / "cache") as cache,
        pytest.raises(ZeroDivisionError),
        Companion(_make, tmp_path / "cache") as holder,
    ):
        holder.ask(_hang, tmp_path / "begun")
        wait_for(tmp_path / "begun")
        assert cache.get_or_set("key", lambda: "too early", wait=0) == "too early"
        cache.delete("key")
        with ThreadPoolExecutor(4) as pool:
            waiting = [
                pool.submit(cache.get_or_set, "key", lambda: note(tmp_path), wait=None)
                for _ in range(4)
            ]
            assert holder._process.pid is not None
            os.kill(holder._process.pid, signal.SIGKILL)
            found = {each.result(PATIENCE) for each in waiting}
            assert found == {cache["key"]}  # of one of them, if several have computed at once
        raise ZeroDivisionError  # it has ended otherwise than it should


def test_a_fork_while_a_claim_is_held(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    begun, go_on = threading.Event(), threading.Event()

    def compute() -> str:
        begun.set()
        assert go_on.wait(PATIENCE)
        return "by the parent"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.get_or_set, "key", compute)
        assert begun.wait(PATIENCE)
        child = os.fork()
        if child == 0:  # it waits for what its parent computes, and gets it
            code = 1
            try:
                (tmp_path / "child").touch()
                found = cache.get_or_set("key", lambda: "by the child", wait=PATIENCE)
                code = 0 if found == "by the parent" else 2
            finally:
                os._exit(code)
        wait_for(tmp_path / "child")
        go_on.set()
        assert first.result() == "by the parent"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    cache.close()


def test_a_fork_inside_a_computation(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")

    def compute() -> str:
        child = os.fork()
        if child == 0:
            code = 1
            try:  # what its parent computes is to be computed here too: it waits for nobody
                code = 0 if cache.get_or_set("key", lambda: "child", wait=None) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return "parent"

    assert cache.get_or_set("key", compute) == "child"  # it was first
    cache.close()


def test_a_signal_handler_that_raises_frees_the_claim(cache: Cache) -> None:
    class Interrupted(Exception):
        pass

    def handler(number: int, frame: Any) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Interrupted):
            cache.get_or_set("key", lambda: signal.raise_signal(signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert cache.get_or_set("key", lambda: 1, wait=None) == 1


def test_a_cache_without_memory_of_its_own(make_cache: Any) -> None:
    cache = make_cache(near_cache_size=0)
    assert cache.get_or_set("key", lambda: [1], 10, stale=5) == [1]
    assert cache.get_or_set("key", lambda: [2], 10, stale=5) == [1]
    assert cache.until("key")[1] is not None
    assert cache.until("missing")[1] is None


def test_inside_a_transaction_what_it_has_stored_counts(cache: Cache) -> None:
    now = cache.engine.clock()
    cache.set("key", 1, expire=10)
    assert cache.until("key") == cache.until("key") == (1, now + 10)
    with cache.transact():
        cache.set("key", 2, expire=50)
        assert cache.until("key") == (2, now + 50)


_vanishing: list[Cache] = []


def _vanish() -> list[str]:
    with ThreadPoolExecutor(1) as pool:
        for cache in _vanishing:
            pool.submit(cache.delete, "key").result()
            pool.submit(cache.get, "key").result()
    return ["value"]


class Vanishing:
    """Is deleted, and looked for in vain, by another thread at the moment when it is read."""

    def __reduce__(self) -> Any:
        return _vanish, ()


@pytest.mark.parametrize("reads", [0, 1])  # by the store, and by memory
def test_what_is_deleted_meanwhile_has_its_end(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    cache.set("key", Vanishing(), expire=10)
    for _ in range(reads):
        cache.get("key")
    monkeypatch.setattr(f"{__name__}._vanishing", [cache])
    assert cache.until("key") == (["value"], cache.engine.clock() + 10)
    assert "key" not in cache


@pytest.mark.parametrize("value", [1, [1], b"x" * 100_000, ["x" * 100_000]])
def test_a_look_for_the_end_is_one_hit(make_cache: Any, value: Any) -> None:
    cache = make_cache(statistics=1)
    cache.set("key", value, expire=10)
    for number in range(1, 20):
        assert cache.until("key") == (value, cache.engine.clock() + 10)
        assert cache.stats() == (number, 0)
    assert cache.until("missing") == cache.until("missing") == (ENOVAL, None)
    assert cache.stats() == (19, 2)


def test_a_key_of_any_kind(cache: Cache) -> None:
    for key in (1, 2.5, b"bytes", (1, "two"), None):
        assert cache.get_or_set(key, lambda: [key], 10, stale=5) == [key]  # noqa: B023
        assert cache.get_or_set(key, 0, 10, stale=5) == [key]
        assert cache.until(key) == ([key], cache.engine.clock() + 10 + 5)
