"""Several processes on one directory: nothing lost, nothing doubled, nobody in two places.

Each test runs with processes that begin from nothing and with forks of this one, which has
used the cache before and so has warm connections that its children must leave alone.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import (
    Averager,
    BoundedSemaphore,
    Cache,
    Deque,
    FanoutCache,
    Index,
    Lock,
    RLock,
)
from tests.engine.processes import opened, run_all
from tests.engine.soundness import assert_sound

WORKERS = 4

pytestmark = [
    # Python warns of a fork beside threads, which other libraries of the test run may have.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.parametrize("method", ["spawn", "fork"]),
]
faces = pytest.mark.parametrize("face", [Cache, FanoutCache])


def adds(face: Any, directory: str, name: str) -> list[int]:
    with face(directory, timeout=60) as cache:
        return [number for number in range(200) if cache.add(number, name, retry=True)]


@faces
def test_add_has_one_winner(method: str, face: Any, tmp_path: Path) -> None:
    with opened(face, tmp_path) as cache:
        calls = [(face, str(tmp_path), f"worker-{number}") for number in range(WORKERS)]
        won = run_all(method, adds, calls)

        assert sorted(number for numbers in won for number in numbers) == list(range(200))
        for (_, _, name), numbers in zip(calls, won, strict=True):
            assert all(cache[number] == name for number in numbers)
        assert_sound(cache)


def increments(face: Any, directory: str) -> None:
    with face(directory, timeout=60) as cache:
        for number in range(200):
            cache.incr("small", retry=True)
            cache.incr("large", 2**70, default=0, retry=True)  # no single statement
            cache.decr(number % 3, retry=True)


@faces
def test_incr_loses_nothing(method: str, face: Any, tmp_path: Path) -> None:
    with opened(face, tmp_path) as cache:
        run_all(method, increments, [(face, str(tmp_path))] * WORKERS)

        assert cache["small"] == 200 * WORKERS
        assert cache["large"] == 200 * WORKERS * 2**70
        assert sum(cache[number] for number in range(3)) == -200 * WORKERS


def produce_and_consume(face: Any, directory: str, name: str, count: int) -> list[Any]:
    taken = []
    with face(directory, timeout=60, disk_min_file_size=100) as cache:
        for number in range(count):
            # Every third value is in a file.
            value = (name, number, "x" * (0 if number % 3 else 200))
            side = "front" if number % 2 else "back"
            assert cache.push(value, prefix="queue", side=side, retry=True) is not None
            if number % 2:
                key, value = cache.pull(prefix="queue", side="back", retry=True)
                if key is not None:
                    taken.append(value)
    return taken


@faces
def test_push_and_pull_lose_and_double_nothing(method: str, face: Any, tmp_path: Path) -> None:
    count = 60
    with opened(face, tmp_path) as cache:
        names = [f"worker-{number}" for number in range(WORKERS)]
        calls = [(face, str(tmp_path), name, count) for name in names]
        values = [v for taken in run_all(method, produce_and_consume, calls) for v in taken]
        while (pair := cache.pull(prefix="queue", retry=True))[0] is not None:
            values.append(pair[1])

        seen = Counter((name, number) for name, number, _ in values)
        assert seen == {(name, number): 1 for name in names for number in range(count)}
        assert len(cache) == 0
        assert_sound(cache)


def produce(directory: str, name: str) -> None:
    cache = Cache(directory)
    for number in range(100):
        cache.push((name, number))
    cache.close()


def test_the_values_of_one_process_stay_in_order(method: str, tmp_path: Path) -> None:
    with opened(Cache, tmp_path) as cache:
        run_all(method, produce, [(str(tmp_path), f"worker-{n}") for n in range(WORKERS)])

        values = [cache[key] for key in cache.iterkeys()]
        for number in range(WORKERS):
            assert [n for name, n in values if name == f"worker-{number}"] == list(range(100))


def held(directory: str, make: Any) -> bool:
    """Whether two were ever inside at once: each looks for the mark that the other leaves."""
    cache = Cache(directory)
    lock = make(cache, "lock")
    mark = os.path.join(directory, "cache-is-held")
    alone = True
    for _ in range(40):
        with lock:
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                alone = False
            else:
                os.remove(mark)
    cache.close()
    return alone


@pytest.mark.parametrize("make", [Lock, RLock, BoundedSemaphore])
def test_a_lock_is_held_by_one(method: str, make: Any, tmp_path: Path) -> None:
    with opened(Cache, tmp_path):
        assert run_all(method, held, [(str(tmp_path), make)] * WORKERS) == [True] * WORKERS


def transfer(face: Any, directory: str, seed: int) -> list[int]:
    """Move amounts between accounts; the sums that were seen meanwhile."""
    seen = set()
    with face(directory, timeout=60) as cache:
        for step in range(60):
            source, target = (seed + step) % 8, (seed * 3 + step * 5) % 8
            with cache.transact(retry=True):
                cache.decr(source, step)
                cache.incr(target, step)
            with cache.transact(retry=True):
                seen.add(sum(cache[number] for number in range(8)))
    return sorted(seen)


@faces
def test_transactions_keep_the_sum(method: str, face: Any, tmp_path: Path) -> None:
    with opened(face, tmp_path) as cache:
        for number in range(8):
            cache[number] = 100
        calls = [(face, str(tmp_path), seed) for seed in range(WORKERS)]
        assert run_all(method, transfer, calls) == [[800]] * WORKERS


def average(directory: str, start: int) -> None:
    with Cache(directory) as cache:
        averager = Averager(cache, "average")
        for number in range(start, start + 100):
            averager.add(number)


def test_averager_counts_all(method: str, tmp_path: Path) -> None:
    with opened(Cache, tmp_path) as cache:
        run_all(method, average, [(str(tmp_path), n * 100) for n in range(WORKERS)])

        assert Averager(cache, "average").get() == (100 * WORKERS - 1) / 2


def collect(directory: str, name: str) -> None:
    queue = Deque(directory=os.path.join(directory, "deque"), maxlen=50)
    index = Index(os.path.join(directory, "index"))
    for number in range(60):
        queue.append((name, number))
        queue.rotate(3)
        index.setdefault(number, name)
        index[name] = number
    queue.cache.close()
    index.cache.close()


def test_collections(method: str, tmp_path: Path) -> None:
    names = [f"worker-{number}" for number in range(3)]
    queue = Deque(directory=str(tmp_path / "deque"), maxlen=50)
    index = Index(str(tmp_path / "index"))
    run_all(method, collect, [(str(tmp_path), name) for name in names])

    assert len(queue) == 50
    assert len(set(queue)) == 50
    assert set(index) == {*range(60), *names}
    assert all(index[name] == 59 for name in names)
    for each in (queue, index):
        assert_sound(each.cache)
        each.cache.close()


def count_reads(face: Any, directory: str, hits: int, misses: int) -> None:
    with face(directory, timeout=60) as cache:
        for _ in range(hits):
            cache.get("key")
        for number in range(misses):
            cache.get(("missing", number))


@faces
def test_statistics_are_counted_across_processes(
    method: str, face: Any, tmp_path: Path
) -> None:
    with opened(face, tmp_path, statistics=1) as cache:
        cache["key"] = 1
        cache.stats(reset=True)
        for hits, misses in ((10, 1), (20, 2), (30, 3)):
            # In turn: processes whose ids are equal modulo 64 share a counter.
            run_all(method, count_reads, [(face, str(tmp_path), hits, misses)])
        cache.get("key")

        assert cache.stats(reset=True) == (61, 6)
        assert cache.stats() == (0, 0)


def write_values(face: Any, directory: str, seed: int) -> None:
    with face(directory, timeout=60, disk_min_file_size=100) as cache:
        for number in range(120):
            key = (seed * 7 + number) % 20
            match number % 4:
                case 0 | 1:
                    cache.set(key, bytes([seed]) * (50 + number * 3), tag=seed, retry=True)
                case 2:
                    value = cache.get(key, retry=True)
                    assert value is None or len(set(value)) == 1
                case 3:
                    cache.pop(key, retry=True)


@faces
def test_writers_leave_a_sound_directory(method: str, face: Any, tmp_path: Path) -> None:
    with opened(face, tmp_path) as cache:
        run_all(method, write_values, [(face, str(tmp_path), n) for n in range(WORKERS)])

        assert_sound(cache)


def open_and_set(face: Any, directory: str, name: str) -> None:
    with face(directory, timeout=60) as cache:
        cache.set(name, name, retry=True)


@faces
def test_all_open_a_new_directory_at_once(method: str, face: Any, tmp_path: Path) -> None:
    directory = str(tmp_path / "not" / "yet" / "there")
    names = [f"worker-{number}" for number in range(WORKERS)]
    run_all(method, open_and_set, [(face, directory, name) for name in names])

    with face(directory) as cache:
        assert {name: cache[name] for name in names} == {name: name for name in names}
        assert_sound(cache)
