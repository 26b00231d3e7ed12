"""What `howto/from-python-diskcache.md` says of this package, item by item.

A change of behaviour that makes the page wrong fails here.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.base import CacheKeyWarning
from django.core.exceptions import ImproperlyConfigured

from django_diskcache import (
    DEFAULT_SETTINGS,
    BoundedSemaphore,
    Cache,
    Deque,
    Disk,
    DjangoCache,
    FanoutCache,
    Index,
    JSONDisk,
    throttle,
)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "cache") as cache:
        yield cache


@pytest.fixture
def fanout(tmp_path: Path) -> Iterator[FanoutCache]:
    with FanoutCache(tmp_path / "fanout", shards=3) as fanout:
        yield fanout


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Callable[..., DjangoCache]]:
    opened = []

    def make(**options: Any) -> DjangoCache:
        opened.append(DjangoCache(tmp_path / "backend", {"OPTIONS": options}))
        return opened[-1]

    yield make
    for each in opened:
        each.shutdown()


def test_files_are_for_one_user(cache: Cache, tmp_path: Path) -> None:
    top = tmp_path / "cache"
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in top.iterdir()} == {0o600}


def test_an_old_directory_is_not_read_and_stays(tmp_path: Path) -> None:
    old = tmp_path / "000" / "cache.db"
    value = tmp_path / "000" / "ab" / "cd" / f"{1:028x}.val"
    value.parent.mkdir(parents=True)
    for path in (old, value):
        path.write_bytes(b"old")
    with FanoutCache(tmp_path) as cache:
        assert len(cache) == 0
        assert cache.check(fix=True) == []
        assert old.exists()
        assert value.exists()
        old.unlink()
        cache.check(fix=True)
        assert not value.exists()


def test_settings(cache: Cache, fanout: FanoutCache, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="size_limit"):
        Cache(tmp_path / "other", size_limt=1)
    with pytest.raises(ValueError, match="least-recently-used"):
        Cache(tmp_path / "other", eviction_policy="lru")
    with pytest.raises(KeyError):
        cache.reset("hits")
    assert cache.reset("size_limit", "4GB") == 4 * 10**9
    assert Cache(cache.directory).size_limit == 4 * 10**9
    assert DEFAULT_SETTINGS["sqlite_auto_vacuum"] == 2
    assert DEFAULT_SETTINGS["sqlite_cache_size"] == 1024
    assert DEFAULT_SETTINGS["sqlite_mmap_size"] == 0
    assert DEFAULT_SETTINGS["disk_min_file_size"] == 2**16
    assert {"near_cache_size", "max_entries", "cull_frequency"} <= DEFAULT_SETTINGS.keys()
    assert not hasattr(cache, "count")
    assert fanout.size_limit == 2**30
    fanout["kept"] = 1
    with FanoutCache(fanout.directory, shards=7) as again:
        assert again["kept"] == 1


def test_a_relative_directory_is_made_absolute(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with Cache("here") as cache:
        assert cache.directory == str(tmp_path / "here")


@pytest.mark.parametrize("kind", ["cache", "fanout"])
def test_keys(kind: str, request: Any) -> None:
    cache = request.getfixturevalue(kind)
    for number in (1, 1.0, True):
        cache[number] = number
    assert len(cache) == 1
    with pytest.raises(TypeError, match="unhashable"):
        cache.set([1], 1)
    assert cache.memoize()(len)([1, 2]) == 2
    one = "ab1".upper()
    cache[one, "AB1"] = "equal parts"
    assert cache[one, one] == "equal parts"
    for odd in (float("nan"), "\ud800"):
        cache[odd] = "odd"
        assert cache[odd] == "odd"


def test_values(cache: Cache) -> None:
    cache["nan"] = float("nan")
    assert cache["nan"] != cache["nan"]
    cache["lines"] = "a\r\n" * 20_000
    assert cache["lines"] == "a\r\n" * 20_000
    cache["large"] = 2**63 - 1
    assert cache.incr("large") == 2**63
    assert cache.incr("large", 2**80) == 2**63 + 2**80
    cache["flag"] = True
    assert cache.incr("flag") == 2
    cache["small"] = b"bytes"
    assert cache.get("small", read=True).read() == b"bytes"
    cache.set("file", b"bytes", read=True)
    with cache.read("file") as file:
        assert Path(file.name).read_bytes() == b"bytes"
    for wrong in ("text", io.StringIO("text")):
        with pytest.raises(TypeError, match="read=True"):
            cache.set("text", wrong, read=True)


def test_operations(cache: Cache) -> None:
    cache.reset("eviction_policy", "none")
    cache.set("old", 1, expire=-1)
    assert not cache.delete("old")
    assert len(cache) == 0
    cache.set("old", 1, expire=-1)
    assert cache.cull() == 1
    assert cache.pull(default="empty", expire_time=True, tag=True) == ("empty", None, None)
    cache.clear()
    cache.set("gone", 1, expire=0)
    assert ("gone" in cache, len(cache)) == (False, 1)
    with pytest.raises(TypeError, match="tag="):
        cache.set("tagged", 1, tag={1: 2})
    with pytest.raises(ValueError, match="left"):
        cache.push(1, side="left")
    with pytest.raises(TypeError, match="parentheses"):
        cache.memoize(len)  # type: ignore[arg-type]


def test_fanout(fanout: FanoutCache, tmp_path: Path) -> None:
    fanout.push("a")
    assert fanout.peek()[1] == fanout.pull()[1] == "a"
    fanout.set_many({"a": 1, "b": 2})
    assert fanout.get_many("abc") == {"a": 1, "b": 2}
    assert sorted(fanout.iterkeys()) == ["a", "b"]
    assert fanout.delete_many("abc") == 2
    with fanout.transact(retry=False):
        assert fanout.expire(now=5.0) == 0
    assert fanout.reset("cull_limit", 3, update=False) == 3
    assert type(fanout.cache("json", disk=JSONDisk).disk) is JSONDisk
    with pytest.raises(ValueError, match="name"):
        fanout.index("../elsewhere")


def test_collections(tmp_path: Path) -> None:
    deque = Deque("ab", directory=tmp_path / "deque")
    deque.insert(1, "x")
    assert deque == ["a", "x", "b"]
    assert deque == "axb"
    assert deque.maxlen is None
    with pytest.raises(ValueError, match="negative"):
        Deque(maxlen=-1, directory=tmp_path / "other")
    index = Index(tmp_path / "index", a=1, b=2)
    index.move_to_end("a")
    backwards = reversed(index.items())
    assert list(backwards) == [("a", 1), ("b", 2)]
    assert index.peekitem(5) == ("a", 1)  # type: ignore[arg-type]
    assert index != 3
    for each in (deque, index):
        each.cache.close()


def test_disk(tmp_path: Path) -> None:
    got = []

    class Watching(Disk):
        def store(self, value: Any, read: bool, key: Any = None) -> Any:
            got.append((value, read))
            return super().store(value, read, key)

    with Cache(tmp_path / "json", disk=JSONDisk) as cache:
        assert list(Deque.fromcache(cache, "abc")) == ["a", "b", "c"]
    with Cache(tmp_path / "watching", disk=Watching) as cache:
        cache.set("a", b"b", read=True)
    assert got == [(b"b", True)]


def test_recipes(cache: Cache) -> None:
    call = throttle(cache, 1, 1)(lambda: "called")
    cache.clear()
    assert call() == "called"
    with pytest.raises(AssertionError):
        BoundedSemaphore(cache, "semaphore").release()


def test_backend(backend: Callable[..., DjangoCache]) -> None:
    cache = backend(SIZE_LIMIT="4GB", shards=2)
    assert cache.read("missing") is None
    assert cache.stats() == (0, 1)
    with pytest.warns(CacheKeyWarning):
        cache.set("a b", 1)
    with pytest.raises(ValueError, match="Key 'nothing' not found"):
        cache.incr("nothing")
    cache.set("a", 1, timeout=9999, tag="t")
    cache.incr_version("a")
    value, due, tag = cache.get("a", version=2, expire_time=True, tag=True)
    assert (value, tag) == (1, "t")
    assert due > cache._cache.engine.clock() + 9000
    assert isinstance(cache.memoize(name="f")(len).__cache_key__("x"), str)
    assert cache.set_many({"b": 1}, tag="t") == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.close()
    assert cache.clear() is None  # type: ignore[func-returns-value]


def test_options_are_those_of_the_settings_file(backend: Callable[..., DjangoCache]) -> None:
    backend(size_limit="4GB", statistics=False)
    assert backend()._cache.engine.settings["size_limit"] == 2**30
    assert backend()._cache.engine.settings["statistics"] == 1
    with pytest.raises(ImproperlyConfigured, match="did you mean"):
        backend(size_limt="4GB")


def test_max_entries_is_honoured(backend: Callable[..., DjangoCache]) -> None:
    cache = backend(MAX_ENTRIES=10)
    for number in range(30):
        cache.set(str(number), number)
    assert len(cache) <= 10
