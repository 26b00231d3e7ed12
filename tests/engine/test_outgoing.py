"""Entries by the page: bounded, whole, and nothing changes by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import FanoutCache, outgoing
from django_diskcache.engine.outgoing import Page, is_lock, items, pages, queued
from tests.conftest import FakeClock
from tests.moving.changing import (
    EXPECTED_KEYS,
    EXPECTED_VALUES,
    items_under_change,
    values_under_change,
)


def left(cache: FanoutCache) -> Counter[str]:
    return sum((page.left for page in pages(cache.engine)), Counter())


def keys(found: list[Page]) -> list[Any]:
    return [entry.key for page in found for entry in page.entries]


def test_pages_are_bounded(fanout: FanoutCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "PAGE", 7)
    monkeypatch.setattr(outgoing, "PAGE_BYTES", 1000)
    for number in range(100):
        fanout.set(number, "x" * 250 if number % 2 else number)
    fanout.set("large", "x" * 5000)
    found = list(pages(fanout.engine))
    assert sorted(keys(found), key=str) == sorted(fanout, key=str)
    assert len(found) > 101 / 7
    for page in found:
        assert len(page.entries) <= 7
        assert sum(entry.size for entry in page.entries[:-1]) < 1000
    done = [page.done for page in found]
    assert done == sorted(done)
    assert done[-1] == 1


def test_an_empty_cache(fanout: FanoutCache) -> None:
    assert [(page.entries, page.done) for page in pages(fanout.engine)] == [
        ([], number / 4) for number in (1, 2, 3, 4)
    ]


def test_what_comes_with_an_entry(fanout: FanoutCache, clock: FakeClock) -> None:
    fanout.set("a", [1], expire=5, tag=("x", 2))
    fanout.set(("b", 1), b"c" * 100_000)
    found = {entry.key: entry for page in pages(fanout.engine) for entry in page.entries}
    assert found["a"][1:4] == ([1], clock() + 5, ("x", 2))
    assert found["b", 1][1:] == (b"c" * 100_000, None, None, 100_000, False)


def test_nothing_is_counted_and_nothing_goes(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock
) -> None:
    cache = make_fanout(secret="one", statistics=1)
    cache.set("text", "t", expire=5)
    cache.set("pickle", [1])
    cache.set(("key", 1), 1)
    cache.close()
    other = make_fanout(secret="another")
    assert left(other) == {"not signed by this site": 2}
    clock.advance(10)
    assert left(other) == {"not signed by this site": 2, "expired": 1}
    other.close()
    again = make_fanout(secret="one", statistics=1)
    assert len(again) == 3
    assert again.stats() == (0, 0)
    assert again.get("pickle") == [1]


def test_a_file_that_is_gone(fanout: FanoutCache, tmp_path: Path) -> None:
    fanout.set("large", bytes(100_000))
    fanout.set("small", 1)
    (path,) = (path for path in tmp_path.rglob("*.val") if path.is_file())
    path.unlink()
    assert keys(list(pages(fanout.engine))) == ["small"]


def test_a_row_that_is_damaged(fanout: FanoutCache) -> None:
    fanout.set("key", "value", tag="tag")
    store, _ = fanout.engine.place("key")
    store.database.run("UPDATE cache SET tag = CAST(x'ff' AS TEXT)")
    assert left(fanout) == {"not readable": 1}
    assert len(fanout) == 1


def test_locks_are_told_by_their_state(fanout: FanoutCache) -> None:
    lock = fanout.lock("name")
    assert lock.acquire()
    assert left(fanout) == {"of locks": 1}
    lock.release()
    assert left(fanout) == {"of locks": 1}  # the fence that is remembered of it
    assert fanout.allow("rate", 5, 60)
    (entry,) = (entry for page in pages(fanout.engine) for entry in page.entries)
    assert entry.pinned


@pytest.mark.parametrize(
    ("key", "value"),
    [("lock:a", 5), ("lock:a", [5, 6]), ("lock:a", [5, [6]]), ("other", [5, []]), (5, [5, []])],
)
def test_what_only_looks_like_a_lock(key: Any, value: Any) -> None:
    assert not is_lock(key, value)


# Deques and indexes


def test_a_deque_in_its_order(fanout: FanoutCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "PAGE", 3)
    deque = fanout.deque("tasks")
    assert list(queued(deque.cache.engine)) == []
    for number in range(10):
        deque.appendleft(number)
    found = list(queued(deque.cache.engine))
    assert [entry.value for page in found for entry in page.entries] == list(deque)
    assert [page.done for page in found] == [0.3, 0.6, 0.9, 1.0]


def test_a_deque_that_others_change(
    fanout: FanoutCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its ends: what stays comes once, in its order."""
    monkeypatch.setattr(outgoing, "PAGE", 3)
    deque = fanout.deque("tasks")
    assert values_under_change(deque, queued(deque.cache.engine)) == EXPECTED_VALUES


def test_an_index_that_others_change(
    fanout: FanoutCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is moved to an end comes all the same."""
    monkeypatch.setattr(outgoing, "PAGE", 3)
    index = fanout.index("index")
    found = items_under_change(index, items(index.cache.engine))
    assert [key for key, _ in found] == EXPECTED_KEYS
    assert dict(found) == dict(index)
    assert [page.entries for page in items(fanout.index("empty").cache.engine)] == [[]]
