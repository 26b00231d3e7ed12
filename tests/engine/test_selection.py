"""Removal by what entries have in common: all of it, nothing else, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache, matching, selection
from django_diskcache.engine.segment import EXPIRED, FREED
from django_diskcache.engine.selection import BATCH, Amount, Selection, tagged
from django_diskcache.engine.sqlite import sqlite3
from tests.conftest import FakeClock
from tests.engine.soundness import assert_sound

MANY = 3 * BATCH + 10


def removed(cache: Any, what: Selection) -> tuple[int, int]:
    """Remove it, and sum up the steps."""
    steps = list(selection.remove(cache.engine, what))
    assert all(0 < step.done <= 1 for step in steps)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    return sum(step.entries for step in steps), sum(step.bytes for step in steps)


@pytest.fixture(params=["Cache", "FanoutCache"])
def any_cache(
    request: pytest.FixtureRequest,
    make_cache: Callable[..., Cache],
    make_fanout: Callable[..., FanoutCache],
) -> Any:
    return make_cache() if request.param == "Cache" else make_fanout()


@pytest.mark.parametrize("indexed", [False, True])
def test_a_tag(any_cache: Any, indexed: bool) -> None:
    if indexed:
        any_cache.create_tag_index()
    with any_cache.transact():
        for number in range(MANY):
            any_cache.set(f"key-{number:04}", "x" * 10, tag="odd" if number % 2 else 2)
    odd = MANY // 2
    assert selection.amount(any_cache.engine.stores, tagged("odd")) == Amount(odd, 10 * odd)
    assert removed(any_cache, tagged("odd")) == (odd, 10 * odd)
    assert len(any_cache) == MANY - odd
    assert any_cache.get("key-0001") is None
    assert any_cache.get("key-0002") == "x" * 10
    assert removed(any_cache, tagged("2")) == (0, 0)
    assert removed(any_cache, tagged(2))[0] == MANY - odd
    assert_sound(any_cache)


def test_value_files_go_and_are_counted(any_cache: Any) -> None:
    any_cache.set("file", b"x" * 100_000, tag="t")
    any_cache.set("other", b"x" * 100_000)
    assert removed(any_cache, tagged("t")) == (1, 100_000)
    assert len(list(Path(any_cache.directory).rglob("*.val"))) == 1
    assert_sound(any_cache)


def test_what_has_expired(any_cache: Any, clock: FakeClock) -> None:
    for number in range(20):
        any_cache.set(number, "x" * 10, expire=5 if number < 12 else None)
    clock.advance(10)
    steps = list(selection.remove_expired(any_cache.engine))
    assert sum(step.entries for step in steps) == 12
    segment = any_cache.engine.segment
    shards = range(segment.shards)
    assert sum(segment.total(EXPIRED, shard) for shard in shards) == 12
    assert sum(segment.total(FREED, shard) for shard in shards) == sum(s.bytes for s in steps)
    assert sorted(any_cache) == list(range(12, 20))


def test_keys_that_begin_and_end_with_something(any_cache: Any) -> None:
    keys = [
        "a",
        "ab",
        "ab:1",
        "ab:2",
        "ab:2x",
        "abc",
        "b",
        "ab\U0010ffff",
        7,
        ("ab:", 1),
        b"ab:",
    ]
    for key in keys:
        any_cache[key] = 1

    def selected(pattern: str, head: str = "", tail: str = "") -> Selection:
        return matching.selected(matching.wanted(pattern, None, None, (head, tail)))

    assert removed(any_cache, selected("*", "ab:", "2"))[0] == 1
    assert removed(any_cache, selected("*", "ab", "b"))[0] == 0
    assert removed(any_cache, selected("a?:?x"))[0] == 1
    assert removed(any_cache, selected("ab:*"))[0] == 1
    assert set(any_cache) == set(keys) - {"ab:1", "ab:2", "ab:2x"}
    assert removed(any_cache, selected("*"))[0] == 5
    assert set(any_cache) == {7, ("ab:", 1), b"ab:"}


def test_an_entry_that_changes_meanwhile_stays(cache: Cache) -> None:
    for number in range(2 * BATCH):
        cache.set(number, "old", tag="t")
    steps = selection.remove(cache.engine, tagged("t"))
    assert next(steps).entries == BATCH
    cache.set(2 * BATCH - 1, "new")
    assert sum(step.entries for step in steps) == BATCH - 1
    assert list(cache) == [2 * BATCH - 1]
    assert cache.get(2 * BATCH - 1) == "new"


def test_what_is_stored_meanwhile_does_not_keep_it_going(cache: Cache) -> None:
    for number in range(2 * BATCH):
        cache.set(number, "old", tag="t")
    count = 0
    for step in selection.remove(cache.engine, tagged("t")):
        count += step.entries
        for number in range(BATCH):
            cache.set(f"new-{count}-{number}", "new", tag="t")
    assert count == 2 * BATCH


def test_other_processes_forget_what_was_removed(
    make_cache: Callable[..., Cache], tmp_path: Path
) -> None:
    cache = make_cache()
    cache.set("key", "value", tag="t")
    assert cache.get("key") == "value"
    assert removed(cache, tagged("t"))[0] == 1
    assert cache.get("key") is None


def test_nobody_waits_between_two_steps(cache: Cache, tmp_path: Path) -> None:
    for number in range(2 * BATCH):
        cache.set(number, "old", tag="t")
    for _ in selection.remove(cache.engine, tagged("t")):
        with cache.transact():  # the write lock is free
            cache.set("key", 1)
    assert list(cache) == ["key"]


@pytest.mark.parametrize("policy", ["least-recently-stored", "least-recently-used"])
def test_cull_to_a_target(make_fanout: Callable[..., FanoutCache], policy: str) -> None:
    cache = make_fanout(eviction_policy=policy, size_limit=2**24)
    for number in range(1000):
        cache.set(number, "x" * 2000)
    volume = cache.volume()
    target = volume // 2
    steps = list(selection.cull(cache.engine, target))
    assert cache.volume() <= target
    assert cache.volume() > target * 0.8
    assert sum(step.entries for step in steps) == 1000 - len(cache)
    assert sum(step.bytes for step in steps) == volume - cache.volume()
    assert steps[-1].done == 1.0


def test_cull_beside_somebody_who_reads_what_was_there_before(
    make_fanout: Callable[..., FanoutCache],
) -> None:
    cache = make_fanout(size_limit=2**24)
    for number in range(2000):
        cache.set(number, "x" * 2000)
    target = cache.volume() // 2
    readers = []
    for store in cache.engine.stores:
        readers.append(sqlite3.connect(store.path, isolation_level=None))
        readers[-1].execute("BEGIN")
        readers[-1].execute("SELECT COUNT(*) FROM cache").fetchall()
    list(selection.cull(cache.engine, target))
    assert len(cache) > 500  # what goes makes the logs longer, so all of it went
    for reader in readers:
        reader.close()
    cache.engine.limits.give_back(0)
    assert target * 0.8 < cache.volume() <= target * 1.05


def test_cull_gives_free_pages_back_first(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(cull_limit=0)
    with cache.transact():
        for number in range(2000):
            cache.set(number, "x" * 1000)
    for number in range(1500):
        del cache[number]
    volume = cache.volume()
    target = cache.engine.limits.in_use() + 100_000
    assert target < volume - 1_000_000
    steps = list(selection.cull(cache.engine, target))
    assert cache.volume() <= target
    assert sum(step.bytes for step in steps) == volume - cache.volume()
    assert len(cache) == 500


def test_cull_where_nothing_is_evicted(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock
) -> None:
    cache = make_fanout(eviction_policy="none")
    for number in range(100):
        cache.set(number, "x" * 2000, expire=5 if number < 50 else None)
    clock.advance(10)
    assert sum(step.entries for step in selection.cull(cache.engine, 1000)) == 50
    assert len(cache) == 50


@pytest.mark.parametrize("size", [2**63 - 1, -(2**63), "text", b"bytes", 1e300])
def test_a_row_that_others_wrote_is_removed_like_any(cache: Cache, size: Any) -> None:
    for number in range(3):
        cache.set(number, "x", tag="t")
    cache.engine.stores[0].database.run("UPDATE cache SET size = ?", (size,))
    assert selection.amount(cache.engine.stores, tagged("t")).entries == 3
    assert removed(cache, tagged("t"))[0] == 3
    assert list(cache) == []
