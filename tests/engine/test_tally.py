"""What the segment says of value files is mended from the rows, a window at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine import Cache, maintenance, tally
from django_diskcache.engine.budget import on_disk
from django_diskcache.engine.segment import FILES
from tests.conftest import FakeClock

SIZE = 5000
COUNT = 50


@pytest.fixture
def cache(make_cache: Callable[..., Cache], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tally, "WINDOW", 8)
    cache = make_cache(disk_min_file_size=1000)
    for number in range(COUNT):
        cache[number] = bytes(SIZE)
    return cache


def counted(cache: Any) -> int:
    return int(cache.engine.segment.whole(FILES))


def look(cache: Any, looks: int = 1) -> None:
    """So many whole passes over the rows with files."""
    (store,) = cache.engine.stores
    for _ in range(looks):
        store.tally.begin(store)
        while store.tally.last is not None:
            store.tally.go_on(store)


def test_a_sweep_counts_no_more_than_a_window(cache: Any) -> None:
    (store,) = cache.engine.stores
    sweeps = 1
    maintenance.sweep(store)
    while store.tally.last is not None:
        maintenance.sweep(store)
        sweeps += 1
    assert sweeps == COUNT // 8 + 1


@pytest.mark.parametrize("drift", [100_000, -100_000])
def test_a_count_that_drifted_is_mended(cache: Any, clock: FakeClock, drift: int) -> None:
    cache.engine.segment.add(FILES, 0, drift)
    look(cache, tally.LOOKS)
    clock.advance(61)
    look(cache, tally.LOOKS)
    assert counted(cache) == COUNT * on_disk(SIZE)


@pytest.mark.parametrize("drift", [0, 10_000_000, -10_000_000])
def test_what_comes_and_goes_meanwhile_is_not_mended(
    cache: Any, clock: FakeClock, drift: int
) -> None:
    (store,) = cache.engine.stores
    cache.engine.segment.add(FILES, 0, drift)
    new = COUNT
    for _ in range(2 * tally.LOOKS):
        store.tally.begin(store)
        for _ in range(4):  # as the files' names come by chance, on both sides of the hand
            store.tally.go_on(store)
            del cache[new - COUNT]
            cache[new] = bytes(SIZE)
            new += 1
        look(cache)
        clock.advance(10)
    churn = 8 * on_disk(SIZE)
    if drift:
        assert abs(counted(cache) - COUNT * on_disk(SIZE)) <= churn
    else:
        assert counted(cache) == COUNT * on_disk(SIZE)


def test_files_of_a_long_transaction_stay_counted(cache: Any, clock: FakeClock) -> None:
    written, done = threading.Event(), threading.Event()

    def write() -> None:
        with cache.transact():
            cache["long"] = bytes(SIZE)
            written.set()
            done.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    written.wait(60)
    try:
        for _ in range(2 * tally.LOOKS):
            look(cache)
            clock.advance(20)
        assert counted(cache) == (COUNT + 1) * on_disk(SIZE)
    finally:
        done.set()
        thread.join()
    look(cache)
    assert counted(cache) == (COUNT + 1) * on_disk(SIZE)
