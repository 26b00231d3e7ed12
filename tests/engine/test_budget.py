"""The limit on bytes is what `du` shows: after every call, and while processes write."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contenders import disk_usage
from django_diskcache.engine import Cache, FanoutCache, Timeout, maintenance
from django_diskcache.engine.budget import directories
from django_diskcache.engine.guard import MUCH
from django_diskcache.engine.segment import FILES, FREE
from tests.conftest import FakeClock
from tests.engine.processes import run_all
from tests.engine.soundness import assert_sound

MB = 10**6
LIMIT = 64 * MB


def taken(directory: Any, limit: int) -> int:
    """What `du` shows; twice when it is too much.

    It walks from file to file: one that it has seen may go, and it sees its successor as well.
    """
    found = disk_usage(Path(directory))
    return found if found <= limit else min(found, disk_usage(Path(directory)))


def a_size(choose: random.Random, largest: int) -> int:
    """Bytes of a value: mostly few, sometimes very many."""
    kind = choose.random()
    if kind < 0.85:
        return int(10 ** choose.uniform(1, 3.5))
    return min(largest, int(10 ** choose.uniform(3.5, 5.5 if kind < 0.99 else 7.7)))


def write(directory: str, seed: int, calls: int, limit: int, largest: int) -> list[int]:
    """Write values of all sizes; what was on disk after calls that stood above the limit."""
    choose = random.Random(seed)
    cache = FanoutCache(directory, size_limit=limit, timeout=60)
    over = []
    for call in range(calls):
        key, size = f"key-{choose.randrange(5000)}", a_size(choose, largest)
        stored = cache.set(key, choose.randbytes(16) * (size // 16 + 1))
        if stored and call % 10 == 0:
            cache.get(key)
        if (call % 10 == 0 or size > MB) and (found := taken(directory, limit)) > limit:
            over.append(found)
    return over


@pytest.mark.parametrize(
    ("limit", "largest", "calls"),
    [
        (8 * MB, 2 * MB, 150),
        pytest.param(LIMIT, 50 * MB, 2000, marks=pytest.mark.soak),
    ],
)
def test_four_processes_stay_within_the_limit(
    tmp_path: Path, limit: int, largest: int, calls: int
) -> None:
    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.01):
            samples.append(taken(tmp_path, limit))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        over = run_all(
            "spawn", write, [(str(tmp_path), seed, calls, limit, largest) for seed in range(4)]
        )
    finally:
        done.set()
        watcher.join()
    assert over == [[], [], [], []]
    assert [found for found in samples if found > limit] == []
    with FanoutCache(str(tmp_path)) as cache:
        assert len(cache) > 0
        assert cache.evictions()["size"] > 0
        counted = cache.engine.segment.whole(FILES)
        cache.check(fix=True)
        assert cache.engine.segment.whole(FILES) == counted


@pytest.mark.parametrize("limit", [8 * MB, pytest.param(LIMIT, marks=pytest.mark.soak)])
def test_after_every_call(
    make_fanout: Callable[..., FanoutCache], limit: int, clock: FakeClock
) -> None:
    cache = make_fanout(size_limit=limit, shards=8, sqlite_synchronous=0)
    choose = random.Random(3)
    written = 0
    while written < 2 * limit:
        size = a_size(choose, limit // 4)
        clock.advance(0.01)
        if cache.set(f"key-{choose.randrange(5000)}", choose.randbytes(size)):
            written += size
        assert disk_usage(Path(cache.directory)) <= limit
    assert cache.volume() > limit // 3
    assert cache.check() == []


def test_a_giant_has_room_for_itself_and_all_others(
    make_fanout: Callable[..., FanoutCache],
) -> None:
    cache = make_fanout(size_limit=LIMIT, shards=8)
    giant = bytes(40 * MB)  # more than a shard's part
    for number in range(50):
        cache[number] = b"x" * 1000
    assert cache.set("giant", giant)
    assert all(number in cache for number in range(50))
    for number in range(2000):
        cache[f"more-{number}"] = b"x" * 1000
    assert cache.get("giant") == giant
    assert disk_usage(Path(cache.directory)) <= LIMIT


def test_a_row_of_one_shard_may_take_what_others_gave_up(
    make_fanout: Callable[..., FanoutCache],
) -> None:
    limit = 16 * MB
    cache = make_fanout(size_limit=limit, disk_min_file_size=2**30, sqlite_synchronous=0)
    for number in range(12):
        assert cache.set(f"large-{number}", bytes(3 * MB))
        assert disk_usage(Path(cache.directory)) <= limit
        assert f"large-{number}" in cache
    for number in range(3000):
        cache[number] = b"x" * 2000
    assert disk_usage(Path(cache.directory)) <= limit
    assert len(cache) > 1500


def test_a_value_that_cannot_fit_is_refused(
    make_fanout: Callable[..., FanoutCache], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    cache = make_fanout(size_limit=8 * MB)
    cache["key"] = "value"
    stream = tmp_path / "stream"
    stream.write_bytes(bytes(9 * MB))
    with caplog.at_level(logging.WARNING, "django_diskcache"):
        assert cache.set("key", bytes(9 * MB)) is False
        assert cache.add("new", bytes(9 * MB)) is False
        with stream.open("rb") as file:
            assert cache.set("stream", file, read=True) is False
        assert cache.set_many({"a": 1, "b": bytes(9 * MB)}) == ["b"]
        with pytest.raises(
            ValueError, match=r"'key' takes 9000000 bytes; size_limit is 8000000"
        ):
            cache["key"] = bytes(9 * MB)
    first = caplog.records[0].getMessage()
    assert "'key'" in first
    assert "9000000" in first
    assert "8000000" in first
    assert cache.evictions()["refused"] >= 5
    assert cache["key"] == "value"
    assert cache.engine.segment.whole(FILES) == 0
    assert_sound(cache)


def test_below_eight_megabytes_there_are_fewer_shards(tmp_path: Path) -> None:
    for limit, shards in ((8 * MB, 8), (4 * MB, 4), (MB // 2, 1)):
        options: dict[str, Any] = {"size_limit": limit, "sqlite_synchronous": 0}
        with FanoutCache(str(tmp_path / str(limit)), **options) as cache:
            assert len(cache.engine.stores) == shards
            for number in range(3000):
                cache[number] = b"x" * 500
            assert disk_usage(Path(cache.directory)) <= limit
            assert 2999 in cache


def test_value_files_are_spread_over_fewer_directories_in_a_small_cache() -> None:
    assert directories(2**30, 8) == 256
    assert directories(64 * MB, 8) == 16
    assert directories(8 * MB, 8) == 2
    assert directories(1, 1) == 1


def test_space_is_given_back(make_fanout: Callable[..., FanoutCache], clock: FakeClock) -> None:
    cache = make_fanout(sqlite_synchronous=0)
    cache.set_many(dict.fromkeys(range(5000), "x" * 1000), expire=1)
    before = disk_usage(Path(cache.directory))
    clock.advance(2)
    assert cache.expire() == 5000
    assert disk_usage(Path(cache.directory)) < before - 4 * MB
    cache.set_many(dict.fromkeys(range(5000), "x" * 1000))
    cache.clear()
    assert disk_usage(Path(cache.directory)) < before - 4 * MB


def test_writes_give_back_a_little_at_a_time(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(sqlite_synchronous=0)
    cache.set_many(dict.fromkeys(range(5000), "x" * 1000))
    cache.delete_many(range(4900))
    budget, store = cache.engine.limits.budget, cache.engine.stores[0]
    budget.look(store)
    before = budget.of(FREE, store)
    for number in range(2000):
        cache.set(1, number)
    budget.look(store)
    assert budget.of(FREE, store) < before - 100_000


def test_a_counter_that_is_lost_is_counted_anew(
    make_cache: Callable[..., Cache], tmp_path: Path
) -> None:
    cache = make_cache()
    for number in range(5):
        cache[number] = bytes(100_000)
    counted = cache.engine.segment.whole(FILES)
    assert counted >= 5 * 100_000
    (tmp_path / "cache" / "segment").unlink()
    cache.engine.refresh()
    assert cache.engine.segment.whole(FILES) == counted
    for number in range(5):
        del cache[number]
    assert cache.engine.segment.whole(FILES) == 0


@pytest.mark.parametrize("lives", ["equally", "differently"])
def test_expired_garbage_is_less_than_a_quarter(
    make_cache: Callable[..., Cache], clock: FakeClock, lives: str
) -> None:
    cache = make_cache(sqlite_synchronous=0)
    choose = random.Random(5)
    worst = 0.0
    for number in range(9000):
        expire = 20.0 if lives == "equally" else choose.uniform(1, 40)
        cache.set(number, b"x" * 100, expire=expire)
        clock.advance(0.01)
        if number > 4000 and number % 100 == 0:
            ((live, all_),) = cache.engine.stores[0].database.run(
                "SELECT SUM(expire > ?), COUNT(*) FROM cache", (clock(),)
            )
            worst = max(worst, (all_ - live) / live)
    assert worst <= 0.25
    clock.advance(100)
    cache.expire()
    assert len(cache) == 0


@pytest.mark.parametrize("bytes_", [2**25, 2**30, 2**60, -(2**30)])
def test_a_count_of_files_that_cannot_be_is_mended(tmp_path: Path, bytes_: int) -> None:
    with FanoutCache(tmp_path, shards=2, size_limit=8 * MB, disk_min_file_size=1000) as cache:
        for number in range(20):
            assert cache.set(number, b"x" * 5000)
        segment = cache.engine.segment
        segment.add(FILES, 0, bytes_)
        for number in range(2000):
            cache.set(("row", number), b"x" * 500)
        for number in range(20):
            assert cache.set(("file", number), b"x" * 5000)
        assert 0 <= segment.whole(FILES) < 8 * MB
        assert cache.get(("file", 19)) == b"x" * 5000


def swept(cache: Any, passes: int = 10) -> int:
    """What value files count after so many sweeps over everything."""
    for _ in range(passes):
        for store in cache.engine.stores:
            maintenance.sweep(store)
    return int(cache.engine.segment.whole(FILES))


@pytest.mark.parametrize("bytes_", [100_000, -100_000])
def test_the_sweep_mends_a_count_of_files_that_drifted(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock, bytes_: int
) -> None:
    cache = make_fanout(shards=2, disk_min_file_size=1000)
    for number in range(20):
        cache.set(number, b"x" * 5000)
    counted = cache.engine.segment.whole(FILES)
    cache.engine.segment.add(FILES, 1, bytes_)
    swept(cache)
    clock.advance(61)
    assert swept(cache) == counted


def test_a_file_that_is_being_written_stays_counted(
    make_cache: Callable[..., Cache], clock: FakeClock
) -> None:
    cache = make_cache(disk_min_file_size=1000)
    (store,) = cache.engine.stores
    for number in range(20):
        _, place = cache.engine.place(number)
        stored = store.encode(b"x" * 9000, False, number, place)
        assert swept(cache) >= 9000  # however often somebody looks
        store.give_up(stored)
        assert swept(cache, 1) == 0
        clock.advance(20)


def test_a_row_that_says_too_much_of_its_file_is_not_believed(tmp_path: Path) -> None:
    options: dict[str, Any] = {"size_limit": 8 * MB, "disk_min_file_size": 1000}
    with FanoutCache(tmp_path, shards=2, **options) as cache:
        for number in range(20):
            cache.set(number, b"x" * 5000)
        counted = cache.engine.segment.whole(FILES)
        store, place = cache.engine.place(3)
        store.database.run("UPDATE cache SET size = 1 << 45 WHERE key = ?", (place[0],))
        (tmp_path / "segment").unlink()
        cache.engine.refresh()
        assert 0 < cache.engine.segment.whole(FILES) < counted
        assert cache.set("another", b"x" * 5000)


def test_a_transaction_that_takes_it_all_is_told_so(tmp_path: Path) -> None:
    with (
        Cache(tmp_path, size_limit=4 * MB, disk_min_file_size=1000) as cache,
        pytest.raises(Timeout, match="this transaction"),
        cache.transact(),
    ):
        for number in range(10):
            cache.set(number, b"x" * MB)


def test_refused_values_are_logged_once_a_minute(
    make_cache: Callable[..., Cache], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make_cache(size_limit=4 * MB)
    for _ in range(2):
        for number in range(5):
            assert not cache.set(number, b"x" * 5 * MB)
        clock.advance(61)
    assert len(caplog.records) == 2


def test_an_eviction_of_few_leaves_the_files_alone(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache()
    for number in range(MUCH + 10):
        cache.set(number, b"x" * 1000, tag="few" if number < 10 else "many")
    cache.engine.limits.give_back()
    log = Path(f"{cache.engine.stores[0].path}-wal")

    assert cache.evict("few") == 10
    assert log.stat().st_size > 0
    assert cache.evict("many") == MUCH
    assert log.stat().st_size == 0
