"""`check` finds, names and mends each kind of damage. And removal of what is to go."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import (
    Cache,
    EmptyDirWarning,
    FanoutCache,
    UnknownFileWarning,
    maintenance,
)
from django_diskcache.engine.budget import log_bytes
from django_diskcache.engine.maintenance import IN_PROGRESS
from tests.conftest import FakeClock
from tests.engine.soundness import assert_sound


@pytest.fixture(params=["Cache", "FanoutCache"])
def filled(
    request: pytest.FixtureRequest,
    make_cache: Callable[..., Cache],
    make_fanout: Callable[..., FanoutCache],
) -> Any:
    cache: Any = make_cache() if request.param == "Cache" else make_fanout()
    cache["row"] = "row"
    cache["file"] = "file" * 20_000
    return cache


def value_file(cache: Any) -> Path:
    (path,) = Path(cache.directory).rglob("*.val")
    return path


def found(cache: Any, **options: Any) -> list[tuple[type[Warning], str]]:
    return [(each.category, str(each.message)) for each in cache.check(**options)]


def test_nothing_to_find(filled: Any) -> None:
    assert filled.check() == []
    assert filled.check(fix=True) == []
    assert filled["file"] == "file" * 20_000


def test_what_others_warn_of_meanwhile_is_not_a_finding(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn(*_: Any) -> list[str]:
        warnings.warn("unclosed file", ResourceWarning, stacklevel=1)  # as the collector may
        return []

    monkeypatch.setattr("django_diskcache.engine.hints.check", warn)
    with pytest.warns(ResourceWarning, match="unclosed file"):
        assert filled.check() == []


def test_a_missing_file(filled: Any) -> None:
    path = value_file(filled)
    path.unlink()

    assert (UserWarning, f"file not found: {path}") in found(filled)
    assert len(filled) == 2
    assert (UserWarning, f"file not found: {path}") in found(filled, fix=True)
    assert found(filled) == []
    assert list(filled) == ["row"]
    assert_sound(filled)


def test_a_file_of_another_size(filled: Any) -> None:
    path = value_file(filled)
    path.write_bytes(b"short")

    message = f"wrong file size: {path} has 5, not 80000"
    assert found(filled) == [(UserWarning, message)]
    assert found(filled, fix=True) == [(UserWarning, message)]
    assert found(filled) == []
    assert "file" not in filled
    assert not path.exists()


def test_an_unknown_file(filled: Any) -> None:
    top = Path(filled.engine.stores[0].directory)
    path = top / "ab" / "notes.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("whose?")

    assert found(filled) == [(UnknownFileWarning, f"unknown file: {path}")]
    assert path.exists()
    assert (UnknownFileWarning, f"unknown file: {path}") in found(filled, fix=True)
    assert not path.exists()
    assert found(filled) == []


def test_a_value_file_without_a_row_is_left_alone_while_it_may_be_in_progress(
    filled: Any,
) -> None:
    store = filled.engine.stores[0]
    _, path = store.disk.filename()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_bytes(b"in progress")

    assert found(filled, fix=True) == []

    os.utime(path, (0, os.stat(path).st_mtime - IN_PROGRESS - 1))
    assert found(filled, fix=True)[0] == (UnknownFileWarning, f"unknown file: {path}")
    assert not os.path.exists(path)
    assert_sound(filled)


def test_empty_directories(filled: Any) -> None:
    top = Path(filled.engine.stores[0].directory)
    inner = top / "em" / "pty"
    inner.mkdir(parents=True)

    assert found(filled) == [(EmptyDirWarning, f"empty directory: {inner}")]
    assert found(filled, fix=True) == [
        (EmptyDirWarning, f"empty directory: {inner}"),
        (EmptyDirWarning, f"empty directory: {inner.parent}"),
    ]
    assert not inner.parent.exists()


def test_check_leaves_caches_in_subdirectories_alone(make_fanout: Any, make_cache: Any) -> None:
    fanout = make_fanout()
    outer, inner = fanout.cache("outer"), fanout.cache("outer/inner")
    outer["key"] = "outer" * 20_000
    inner["key"] = "inner" * 20_000

    assert found(outer, fix=True) == []
    assert found(make_cache("fanout"), fix=True) == []  # a Cache in the same directory
    inner.close()
    assert inner["key"] == "inner" * 20_000
    assert_sound(inner)


def test_a_damaged_database_is_named(cache: Cache) -> None:
    for number in range(100):
        cache[number] = "value"
    run = cache.engine.stores[0].database.run
    run("PRAGMA writable_schema=1")
    run(
        "UPDATE sqlite_master SET sql = 'CREATE UNIQUE INDEX cache_key ON cache (key, tag)' "
        "WHERE name = 'cache_key'"
    )
    cache.close()

    assert any("cache_key" in text for _, text in found(cache))


def test_the_sweep_passes_over_everything(cache: Cache, clock: FakeClock) -> None:
    for number in range(1000):
        cache.set(number, "x" * 100_000 if number % 100 == 0 else "x", expire=1)
    clock.advance(2)
    for number in range(1000):
        cache.set(f"other-{number % 10}", number)

    assert len(cache) == 10
    assert_sound(cache)


def test_expire_by_another_time(cache: Cache, clock: FakeClock) -> None:
    for number in range(10):
        cache.set(number, number, expire=number + 1)

    assert cache.expire(now=clock() + 5) == 5
    assert list(cache) == [5, 6, 7, 8, 9]
    assert cache.expire(clock() + 10) == 5


def test_removal_in_many_batches(cache: Cache, clock: FakeClock) -> None:
    values = dict.fromkeys(range(2500), "x")
    cache.set_many(values, tag="tag")

    assert cache.evict("tag") == 2500
    cache.set_many(values, expire=10)
    assert cache.expire(now=clock() + 10) == 2500
    cache.set_many(values)
    assert cache.clear() == 2500
    assert len(cache) == 0


def test_removal_inside_a_transaction_can_be_undone(cache: Cache) -> None:
    cache.set("key", "x" * 100_000, tag="tag")
    for remove in (
        lambda: cache.evict("tag"),
        cache.clear,
        lambda: cache.delete("key"),
        lambda: cache.pop("key"),
    ):
        with pytest.raises(RuntimeError), cache.transact():
            remove()
            assert "key" not in cache
            raise RuntimeError
        assert cache["key"] == "x" * 100_000
    assert_sound(cache)


def test_a_clear_does_not_write_what_it_removes(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        for number in range(2000):
            cache[number] = "x" * 1000
        maintenance.checkpoint(cache.engine.stores[0])
        assert cache.clear() == 2000
        assert log_bytes(cache.engine.stores[0]) < 200_000
