"""A disk that is full: a small tmpfs, and a small ext4 in a file. A quota that is used up.

Everything that uses the disk is in children: a store into a mapping of which the file system
cannot give the page kills the process, which a test survives and can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_diskcache import Deque, FanoutCache, Fault
from django_diskcache.engine.connection import Database
from django_diskcache.engine.disk import Disk

from .faces import KEYS, Watch, open_django, read_all
from .places import ext4, fill, free_bytes, quota, tmpfs
from .processes import in_child
from .values import make, some_text

MEGABYTE = 2**20
MOST = 4000  # sets that fill the disk many times over
PLACES: dict[str, Callable[[int], AbstractContextManager[Path]]] = {
    "tmpfs": tmpfs,
    "ext4": ext4,
}


@pytest.fixture(params=PLACES)
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of some megabytes."""
    with PLACES[request.param](6 * MEGABYTE) as path:
        yield path


def _small(disk: Path, **options: Any) -> Any:
    return open_django(disk / "cache", shards=2, size_limit=2**28, **options)


def _store_until_full(cache: Any, watch: Watch, timeout: float | None = None) -> int:
    """Set ever new keys until sets are refused for a while; how many were stored."""
    random = Random(1)
    stored = refused = 0
    for number in range(MOST):
        length = random.choice((10, 500, 3000, 20_000))
        text = some_text(random, length)
        fine = watch.call(cache.set, f"more-{number}", text, timeout, tag="more")
        stored += bool(fine)
        refused = 0 if fine else refused + 1
        if refused >= 20:
            break
    assert refused, "the disk is not full"
    return stored


def _fill_up(disk: Path) -> tuple[Any, Watch]:
    """A cache that has some entries on a disk that is full to the last byte."""
    watch = Watch()
    cache = _small(disk)
    for key in KEYS[::4]:
        assert cache.set(key, make(key, 1, "list"), tag="some")
    assert _store_until_full(cache, watch) > 0
    fill(disk)
    return cache, watch


def _go_on(disk: Path) -> list[str]:
    cache, watch = _fill_up(disk)
    key = KEYS[4]
    for _ in range(2):
        read_all(cache, watch)
        for size in (10, 3000, 50_000):
            watch.call(cache.set, "another", "x" * size)
            watch.call(cache.add, f"another-{size}", ["x" * size])
        watch.call(cache.set_many, {f"many-{n}": "x" * 3000 for n in range(20)})
        watch.call(cache.touch, key, 1000)
        watch.call(cache.close)
        cache.shutdown()  # connections are opened anew on the full disk
    found = {key: cache.get(key) for key in KEYS[::4]}
    assert [key for key in found if found[key] != make(key, 1, "list")] == []
    assert watch.wrong == []
    return watch.raised


def test_sets_are_refused_and_gets_go_on(disk: Path) -> None:
    assert in_child(_go_on, disk) == []


FREEING: dict[str, Callable[[Any], object]] = {
    "clear": lambda cache: cache.clear(),
    "evict": lambda cache: cache.evict("more"),
    "expire": lambda cache: cache._cache.expire(now=4e9),
    "delete": lambda cache: [cache.delete(f"more-{number}") for number in range(MOST)],
    "delete_many": lambda cache: cache.delete_many([f"more-{n}" for n in range(MOST)]),
    "pop": lambda cache: [cache.pop(f"more-{number}") for number in range(MOST)],
}


def _free(disk: Path, name: str) -> list[str]:
    watch = Watch()
    cache = _small(disk)
    _store_until_full(cache, watch, 3600)
    fill(disk)
    entries = len(cache)
    assert entries > 10
    watch.call(FREEING[name], cache)
    assert len(cache) < entries / 2, f"{len(cache)} of {entries} entries are left"
    again = [bool(watch.call(cache.set, f"again-{n}", "y" * 3000)) for n in range(20)]
    assert all(again), f"{again}, {free_bytes(disk)} bytes are free"
    assert all(cache.get(f"again-{n}") == "y" * 3000 for n in range(20))
    return watch.raised


@pytest.mark.parametrize("name", FREEING)
def test_what_frees_space_works_on_a_full_disk(disk: Path, name: str) -> None:
    assert in_child(_free, disk, name) == []


def _cull(disk: Path) -> list[str]:
    watch = Watch()
    cache = _small(disk)
    _store_until_full(cache, watch)
    fill(disk)
    cache.shutdown()
    smaller = _small(disk, eviction_policy="least-recently-stored")
    smaller._cache.reset("size_limit", MEGABYTE, update=False)
    entries = len(smaller)
    watch.call(smaller.cull)
    assert len(smaller) < entries / 2, f"{len(smaller)} of {entries} entries are left"
    assert watch.call(smaller.set, "again", "y" * 3000)
    return watch.raised


