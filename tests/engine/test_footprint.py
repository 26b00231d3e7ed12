"""The volume of a cache is what `du` shows, whatever is in it, and costs the same."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache, footprint
from django_diskcache.engine.segment import files_of

MakeCache = Callable[..., "Cache | FanoutCache"]
# What the sum of value files has for each in its directory, and does not know of that.
PER_FILE = 64
PER_CACHE = 3 * 4096


@pytest.fixture(params=["cache", "fanout"])
def make(request: pytest.FixtureRequest) -> MakeCache:
    return request.getfixturevalue(f"make_{request.param}")  # type: ignore[no-any-return]


def du(directory: str) -> int:
    """What the program says."""
    told = subprocess.run(
        ["du", "-s", "--block-size=1", directory], capture_output=True, text=True, check=True
    )
    return int(told.stdout.split()[0])


def like_du(cache: Cache | FanoutCache) -> bool:
    """Whether the volume is right, but for what directories of value files take."""
    number = sum(1 for _ in Path(cache.directory).rglob("*.val"))
    return abs(cache.volume() - du(cache.directory)) <= PER_FILE * number + PER_CACHE


def test_an_empty_cache(make: MakeCache) -> None:
    assert like_du(make())


def test_rows_and_files_and_what_is_left_of_them(make: MakeCache) -> None:
    cache = make()
    choose = random.Random(1)
    for number in range(400):
        cache.set(number, choose.randbytes(choose.randrange(2000)), tag=number % 2)
    assert like_du(cache)
    for number in range(400):
        cache.set(f"file-{number}", choose.randbytes(choose.randrange(66_000, 132_000)), tag=2)
    assert like_du(cache)
    assert cache.volume() == cache.figures().volume
    cache.evict(1)
    assert like_du(cache)
    cache.evict(2)
    assert like_du(cache)
    cache.close()
    assert like_du(cache)


def test_free_pages_count_until_they_are_given_back(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(cull_limit=0)
    with cache.transact():
        for number in range(2000):
            cache.set(number, "x" * 1000)
    full = cache.volume()
    for number in range(2000):
        del cache[number]
    assert like_du(cache)
    limits = cache.engine.limits
    assert limits.in_use() < cache.volume() - 1_000_000
    limits.give_back()
    assert like_du(cache)
    assert cache.volume() < full - 1_000_000


def test_the_reserve_and_the_quarantine_count(make: MakeCache) -> None:
    cache = make(size_limit=2**26)
    cache["key"] = 1
    before = cache.volume()
    quarantine = Path(cache.directory, "quarantine")
    quarantine.mkdir(exist_ok=True)
    (quarantine / "000-1.sqlite3").write_bytes(b"x" * 100_000)
    assert cache.volume() - before >= 100_000
    assert like_du(cache)
    reserve = Path(cache.directory, "reserve")
    size = reserve.stat().st_blocks * 512
    before = cache.volume()
    reserve.unlink()
    assert before - cache.volume() == size > 0


def test_collections_do_not_count(make_fanout: Callable[..., FanoutCache]) -> None:
    cache = make_fanout()
    before = cache.volume()
    index = cache.index("words")
    index["a"] = "x" * 100_000
    assert cache.volume() == before < du(cache.directory) - 100_000


def test_no_directory_is_walked(
    make_fanout: Callable[..., FanoutCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_fanout()
    looks: list[Any] = []

    def looked(path: Any) -> os.stat_result:
        looks.append(path)
        return os.stat(path, follow_symlinks=False)

    numbers = []
    for count in (10, 100):
        for number in range(count):
            cache.set(number, b"x" * 80_000)
        looks.clear()
        with monkeypatch.context() as patch:  # others look as well
            patch.setattr(os, "lstat", looked)
            cache.volume()
        numbers.append(len(looks))
    assert numbers[0] == numbers[1] <= 4 * len(cache.engine.stores) + 4


def test_of_a_cache_that_nobody_opens(
    make_fanout: Callable[..., FanoutCache], tmp_path: Path
) -> None:
    cache = make_fanout()
    for number in range(30):
        cache.set(number, b"x" * 80_000)
    shards = len(cache.engine.stores)
    assert footprint.of_cache(cache.directory, shards) == cache.volume()
    assert footprint.of_cache(str(tmp_path / "nowhere"), 3) == 0
    (tmp_path / "short").write_bytes(b"ddcacheS")
    assert files_of(str(tmp_path / "short")) == 0
