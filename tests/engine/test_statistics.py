"""Figures: what they count, what they estimate and how well, and what a reset does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache, footprint, statistics
from django_diskcache.engine.segment import (
    EVICTED_ENTRIES,
    EVICTED_SIZE,
    EXPIRED,
    FAULT_COUNTS,
    FREED,
    GHOST_HITS,
    REFUSED,
)
from django_diskcache.engine.statistics import EXACT, NearFigures
from tests.conftest import FakeClock


def test_an_empty_cache(make_fanout: Callable[..., FanoutCache]) -> None:
    figures = make_fanout(statistics=1, size_limit=2**24).figures()
    assert (figures.entries, figures.expired_pending, figures.estimated) == (0, 0, False)
    assert (figures.hits, figures.misses, figures.hit_ratio) == (0, 0, None)
    assert figures.evictions == {"size": 0, "entries": 0, "expired": 0, "refused": 0}
    assert (figures.freed, figures.ghost_hits) == (0, 0)
    assert figures.near == NearFigures(entries=0, bytes=0, budget=16 * 2**20)
    assert [each.number for each in figures.shards] == [0, 1, 2, 3]
    assert figures.size_limit == 2**24
    assert {each.size_limit for each in figures.shards} == {2**22}


def test_the_whole_is_the_sum_of_the_shards(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock
) -> None:
    cache = make_fanout(statistics=1)
    for number in range(100):
        cache.set(f"key-{number}", "x" * 100, expire=10 if number % 4 == 0 else None)
    cache.set("file", b"x" * 100_000)
    for number in range(150):
        cache.get(f"key-{number}")
    clock.advance(20)
    figures = cache.figures()
    assert (figures.entries, figures.expired_pending) == (101, 25)
    assert (figures.hits, figures.misses, figures.hit_ratio) == (100, 50, 100 / 150)
    assert figures.near.entries == 150
    assert 0 < figures.near.bytes < figures.near.budget
    assert figures.volume == cache.volume() > 100_000
    for name in ("entries", "expired_pending", "hits", "misses"):
        assert sum(getattr(each, name) for each in figures.shards) == getattr(figures, name)
        assert all(getattr(each, name) for each in figures.shards)
    beside = footprint.beside_stores(cache.engine.stores)
    assert beside > cache.engine.segment.bytes
    assert beside + sum(each.volume for each in figures.shards) == figures.volume


def test_counters_are_those_of_the_segment(fanout: FanoutCache) -> None:
    segment = fanout.engine.segment
    kinds = (EVICTED_SIZE, EVICTED_ENTRIES, EXPIRED, REFUSED, FREED, GHOST_HITS)
    for number, kind in enumerate(kinds, start=1):
        segment.add(kind, 1, number)
        segment.add(kind, 3, 10 * number)
    figures = fanout.figures()
    assert figures.evictions == {"size": 11, "entries": 22, "expired": 33, "refused": 44}
    assert (figures.freed, figures.ghost_hits) == (55, 66)
    assert figures.shards[3].evictions == {
        "size": 10,
        "entries": 20,
        "expired": 30,
        "refused": 40,
    }
    assert figures.shards[0].freed == 0


def test_errors_go_by_their_kind(fanout: FanoutCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "FAULT_KINDS", ("locked", "full"))
    fanout.engine.segment.add(FAULT_COUNTS + 1, 2, 7)
    figures = fanout.figures(reset=True)
    assert figures.errors == {"locked": 0, "full": 7}
    assert figures.shards[2].errors == {"locked": 0, "full": 7}
    assert fanout.figures().errors == {"locked": 0, "full": 0}


def test_a_reset_lets_all_counters_begin_anew(
    make_fanout: Callable[..., FanoutCache],
) -> None:
    cache = make_fanout(statistics=1)
    cache["key"] = 1
    cache.get("key")
    cache.get("none")
    cache.engine.segment.add(EVICTED_SIZE, 0, 5)
    cache.engine.segment.add(FREED, 0, 5)
    before = cache.figures(reset=True)
    assert (before.hits, before.misses, before.evictions["size"], before.freed) == (1, 1, 5, 5)
    after = cache.figures()
    assert (after.hits, after.misses, after.evictions["size"], after.freed) == (0, 0, 0, 0)
    assert after.entries == 1
    cache.get("key")
    assert cache.figures().hits == 1


def test_hits_that_are_not_counted_are_told_as_such(cache: Cache) -> None:
    cache["key"] = 1
    cache.get("key")
    figures = cache.figures()
    assert (figures.counting, figures.hits, figures.hit_ratio) == (False, 0, None)


def fill(cache: Cache, ids: list[int], due: Callable[[int], Any]) -> None:
    """Rows with these ids, put in directly: thousands of sets would take their time."""
    with cache.transact():
        transaction = cache.engine.stores[0].database.current()
        assert transaction is not None
        transaction.connection.executemany(
            "INSERT INTO cache (id, key, raw, expire, store_time, mode, value)"
            " VALUES (?, ?, 1, ?, 0, 1, 'x')",
            [(each, f"key-{each}", due(each)) for each in ids],
        )


def test_few_ids_are_counted(cache: Cache, clock: FakeClock) -> None:
    fill(
        cache,
        list(range(-100, EXACT - 100, 3)),
        lambda each: clock() - 1 if each % 2 else None,
    )
    figures = cache.figures()
    assert figures.entries == len(cache) == -(-EXACT // 3)
    assert figures.expired_pending == len(cache) // 2
    assert not figures.estimated


def test_without_gaps_the_estimate_is_exact(cache: Cache, clock: FakeClock) -> None:
    fill(cache, list(range(1, 50_001)), lambda each: clock() + (each % 2 or -1))
    figures = cache.figures()
    assert figures.estimated
    assert figures.entries == 50_000
    assert figures.expired_pending == pytest.approx(25_000, rel=0.01)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_with_gaps_the_estimate_is_close(cache: Cache, clock: FakeClock, share: float) -> None:
    chance = random.Random(7)
    ids = sorted(chance.sample(range(1, int(30_000 / share)), 30_000))
    # Older ones are sparser, as they are where entries were evicted.
    ids = [each for each in ids if each > ids[-1] // 2 or chance.random() < 0.2]
    fill(cache, ids, lambda each: clock() - 1 if chance.random() < 0.25 else None)
    figures = cache.figures()
    assert figures.estimated
    assert figures.entries == pytest.approx(len(ids), rel=0.1)
    assert figures.expired_pending == pytest.approx(len(ids) / 4, rel=0.2)


def test_a_big_shard_is_not_scanned(cache: Cache) -> None:
    fill(cache, list(range(0, 100_000, 3)), lambda each: None)
    seen = []
    database = cache.engine.stores[0].database
    database.close()
    with database.transact() as transaction:
        transaction.connection.raw.set_progress_handler(lambda: seen.append(1) or 0, 1000)  # type: ignore[func-returns-value]
        assert statistics.count(cache.engine.stores[0])[2]
        sampled = len(seen)
        assert len(cache) == 33_334
        transaction.connection.raw.set_progress_handler(None, 0)
    assert sampled < 100  # thousands of SQLite's steps, by a few for each of 4096 rows


def test_a_damaged_shard_has_no_contents_and_is_mended(fanout: FanoutCache) -> None:
    for number in range(40):
        fanout[number] = number
    broken = fanout.engine.stores[2]
    fanout.close()
    with open(broken.path, "r+b") as file:
        file.write(b"damage" * 1000)
    figures = fanout.figures()
    assert figures.shards[2].entries == 0
    assert figures.shards[2].volume == footprint.of_store(broken)  # of the new one
    assert figures.entries == sum(each.entries for each in figures.shards) > 0
    assert fanout.figures().errors["corrupt"] == 1
    assert fanout.figures().shards[2].volume > 0
