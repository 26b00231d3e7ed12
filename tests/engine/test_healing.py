"""Damaged shards: put aside once, and begun anew."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, Deque, FanoutCache, Fault, Index
from django_diskcache.engine.files import QUARANTINE
from django_diskcache.engine.healing import KEPT, SHARE
from django_diskcache.engine.locking import directory_lock
from tests.conftest import FakeClock
from tests.engine.processes import run_all
from tests.engine.soundness import assert_sound

Make = Callable[..., FanoutCache]


def damage(store: Any) -> None:
    """Let SQLite find another file than it wrote."""
    Path(store.path).write_bytes(b"nonsense" * 1000)


def put_aside(cache: Any) -> list[str]:
    directory = Path(cache.directory, QUARANTINE)
    names = os.listdir(directory) if directory.exists() else []
    return sorted(name for name in names if not name.endswith("-wal"))


def filled(cache: Any, count: int = 100) -> Any:
    for number in range(count):
        cache[number] = [number]
    return cache


def by_shard(cache: Any, numbers: range = range(100)) -> dict[Any, list[int]]:
    shards: dict[Any, list[int]] = {store: [] for store in cache.engine.stores}
    for number in numbers:
        shards[cache.engine.place(number)[0]].append(number)
    return shards


def test_a_damaged_shard_begins_anew(
    fanout: FanoutCache, caplog: pytest.LogCaptureFixture
) -> None:
    filled(fanout)
    shards = by_shard(fanout)
    broken = fanout.engine.stores[2]
    fanout.close()
    fanout.engine.near.clear()
    damage(broken)

    with caplog.at_level(logging.WARNING):
        found = fanout.get_many(range(100))
    assert sorted(found) == sorted(set(range(100)) - set(shards[broken]))
    (name,) = put_aside(fanout)
    assert name.startswith("002-")
    assert Path(fanout.directory, QUARANTINE, name).read_bytes() == b"nonsense" * 1000
    (record,) = caplog.records
    assert f"put aside as {fanout.directory}/{QUARANTINE}/{name}" in record.getMessage()
    assert fanout.faults() == {**dict.fromkeys(fanout.faults(), 0), "corrupt": 1}

    for number in shards[broken]:
        assert fanout.set(number, number)
        assert fanout.get(number) == number
    assert len(put_aside(fanout)) == 1
    assert_sound(fanout)


CALLS: dict[str, tuple[Callable[[Any], object], object]] = {
    "get": (lambda c: c.get("key", "missing"), "missing"),
    "get with tag": (lambda c: c.get("key", "missing", tag=True), ("missing", None)),
    "set": (lambda c: c.set("key", 1), False),
    "add": (lambda c: c.add("key", 1), False),
    "touch": (lambda c: c.touch("key", 1), False),
    "delete": (lambda c: c.delete("key"), False),
    "pop": (lambda c: c.pop("key", "missing"), "missing"),
    "has": (lambda c: c.has("key"), False),
    "get_many": (lambda c: c.get_many(["key"]), {}),
    "set_many": (lambda c: c.set_many({"key": 1}), ["key"]),
    "delete_many": (lambda c: c.delete_many(["key"]), 0),
    "clear": (lambda c: c.clear(), 0),
    "evict": (lambda c: c.evict("tag"), 0),
    "expire": (lambda c: c.expire(), 0),
    "keys": (list, []),
    "keys, backwards": (lambda c: list(reversed(c)), []),
    "sorted keys": (lambda c: list(c.iterkeys()), []),
    "push": (lambda c: c.push("value"), None),
    "pull": (lambda c: c.pull(), (None, None)),
    "len": (len, 0),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_a_call_returns_that_finds_the_damage(cache: Cache, name: str) -> None:
    call, expected = CALLS[name]
    cache["key"] = ["value"]
    cache.close()
    cache.engine.near.clear()
    damage(cache.engine.stores[0])
    assert call(cache) == expected
    assert len(put_aside(cache)) == 1
    assert cache.set("key", "new")
    assert cache["key"] == "new"


@pytest.mark.parametrize("name", ["item", "in", "set item", "delete item", "incr", "transact"])
def test_operators_and_incr_raise(cache: Cache, name: str) -> None:
    def transact() -> None:
        with cache.transact():
            cache.set("key", 1)

    calls: dict[str, Callable[[], object]] = {
        "item": lambda: cache["key"],
        "in": lambda: "key" in cache,
        "set item": lambda: cache.__setitem__("key", 1),
        "delete item": lambda: cache.__delitem__("key"),
        "incr": lambda: cache.incr("key"),
        "transact": transact,
    }
    cache["key"] = ["value"]
    cache.close()
    cache.engine.near.clear()
    damage(cache.engine.stores[0])
    with pytest.raises(Fault) as found:
        calls[name]()
    assert found.value.kind == "corrupt"
    cache["key"] = 1  # it was healed meanwhile
    assert cache.incr("key") == 2


COLLECTIONS: list[tuple[Callable[[str], Any], Callable[[Any], object]]] = [
    (lambda path: Deque([1, 2], directory=path), lambda deque: deque.append(3)),
    (lambda path: Index(path, {"a": 1}), lambda index: index.update(b=2)),
]


@pytest.mark.parametrize(("make", "write"), COLLECTIONS, ids=["Deque", "Index"])
def test_collections_raise_once(make: Any, write: Any, tmp_path: Path) -> None:
    collection = make(str(tmp_path))
    collection.cache.close()
    collection.cache.engine.near.clear()
    damage(collection.cache.engine.stores[0])
    with pytest.raises(Fault):
        write(collection)
    write(collection)
    assert len(collection) == 1


def test_the_error_handler_is_told(make_fanout: Make, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Exception] = []
    cache = make_fanout(error_handler=told.append)
    cache.close()
    damage(cache.engine.stores[0])
    keys = by_shard(cache)[cache.engine.stores[0]]
    assert cache.get(keys[0]) is None
    assert [error.kind for error in told if isinstance(error, Fault)] == ["corrupt"]

    def failing(error: Exception) -> None:
        raise LookupError("the handler's own")

    cache.error_handler = failing
    cache.close()
    damage(cache.engine.stores[0])
    assert cache.get(keys[0]) is None
    assert "the handler's own" in caplog.text


def test_strict_raises(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(strict=True)
    cache.close()
    damage(cache.engine.stores[0])
    with pytest.raises(Fault):
        cache.get("key")
    assert cache.get("key") is None  # healed all the same


def test_a_shard_that_is_damaged_when_it_is_opened(tmp_path: Path, clock: FakeClock) -> None:
    cache = filled(FanoutCache(tmp_path, shards=3, timeout=60, clock=clock, size_limit="9MB"))
    broken = cache.engine.stores[1]
    lost = set(by_shard(cache)[broken])
    for number in range(20):
        cache[number] = b"x" * 70_000
    value_files = set(Path(broken.directory).glob("??/*.val"))
    assert value_files
    cache.close()
    del cache
    damage(broken)
    with FanoutCache(tmp_path, timeout=60, clock=clock) as again:
        assert set(again) == set(range(100)) - lost
        assert len(put_aside(again)) == 1
        assert again.size_limit == 9_000_000
        assert again.faults()["corrupt"] == 1
        assert not any(path.exists() for path in value_files)
        assert_sound(again)


def test_settings_survive_the_first_shard(tmp_path: Path, clock: FakeClock) -> None:
    with Cache(tmp_path, clock=clock, tag_index=1, size_limit="99MB") as cache:
        cache.close()
        damage(cache.engine.stores[0])
        assert cache.get("key") is None
    del cache
    with Cache(tmp_path, clock=clock) as again:
        assert (again.size_limit, again.tag_index) == (99_000_000, 1)
        (store,) = again.engine.stores
        assert store.database.run("SELECT 1 FROM sqlite_master WHERE name = 'cache_tag'")


def test_few_and_small_ones_are_kept(make_fanout: Make) -> None:
    cache = make_fanout(size_limit="64MB")
    for _ in range(KEPT + 2):
        cache.close()
        damage(cache.engine.stores[0])
        cache.get_many(range(20))
    kept = put_aside(cache)
    assert len(kept) == KEPT
    cache.close()
    with open(cache.engine.stores[1].path, "r+b") as file:
        file.write(b"nonsense")
        file.truncate(64_000_000 // SHARE + 1)
    cache.get_many(range(20))
    assert not any(name.startswith("001") for name in put_aside(cache))


def test_value_files_of_the_damaged_shard_go(make_fanout: Make) -> None:
    cache = make_fanout(disk_min_file_size=10, shards=2)
    for number in range(20):
        cache[number] = b"x" * 100
    damaged, other = cache.engine.stores
    before = set(Path(other.directory).glob("??/*.val"))
    assert 0 < len(before) < 20
    cache.close()
    damage(damaged)
    cache.get_many(range(20))
    assert not list(Path(damaged.directory).glob("??/*.val"))
    assert set(Path(other.directory).glob("??/*.val")) == before
    assert_sound(cache)


def test_another_database_in_its_place(cache: Cache) -> None:
    import sqlite3  # whoever made it did not use ours

    cache.close()
    Path(cache.engine.stores[0].path).unlink()
    connection = sqlite3.connect(cache.engine.stores[0].path)
    connection.execute("CREATE TABLE cache (id INTEGER PRIMARY KEY, other TEXT)")
    connection.close()
    assert cache.set("key", 1) is False
    assert cache.set("key", 1)
    assert len(put_aside(cache)) == 1


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_directory_in_its_place(tmp_path: Path, suffix: str) -> None:
    with Cache(tmp_path / "cache") as cache:
        cache["key"] = "value"
        path = cache.engine.stores[0].path + suffix
    del cache
    Path(path).unlink(missing_ok=True)
    Path(path, "inside").mkdir(parents=True)
    with Cache(tmp_path / "cache") as cache:
        cache.set("key", "new")  # a directory for the log's index is met by the first write
        assert cache.set("key", "new")
        assert cache["key"] == "new"


def test_a_lost_file_of_a_shard_is_made_again(fanout: FanoutCache, clock: FakeClock) -> None:
    filled(fanout)
    store = fanout.engine.stores[0]
    shutil.rmtree(store.directory)
    clock.advance(2)
    fanout.engine.tidy()
    for number in range(100):
        assert fanout.set(number, number)
    assert os.path.exists(store.path)
    assert len(fanout) == 100


def test_a_backup_that_is_put_back(make_fanout: Make, tmp_path: Path, clock: FakeClock) -> None:
    cache = filled(make_fanout())
    cache.close()
    shutil.copytree(cache.directory, tmp_path / "backup")
    for number in range(100):
        cache[number] = "changed"
    cache.close()
    for store in cache.engine.stores:  # the databases alone: the segment stays
        for end in ("-wal", "-shm"):
            Path(store.path + end).unlink(missing_ok=True)
        copy = Path(tmp_path, "backup", os.path.relpath(store.path, cache.directory))
        shutil.copy(copy, store.path + ".new")
        os.replace(store.path + ".new", store.path)
    clock.advance(2)
    cache.engine.tidy()
    assert all(cache.get(number) == [number] for number in range(100))


def _meet(directory: str, number: int) -> tuple[object, dict[str, int]]:
    cache = FanoutCache(directory, timeout=60)
    found = [cache.get(key) for key in range(40)]
    assert all(cache.set(f"{number}-{key}", key, retry=True) for key in range(40))
    return found.count(None), cache.faults()


def test_processes_that_find_it_at_once_put_it_aside_once(tmp_path: Path) -> None:
    cache = filled(FanoutCache(str(tmp_path), shards=2, timeout=60), 40)
    lost = len(by_shard(cache, range(40))[cache.engine.stores[0]])
    cache.close()
    cache.engine.near.clear()
    damage(cache.engine.stores[0])
    results = run_all("spawn", _meet, [(str(tmp_path), number) for number in range(4)])
    assert [missing for missing, _ in results] == [lost] * 4
    assert len(put_aside(cache)) == 1
    # This process, which had it open, sees what they have stored since.
    assert all(cache.get(f"3-{key}") == key for key in range(40))
    assert_sound(cache)


def test_the_lock_of_the_directory_is_not_waited_for_in_vain(cache: Cache) -> None:
    cache["key"] = 1
    cache.close()
    cache.engine.near.clear()
    damage(cache.engine.stores[0])
    with directory_lock(cache.directory):
        assert cache.get("key") is None  # another is at it: a miss, and nothing is put aside
        assert put_aside(cache) == []
    assert cache.get("key") is None
    assert len(put_aside(cache)) == 1


def test_a_shard_that_is_damaged_again_is_logged_once_a_minute(
    make_fanout: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make_fanout(shards=1)
    for seconds in (0, 1, 61):
        clock.advance(seconds)
        cache.close()
        damage(cache.engine.stores[0])
        assert cache.get("key") is None
        assert cache.set("key", [1])
    assert sum("begins anew" in record.getMessage() for record in caplog.records) == 2


def test_a_file_in_place_of_a_shards_directory(make_fanout: Make, clock: FakeClock) -> None:
    cache = make_fanout(shards=3)
    store = cache.engine.stores[2]
    filled(cache)
    shutil.rmtree(store.directory)
    Path(store.directory).write_text("a file")
    clock.advance(2)
    cache.engine.look()
    assert cache.set_many(dict.fromkeys(range(100), 1)) == []
    assert all(cache.get(number) == 1 for number in range(100))
    (kept,) = Path(cache.directory).glob("002.*")
    assert kept.read_text() == "a file"
    assert_sound(cache)
