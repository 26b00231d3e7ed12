"""Hints of several tags: they never miss an entry, and what is stale goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import (
    Cache,
    FanoutCache,
    Fault,
    Index,
    Timeout,
    hints,
    schema,
    tagged,
    tagging,
)
from django_diskcache.engine.sqlite import sqlite3
from tests.conftest import FakeClock
from tests.engine.processes import opened, run_all
from tests.engine.soundness import assert_sound

TAGS = ("a", "b")
ENTRY = object()


def hints_in(cache: Any) -> int:
    return sum(s.database.run("SELECT COUNT(*) FROM tags")[0][0] for s in cache.engine.stores)


def test_only_entries_with_several_have_any(cache: Cache) -> None:
    cache.set("none", 1)
    cache.set("one", 1, tag="a")
    cache.set("one as well", 1, tag=["a"])
    assert hints_in(cache) == 0
    cache.set("two", 1, tag=TAGS)
    cache.set("two", 2, tag=TAGS)
    assert hints_in(cache) == 2
    cache.clear()
    assert hints_in(cache) == 0


def test_a_transaction_undone_leaves_none(cache: Cache) -> None:
    cache.set("key", 1, tag="a")
    with pytest.raises(KeyError), cache.transact():
        cache.set("key", 1, tag=TAGS)
        cache.set("new", 1, tag=TAGS)
        assert cache.evict("b") == 2
        raise KeyError
    assert hints_in(cache) == 0
    assert cache.tags("key") == ("a",)
    assert_sound(cache)


def test_the_sweep_removes_stale_ones(
    make_cache: Callable[..., Cache], clock: FakeClock
) -> None:
    cache = make_cache(cull_limit=0)  # no sweep but those that follow
    cache.set_many({f"live-{n}": 1 for n in range(50)}, tag=TAGS)
    cache.set_many({f"dead-{n}": 1 for n in range(100)}, expire=10, tag=("b", "c"))
    cache.set_many({f"changed-{n}": 1 for n in range(50)}, tag=("a", "d"))
    cache.set_many({f"changed-{n}": 1 for n in range(50)}, tag=("e", "d"))
    cache.set_many({f"one-{n}": 1 for n in range(50)}, tag=("a", "f"))
    cache.set_many({f"one-{n}": 1 for n in range(50)}, tag="a")
    clock.advance(11)
    assert cache.expire() == 100
    assert hints_in(cache) == 100 + 200 + 150 + 100

    (store,) = cache.engine.stores
    store.hinted = 0
    while hints.sweep(store):
        pass
    for _ in range(40):  # at the pace of a cache that writes nothing with several tags
        hints.sweep(store)
    assert hints_in(cache) == 100 + 100
    assert len(cache.keys_by_tag("b")) == 50
    assert len(cache.keys_by_tag("d")) == 50
    assert_sound(cache)


def test_stale_ones_stay_fewer_than_the_others(cache: Cache) -> None:
    for number in range(3000):  # always other tags for the same keys
        cache.set(f"key-{number % 100}", 1, tag=(f"a-{number}", f"b-{number}"))
    assert 200 <= hints_in(cache) < 800
    assert_sound(cache)


def test_many_at_once_are_swept_at_the_same_pace(cache: Cache) -> None:
    for number in range(8):
        tag = tuple(f"{number}-{letter}" for letter in "abc")
        cache.set_many({f"key-{n}": 1 for n in range(1000)}, tag=tag)
    assert 3000 <= hints_in(cache) < 12_000
    assert_sound(cache)


def test_the_sweep_waits_for_nobody(cache: Cache, tmp_path: Path) -> None:
    cache.set_many({f"key-{n}": 1 for n in range(50)}, tag=TAGS)
    cache.delete_many([f"key-{n}" for n in range(50)])
    (store,) = cache.engine.stores
    other = sql_connection(store.path)
    other.execute("BEGIN IMMEDIATE")
    assert hints.sweep(store) == 0
    other.execute("ROLLBACK")
    other.close()
    store.hinted = 100
    assert hints.sweep(store) == 100


def sql_connection(path: str) -> Any:
    return sqlite3.connect(path, isolation_level=None)


def test_a_row_that_moves_takes_them_along(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(eviction_policy="none")
    for key in ("x", "y", "z"):
        cache.set(key, 1, tag=TAGS)
    index = Index.fromcache(cache)
    index.move_to_end("x")
    index.move_to_end("z", last=False)

    assert cache.keys_by_tag("b") == ["z", "y", "x"]
    assert_sound(cache)
    assert cache.evict("a") == 3


def test_an_id_that_is_used_again_is_another_row(cache: Cache) -> None:
    cache.set("old", 1, tag=TAGS)
    (store,) = cache.engine.stores
    before = store.database.run("SELECT id FROM cache")
    cache.delete("old")
    cache.set("new", 1, tag=("c", "d"))
    assert store.database.run("SELECT id FROM cache") == before

    assert cache.evict(TAGS) == 0
    assert cache.keys_by_tag("a") == []
    assert cache.evict("c") == 1


def test_tags_with_one_mark_are_told_apart(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_diskcache.engine.tagging.MARK_BITS", 0)
    for number in range(30):
        cache.set(f"key-{number}", 1, tag=(f"mod-{number % 3}", f"tag-{number}"))
    assert cache.evict("tag-4") == 1
    assert cache.evict("mod-1") == 9
    assert cache.evict(("mod-2", "tag-5"), match="all") == 1
    assert len(cache.keys_by_tag("mod-2")) == 9
    assert len(cache.keys_by_tag("mod-0")) == 10
    assert_sound(cache)


def test_check_finds_and_mends_what_is_missing(cache: Cache) -> None:
    cache.set("fine", 1, tag=TAGS)
    cache.set("lost", 1, tag=("c", "d"))
    (store,) = cache.engine.stores
    store.database.run("DELETE FROM tags WHERE id = 2")
    assert cache.evict("c") == 0

    (warning,) = cache.check(fix=True)
    assert "entry 2 is not found by its tags" in str(warning.message)
    assert cache.check() == []
    assert cache.evict("c") == 1


def test_a_damaged_row_is_a_miss(cache: Cache) -> None:
    (store,) = cache.engine.stores
    for look in (
        lambda: cache.tags("key"),
        lambda: cache.get("key", ENTRY, tag=True)[0] is not ENTRY,
        lambda: cache.pop("key", ENTRY) is not ENTRY,
        lambda: cache.keys_by_tag("a"),
    ):
        cache.set("key", 1, tag=TAGS)
        store.database.run("UPDATE cache SET tag = CAST(x'007461677300' || 'x' AS BLOB)")
        assert not look()
    assert [str(each.message) for each in cache.check()] == []


def test_evict_in_batches(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache()
    cache.set_many({f"two-{n}": 1 for n in range(2500)}, tag=TAGS)
    cache.set_many({f"one-{n}": 1 for n in range(1500)}, tag="a")
    cache.set_many({f"stale-{n}": 1 for n in range(1500)}, tag=("b", "stale"))
    cache.set_many({f"stale-{n}": 1 for n in range(1500)})
    assert len(cache.keys_by_tag("b")) == 2500
    assert len(cache.keys_by_tag("a")) == 4000
    assert cache.evict("b") == 2500
    assert cache.evict(("a", "none")) == 1500
    assert len(cache) == 1500


def test_any_of_many_tags_at_once(cache: Cache) -> None:
    tags = [f"tag-{number}" for number in range(250)]
    for tag in tags:
        cache.set(tag, 1, tag=tag)
    assert cache.evict(tags[:240]) == 240
    cache.create_tag_index()
    assert cache.evict(tags) == 10


def test_the_rarest_tag_leads_to_all(cache: Cache) -> None:
    cache.set_many({f"common-{n}": 1 for n in range(200)}, tag=("common", "other"))
    cache.set_many({f"rare-{n}": 1 for n in range(3)}, tag=("common", "rare"))
    (store,) = cache.engine.stores
    _, (search,) = tagged._searches(store, ("common", "rare"), True)
    assert search.mark == tagging.mark("rare")
    assert tagged.hints_of(store, "rare") == 3
    assert cache.evict(("common", "rare"), match="all") == 3


def test_a_timeout_tells_how_many(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(timeout=0)
    cache.set_many({f"one-{n}": 1 for n in range(10)}, tag="a")
    cache.set_many({f"two-{n}": 1 for n in range(10)}, tag=TAGS)
    (store,) = cache.engine.stores
    other = sql_connection(store.path)
    remove = store.removed

    def removed(rows: Any, reason: Any) -> None:
        remove(rows, reason)
        if not rows:  # of those with one tag all are gone: the next transaction finds a lock
            store.after_commit(lambda: other.execute("BEGIN IMMEDIATE"))

    store.removed = removed  # type: ignore[method-assign]
    with pytest.raises(Timeout) as caught:
        cache.evict("a")
    assert caught.value.removed == 10
    other.close()


def test_a_fault_tells_how_many(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.set_many({f"one-{n}": 1 for n in range(10)}, tag="a")
    (store,) = cache.engine.stores

    def broken(*args: Any) -> Any:
        raise Fault("other", store.path, "something")

    monkeypatch.setattr(tagged, "_hinted_batch", lambda store, search: broken)
    assert cache.evict("a") == 10


def tag_and_evict(directory: str, number: int, others: int) -> int:
    with FanoutCache(directory, timeout=60) as cache:
        gone = 0
        for step in range(150):
            cache.set(f"{number}-{step}", step, tag=("all", f"worker-{number}"), retry=True)
            if step % 10 == 9:
                gone += cache.evict("all" if step % 20 == 9 else f"worker-{step % others}")
                assert not [
                    key
                    for key in cache.keys_by_tag(f"worker-{number}")
                    if not key.startswith(f"{number}-")
                ]
        return gone


def test_processes_that_tag_and_evict(tmp_path: Path) -> None:
    with opened(FanoutCache, tmp_path, shards=2) as cache:
        calls = [(str(tmp_path), number, 3) for number in range(3)]
        gone = run_all("spawn", tag_and_evict, calls)
        left = [key for key in cache if key != "warm"]
        assert sum(gone) + len(left) == 3 * 150  # each was evicted once, or has survived
        assert set(cache.keys_by_tag("all")) == set(left)
        assert_sound(cache)
        assert cache.evict("all") == len(left)


def test_a_directory_without_the_table_is_of_another_version(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.set("key", 1)
        (store,) = cache.engine.stores
        store.database.run(f"PRAGMA user_version={schema.VERSION - 1}")
    del cache, store
    with Cache(tmp_path) as cache:
        assert cache.get("key") is None
        cache.set("key", 1, tag=TAGS)
        assert cache.evict("b") == 1


def test_where_entries_are_counted(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(max_entries=50, cull_frequency=10)
    for number in range(200):
        cache.set(f"key-{number % 80}", number, tag=TAGS)
    cache.set_many({f"many-{n}": b"x" * 70_000 for n in range(3)}, tag=TAGS)
    cache.set_many({f"many-{n}": 1 for n in range(3)}, tag=("b", "c"))
    assert cache.engine.limits.entries() == len(cache) <= 50
    assert len(cache.keys_by_tag("b")) == len(cache)
    assert_sound(cache)
    assert cache.evict("b") > 3
    assert cache.engine.limits.entries() == len(cache) == 0
