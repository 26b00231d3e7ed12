"""Removal on a full disk; a file system of a few megabytes is mounted for it."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, Deque, FanoutCache, Fault, Timeout
from django_diskcache.engine.relief import FEWEST, Reserve


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB, where this process may mount one."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill_up(directory: Path) -> None:
    with suppress(OSError), open(directory / "other", "ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert os.statvfs(directory).f_bavail == 0


def free(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


def test_the_reserve_is_a_small_part_of_what_is_free(small: Path) -> None:
    reserve = Reserve(str(small), 2**30)
    before = free(small)
    reserve.keep()
    assert FEWEST <= reserve.taken <= before // 16
    kept = reserve.taken
    reserve.keep()
    assert reserve.taken == kept
    reserve.give_up()
    assert reserve.taken == 0
    fill_up(small)
    reserve.keep()
    assert reserve.taken == 0
    assert not (small / "reserve").exists()


REMOVALS: dict[str, Callable[[FanoutCache], object]] = {
    "delete": lambda c: [c.delete(key) for key in range(40)],
    "delete_many": lambda c: c.delete_many(range(40)),
    "pop": lambda c: [c.pop(key) for key in range(40)],
    "evict": lambda c: c.evict("tag"),
    "expire": lambda c: c.expire(now=3e9),
    "clear": lambda c: c.clear(),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_entries_can_be_removed_from_a_full_disk(small: Path, name: str) -> None:
    with FanoutCache(
        small / "cache", shards=2, timeout=60, size_limit="100MB", disk_min_file_size="1MB"
    ) as cache:
        for number in range(400):
            cache.set(number, os.urandom(2000), 1e9 if number < 40 else None, tag="tag")
        fill_up(small)
        while cache.set("more", os.urandom(2000)):
            pass
        assert cache.faults()["full"] > 0
        assert cache.get(399) is not None
        REMOVALS[name](cache)
        assert not any(cache.has(key) for key in range(40))
        (small / "other").unlink()
        assert cache.set("again", "value")
        assert cache["again"] == "value"


def test_a_collection_can_be_emptied_on_a_full_disk(small: Path) -> None:
    deque = Deque(directory=str(small / "deque"))
    values = [os.urandom(500) for _ in range(100)]
    deque.extend(values)
    fill_up(small)
    with pytest.raises(Fault) as found:
        for _ in range(100_000):
            deque.append(bytes(2000))
    assert found.value.kind == "full"
    assert [deque.popleft() for _ in range(10)] == values[:10]
    (small / "other").unlink()
    deque.append("last")
    assert deque[-1] == "last"


def test_what_cannot_be_removed_one_by_one_is_dropped(
    small: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FanoutCache(
        small / "cache", shards=2, timeout=60, size_limit="100MB", disk_min_file_size="1MB"
    ) as cache:
        for number in range(400):
            cache.set(number, os.urandom(2000))
        cache.engine.reserve.give_up()
        fill_up(small)
        with caplog.at_level(logging.ERROR):
            assert cache.delete_many(range(400)) >= 0
        assert not any(cache.has(key) for key in range(400))
        assert free(small) > 0
        if "was dropped" not in caplog.text:
            pytest.skip("this SQLite found room in its log")


def test_a_cache_that_evicts_nothing_is_never_dropped(small: Path) -> None:
    with Cache(small / "cache", eviction_policy="none", disk_min_file_size="1MB") as cache:
        for number in range(400):
            cache[number] = os.urandom(2000)
        cache.engine.reserve.give_up()
        fill_up(small)
        removed: list[Any] = []
        with suppress(Fault):
            for number in range(400):
                del cache[number]
                removed.append(number)
        assert set(cache) == set(range(400)) - set(removed)


def test_a_lock_in_the_way_is_no_full_disk(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        (store,) = cache.engine.stores
        outcomes = [Fault("full", store.path, "it is full"), Timeout("it is locked")]

        def remove() -> None:
            raise outcomes.pop(0)

        with pytest.raises(Timeout, match="it is locked"):
            cache.engine.removing(store, remove)
