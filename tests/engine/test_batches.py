"""Many keys at once: one look or one transaction for each shard."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache, Timeout
from django_diskcache.engine.sqlite import sqlite3
from tests import locking


@pytest.fixture
def locked(tmp_path: Path) -> Any:
    """A cache with a short wait, and a connection that can take its write lock."""
    cache = Cache(tmp_path, timeout=0.01, disk_min_file_size=10)
    cache["in a file"] = b"x" * 100
    other = sqlite3.connect(cache.engine.stores[0].path, isolation_level=None)
    yield cache, other
    other.close()


def test_set_many_that_finds_the_lock_taken_stores_nothing(locked: Any) -> None:
    cache, other = locked
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Timeout):
        cache.set_many({"in a file": 1, "new": b"y" * 100})
    other.execute("ROLLBACK")
    assert cache["in a file"] == b"x" * 100
    assert "new" not in cache
    assert cache.check() == []
    assert cache.set_many({"in a file": 1, "new": b"y" * 100}) == []
    assert cache.get_many(["in a file", "new"]) == {"in a file": 1, "new": b"y" * 100}
    assert cache.check() == []


def test_set_many_of_which_one_cannot_be_pickled_stores_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, disk_min_file_size=10)
    with pytest.raises((TypeError, AttributeError)):
        cache.set_many({"good": b"x" * 100, "bad": lambda: None})
    assert len(cache) == 0
    assert not list(tmp_path.rglob("*.val"))


def test_set_many_in_a_transaction_that_is_rolled_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path, disk_min_file_size=10)
    cache.set_many({"a": b"x" * 100, "b": 1})
    with pytest.raises(ZeroDivisionError), cache.transact():
        cache.set_many({"a": 2, "b": b"y" * 100, "c": 3})
        raise ZeroDivisionError
    assert cache.get_many("abc") == {"a": b"x" * 100, "b": 1}
    assert cache.check() == []


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 600])
@pytest.mark.parametrize("limit", [None, 1000])  # with a limit, entries are counted
def test_any_number_of_keys(tmp_path: Path, count: int, limit: int | None) -> None:
    cache = FanoutCache(tmp_path, shards=1, max_entries=limit)
    items = {f"key{number}": [number] for number in range(count)}
    assert cache.set_many(items) == []
    assert cache.get_many([*items, "missing"]) == items
    assert len(cache) == count
    assert limit is None or cache.engine.limits.entries() == count
    assert cache.set_many(items) == []
    assert limit is None or cache.engine.limits.entries() == count
    assert cache.delete_many([*items, "missing"]) == count
    assert len(cache) == 0
    assert limit is None or cache.engine.limits.entries() == 0


@pytest.mark.parametrize("value", [1, b"x" * 100])
def test_a_tag_of_another_type_is_refused(tmp_path: Path, value: Any) -> None:
    cache = Cache(tmp_path, disk_min_file_size=10)
    for write in (
        lambda: cache.set("key", value, tag=["a", None]),
        lambda: cache.add("key", value, tag=["a", None]),
        lambda: cache.set_many({"key": value}, tag=["a", None]),
    ):
        with pytest.raises(TypeError, match=r"tag=\['a', None\]: expected a str"):
            write()
    assert len(cache) == 0
    assert not list(tmp_path.rglob("*.val"))


def test_what_follows_a_commit_is_all_done(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    done: list[int] = []
    with pytest.raises(ZeroDivisionError), cache.transact():
        actions = cache.engine.stores[0].database.current()
        assert actions is not None
        actions.on_commit.append(lambda: done.append(1))
        actions.on_commit.append(lambda: 1 // 0)
        actions.on_commit.append(lambda: done.append(2))
        cache["key"] = 1
    assert done == [1, 2]
    assert cache["key"] == 1


def test_set_many_of_which_one_is_too_large_waits_when_told_to(tmp_path: Path) -> None:
    with Cache(tmp_path, timeout=0.01, size_limit=2_000_000) as cache:
        failed: list[list[Any]] = []
        items = {"large": b"x" * 3_000_000, "small": 1}
        with locking.locked(cache.engine) as release:
            writer = threading.Thread(
                target=lambda: failed.append(cache.set_many(items, retry=True))
            )
            writer.start()
            writer.join(0.2)
            assert writer.is_alive()
            release()
        writer.join()
        assert failed == [["large"]]
        assert cache["small"] == 1


@pytest.mark.parametrize("large", [False, True])
def test_many_can_be_kept_for_different_times(make_cache: Any, large: bool) -> None:
    cache = make_cache(size_limit=2**20)
    items: dict[Any, Any] = dict.fromkeys(range(100), 1)
    if large:  # then each is stored for itself
        items["large"] = b"x" * 2**21
    failed = cache.set_many(items, 100, spread=0.5)
    assert failed == ["large"] * large
    now = cache.engine.clock()
    ends = [cache.get(key, expire_time=True)[1] - now for key in range(100)]
    assert 50 < min(ends) < 60
    assert 90 < max(ends) <= 100
    assert len(set(ends)) > 50
    cache.set_many({"ever": 1}, None, spread=0.5)
    assert cache.get("ever", expire_time=True) == (1, None)
