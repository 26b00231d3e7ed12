"""One engine per process and directory: shared, pickled, closed, collected, started over."""

from __future__ import annotations

import copy
import gc
import pickle
import shutil
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, Deque, FanoutCache, Fault, Index, JSONDisk, schema
from tests.conftest import FakeClock
from tests.engine.soundness import assert_sound

faces = pytest.mark.parametrize("face", [Cache, FanoutCache])


@faces
def test_objects_of_one_directory_share_an_engine(face: Any, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with face(str(tmp_path / "real")) as one, face(tmp_path / "link", timeout=5) as two:
        assert one.engine is two.engine
        assert (one.timeout, two.timeout) != (two.timeout, one.timeout)
        one["key"] = 1
        assert two["key"] == 1
        two.reset("cull_limit", 7)
        assert one.cull_limit == 7


def test_faces_of_one_directory_are_different_engines(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache, FanoutCache(tmp_path) as fanout:
        cache["key"] = "cache"
        fanout["key"] = "fanout"

        assert cache.engine is not fanout.engine
        assert cache["key"] == "cache"


@faces
def test_an_engine_goes_with_its_last_user(face: Any, tmp_path: Path) -> None:
    gc.collect()
    one = face(tmp_path, timeout=60)
    two = face(tmp_path)
    one["key"] = "x" * 100_000
    with one.transact():
        one["other"] = 1
    engine = weakref.ref(one.engine)
    databases = [weakref.ref(store.database) for store in one.engine.stores]

    del one
    assert engine() is not None
    del two

    # At once, without the help of the garbage collector: that closes its connections.
    assert engine() is None
    assert [database() for database in databases] == [None] * len(databases)
    with face(tmp_path) as again:
        assert again["key"] == "x" * 100_000


def test_an_iteration_keeps_its_engine(tmp_path: Path) -> None:
    Cache(tmp_path).set_many(dict.fromkeys(range(300), 1))

    assert list(iter(Cache(tmp_path))) == list(range(300))
    assert next(iter(Cache(tmp_path).iterkeys())) == 0


@faces
def test_pickling(face: Any, tmp_path: Path) -> None:
    with face(tmp_path, timeout=7, disk=JSONDisk) as cache:
        cache["key"] = 1
        for twin in (pickle.loads(pickle.dumps(cache)), copy.copy(cache)):
            assert type(twin) is face
            assert twin.directory == cache.directory
            assert twin.timeout == 7
            assert twin.engine is cache.engine
            assert twin["key"] == 1
        assert repr(cache) == f"{face.__name__}(directory={str(tmp_path)!r})"


def test_pickling_of_a_fanout_cache_keeps_its_shards(tmp_path: Path) -> None:
    with FanoutCache(tmp_path, shards=3) as cache:
        assert len(pickle.loads(pickle.dumps(cache)).engine.stores) == 3


def test_pickling_of_collections(tmp_path: Path) -> None:
    queue = Deque([1, 2, 3], str(tmp_path / "deque"), maxlen=5)
    index = Index(str(tmp_path / "index"), {"a": 1})

    assert list(pickle.loads(pickle.dumps(queue))) == [1, 2, 3]
    assert pickle.loads(pickle.dumps(queue)).maxlen == 5
    assert pickle.loads(pickle.dumps(index)) == {"a": 1}
    assert eval(repr(index), {"Index": Index}) == index
    assert eval(repr(queue), {"Deque": Deque}) == queue


@faces
def test_closing_is_never_final(face: Any, tmp_path: Path) -> None:
    with face(tmp_path) as cache:
        cache["key"] = 1
        cache.close()
        cache.close()
        assert all(store.database.opened == 0 for store in cache.engine.stores)
        assert cache["key"] == 1
        with cache as entered:
            assert entered is cache
        cache["key"] = 2
    assert cache["key"] == 2
    cache.close()


def test_a_temporary_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Cache() as one, Cache() as two:
        one["key"] = 1
        assert one.directory != two.directory
        assert Path(one.directory).parent == tmp_path
        assert "key" not in two
        assert Path(one.directory).stat().st_mode & 0o777 == 0o700


def test_users_and_variables_in_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CACHE_NAME", "named")
    with Cache("~/$CACHE_NAME/deeper") as cache:
        assert cache.directory == str(tmp_path / "named" / "deeper")
        assert (tmp_path / "named").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "named/deeper/cache.sqlite3").stat().st_mode & 0o777 == 0o600


@faces
def test_a_directory_that_cannot_be_made(face: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            face(path)


@faces
def test_a_directory_that_is_removed_while_open(
    face: Any, tmp_path: Path, clock: FakeClock
) -> None:
    directory = tmp_path / "c"
    with face(directory, clock=clock, statistics=1, timeout=60) as cache:
        cache["key"] = "x" * 100_000
        assert cache["key"]
        shutil.rmtree(directory)
        cache.engine.refresh()

        assert "key" not in cache
        assert len(cache) == 0
        cache["key"] = "new"
        assert cache["key"] == "new"
        assert_sound(cache)
        # Who opens it now sees the same.
        with face(directory, clock=lambda: 0.0) as other:
            assert other["key"] == "new"


@faces
def test_a_directory_that_another_has_made_anew(face: Any, tmp_path: Path) -> None:
    directory = tmp_path / "c"
    with face(directory, timeout=60) as cache:
        cache["key"] = "old"
        assert cache["key"] == "old"
        shutil.rmtree(directory)
        with face(directory, clock=lambda: 0.0, timeout=60) as other:
            other["key"] = "new"
            cache.engine.refresh()

            assert cache["key"] == "new"
            cache["key"] = "newer"
            assert other["key"] == "newer"


@faces
def test_opening_notices_that_the_directory_is_gone(face: Any, tmp_path: Path) -> None:
    directory = tmp_path / "c"
    with face(directory) as cache:
        cache["key"] = 1
        shutil.rmtree(directory)
        with face(directory) as again:
            assert again.engine is cache.engine
            assert "key" not in again
            again["key"] = 2
            assert cache["key"] == 2


def test_transactions_nest_and_belong_to_a_thread(cache: Cache) -> None:
    cache["key"] = 0
    seen = []
    with cache.transact():
        cache["key"] = 1
        with cache.transact():
            cache["key"] = 2
        thread = threading.Thread(target=lambda: seen.append(cache["key"]))
        thread.start()
        thread.join()
        assert cache["key"] == 2
    assert seen == [0]
    assert cache["key"] == 2


def test_an_inner_exception_that_is_caught_undoes_nothing(cache: Cache) -> None:
    with cache.transact():
        cache["outer"] = 1
        with pytest.raises(KeyError), cache.transact():
            cache["inner"] = 1
            raise KeyError
    assert set(cache) == {"outer", "inner"}


def test_a_transaction_over_shards_is_undone_in_all(
    make_fanout: Callable[..., FanoutCache],
) -> None:
    cache = make_fanout(disk_min_file_size=100)
    cache.set_many(dict.fromkeys(range(40), "old" * 100))
    with pytest.raises(RuntimeError), cache.transact():
        cache.set_many(dict.fromkeys(range(0, 60, 2), "new" * 100))
        for number in range(1, 40, 2):
            del cache[number]
        raise RuntimeError

    assert {key: cache[key] for key in cache} == dict.fromkeys(range(40), "old" * 100)
    assert_sound(cache)


def test_many_writes_in_one_transaction_over_shards(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock
) -> None:
    # What the commit of one shard sets off must not trip over those still in the transaction.
    cache = make_fanout(size_limit=1_000_000, max_entries=500, disk_min_file_size=10_000)
    with cache.transact():
        for number in range(3000):
            cache.set(number, "x" * 1000, expire=-1 if number % 7 == 0 else None)
    for number in range(20):
        clock.advance(1)  # else all are of one age, and any but the last may be evicted
        cache[number] = "y" * 20_000

    assert all(cache[number] == "y" * 20_000 for number in (18, 19))
    assert_sound(cache)


def test_what_follows_an_error_in_a_transaction_is_not_stored(cache: Cache) -> None:
    cache["before"] = 1
    (store,) = cache.engine.stores
    with pytest.raises(Fault, match="rolled back"), cache.transact():
        cache["first"] = 1
        transaction = store.database.current()
        assert transaction is not None
        transaction.connection.execute("PRAGMA max_page_count=1")  # there is no more room
        with pytest.raises(Fault, match="full"):
            cache["large"] = "x" * 20_000
        cache["second"] = 1
    assert set(cache) == {"before"}
    assert len(cache) == 1
    assert_sound(cache)


def test_a_directory_that_is_removed_in_a_transaction(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    with Cache(str(directory)) as cache:
        with cache.transact():
            cache["inside"] = 1
            shutil.rmtree(directory)
            cache.engine.refresh()  # not now
            assert cache["inside"] == 1
        cache.engine.refresh()
        assert list(cache) == []
        assert cache.set("after", 1)
        assert cache["after"] == 1
        assert not any(cache.faults().values())
        assert_sound(cache)


def test_a_shard_that_is_dropped_on_a_full_disk_has_its_settings(
    make_cache: Callable[..., Cache], tmp_path: Path
) -> None:
    cache = make_cache(size_limit=5_000_000, tag_index=1)
    (store,) = cache.engine.stores
    cache["key"] = 1

    def remove() -> int:
        if len(cache):  # neither the reserve nor shorter logs help
            raise Fault(
                "full", store.path, "database or disk is full", store.database.pool.epoch
            )
        return len(cache)

    assert cache.engine.removing(store, remove) == 0
    assert store.database.run(schema.HAS_TAG_INDEX)
    other = make_cache(clock=lambda: 0.0)
    assert other.size_limit == 5_000_000
    assert_sound(cache)


def test_value_files_go_with_a_database_that_was_removed(tmp_path: Path) -> None:
    with Cache(tmp_path, disk_min_file_size=10) as cache:
        cache["key"] = "x" * 100
        (store,) = cache.engine.stores
        for end in ("", "-wal", "-shm"):
            Path(f"{store.path}{end}").unlink()
        cache.engine.refresh()
        assert cache.get("key") is None
        cache["key"] = "y" * 100
        assert_sound(cache)


def test_value_files_stay_of_a_database_that_another_has_made_anew(tmp_path: Path) -> None:
    with Cache(tmp_path, disk_min_file_size=10) as cache:
        cache["key"] = "x" * 100
        (store,) = cache.engine.stores
        for end in ("", "-wal", "-shm"):
            Path(f"{store.path}{end}").unlink()
        with Cache(tmp_path, clock=lambda: 0.0, disk_min_file_size=10) as other:
            other["key"] = "y" * 100
            cache.engine.refresh()
            assert cache["key"] == "y" * 100