def test_cull_works_on_a_full_disk(disk: Path) -> None:
    assert in_child(_cull, disk) == []


def _open_on_full(disk: Path) -> str:
    fill(disk)
    try:
        _small(disk)
    except ImproperlyConfigured as error:
        return str(error)
    return "it opened"


def test_a_cache_cannot_be_made_on_a_full_disk_and_says_so(disk: Path) -> None:
    said = in_child(_open_on_full, disk)
    assert str(disk) in said
    assert "full" in said.lower() or "no space" in said.lower()


def _reopen_on_full(disk: Path) -> list[str]:
    cache, watch = _fill_up(disk)
    cache.shutdown()
    return watch.raised


def _open_again(disk: Path) -> list[str]:
    watch = Watch()
    cache = _small(disk)
    found = [cache.get(key) for key in KEYS[::4]]
    assert found == [make(key, 1, "list") for key in KEYS[::4]]
    assert not watch.call(cache.set, "another", "x" * 50_000)
    return watch.raised


def test_a_new_process_reads_on_a_full_disk(disk: Path) -> None:
    assert in_child(_reopen_on_full, disk) == []
    assert in_child(_open_again, disk) == []


def _collect(disk: Path) -> None:
    deque = Deque(directory=str(disk / "deque"))
    appended = 0
    with pytest.raises(Fault):
        for _ in range(MOST):
            deque.append([appended, "x" * 3000])
            appended += 1
    filler = fill(disk)
    with pytest.raises(Fault):
        for _ in range(MOST):
            deque.append([appended, "x" * 3000])
            appended += 1
    assert [item[0] for item in deque] == list(range(appended))
    popped = 0
    with suppress(Fault):  # as far as the reserve goes, which may be nowhere
        for _ in range(appended // 2):
            assert deque.popleft()[0] == popped
            popped += 1
    assert [item[0] for item in deque] == list(range(popped, appended))
    filler.unlink()
    (disk / "deque" / "reserve").unlink(missing_ok=True)
    with suppress(Fault):  # the disk is hardly larger than the log of the collection
        deque.append([appended, ""])
        appended += 1
    assert [item[0] for item in deque] == list(range(popped, appended))


def test_a_deque_raises_and_keeps_what_it_acknowledged(disk: Path) -> None:
    in_child(_collect, disk)


def _plain(disk: Path) -> list[str]:
    watch = Watch()
    cache = FanoutCache(str(disk / "cache"), shards=2, size_limit=2**28, timeout=5)
    cache.set("number", 1)
    _store_until_full(cache, watch)
    fill(disk)
    watch.call(cache.get, "number")
    watch.call(cache.set, "another", "x" * 50_000)
    watch.call(cache.delete, "another")
    watch.call(cache.pop, "more-1")
    return watch.raised


def test_the_same_without_django(disk: Path) -> None:
    assert in_child(_plain, disk) == []


# A quota: of btrfs, for which no kernel needs to be built anew. There a quota that is used up,
# like a disk that is full, kills whoever stores into a mapping; this is about what has none.


def _use_up_by_rows(limited: Path, journal: str) -> str:
    def configure(connection: Any) -> None:
        connection.execute(f"PRAGMA journal_mode={journal}")

    database = Database(str(limited / "database"), configure)
    database.run("CREATE TABLE all_of_it (value)")
    with pytest.raises(Fault) as caught:
        for _ in range(MOST):
            database.run("INSERT INTO all_of_it VALUES (randomblob(20000))")
    return caught.value.kind


def _use_up_by_value_files(limited: Path) -> str:
    disk = Disk(str(limited), min_file_size=1000)
    with pytest.raises(Fault, match="quota") as caught:
        for number in range(MOST):
            disk.store(bytes(20_000), False, key=number)
    assert all(path.stat().st_size == 20_000 for path in limited.rglob("*.val"))
    return caught.value.kind


USES: dict[str, Callable[[Path], str]] = {
    "rows": lambda limited: _use_up_by_rows(limited, "delete"),
    "rows, with a journal that stays": lambda limited: _use_up_by_rows(limited, "persist"),
    "value files": _use_up_by_value_files,
}


@pytest.mark.parametrize("use_up", USES.values(), ids=USES)
def test_a_quota_that_is_used_up_is_a_full_disk(use_up: Callable[[Path], str]) -> None:
    with quota(6 * MEGABYTE) as limited:
        assert in_child(use_up, limited) == "full"
